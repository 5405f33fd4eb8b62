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
//! ```text
//!   panel of 16 outputs:   for class 0: block 0, 16, 32 …; class 1: block 1, 17 …; …
//!   a block:               8 vectors, each four codes of all 16 outputs:   │ o₀ ···· │ o₁ ···· │ … │ o₁₅ ···· │
//!   micro-kernel:          acc[v][t] += vector v · (four bytes of row t, in every lane)      v < VECTORS, t < ROWS
//!   end of a block:        p[v][t] = fma(scale[v] · d[t], acc, p[v][t])
//!   end of a class:        y[v][t] = y[v][t] + p[v][t]
//! ```
//!
//! In class order p lives in registers and y is touched sixteen times in all. An accumulator starts from −OFFSET · Σq, so codes
//! stay unsigned, as the instruction wants them.

use super::{FEW, Plan, Product, Unpack, prepare::Rounded};
use crate::{
    cpu::{Machine, Parts, buffer::Base},
    lanes::{self, Kernel, Lanes, each},
    level::Level,
};
use std::marker::PhantomData;

/// How far ahead of the unpacking weights are asked for.
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
    let mut scratch = m.scratch();
    let scratch = &mut *scratch;
    let x = Rounded::new(m, product, B::GROUP, B::OFFSET, &mut scratch.shared);
    let few = product.rows <= FEW;
    // With few rows a weight row is unpacked whole; for a panel, sixteen rows a round at a time, which fits L1. Rows of codes are
    // an odd number of lines apart, so that the sixteen do not share cache sets.
    let (height, width) = if few { (1, x.blocks) } else { (16, 16) };
    let mut plan = Plan::default();
    let unpacked = Places {
        codes: plan.room::<u8>(height * (width * 32 + 64)),
        scales: plan.room::<f32>(height * width * S::GROUPS),
        mins: plan.room::<f32>(if S::MINS { height * width * S::GROUPS } else { 0 }),
    };
    let panels = if few { 0 } else { 2 };
    let panel = Places {
        codes: plan.room::<u8>(panels * panel_bytes(x.blocks)),
        scales: plan.room::<f32>(panels * x.blocks * S::GROUPS * 16),
        mins: plan.room::<f32>(if S::MINS { panels * x.blocks * S::GROUPS * 16 } else { 0 }),
    };
    let buffers = Parts::new(&mut scratch.threads);
    product.run(m, &|outputs, thread| {
        // SAFETY: a thread number belongs to one thread at a time, so its buffer does, too.
        let base = unsafe { buffers.part(thread..thread + 1) }[0].for_plan(&plan);
        let unpacked = unpacked.of(base);
        let level = m.level;
        if few {
            for first in outputs.clone().step_by(16) {
                let mut p = [[[0f32; 16]; 16]; FEW];
                for (i, o) in (first..outputs.end.min(first + 16)).enumerate() {
                    let w = product.weights(o);
                    let (stride, bytes, to) = (w.len(), w.len(), unpacked);
                    lanes::run(
                        level,
                        UnpackRows::<B> { w, stride, bytes, ahead: AHEAD, to, width, format: PhantomData },
                    );
                    dot_rows::<S>(level, &x, unpacked, i, &mut p);
                }
                for (t, p) in p[..x.rows].iter().enumerate() {
                    // SAFETY: every output is in one piece.
                    unsafe { product.put(t, first, &lanes::run(level, Total(p))) };
                }
            }
        } else {
            let panel = panel.of(base);
            for first in outputs.clone().step_by(32) {
                let filled = (outputs.end - first).min(32);
                for v in 0..filled.div_ceil(16) {
                    // The last panel of a matrix may have fewer rows; its other lanes hold what was there before and go nowhere.
                    let rows = first + 16 * v..outputs.end.min(first + 16 * v + 16);
                    let panel = panel.panel(v, x.blocks, S::GROUPS);
                    for round in 0..x.blocks / 16 {
                        let (stride, to) = (product.row_bytes, unpacked);
                        let from = round * ROUND / B::LEN * B::BYTES;
                        let bytes = (ROUND / B::LEN * B::BYTES).min(stride - from);
                        // Meanwhile the next round of the same row is fetched, and at the end of a row the next panel's.
                        let ahead = if from + bytes < stride { bytes } else { 16 * stride - from };
                        let w = &product.w[rows.start * stride + from..(rows.end - 1) * stride + from + bytes];
                        lanes::run(level, UnpackRows::<B> { w, stride, bytes, ahead, to, width, format: PhantomData });
                        let (from, to) = (unpacked, panel);
                        lanes::run(level, Pack::<S> { from, to, round, blocks: x.blocks, shape: PhantomData });
                    }
                }
                lanes::run(level, PanelProduct::<S> { x: &x, panel, product, first, filled, shape: PhantomData });
            }
        }
    });
}

/// Values in a round: sixteen blocks.
const ROUND: usize = 512;

/// Bytes from one class of a panel to the next: its blocks, and a line more so that classes do not share cache sets.
#[inline(always)]
const fn class_bytes(blocks: usize) -> usize {
    blocks / 16 * 512 + 64
}

/// Bytes of the codes of a panel.
#[inline(always)]
const fn panel_bytes(blocks: usize) -> usize {
    16 * class_bytes(blocks)
}

/// Where codes, scales and minima begin in a buffer.
#[derive(Clone, Copy)]
struct Places {
    codes: usize,
    scales: usize,
    mins: usize,
}

impl Places {
    fn of(self, base: Base) -> Unpacked {
        Unpacked { codes: base.at(self.codes), scales: base.at(self.scales), mins: base.at(self.mins) }
    }
}

/// Unpacked weights: rows (scales of a row's groups in order) or panels (sixteen scales of a group side by side).
#[derive(Clone, Copy)]
struct Unpacked {
    codes: *mut u8,
    scales: *mut f32,
    mins: *mut f32,
}

impl Unpacked {
    /// Panel `v` of several.
    fn panel(self, v: usize, blocks: usize, groups: usize) -> Unpacked {
        let scales = v * blocks * groups * 16;
        Unpacked {
            codes: self.codes.wrapping_add(v * panel_bytes(blocks)),
            scales: self.scales.wrapping_add(scales),
            mins: self.mins.wrapping_add(scales),
        }
    }
}

/// Unpacks `bytes` bytes of one weight row or several, and pads each to `width` blocks with codes of weight 0 and scale 0.
struct UnpackRows<'a, B> {
    /// From the first byte of the first row to the last byte of the last.
    w: &'a [u8],
    /// Bytes from row to row.
    stride: usize,
    bytes: usize,
    /// How far ahead weights are asked for.
    ahead: usize,
    to: Unpacked,
    width: usize,
    format: PhantomData<B>,
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
                let to_codes = to.codes.add(row * (width * 32 + 64));
                let to_scales = to.scales.add(row * row_groups);
                let to_mins = to.mins.wrapping_add(row * row_groups);
                for (i, block) in w[..bytes].chunks_exact(B::BYTES).enumerate() {
                    for line in 0..B::BYTES.div_ceil(64) {
                        L::prefetch(block.as_ptr().wrapping_add(ahead + 64 * line));
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
fn dot_rows<S: Shape>(level: Level, x: &Rounded, w: Unpacked, i: usize, p: &mut [[[f32; 16]; 16]; FEW]) {
    match x.rows {
        1 => lanes::run(level, DotRows::<S, 1> { x, w, i, p, shape: PhantomData }),
        2 => lanes::run(level, DotRows::<S, 2> { x, w, i, p, shape: PhantomData }),
        3 => lanes::run(level, DotRows::<S, 3> { x, w, i, p, shape: PhantomData }),
        _ => lanes::run(level, DotRows::<S, FEW> { x, w, i, p, shape: PhantomData }),
    }
}

struct DotRows<'a, S, const ROWS: usize> {
    x: &'a Rounded,
    w: Unpacked,
    i: usize,
    p: &'a mut [[[f32; 16]; 16]; FEW],
    shape: PhantomData<S>,
}

impl<S: Shape, const ROWS: usize> Kernel for DotRows<'_, S, ROWS> {
    type Out = ();

    #[inline(always)]
    unsafe fn at<L: Lanes>(self) {
        let DotRows { x, w, i, p: out, .. } = self;
        // SAFETY: blocks are whole rounds of sixteen in all arrays; the level is the caller's.
        unsafe {
            let mut p = [L::splat(0.0); ROWS];
            for round in 0..x.blocks / 16 {
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

/// Puts one round of sixteen unpacked rows into its places of a panel.
struct Pack<S> {
    from: Unpacked,
    to: Unpacked,
    round: usize,
    blocks: usize,
    shape: PhantomData<S>,
}

impl<S: Shape> Kernel for Pack<S> {
    type Out = ();

    #[inline(always)]
    unsafe fn at<L: Lanes>(self) {
        let Pack { from, to, round, blocks, .. } = self;
        // SAFETY: `from` holds sixteen rows of sixteen blocks and `to` is a panel of `blocks`; the level is the caller's. A vector of
        // f32 carries four codes in each lane here; loads, shuffles and stores do not look at them.
        unsafe {
            for b in (0..16).step_by(2) {
                let columns = L::transpose(each!(16, i => L::load(from.codes.add(i * (ROUND + 64) + 32 * b).cast())));
                for k in 0..16 {
                    let class = b + k / 8;
                    L::store(to.codes.add(class * class_bytes(blocks) + round * 512 + k % 8 * 64).cast(), columns[k]);
                }
            }
            let groups = 16 * S::GROUPS;
            for (from, to) in
                [(from.scales, to.scales), (from.mins, to.mins)].into_iter().take(1 + usize::from(S::MINS))
            {
                for g in (0..groups).step_by(16) {
                    let columns = L::transpose(each!(16, i => L::load(from.add(i * groups + g))));
                    for k in 0..16 {
                        let (class, half) = ((g + k) / S::GROUPS, (g + k) % S::GROUPS);
                        L::store(to.add(((class * (blocks / 16) + round) * S::GROUPS + half) * 16), columns[k]);
                    }
                }
            }
        }
    }
}

/// Up to 32 outputs for all rows.
struct PanelProduct<'a, S> {
    x: &'a Rounded,
    panel: Unpacked,
    product: &'a Product<'a>,
    first: usize,
    filled: usize,
    shape: PhantomData<S>,
}

impl<S: Shape> Kernel for PanelProduct<'_, S> {
    type Out = ();

    #[inline(always)]
    unsafe fn at<L: Lanes>(self) {
        // As few tiles as can be, as equal as can be.
        let tiles = self.x.rows.div_ceil(L::ROWS);
        for tile in 0..tiles {
            let (from, to) = (tile * self.x.rows / tiles, (tile + 1) * self.x.rows / tiles);
            for v in (0..self.filled.div_ceil(16)).step_by(L::VECTORS) {
                let wide = L::VECTORS == 2 && self.filled > 16;
                // SAFETY: the level is the caller's; rows and outputs lie within the product.
                unsafe {
                    match (to - from, wide) {
                        (1, false) => self.tile::<L, 1, 1>(from, v),
                        (2, false) => self.tile::<L, 2, 1>(from, v),
                        (3, false) => self.tile::<L, 3, 1>(from, v),
                        (4, false) => self.tile::<L, 4, 1>(from, v),
                        (5, false) => self.tile::<L, 5, 1>(from, v),
                        (6, false) => self.tile::<L, 6, 1>(from, v),
                        (1, true) => self.tile::<L, 1, 2>(from, v),
                        (2, true) => self.tile::<L, 2, 2>(from, v),
                        (3, true) => self.tile::<L, 3, 2>(from, v),
                        (4, true) => self.tile::<L, 4, 2>(from, v),
                        (5, true) => self.tile::<L, 5, 2>(from, v),
                        _ => self.tile::<L, 6, 2>(from, v),
                    }
                }
            }
        }
    }
}

impl<S: Shape> PanelProduct<'_, S> {
    /// ROWS rows from `row` against VECTORS panels from `v`: the micro-kernel.
    #[inline(always)]
    unsafe fn tile<L: Lanes, const ROWS: usize, const VECTORS: usize>(&self, row: usize, v: usize) {
        if ROWS > L::ROWS || VECTORS > L::VECTORS {
            return; // never asked for; so it need not be compiled
        }
        let x = self.x;
        let rounds = x.blocks / 16;
        // SAFETY: panels and rows have `blocks` blocks; the level is the caller's.
        unsafe {
            let panels: [Unpacked; VECTORS] = each!(VECTORS, i => self.panel.panel(v + i, x.blocks, S::GROUPS));
            let mut y = [[L::splat(0.0); ROWS]; VECTORS];
            for class in 0..16 {
                let mut p = [[L::splat(0.0); ROWS]; VECTORS];
                for round in 0..x.rounds(class) {
                    let (place, block) = (class * rounds + round, row * x.blocks + round * 16 + class);
                    for g in 0..S::GROUPS {
                        let mut acc = [[L::splat_i32(0); ROWS]; VECTORS];
                        if starts::<L, S>() {
                            for t in 0..ROWS {
                                let start = L::splat_i32(*x.start[g].add(block + t * x.blocks));
                                for i in 0..VECTORS {
                                    acc[i][t] = start;
                                }
                            }
                        }
                        for k in g * 8 / S::GROUPS..(g + 1) * 8 / S::GROUPS {
                            // The panel streams from L2; the next block is asked for a block ahead.
                            let codes: [L::B; VECTORS] = each!(VECTORS, i => {
                                let at = panels[i].codes.add(class * class_bytes(x.blocks) + round * 512 + k * 64);
                                L::prefetch(at.wrapping_add(512));
                                L::load_bytes(at)
                            });
                            for t in 0..ROWS {
                                let q = L::splat_bytes(x.q.add((block + t * x.blocks) * 32 + 4 * k));
                                for i in 0..VECTORS {
                                    acc[i][t] = dot::<L, S>(acc[i][t], codes[i], q);
                                }
                            }
                        }
                        for i in 0..VECTORS {
                            let scale = L::load(panels[i].scales.add((place * S::GROUPS + g) * 16));
                            for t in 0..ROWS {
                                let d = L::splat(*x.d.add(block + t * x.blocks));
                                p[i][t] = L::fma(L::mul(scale, d), L::to_f32(acc[i][t]), p[i][t]);
                            }
                        }
                    }
                    if S::MINS {
                        for g in 0..S::GROUPS {
                            for i in 0..VECTORS {
                                let min = L::load(panels[i].mins.add((place * S::GROUPS + g) * 16));
                                for t in 0..ROWS {
                                    let sum = L::splat(*x.sum[g].add(block + t * x.blocks));
                                    p[i][t] = L::fma(min, sum, p[i][t]);
                                }
                            }
                        }
                    }
                }
                for i in 0..VECTORS {
                    for t in 0..ROWS {
                        y[i][t] = L::add(y[i][t], p[i][t]);
                    }
                }
            }
            for i in 0..VECTORS {
                for t in 0..ROWS {
                    let mut outputs = [0f32; 16];
                    L::store(outputs.as_mut_ptr(), L::canonical(y[i][t]));
                    self.product.put(row + t, self.first + 16 * (v + i), &outputs);
                }
            }
        }
    }
}
