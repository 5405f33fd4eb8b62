//! The operations of a decoder on f32 values, one per file.
