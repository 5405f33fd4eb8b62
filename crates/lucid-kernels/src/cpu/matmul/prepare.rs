//! Activations in the form that the products read: rounded to bytes with scales, or f32 in whole vectors.

use super::{Plan, Product};
use crate::{
    cpu::{
        Machine,
        buffer::{Base, Buffer},
    },
    lanes::{self, Kernel, Lanes},
};

/// Rows of activations rounded to eight bits. Blocks are padded with zeros to whole rounds of sixteen.
///
/// For block b of row t, at `t · blocks + b` (starts and sums have a second half of the array for a second group of 16):
/// `q` 32 bytes; `d` the scale; `start` what the integer sum starts from, −OFFSET · Σq; `sum` the f32 d · Σq.
#[derive(Clone, Copy)]
pub(super) struct Rounded {
    pub(super) rows: usize,
    /// Blocks of a row, a multiple of sixteen.
    pub(super) blocks: usize,
    /// Blocks that are not padding.
    pub(super) filled: usize,
    pub(super) q: *const i8,
    pub(super) d: *const f32,
    pub(super) start: [*const i32; 2],
    pub(super) sum: [*const f32; 2],
}

// SAFETY: pointers into a buffer that nobody writes while this exists; see `Rounded::new`.
unsafe impl Sync for Rounded {}

impl Rounded {
    /// Rounds the rows of the product into `buffer`, which stays borrowed by the caller for as long as the result is used.
    pub(super) fn new(m: &Machine, product: &Product<'_>, group: usize, offset: u8, buffer: &mut Buffer) -> Rounded {
        let (rows, filled) = (product.rows, product.n_in / 32);
        let blocks = filled.next_multiple_of(16);
        let mut plan = Plan::default();
        let q = plan.room::<i8>(rows * blocks * 32);
        let d = plan.room::<f32>(rows * blocks);
        let start = [(); 2].map(|()| plan.room::<i32>(rows * blocks));
        let sum = [(); 2].map(|()| plan.room::<f32>(rows * blocks));
        let base = buffer.for_plan(&plan);
        m.in_ranges(rows, 1, (8 << 10) / product.n_in, &|range, _| {
            for t in range {
                let x = &product.x[t * product.n_in..][..product.n_in];
                lanes::run(m.level, RoundRow { x, row: t, blocks, group, offset, base, q, d, start, sum });
            }
        });
        Rounded {
            rows,
            blocks,
            filled,
            q: base.at(q),
            d: base.at(d),
            start: start.map(|at| base.at::<i32>(at).cast_const()),
            sum: sum.map(|at| base.at::<f32>(at).cast_const()),
        }
    }

    /// Blocks of class c: how many rounds have a block there.
    #[inline(always)]
    pub(super) fn rounds(&self, class: usize) -> usize {
        self.filled.saturating_sub(class).div_ceil(16)
    }
}

/// 2⁻¹²⁰: a block whose largest magnitude is below it is zero, because 127 divided by that is no f32 any more.
pub(super) const SMALLEST: f32 = f32::from_bits((127 - 120) << 23);

struct RoundRow<'a> {
    x: &'a [f32],
    row: usize,
    blocks: usize,
    group: usize,
    offset: u8,
    base: Base,
    q: usize,
    d: usize,
    start: [usize; 2],
    sum: [usize; 2],
}

impl Kernel for RoundRow<'_> {
    type Out = ();

    #[inline(always)]
    unsafe fn at<L: Lanes>(self) {
        let first = self.row * self.blocks;
        for b in 0..self.blocks {
            // SAFETY: block b of this row in arrays of rows · blocks, each row written by one thread; the level is the caller's.
            unsafe {
                let at = first + b;
                let q = self.base.at::<i8>(self.q).add(at * 32);
                let put = |d: f32, sums: [i32; 2]| {
                    *self.base.at::<f32>(self.d).add(at) = d;
                    for half in 0..2 {
                        *self.base.at::<i32>(self.start[half]).add(at) = -i32::from(self.offset) * sums[half];
                        *self.base.at::<f32>(self.sum[half]).add(at) = d * sums[half] as f32;
                    }
                };
                let zero = || std::ptr::write_bytes(q, 0, 32);
                let Some(x) = self.x.get(32 * b..32 * b + 32) else {
                    zero();
                    put(0.0, [0, 0]);
                    continue;
                };
                let largest = L::largest_of_32(x.as_ptr());
                if largest >= 0x7F80_0000 || f32::from_bits(largest) < SMALLEST {
                    zero();
                    put(if largest >= 0x7F80_0000 { f32::NAN } else { 0.0 }, [0, 0]);
                    continue;
                }
                let largest = f32::from_bits(largest);
                let inverse = L::splat(127.0 / largest);
                L::store_i8(q, L::round(L::mul(L::load(x.as_ptr()), inverse)));
                L::store_i8(q.add(16), L::round(L::mul(L::load(x.as_ptr().add(16)), inverse)));
                let mut sums = L::sums_of_sixteen(q);
                if self.group == 32 {
                    sums[0] += sums[1];
                }
                put(largest / 127.0, sums);
            }
        }
    }
}

/// Rows of f32 activations, padded with zeros to whole vectors.
#[derive(Clone, Copy)]
pub(super) struct Whole {
    pub(super) rows: usize,
    /// Vectors of a row.
    pub(super) vectors: usize,
    /// Row t from `t · vectors · 16`, in order; or, for panels, class by class: lane c of every vector, then lane c + 1.
    pub(super) x: *const f32,
}

// SAFETY: a pointer into a buffer that nobody writes while this exists.
unsafe impl Sync for Whole {}

impl Whole {
    /// Copies the rows of the product into `buffer`, which stays borrowed by the caller for as long as the result is used.
    pub(super) fn new(m: &Machine, product: &Product<'_>, by_class: bool, buffer: &mut Buffer) -> Whole {
        let (rows, vectors) = (product.rows, product.n_in.div_ceil(16));
        let mut plan = Plan::default();
        let at = plan.room::<f32>(rows * vectors * 16);
        let base = buffer.for_plan(&plan);
        m.in_ranges(rows, 1, (8 << 10) / product.n_in, &|range, _| {
            for t in range {
                // SAFETY: each row is written by one thread.
                let row =
                    unsafe { std::slice::from_raw_parts_mut(base.at::<f32>(at).add(t * vectors * 16), vectors * 16) };
                let x = &product.x[t * product.n_in..][..product.n_in];
                if by_class {
                    row.fill(0.0);
                    for (r, x) in x.chunks(16).enumerate() {
                        for (c, x) in x.iter().enumerate() {
                            row[c * vectors + r] = *x;
                        }
                    }
                } else {
                    row[..x.len()].copy_from_slice(x);
                    row[x.len()..].fill(0.0);
                }
            }
        });
        Whole { rows, vectors, x: base.at(at) }
    }
}
