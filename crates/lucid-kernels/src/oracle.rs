//! Every operation of a decoder in f64: the ground truth.
