//! The operations of a decoder on f32 values, one per file: its equation, its shapes, the precision of its sums.
//!
//! These are the reference's loops. Inputs and results are f32; every sum and every intermediate is f64 and is rounded
//! once, when it is stored. So each result is the correctly rounded one except in rare double-rounding cases, whatever the
//! order in which rows are processed, and each row of a batch is computed as if it were alone.
//!
//! Matrices are row-major: row `t` of an activation is token `t`. Vectors of a file (norm gains, biases) arrive as their
//! little-endian f32 *bytes*, because a mapped file promises no alignment.

mod add;
mod attention;
mod embed;
mod gate;
mod layer_norm;
mod matmul;
mod rms_norm;
mod rope;
mod softmax;

pub use add::{add, add_bias};
pub use attention::{Heads, attention};
pub use embed::embed;
pub use gate::{gelu_mul, silu_mul};
pub use layer_norm::layer_norm;
pub use matmul::matmul;
pub use rms_norm::rms_norm;
pub use rope::{Pairs, Rotation, rope};
pub use softmax::softmax;

/// Value `i` of a vector of little-endian f32 bytes.
fn f32_at(bytes: &[u8], i: usize) -> f64 {
    f32::from_le_bytes(bytes[4 * i..4 * i + 4].try_into().unwrap()) as f64
}

/// What the tests of the operations share.
#[cfg(test)]
pub(crate) mod testing {
    use crate::oracle::UNIT_F32;

    /// `n` reproducible values in (−1, 1) with 24 random bits each.
    pub(crate) fn noise(seed: u64, n: usize) -> Vec<f32> {
        let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        (0..n)
            .map(|_| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                (state >> 40) as f32 / (1 << 23) as f32 - 1.0
            })
            .collect()
    }

    /// The values as f64.
    pub(crate) fn wide(x: &[f32]) -> Vec<f64> {
        x.iter().map(|&x| x as f64).collect()
    }

    /// The values as little-endian bytes.
    pub(crate) fn bytes(x: &[f32]) -> Vec<u8> {
        x.iter().flat_map(|x| x.to_le_bytes()).collect()
    }

    /// Asserts that every `got` is `want` rounded once to f32, give or take `slack` (the bound on the f64 work before).
    #[track_caller]
    pub(crate) fn assert_rounded_once(got: &[f32], want: &[f64], slack: f64) {
        assert_eq!(got.len(), want.len());
        for (i, (&g, &w)) in got.iter().zip(want).enumerate() {
            let bound = UNIT_F32 * w.abs() + slack;
            let error = (g as f64 - w).abs();
            assert!(error <= bound, "value {i}: {g} is {error:e} from {w}, more than {bound:e}");
        }
    }
}
