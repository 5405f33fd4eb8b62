//! Matrix product, `y[t,o] = Σᵢ w[o,i] · x[t,i]`, of weights in any format with f32 rows: where nearly all time goes.
//!
//! What it computes to the bit is defined in [`twin`].

pub(super) mod twin;

use super::{Machine, Parts};
use crate::formats::Format;

/// How activations enter a product with quantised weights. Weights of plain floats always meet the activations as they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Activations {
    /// Rounded to eight bits in blocks of 32, so that the products are of integers.
    #[default]
    Rounded,
    /// As they are, in f32: slower, and nothing is lost.
    Exact,
}

/// Multiplies every row of `x` (`n_in` values) by every row of `w`; `y` has one row of `w`'s row count per row of `x`.
pub fn matmul(m: &Machine, format: Format, w: &[u8], x: &[f32], n_in: usize, y: &mut [f32], activations: Activations) {
    let row_bytes = format.row_bytes(n_in).filter(|&n| n > 0).expect("rows are whole blocks");
    let n_out = w.len() / row_bytes;
    assert!(w.len().is_multiple_of(row_bytes) && x.len().is_multiple_of(n_in) && x.len() / n_in * n_out == y.len());
    let out = Parts::new(y);
    m.in_ranges(n_out, 1, 16, &|range, _| {
        for o in range {
            for (t, x) in x.chunks_exact(n_in).enumerate() {
                // SAFETY: every output has one writer.
                let y = unsafe { out.part(t * n_out + o..t * n_out + o + 1) };
                y[0] = twin::dot(format, &w[o * row_bytes..(o + 1) * row_bytes], x, activations);
            }
        }
    });
}
