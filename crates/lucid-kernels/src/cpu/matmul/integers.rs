//! Products of quantised weights with rounded activations, in integers.
//!
//! # Few rows: lanes are blocks
//!
//! ```text
//!   one weight row, unpacked:   │ block 0 │ block 1 │ … │ block 15 │ block 16 …      32 codes each, and 16 + 16 … scales
//!   a round:                    8 vectors of 64 codes · the same 64 activations  ▶  8 vectors of 4-fold sums
//!                               add up neighbours, 21 instructions               ▶  16 sums in 16 lanes: the classes
//!                               p = fma(scale · d, sum, p)                          one instruction for 16 blocks
//! ```
//!
//! The sixteen lanes of p are added in order only at the end of a row; sixteen weight rows share one transposition for that.
//! Weights are read strictly in address order (sixteen interleaved rows would defeat the processor's prefetcher), and the lines
//! ahead are asked for explicitly.
//!
//! # Many rows: lanes are outputs
//!
//! See `integers/panels.rs`.

mod panels;

use super::{FEW, Plan, Product, Unpack, prepare::Rounded};
use crate::{
    cpu::{Machine, Parts, buffer::Base},
    lanes::{self, Kernel, Lanes, each},
    level::Level,
};
use std::marker::PhantomData;

/// How far ahead of the unpacking weights are asked for, with few rows. Memory is kept busy all the time: unpacking a row asks for
/// the first half of a later one, multiplying for the second; but in formats of small blocks unpacking asks for all.
const AHEAD: usize = 4096;

/// What products need to know of a format.
trait Shape {
    /// Groups in a block of 32.
    const GROUPS: usize;
    /// Whether there are minima.
    const MINS: bool;
    /// Whether codes are of eight bits.
    const WIDE: bool;
}

/// One of the shapes that formats have.
struct Of<const GROUPS: usize, const MINS: bool, const WIDE: bool>;

impl<const GROUPS: usize, const MINS: bool, const WIDE: bool> Shape for Of<GROUPS, MINS, WIDE> {
    const GROUPS: usize = GROUPS;
    const MINS: bool = MINS;
    const WIDE: bool = WIDE;
}

/// The product with weights of format `B`.
pub(super) fn run<B: Unpack>(m: &Machine, product: &Product<'_>) {
    match (B::GROUP, B::MINS, B::WIDE) {
        (32, false, false) => run_shape::<B, Of<1, false, false>>(m, product),
        (32, true, false) => run_shape::<B, Of<1, true, false>>(m, product),
        (32, false, true) => run_shape::<B, Of<1, false, true>>(m, product),
        (16, false, false) => run_shape::<B, Of<2, false, false>>(m, product),
        (16, true, false) => run_shape::<B, Of<2, true, false>>(m, product),
        _ => unreachable!("no format has this shape"),
    }
}

fn run_shape<B: Unpack, S: Shape>(m: &Machine, product: &Product<'_>) {
    if product.rows <= FEW { few::<B, S>(m, product) } else { panels::run::<B, S>(m, product) }
}

fn few<B: Unpack, S: Shape>(m: &Machine, product: &Product<'_>) {
    let mut scratch = m.scratch();
    let scratch = &mut *scratch;
    let x = Rounded::new(m, product, B::GROUP, B::OFFSET, &mut scratch.shared);
    let mut plan = Plan::default();
    let unpacked = Places::new::<S>(&mut plan, x.blocks * 32, x.blocks);
    let buffers = Parts::new(&mut scratch.threads);
    product.run(m, &|outputs, thread| {
        // SAFETY: a thread number belongs to one thread at a time, so its buffer does, too.
        let to = unpacked.of(unsafe { buffers.part(thread..thread + 1) }[0].for_plan(&plan));
        let level = m.level;
        for first in outputs.clone().step_by(16) {
            let mut p = [[[0f32; 16]; 16]; FEW];
            for (i, o) in (first..outputs.end.min(first + 16)).enumerate() {
                let w = product.weights(o);
                let (stride, bytes, width) = (w.len(), w.len(), x.blocks);
                let ahead = Ahead { bytes: AHEAD, halved: u32::from(!small::<B>()) };
                let half = if small::<B>() { 0 } else { w.len() / 2 };
                lanes::run(level, UnpackRows::<B> { w, stride, bytes, ahead, to, width, format: PhantomData });
                dot_rows::<S>(level, &x, to, w.as_ptr_range().end.wrapping_add(AHEAD), half, i, &mut p);
            }
            for (t, p) in p[..x.rows].iter().enumerate() {
                // SAFETY: every output is in one piece.
                unsafe { product.put(t, first, &lanes::run(level, Total(p))) };
            }
        }
    });
}

/// Where codes, scales and minima begin in a buffer.
#[derive(Clone, Copy)]
struct Places {
    codes: usize,
    scales: usize,
    mins: usize,
}

impl Places {
    /// Room for so many codes, and the scales and minima of so many blocks.
    fn new<S: Shape>(plan: &mut Plan, codes: usize, blocks: usize) -> Places {
        Places {
            codes: plan.room::<u8>(codes),
            scales: plan.room::<f32>(blocks * S::GROUPS),
            mins: plan.room::<f32>(if S::MINS { blocks * S::GROUPS } else { 0 }),
        }
    }

    fn of(self, base: Base) -> Unpacked {
        Unpacked { codes: base.at(self.codes), scales: base.at(self.scales), mins: base.at(self.mins) }
    }
}

/// Unpacked weights: rows (scales of a row's groups in order) or a panel (sixteen scales of a group side by side).
#[derive(Clone, Copy)]
struct Unpacked {
    codes: *mut u8,
    scales: *mut f32,
    mins: *mut f32,
}

/// Whether blocks are so small that an instruction more for each is felt.
const fn small<B: Unpack>() -> bool {
    B::BYTES <= 32
}

/// Which weights are asked for meanwhile: for each block the place so far ahead, or, halved (not for small blocks), only the first
/// half of them.
#[derive(Clone, Copy)]
struct Ahead {
    bytes: usize,
    halved: u32,
}

/// Unpacks `bytes` bytes of one weight row or several, and pads each to `width` blocks with codes of weight 0 and scale 0.
struct UnpackRows<'a, B> {
    /// From the first byte of the first row to the last byte of the last.
    w: &'a [u8],
    /// Bytes from row to row.
    stride: usize,
    bytes: usize,
    ahead: Ahead,
    to: Unpacked,
    width: usize,
    format: PhantomData<B>,
}

/// Codes from one unpacked row of several to the next: a line more than `width` blocks, an odd number of lines in all, so that
/// rows side by side do not share cache sets.
#[inline(always)]
const fn row_codes(width: usize) -> usize {
    width * 32 + 64
}

impl<B: Unpack> Kernel for UnpackRows<'_, B> {
    type Out = ();

    #[inline(always)]
    unsafe fn at<L: Lanes>(self) {
        let UnpackRows { w, stride, bytes, ahead, to, width, .. } = self;
        let (groups, n) = (B::LEN / B::GROUP, bytes / B::BYTES);
        let row_groups = width * 32 / B::GROUP;
        for (row, w) in w.chunks(stride).enumerate() {
            // SAFETY: every row of `to` has room for `width` blocks of 32, of which the bytes are n · LEN / 32; the level is the
            // caller's.
            unsafe {
                let to_codes = to.codes.add(row * row_codes(width));
                let to_scales = to.scales.add(row * row_groups);
                let to_mins = to.mins.wrapping_add(row * row_groups);
                for (i, block) in w[..bytes].chunks_exact(B::BYTES).enumerate() {
                    if small::<B>() {
                        L::prefetch(block.as_ptr().wrapping_add(ahead.bytes));
                    } else {
                        let at = w.as_ptr().wrapping_add(ahead.bytes + ((i * B::BYTES) >> ahead.halved));
                        for line in 0..(B::BYTES >> ahead.halved).div_ceil(64) {
                            L::prefetch(at.wrapping_add(64 * line));
                        }
                    }
                    let codes = std::slice::from_raw_parts_mut(to_codes.add(i * B::LEN), B::LEN);
                    let scales = std::slice::from_raw_parts_mut(to_scales.add(i * groups), groups);
                    let mins: &mut [f32] =
                        if B::MINS { std::slice::from_raw_parts_mut(to_mins.add(i * groups), groups) } else { &mut [] };
                    B::unpack::<L>(block, codes, scales, mins);
                }
                let rest = row_groups - n * groups;
                if rest > 0 {
                    std::ptr::write_bytes(to_codes.add(n * B::LEN), B::OFFSET, width * 32 - n * B::LEN);
                    std::ptr::write_bytes(to_scales.add(n * groups), 0, rest);
                    if B::MINS {
                        std::ptr::write_bytes(to_mins.add(n * groups), 0, rest);
                    }
                }
            }
        }
    }
}

/// One product step: `acc + Σ (u − OFFSET)·q`, given that a sum began with [`start`].
#[inline(always)]
unsafe fn dot<L: Lanes, S: Shape>(acc: L::I, u: L::B, q: L::B) -> L::I {
    // SAFETY: the level is the caller's.
    unsafe { if S::WIDE && !L::FULL { L::dot_wide(acc, u, q) } else { L::dot(acc, u, q) } }
}

/// Whether sums of this shape start from −OFFSET · Σq; otherwise [`dot`] subtracts the offset by itself.
#[inline(always)]
const fn starts<L: Lanes, S: Shape>() -> bool {
    L::FULL || !S::WIDE
}

/// One unpacked weight row against up to four rows of activations; the sixteen partial sums go to `p[t][i]`.
///
/// Meanwhile the `half` bytes before `ahead` are asked for.
fn dot_rows<S: Shape>(
    level: Level,
    x: &Rounded,
    w: Unpacked,
    ahead: *const u8,
    half: usize,
    i: usize,
    p: &mut [[[f32; 16]; 16]; FEW],
) {
    let step = half.div_ceil(x.blocks / 16);
    let ahead = ahead.wrapping_sub(half);
    match x.rows {
        1 => lanes::run(level, DotRows::<S, 1> { x, w, ahead, step, i, p, shape: PhantomData }),
        2 => lanes::run(level, DotRows::<S, 2> { x, w, ahead, step, i, p, shape: PhantomData }),
        3 => lanes::run(level, DotRows::<S, 3> { x, w, ahead, step, i, p, shape: PhantomData }),
        _ => lanes::run(level, DotRows::<S, FEW> { x, w, ahead, step, i, p, shape: PhantomData }),
    }
}

struct DotRows<'a, S, const ROWS: usize> {
    x: &'a Rounded,
    w: Unpacked,
    /// What is asked for in the first round, and how many bytes in each.
    ahead: *const u8,
    step: usize,
    i: usize,
    p: &'a mut [[[f32; 16]; 16]; FEW],
    shape: PhantomData<S>,
}

impl<S: Shape, const ROWS: usize> Kernel for DotRows<'_, S, ROWS> {
    type Out = ();

    #[inline(always)]
    unsafe fn at<L: Lanes>(self) {
        let DotRows { x, w, ahead, step, i, p: out, .. } = self;
        // SAFETY: blocks are whole rounds of sixteen in all arrays; the level is the caller's.
        unsafe {
            let mut p = [L::splat(0.0); ROWS];
            for round in 0..x.blocks / 16 {
                for at in (0..step).step_by(64) {
                    L::prefetch(ahead.wrapping_add(round * step + at));
                }
                let codes: [L::B; 8] = each!(8, v => L::load_bytes(w.codes.add(round * 512 + 64 * v)));
                let of_groups = |from: *mut f32| {
                    let first = L::load(from.add(round * 16 * S::GROUPS));
                    if S::GROUPS == 1 {
                        (first, first)
                    } else {
                        L::evens_and_odds(first, L::load(from.add(round * 32 + 16)))
                    }
                };
                let scales = of_groups(w.scales);
                let mins = if S::MINS { of_groups(w.mins) } else { scales };
                for t in 0..ROWS {
                    let at = t * x.blocks + round * 16;
                    let q = x.q.add(at * 32);
                    let zero = L::splat_i32(0);
                    let parts = each!(8, v => dot::<L, S>(zero, codes[v], L::load_bytes(q.add(64 * v).cast())));
                    let (mut first, mut second) = L::sums_of_four(parts);
                    if S::GROUPS == 1 {
                        first = L::add_i32(first, second);
                    }
                    if starts::<L, S>() {
                        first = L::add_i32(first, L::load_i32(x.start[0].add(at)));
                        if S::GROUPS == 2 {
                            second = L::add_i32(second, L::load_i32(x.start[1].add(at)));
                        }
                    }
                    let d = L::load(x.d.add(at));
                    p[t] = L::fma(L::mul(scales.0, d), L::to_f32(first), p[t]);
                    if S::GROUPS == 2 {
                        p[t] = L::fma(L::mul(scales.1, d), L::to_f32(second), p[t]);
                    }
                    if S::MINS {
                        p[t] = L::fma(mins.0, L::load(x.sum[0].add(at)), p[t]);
                        if S::GROUPS == 2 {
                            p[t] = L::fma(mins.1, L::load(x.sum[1].add(at)), p[t]);
                        }
                    }
                }
            }
            for t in 0..ROWS {
                L::store(out[t][i].as_mut_ptr(), p[t]);
            }
        }
    }
}

/// Adds the sixteen partial sums of each of sixteen outputs, in order, from zero.
pub(super) struct Total<'a>(pub(super) &'a [[f32; 16]; 16]);

impl Kernel for Total<'_> {
    type Out = [f32; 16];

    #[inline(always)]
    unsafe fn at<L: Lanes>(self) -> [f32; 16] {
        let mut y = [0f32; 16];
        // SAFETY: arrays of sixteen; the level is the caller's.
        unsafe {
            let classes = L::transpose(each!(16, o => L::load(self.0[o].as_ptr())));
            let mut sum = L::splat(0.0);
            for p in classes {
                sum = L::add(sum, p);
            }
            L::store(y.as_mut_ptr(), L::canonical(sum));
        }
        y
    }
}
