//! Matrix product, `y[t,o] = Σᵢ w[o,i] · x[t,i]`, of weights in any format with f32 rows: where nearly all time goes.
//!
//! What it computes to the bit is defined in `matmul/twin.rs`, which tests compare with. How:
//!
//! ```text
//!                    ┌ prepare (once): activations to 8 bits, or to 16-wide order ─────────────┐
//!   few rows         │  weight row ─ unpack ─▶ registers ─ dot products ─▶ 16 sums ─┐          │   integers.rs
//!                    │  … 16 weight rows, in address order …                        └▶ y       │
//!   many rows        │  16 weight rows ─ unpack ─▶ transposed panel ─▶ strips in L1 × tiles ─▶ y │   tiles.rs, integers/panels.rs
//!                    └─────────────────────────────────────────────────────────────────────────┘
//! ```
//!
//! With few rows the time is that of reading the weights, once, in the order in which they lie: the lanes of a vector are then
//! sixteen *blocks* of one weight row, the sixteen classes of the definition. With many rows the time is that of multiplying:
//! a panel of unpacked weights serves every row, and the lanes are sixteen *outputs*.
//!
//! Both need one thing from a format, its unpack step; the rest knows integers and scales, or floats. So there are as many
//! unpack steps as formats, and one set of products.

mod floats;
mod integers;
mod prepare;
mod tiles;
#[cfg(test)]
pub(super) mod twin;

use super::{Machine, Parts, buffer::Plan, gate::silu, partial};
use crate::formats::{
    Format,
    unpack::{Unpack, with_unpack},
};
use crate::lanes::Lanes;
use std::ops::Range;

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
    Product::new(format, w, x, n_in, y).compute(m, activations);
}

/// The same product, by which the gates that `y` holds are opened: `y = silu(y) · product`. To the bit what [`matmul`] and
/// then [`silu_mul`](super::silu_mul) make, without the product ever being in memory.
pub fn matmul_gated(
    m: &Machine,
    format: Format,
    w: &[u8],
    x: &[f32],
    n_in: usize,
    y: &mut [f32],
    activations: Activations,
) {
    Product { gated: true, ..Product::new(format, w, x, n_in, y) }.compute(m, activations);
}

/// 0..n cut up so that threads read long stretches of memory (what is asked for ahead of a piece's end, another thread may
/// get), and yet end together: in each round, each thread takes half its share of what is left. These are where a round
/// begins and how long its pieces are.
fn rounds(n: usize, threads: usize) -> impl Iterator<Item = (usize, usize)> {
    let round = move |first: usize| (first < n).then(|| (first, ((n - first) / (2 * threads)).max(1)));
    std::iter::successors(round(0), move |(first, len)| round(first + threads * len))
}

/// One product, sizes checked.
struct Product<'a> {
    format: Format,
    w: &'a [u8],
    row_bytes: usize,
    x: &'a [f32],
    n_in: usize,
    n_out: usize,
    rows: usize,
    y: Parts<f32>,
    /// Whether y holds gates, which the product opens.
    gated: bool,
}

impl<'a> Product<'a> {
    fn new(format: Format, w: &'a [u8], x: &'a [f32], n_in: usize, y: &'a mut [f32]) -> Product<'a> {
        let row_bytes = format.row_bytes(n_in).filter(|&n| n > 0).expect("rows are whole blocks");
        let (n_out, rows) = (w.len() / row_bytes, x.len() / n_in);
        assert!(w.len().is_multiple_of(row_bytes) && x.len().is_multiple_of(n_in) && rows * n_out == y.len());
        Product { format, w, row_bytes, x, n_in, n_out, rows, y: Parts::new(y), gated: false }
    }

    fn compute(&self, m: &Machine, activations: Activations) {
        if self.rows == 0 {
            return;
        }
        match activations {
            Activations::Rounded => {
                with_unpack!(self.format, B => integers::run::<B>(m, self), else floats::run(m, self))
            }
            Activations::Exact => floats::run(m, self),
        }
    }

    /// How the whole steps of a weight row, each of so many bytes, pass by few rows: in strips of at most `most`, as few as can
    /// be, as equal as can be, and at least one. With each, the bytes from what is read to what is asked for meanwhile: rows one
    /// after the other are asked for as they lie, strips of sixteen rows when the strip before them is read.
    fn strips(&self, m: &Machine, step: usize, most: usize) -> impl Iterator<Item = (Range<usize>, usize)> + Clone {
        let (whole, row_bytes, in_order) = (self.row_bytes / step, self.row_bytes, m.ahead);
        let strip = whole.div_ceil(whole.div_ceil(most).max(1)).max(1);
        (0..whole.max(1)).step_by(strip).map(move |from| {
            let to = whole.min(from + strip);
            let ahead = if whole <= strip {
                in_order
            } else if to < whole {
                (to - from) * step
            } else {
                16 * row_bytes - from * step
            };
            (from..to, ahead)
        })
    }

    /// The bytes of weight row `o`.
    fn weights(&self, o: usize) -> &[u8] {
        &self.w[o * self.row_bytes..(o + 1) * self.row_bytes]
    }

    /// Runs `task` on ranges of outputs, multiples of sixteen but for the last: for a kernel of few rows, or of panels, as
    /// many as are multiplied at a time.
    fn run(&self, m: &Machine, few: bool, task: &(dyn Fn(Range<usize>, usize) + Sync)) {
        let threads = m.pool.threads();
        if few {
            let n = self.n_out.div_ceil(16);
            return m.pool.run(rounds(n, threads).count() * threads, &|piece, thread| {
                let (first, len) = rounds(n, threads).nth(piece / threads).expect("as many as were counted");
                let first = first + piece % threads * len; // past the end in the last round, where less than a piece for each is left
                task(self.n_out.min(16 * first)..self.n_out.min(16 * (first + len)), thread);
            });
        }
        // At least four pieces for each thread, so that a thread that is put aside can be helped out.
        let grain = (self.n_out / (4 * threads)).clamp(16, 16 * tiles::PANELS) / 16 * 16;
        m.in_ranges(self.n_out, 16, grain, task);
    }

    /// Writes the outputs of row `t` from `first` on: as many as there are, of sixteen sums for each vector.
    ///
    /// # Safety
    /// Nobody else writes them at the same time; the sums are there; the level's instructions exist.
    #[inline(always)]
    unsafe fn put<L: Lanes>(&self, t: usize, first: usize, sums: *const f32, vectors: usize) {
        let n = (self.n_out - first).min(16 * vectors);
        let at = t * self.n_out + first;
        // SAFETY: the caller's word; `load` and `store` keep to the slice.
        unsafe {
            let y = self.y.part(at..at + n);
            for v in 0..vectors {
                let mut sum = L::canonical(L::load(sums.add(16 * v)));
                if self.gated {
                    sum = L::mul(silu::<L>(partial::load::<L>(y, 16 * v, 0.0)), sum);
                }
                partial::store::<L>(y, 16 * v, sum);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::level::Level;
    use std::sync::Mutex;

    #[test]
    fn pieces_cover_every_output_once() {
        let shares: Vec<usize> = rounds(5632 / 16, 2).map(|(_, len)| 16 * len).collect();
        assert_eq!(shares, [1408, 704, 352, 176, 80, 48, 16, 16, 16], "docs/23-lanes-and-threads.md says so");
        for threads in [1, 2, 3, 8] {
            let m = Machine::new(Level::SCALAR, threads);
            for n_out in [1, 15, 16, 17, 300, 2048, 5632] {
                let (w, x, mut y) = (vec![0; 4 * n_out], [0.0], vec![0.0; n_out]);
                let product = Product::new(Format::F32, &w, &x, 1, &mut y);
                for few in [true, false] {
                    let taken = Mutex::new(Vec::new());
                    product.run(&m, few, &|outputs, _| taken.lock().unwrap().push(outputs));
                    let mut taken = taken.into_inner().unwrap();
                    taken.retain(|outputs| !outputs.is_empty());
                    taken.sort_by_key(|outputs| outputs.start);
                    assert!(taken.iter().all(|outputs| outputs.start.is_multiple_of(16)));
                    assert_eq!(taken.into_iter().flatten().collect::<Vec<_>>(), (0..n_out).collect::<Vec<_>>());
                }
            }
        }
    }
}
