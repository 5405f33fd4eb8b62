//! Block formats and the operations of a decoder over plain slices.
//!
//! Slices in, slices out: this crate knows no tensor, no model and no file format. It is also the only crate of Lucid
//! that contains `unsafe` code, so that there is one place to audit. Reading order:
//!
//! 1. [`formats`]: how weights lie in memory, one block format per file with its bytes drawn.
//! 2. [`oracle`]: every operation of a decoder in f64, slow and commented. The ground truth.
//! 3. [`ops`]: the same operations on f32 values, one file each, bounded against the oracle.
//! 4. [`cpu`]: the same operations fast, over [`level`] (which instructions) and [`threads`] (the pool). Each file defines its
//!    roundings once for all instructions.
//! 5. [`map`]: read-only file mappings.

#[cfg(target_endian = "big")]
compile_error!("Lucid reads little-endian weights in place and is built for little-endian machines only");

pub mod cpu;
pub mod formats;
mod lanes;
pub mod level;
pub mod map;
pub mod ops;
pub mod oracle;
pub mod probe;
pub mod threads;
