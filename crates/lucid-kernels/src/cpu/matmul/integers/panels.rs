//! Many rows: lanes are outputs.
//!
//! ```text
//!   panel of 16 outputs:   for class 0: block 0, 16, 32 …; class 1: block 1, 17 …; …
//!   a block:               8 vectors, each four codes of all 16 outputs:   │ o₀ ···· │ o₁ ···· │ … │ o₁₅ ···· │
//!   micro-kernel:          acc[v][t] += vector v · (four bytes of row t, in every lane)      v < WIDE, t < ROWS
//!   end of a block:        p[v][t] = fma(scale[v] · d[t], acc, p[v][t])
//!   end of a class:        y[v][t] = y[v][t] + p[v][t]
//! ```
//!
//! `tiles.rs` draws the order of all that. Weights are met in L1, and what a tile needs of the activations lies in one piece
//! and in order (`prepare::Records`), so the processor waits for neither. A sum includes −OFFSET · Σq from its beginning or
//! end ([`Lanes::begin`]), so codes stay unsigned, as the instruction wants them.

use super::rests;
use crate::{
    cpu::{
        Machine, Parts,
        buffer::{Base, Plan},
        matmul::{
            Product, Unpack,
            prepare::Records,
            tiles::{Ask, PANELS, Strip, Sums, strips, with_tile},
        },
    },
    formats::unpack::ROUND,
    lanes::{self, Codes, Kernel, Lanes, each},
};
use std::{marker::PhantomData, ops::Range};

/// How many times [`Lanes::ROWS`] a tile holds.
const TIMES: usize = 1;
/// Rounds in a strip: 4 panels × 512 bytes × 11 leave a third of a small L1 to everything else.
const STRIP: usize = 11;
/// How many blocks ahead activations are asked for.
const AHEAD: usize = 4;

/// What a panel still tells of its format: so that there is one kernel for each of these, and not for each format.
trait Shape {
    /// Groups in a block of 32.
    const GROUPS: usize;
    /// Whether there are minima.
    const MINS: bool;
    /// How large codes are.
    const CODES: Codes;
}

/// One of the shapes that formats have.
struct Of<const GROUPS: usize, const MINS: bool, const CODES: usize>;

impl<const GROUPS: usize, const MINS: bool, const CODES: usize> Shape for Of<GROUPS, MINS, CODES> {
    const GROUPS: usize = GROUPS;
    const MINS: bool = MINS;
    const CODES: Codes = [Codes::Small, Codes::Narrow, Codes::Wide][CODES];
}

/// The product with more than a few rows.
pub(super) fn run<B: Unpack>(m: &Machine, product: &Product<'_>) {
    match (B::GROUP, B::MINS, B::CODES) {
        (32, false, Codes::Small) => run_shape::<B, Of<1, false, { Codes::Small as usize }>>(m, product),
        (32, false, Codes::Narrow) => run_shape::<B, Of<1, false, { Codes::Narrow as usize }>>(m, product),
        (32, false, Codes::Wide) => run_shape::<B, Of<1, false, { Codes::Wide as usize }>>(m, product),
        (32, true, Codes::Small) => run_shape::<B, Of<1, true, { Codes::Small as usize }>>(m, product),
        (32, true, Codes::Narrow) => run_shape::<B, Of<1, true, { Codes::Narrow as usize }>>(m, product),
        (16, false, Codes::Narrow) => run_shape::<B, Of<2, false, { Codes::Narrow as usize }>>(m, product),
        (16, true, Codes::Small) => run_shape::<B, Of<2, true, { Codes::Small as usize }>>(m, product),
        _ => unreachable!("no format has this shape"),
    }
}

fn run_shape<B: Unpack, S: Shape>(m: &Machine, product: &Product<'_>) {
    let mut scratch = m.scratch();
    let scratch = &mut *scratch;
    let x = Records::new(m, product, (B::GROUP, B::OFFSET), (TIMES, STRIP), &mut scratch.shared);
    let blocks = (product.n_in / 32).next_multiple_of(16);
    let mut plan = Plan::default();
    let rows = Places::new::<S>(&mut plan, 16 * ROW_CODES, 16 * 16);
    let rest = plan.room::<u8>(16 * B::ROUND_BYTES);
    let row_bytes = product.row_bytes;
    let panels = Places::new::<S>(&mut plan, PANELS * panel_bytes(blocks), PANELS * blocks * 16);
    let sums = Sums::plan(&mut plan, product.rows);
    let threads = m.pool.threads();
    let buffers = Parts::new(&mut scratch.threads);
    product.run(m, false, &|outputs, thread| {
        // SAFETY: a thread number belongs to one thread at a time, so its buffer does, too.
        let base = unsafe { buffers.part(thread..thread + 1) }[0].for_plan(&plan);
        let (unpacked, panels) = (rows.of(base), panels.of(base));
        let sums = Sums::of(sums, base);
        assert!(outputs.len() <= 16 * PANELS, "there is room for so many panels");
        for v in 0..outputs.len().div_ceil(16) {
            // The last panel of a matrix may have fewer rows; its other lanes hold what was there before and go nowhere.
            let first = outputs.start + 16 * v;
            let rows = first..outputs.end.min(first + 16);
            let w = &product.w[rows.start * row_bytes..rows.end * row_bytes];
            for round in 0..blocks / 16 {
                let from = round * B::ROUND_BYTES;
                // Meanwhile the next round of the same rows is asked for, and at their end the next panel's first.
                let ahead = if round + 1 < blocks / 16 { B::ROUND_BYTES } else { 16 * row_bytes - from };
                let (w, stride) = if from + B::ROUND_BYTES <= row_bytes {
                    (&w[from..], row_bytes)
                } else {
                    // SAFETY: planned for a round of sixteen rows.
                    let rest = unsafe { base.slice::<u8>(rest, 16 * B::ROUND_BYTES) };
                    (rests::<B>(w, row_bytes, rest), B::ROUND_BYTES)
                };
                let (rows, to, format) = (rows.len(), unpacked, PhantomData);
                let place = Place { panel: panel::<S>(panels, v, blocks), round, blocks };
                let codes = lanes::run(m.level, UnpackRound::<B> { w, rows, stride, ahead, to, place, format });
                lanes::run(m.level, Pack::<S> { from: unpacked, place, codes, shape: PhantomData });
            }
        }
        lanes::run(
            m.level,
            Multiply::<S> { x: &x, panels, blocks, sums, product, outputs, threads, shape: PhantomData },
        );
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

/// Bytes from one unpacked row to the next: a round, and a line more so that rows do not share cache sets.
const ROW_CODES: usize = ROUND + 64;

/// Unpacks one round of up to sixteen weight rows, which together fit L1; codes straight to their place in the panel where the
/// level can.
struct UnpackRound<'a, B> {
    /// From the round of the first row.
    w: &'a [u8],
    rows: usize,
    /// Bytes from row to row.
    stride: usize,
    /// Bytes from what is read to what is asked for meanwhile.
    ahead: usize,
    to: Unpacked,
    place: Place,
    format: PhantomData<B>,
}

/// A round's places in a panel.
#[derive(Clone, Copy)]
struct Place {
    panel: Unpacked,
    round: usize,
    /// Blocks of a row of the panel.
    blocks: usize,
}

impl Place {
    /// Where the codes of block `b` of the round begin.
    #[inline(always)]
    fn codes(&self, b: usize) -> *mut u8 {
        self.panel.codes.wrapping_add(b * class_bytes(self.blocks) + self.round * ROUND)
    }
}

impl<B: Unpack> Kernel for UnpackRound<'_, B> {
    /// Whether the codes wait to be packed. Where a level can, those of sixteen rows go to the panel at once.
    type Out = bool;

    #[inline(always)]
    unsafe fn at<L: Lanes>(self) -> bool {
        let UnpackRound { w, rows, stride, ahead, to, place, .. } = self;
        let at_once = B::ACROSS && L::ACROSS && rows == 16;
        if at_once {
            assert!(w.len() >= 15 * stride + B::ROUND_BYTES);
            for pair in 0..8 {
                // SAFETY: sixteen rows have a round, a panel has room for it, and the level is the caller's.
                unsafe {
                    let two = B::across::<L>(w.as_ptr(), stride, pair);
                    for (i, vectors) in two.into_iter().enumerate() {
                        for (k, vector) in vectors.into_iter().enumerate() {
                            L::store_bytes(place.codes(2 * pair + i).add(64 * k), vector);
                        }
                    }
                }
            }
        }
        for row in 0..rows {
            let round = &w[row * stride..][..B::ROUND_BYTES];
            // SAFETY: there is room for sixteen rows of a round; the level is the caller's. What is asked for need not exist.
            unsafe {
                for line in (0..B::ROUND_BYTES).step_by(64) {
                    L::prefetch(round.as_ptr().wrapping_add(ahead + line));
                }
                let codes = to.codes.add(row * ROW_CODES);
                if !at_once {
                    for k in 0..8 {
                        L::store_bytes(codes.add(64 * k), B::codes::<L>(round, k));
                    }
                }
                let groups = 32 / B::GROUP;
                for g in 0..groups {
                    let [scales, mins] = B::scales::<L>(round, g);
                    let at = 16 * (row * groups + g);
                    L::store(to.scales.add(at), scales);
                    if B::MINS {
                        L::store(to.mins.add(at), mins);
                    }
                }
            }
        }
        !at_once
    }
}

/// Bytes from one class of a panel to the next: its blocks, and a line more so that classes do not share cache sets.
#[inline(always)]
const fn class_bytes(blocks: usize) -> usize {
    blocks / 16 * ROUND + 64
}

/// Bytes of the codes of a panel.
#[inline(always)]
const fn panel_bytes(blocks: usize) -> usize {
    16 * class_bytes(blocks)
}

/// Panel `v` of several.
#[inline(always)]
fn panel<S: Shape>(panels: Unpacked, v: usize, blocks: usize) -> Unpacked {
    let scales = v * blocks * S::GROUPS * 16;
    Unpacked {
        codes: panels.codes.wrapping_add(v * panel_bytes(blocks)),
        scales: panels.scales.wrapping_add(scales),
        mins: panels.mins.wrapping_add(scales),
    }
}

/// Puts one round of sixteen unpacked rows into its places of a panel.
struct Pack<S> {
    from: Unpacked,
    place: Place,
    /// Whether the codes, too.
    codes: bool,
    shape: PhantomData<S>,
}

impl<S: Shape> Kernel for Pack<S> {
    type Out = ();

    #[inline(always)]
    unsafe fn at<L: Lanes>(self) {
        let Pack { from, place, .. } = self;
        let Place { panel: to, round, blocks } = place;
        // SAFETY: `from` holds sixteen rows of sixteen blocks and `to` is a panel of `blocks`; the level is the caller's. A
        // vector of f32 carries four codes in each lane here; loads, shuffles and stores do not look at them.
        unsafe {
            for b in (0..if self.codes { 16 } else { 0 }).step_by(2) {
                let columns = L::transpose(each!(16, i => L::load(from.codes.add(i * ROW_CODES + 32 * b).cast())));
                for k in 0..16 {
                    L::store(place.codes(b + k / 8).add(k % 8 * 64).cast(), columns[k]);
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

/// The outputs of up to four panels for all rows.
struct Multiply<'a, S> {
    x: &'a Records,
    panels: Unpacked,
    blocks: usize,
    sums: Sums,
    product: &'a Product<'a>,
    outputs: Range<usize>,
    threads: usize,
    shape: PhantomData<S>,
}

impl<S: Shape> Kernel for Multiply<'_, S> {
    type Out = ();

    #[inline(always)]
    unsafe fn at<L: Lanes>(self) {
        let tiles = self.x.tiles;
        let panels = self.outputs.len().div_ceil(16);
        let calls = strips(self.product.n_in / 32, STRIP).count() * tiles.count * panels.div_ceil(L::VECTORS);
        let mut ask = Ask::new(self.product, &self.outputs, self.threads, calls);
        for strip in strips(self.product.n_in / 32, STRIP) {
            for tile in 0..tiles.count {
                let rows = tiles.rows(tile);
                for v in (0..panels).step_by(L::VECTORS) {
                    let wide = L::VECTORS.min(panels - v);
                    // SAFETY: the level is the caller's; rows and panels lie within the product.
                    unsafe {
                        ask.some::<L>();
                        with_tile!(TIMES, rows.len(), wide, |ROWS, WIDE| self
                            .tile::<L, ROWS, WIDE>(&strip, rows.start, v))
                    }
                }
            }
        }
        for t in 0..self.product.rows {
            // SAFETY: there are sums of each row; every output is in one piece; the level is the caller's.
            unsafe { self.product.put::<L>(t, self.outputs.start, self.sums.row(t), panels) }
        }
    }
}

impl<S: Shape> Multiply<'_, S> {
    /// One strip of ROWS rows from `row` against WIDE panels from `v`: the micro-kernel.
    #[inline(always)]
    unsafe fn tile<L: Lanes, const ROWS: usize, const WIDE: usize>(&self, strip: &Strip, row: usize, v: usize) {
        let (blocks, class) = (self.blocks, strip.class);
        let record = Records::words(S::GROUPS) * ROWS;
        // SAFETY: panels have `blocks` blocks, every row its records and sums; the level is the caller's.
        unsafe {
            let panels: [Unpacked; WIDE] = each!(WIDE, i => panel::<S>(self.panels, v + i, blocks));
            let mut x = self.x.of(strip, row, S::GROUPS);
            let mut p = self.sums.begin::<L, ROWS, WIDE>(strip, row, v);
            for round in strip.rounds.clone() {
                for line in 0..(4 * record).div_ceil(64) {
                    L::prefetch(x.wrapping_add(AHEAD * record + 16 * line).cast());
                }
                let block = class * (blocks / 16) + round;
                for g in 0..S::GROUPS {
                    let starts = x.add((Records::STARTS + g) * ROWS);
                    let mut acc = [[L::splat_i32(0); ROWS]; WIDE];
                    for t in 0..ROWS {
                        let begin = L::begin(L::splat_i32(*starts.add(t)), S::CODES);
                        for i in 0..WIDE {
                            acc[i][t] = begin;
                        }
                    }
                    for k in g * 8 / S::GROUPS..(g + 1) * 8 / S::GROUPS {
                        let from = class * class_bytes(blocks) + round * ROUND + k * 64;
                        let codes: [L::B; WIDE] = each!(WIDE, i => L::load_bytes(panels[i].codes.add(from)));
                        for t in 0..ROWS {
                            let q = L::splat_bytes(x.add(k * ROWS + t).cast());
                            for i in 0..WIDE {
                                acc[i][t] = L::dot(acc[i][t], codes[i], q, S::CODES);
                            }
                        }
                    }
                    for i in 0..WIDE {
                        let scale = L::load(panels[i].scales.add((block * S::GROUPS + g) * 16));
                        for t in 0..ROWS {
                            let d = L::splat(f32::from_bits(*x.add(Records::SCALE * ROWS + t) as u32));
                            let sum = L::end(L::splat_i32(*starts.add(t)), acc[i][t], S::CODES);
                            p[i][t] = L::fma(L::mul(scale, d), L::to_f32(sum), p[i][t]);
                        }
                    }
                }
                if S::MINS {
                    for g in 0..S::GROUPS {
                        for i in 0..WIDE {
                            let min = L::load(panels[i].mins.add((block * S::GROUPS + g) * 16));
                            for t in 0..ROWS {
                                let sum = *x.add((Records::STARTS + S::GROUPS + g) * ROWS + t);
                                p[i][t] = L::fma(min, L::splat(f32::from_bits(sum as u32)), p[i][t]);
                            }
                        }
                    }
                }
                x = x.add(record);
            }
            self.sums.end::<L, ROWS, WIDE>(strip, row, v, p);
        }
    }
}
