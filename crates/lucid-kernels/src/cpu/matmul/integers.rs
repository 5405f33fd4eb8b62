//! Products of quantised weights with rounded activations, in integers.
//!
//! # Few rows: lanes are blocks
//!
//! ```text
//!   a round of a weight row:   8 vectors of 64 codes, from memory into registers                    formats/unpack.rs
//!                              mixed, so that four vectors of products add up to whole halves of blocks    Lanes::mix
//!   each row of activations:   8 dot products with 512 activations that were mixed once    ▶  16 sums in 16 lanes: the classes
//!                              p = fma(scale · d, sum, p)                                     one instruction for 16 blocks
//! ```
//!
//! So a weight is read once, is unpacked once, and meets every row while it is in registers. So does p, one vector for each
//! row, where a level has registers enough ([`Lanes::HELD`]) and the format is a usual one; elsewhere p is in memory. Its sixteen lanes are added in order
//! only at the end; sixteen weight rows share one transposition for that. Weights are read in address order (sixteen
//! interleaved rows would defeat the processor's prefetcher), unless the activations of several rows are more than L1 holds:
//! then in strips of a few rounds of sixteen rows. The lines ahead are asked for explicitly, where that helps (`Machine::ahead`).
//!
//! # Many rows: lanes are outputs
//!
//! See `integers/panels.rs`.

mod panels;

use super::{Plan, Product, Unpack, prepare::Rounded};
use crate::{
    cpu::{Machine, Parts},
    formats::unpack::ROUND,
    lanes::{self, Kernel, Lanes, each},
};
use std::{marker::PhantomData, ops::Range};

/// Up to this many rows, weights are read row by row; from here on, in panels.
const FEW: usize = 8;

/// The product with weights of format `B`.
pub(super) fn run<B: Unpack>(m: &Machine, product: &Product<'_>) {
    if product.rows <= FEW { few::<B>(m, product) } else { panels::run::<B>(m, product) }
}

/// Bytes of activations, with what belongs to them, that stay in L1 while sixteen weight rows pass by.
const STRIP: usize = 23 << 10;

/// Up to sixteen weight rows, or what they have after their last whole round, with zeros after it: a round of each.
fn rests<'a, B: Unpack>(w: &[u8], row_bytes: usize, to: &'a mut [u8]) -> &'a [u8] {
    let rows = to.chunks_exact_mut(B::ROUND_BYTES).zip(w.chunks_exact(row_bytes));
    for (to, w) in rows {
        let rest = w.chunks_exact(B::ROUND_BYTES).remainder();
        to[..rest.len()].copy_from_slice(rest);
        to[rest.len()..].fill(0);
    }
    to
}

fn few<B: Unpack>(m: &Machine, product: &Product<'_>) {
    let mut scratch = m.scratch();
    let scratch = &mut *scratch;
    let x = Rounded::new(m, product, (B::GROUP, B::OFFSET, B::ORDER), &mut scratch.shared);
    let (row_bytes, rounds) = (product.row_bytes, x.blocks * 32 / ROUND);
    let whole = row_bytes / B::ROUND_BYTES;
    // What a round needs: codes, scales, and of each group where sums start if codes have an offset and, for minima, what they add up to.
    let bytes_of_round = ROUND + 64 * (1 + (32 / B::GROUP) * (usize::from(B::OFFSET > 0) + usize::from(B::MINS)));
    let strips = product.strips(m, B::ROUND_BYTES, (STRIP / (x.rows * bytes_of_round)).max(1));
    let mut plan = Plan::default();
    let sums = plan.room::<[f32; 16]>(16 * x.rows);
    let rest = plan.room::<u8>(16 * B::ROUND_BYTES);
    let buffers = Parts::new(&mut scratch.threads);
    product.run(m, true, &|outputs, thread| {
        // SAFETY: a thread number belongs to one thread at a time, so its buffer does, too; it was planned for these.
        let (sums, rest) = unsafe {
            let base = buffers.part(thread..thread + 1)[0].for_plan(&plan);
            (base.slice::<[f32; 16]>(sums, 16 * x.rows), base.slice::<u8>(rest, 16 * B::ROUND_BYTES))
        };
        for first in outputs.clone().step_by(16) {
            let rows = first..outputs.end.min(first + 16);
            let w = &product.w[rows.start * row_bytes..rows.end * row_bytes];
            let mut fresh = true;
            let mut dot = |w: &[u8], stride: usize, rounds: Range<usize>, ahead: usize| {
                let (rows, fresh, format) = (rows.len(), std::mem::take(&mut fresh), PhantomData);
                lanes::run(m.level, DotRows::<B> { x, w, rows, stride, rounds, ahead, fresh, sums, format });
            };
            for (rounds, ahead) in strips.clone() {
                dot(&w[rounds.start * B::ROUND_BYTES..], row_bytes, rounds, ahead);
            }
            if whole < rounds {
                dot(rests::<B>(w, row_bytes, rest), B::ROUND_BYTES, whole..rounds, 0);
            }
            lanes::run(m.level, Total { sums, strides: [x.rows, 1], product, first });
        }
    });
}

/// Some rounds of up to sixteen weight rows against all rows of activations; what they add to the sixteen partial sums of
/// row t and weight row o goes to `sums[o · T + t]`, of T rows, which are nothing yet if `fresh`.
struct DotRows<'a, B> {
    x: Rounded,
    /// From the first of the rounds of the first row.
    w: &'a [u8],
    rows: usize,
    /// Bytes from row to row.
    stride: usize,
    rounds: Range<usize>,
    /// Bytes from what is read to what is asked for meanwhile; 0 asks for nothing.
    ahead: usize,
    fresh: bool,
    sums: &'a mut [[f32; 16]],
    format: PhantomData<B>,
}

impl<B: Unpack> Kernel for DotRows<'_, B> {
    type Out = ();

    #[inline(always)]
    unsafe fn at<L: Lanes>(self) {
        // SAFETY: the level is the caller's.
        unsafe {
            if !L::HELD || !B::USUAL && self.x.rows > 1 {
                return self.rows::<L, 0>();
            }
            match self.x.rows {
                1 => self.rows::<L, 1>(),
                2 => self.rows::<L, 2>(),
                3 => self.rows::<L, 3>(),
                4 => self.rows::<L, 4>(),
                5 => self.rows::<L, 5>(),
                6 => self.rows::<L, 6>(),
                7 => self.rows::<L, 7>(),
                _ => self.rows::<L, FEW>(),
            }
        }
    }
}

impl<B: Unpack> DotRows<'_, B> {
    /// With ROWS rows of activations, so that their sums stay in registers from round to round; with 0, as many as there are,
    /// and sums in memory.
    #[inline(always)]
    unsafe fn rows<L: Lanes, const ROWS: usize>(self) {
        let DotRows { x, w, rows, stride, rounds, ahead, fresh, sums, .. } = self;
        let height = if ROWS == 0 { x.rows } else { ROWS };
        for (o, sums) in sums.chunks_exact_mut(height).take(rows).enumerate() {
            let w = &w[o * stride..][..rounds.len() * B::ROUND_BYTES];
            // SAFETY: arrays of sixteen; the level is the caller's.
            let mut p = unsafe {
                let mut p = [L::splat(0.0); FEW];
                for t in 0..if fresh { 0 } else { height } {
                    p[t] = L::load(sums[t].as_ptr());
                }
                p
            };
            for (i, round) in w.chunks_exact(B::ROUND_BYTES).enumerate() {
                let i = rounds.start + i;
                // SAFETY: activations are whole rounds in all arrays; the level is the caller's. What is asked for need not
                // exist.
                unsafe {
                    if ahead > 0 {
                        for line in (0..B::ROUND_BYTES).step_by(64) {
                            L::prefetch(round.as_ptr().wrapping_add(ahead + line));
                        }
                    }
                    let weights = Weights::<L>::of::<B>(round);
                    // In pairs, so that one row has something to do while the other waits for its dot products; not where memory
                    // is what is waited for, nor with sums in memory.
                    let pairs = if ROWS > 2 { ROWS / 2 * 2 } else { 0 };
                    for t in (0..pairs).step_by(2) {
                        weights.meet::<B, 2>(&x, (i * height + t) * 16, &mut p[t..]);
                    }
                    for t in pairs..height {
                        weights.meet::<B, 1>(&x, (i * height + t) * 16, &mut p[t..]);
                    }
                }
            }
            for t in 0..height {
                // SAFETY: as above.
                unsafe { L::store(sums[t].as_mut_ptr(), p[t]) }
            }
        }
    }
}

/// A round of a weight row in registers: codes, and a vector of scales, and of minima, for each group of a block.
struct Weights<L: Lanes> {
    codes: [L::B; 8],
    scales: [L::F; 2],
    mins: [L::F; 2],
}

impl<L: Lanes> Weights<L> {
    #[inline(always)]
    unsafe fn of<B: Unpack>(round: &[u8]) -> Weights<L> {
        // SAFETY: the caller's word.
        unsafe {
            let codes = B::mixed::<L>(round);
            let [scale, min] = B::scales::<L>(round, 0);
            if B::GROUP == 32 {
                return Weights { codes, scales: [scale; 2], mins: [min; 2] };
            }
            let [more_scales, more_mins] = B::scales::<L>(round, 1);
            let (scales, mins) = (L::evens_and_odds(scale, more_scales), L::evens_and_odds(min, more_mins));
            Weights { codes, scales, mins }
        }
    }

    /// Adds what N rows of activations make of them to the sums `p` of these rows. Block `at` of the activations is the first
    /// of the round in the first row.
    #[inline(always)]
    unsafe fn meet<B: Unpack, const N: usize>(&self, x: &Rounded, at: usize, p: &mut [L::F]) {
        // SAFETY: activations are whole rounds in all arrays; the level is the caller's.
        unsafe {
            let q: [*const i8; N] = each!(N, t => x.q.add((at + 16 * t) * 32));
            let start: [[L::I; 2]; N] = each!(N, t => each!(2, g => {
                if g < 32 / B::GROUP && B::OFFSET > 0 { L::load_i32(x.start[g].add(at + 16 * t)) } else { L::splat_i32(0) }
            }));
            let sums = L::dots_mixed(start, self.codes, q, B::CODES, B::ORDER);
            for t in 0..N {
                let (at, [first, second]) = (at + 16 * t, sums[t]);
                let d = L::load(x.d.add(at));
                let groups = if B::GROUP == 32 { [L::add_i32(first, second), second] } else { [first, second] };
                for g in 0..32 / B::GROUP {
                    p[t] = L::fma(L::mul(self.scales[g], d), L::to_f32(groups[g]), p[t]);
                }
                for g in 0..if B::MINS { 32 / B::GROUP } else { 0 } {
                    p[t] = L::fma(self.mins[g], L::load(x.sum[g].add(at)), p[t]);
                }
            }
        }
    }
}

/// Adds the sixteen partial sums of each of up to sixteen outputs of all rows, in order, from zero, and writes them.
pub(super) struct Total<'a> {
    pub(super) sums: &'a [[f32; 16]],
    /// From output to output, and from row to row.
    pub(super) strides: [usize; 2],
    pub(super) product: &'a Product<'a>,
    pub(super) first: usize,
}

impl Kernel for Total<'_> {
    type Out = ();

    #[inline(always)]
    unsafe fn at<L: Lanes>(self) {
        let [output, row] = self.strides;
        for t in 0..self.product.rows {
            let sums = &self.sums[t * row..];
            // SAFETY: arrays of sixteen; every output is in one piece; the level is the caller's.
            unsafe {
                let classes = L::transpose(each!(16, o => L::load(sums[o * output].as_ptr())));
                let mut sum = L::splat(0.0);
                for p in classes {
                    sum = L::add(sum, p);
                }
                let mut y = [0f32; 16];
                L::store(y.as_mut_ptr(), sum);
                self.product.put::<L>(t, self.first, y.as_ptr(), 1);
            }
        }
    }
}
