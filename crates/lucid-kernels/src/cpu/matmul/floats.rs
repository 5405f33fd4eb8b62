//! Products of weights as floats with activations as they are: plain float formats, and every format where exactness is asked
//! for.
//!
//! The same two shapes as in [`integers`](super::integers). With few rows a lane is an element's class: sixteen weights by
//! sixteen activations, one fused multiply-add, and the lanes are added at the end of the row; activations of several rows that
//! L1 does not hold take the weights in strips. With many rows, sixteen weight rows are widened and transposed into a panel,
//! class by class (elements 0, 16, 32 …, then 1, 17 …), lanes are outputs, and a class ends with one addition to y.

use super::{
    Plan, Product,
    integers::Total,
    prepare::{Columns, Whole},
    tiles::{Ask, PANELS, Strip, Sums, strips, with_tile},
};
use crate::{
    cpu::{Machine, Parts},
    formats::Format,
    lanes::{self, Kernel, Lanes, each},
    level::Level,
};
use std::ops::Range;

/// Up to this many rows, weights are read row by row; from here on, in panels.
const FEW: usize = 4;

/// Bytes of activations, of all rows, that stay in L1 while sixteen weight rows pass by in strips.
const STRIP_OF_FEW: usize = 12 << 10;
/// Up to so many bytes there are no strips, nor with one row of activations: weights read in one piece are worth more.
const WITHOUT_STRIPS: usize = 24 << 10;

/// How far ahead of their use weights are asked for where sixteen rows are read side by side.
const AHEAD_IN_ROW: usize = 768;

/// How many times [`Lanes::ROWS`] a tile holds.
const TIMES: usize = 2;
/// Rounds in a strip: four panels × 64 bytes × 88 leave a third of a small L1 to everything else.
const STRIP: usize = 88;
/// How many values of a tile ahead activations are asked for.
const AHEAD_IN_TILE: usize = 32;

/// Values from one class of a panel to the next: its vectors, and one more so that classes do not share cache sets.
#[inline(always)]
const fn class_floats(vectors: usize) -> usize {
    (vectors + 1) * 16
}

/// Values of a panel.
#[inline(always)]
const fn panel_floats(vectors: usize) -> usize {
    16 * class_floats(vectors)
}

/// How weights lie that a vector can be loaded from directly.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Width {
    F32,
    F16,
    Bf16,
}

/// The product.
pub(super) fn run(m: &Machine, product: &Product<'_>) {
    let width = match product.format {
        Format::F16 => Width::F16,
        Format::BF16 => Width::Bf16,
        _ => Width::F32,
    };
    let decoded = width == Width::F32 && product.format != Format::F32;
    let few = product.rows <= FEW;
    let vectors = product.n_in.div_ceil(16);
    let mut scratch = m.scratch();
    let scratch = &mut *scratch;
    let mut plan = Plan::default();
    let row = plan.room::<f32>(if decoded { product.n_in } else { 0 });
    let tails = plan.room::<f32>(16 * 16);
    let panels = plan.room::<f32>(if few { 0 } else { PANELS * panel_floats(vectors) });
    let sums = Sums::plan(&mut plan, if few { 0 } else { product.rows });
    let rows = plan.room::<f32>(if few || !decoded { 0 } else { 16 * vectors * 16 });
    let buffers = Parts::new(&mut scratch.threads);
    // The bytes of weight row o, decoded into `to` where they cannot be loaded directly.
    let bytes = |o: usize, to: *mut f32| -> *const u8 {
        let w = product.weights(o);
        if !decoded {
            return w.as_ptr();
        }
        // SAFETY: room for a row, planned above.
        product.format.decode(w, unsafe { std::slice::from_raw_parts_mut(to, product.n_in) });
        to.cast_const().cast()
    };
    if few {
        let x = Whole::new(product, &mut scratch.shared);
        let step = 16 * bytes_of(width);
        let one = product.rows == 1 || 4 * product.rows * product.n_in <= WITHOUT_STRIPS;
        let strips = product.strips(m, step, if one { usize::MAX } else { STRIP_OF_FEW / (64 * product.rows) });
        product.run(m, true, &|outputs, thread| {
            // SAFETY: a thread number belongs to one thread at a time, so its buffer does, too.
            let base = unsafe { buffers.part(thread..thread + 1) }[0].for_plan(&plan);
            for first in outputs.clone().step_by(16) {
                let rows = first..outputs.end.min(first + 16);
                let mut p = [[[0f32; 16]; 16]; FEW];
                let mut dot = |w, which, vectors, ahead| {
                    dot_rows(m.level, DotRows { x: &x, w, n: product.n_in, which, vectors, ahead, p: &mut p }, width);
                };
                if decoded {
                    for o in rows {
                        dot(bytes(o, base.at(row)), o - first..o - first + 1, 0..product.n_in / 16, 0);
                    }
                } else {
                    let w = product.w[rows.start * product.row_bytes..rows.end * product.row_bytes].as_ptr();
                    for (vectors, ahead) in strips.clone() {
                        dot(w, 0..rows.len(), vectors, ahead);
                    }
                }
                lanes::run(m.level, Total { sums: p.as_flattened(), strides: [1, 16], product, first });
            }
        });
        return;
    }
    let x = Columns::new(m, product, (TIMES, STRIP), &mut scratch.shared);
    product.run(m, false, &|outputs, thread| {
        // SAFETY: a thread number belongs to one thread at a time, so its buffer does, too.
        let base = unsafe { buffers.part(thread..thread + 1) }[0].for_plan(&plan);
        assert!(outputs.len() <= 16 * PANELS, "there is room for so many panels");
        for (v, first_row) in outputs.clone().step_by(16).enumerate() {
            // A row past the end repeats the last one; its lane goes nowhere.
            let w = std::array::from_fn(|i| {
                let to = base.at::<f32>(rows).wrapping_add(i * vectors * 16);
                bytes((first_row + i).min(outputs.end - 1), to)
            });
            let to = base.at::<f32>(panels).wrapping_add(v * panel_floats(vectors));
            lanes::run(m.level, Pack { w, width, n: product.n_in, to, tails: base.at(tails) });
        }
        let (panels, sums) = (base.at(panels), Sums::of(sums, base));
        lanes::run(m.level, Multiply { x: &x, panels, sums, product, outputs, threads: m.pool.threads() });
    });
}

/// Sixteen weights from `p`.
#[inline(always)]
unsafe fn load<L: Lanes>(p: *const u8, width: Width) -> L::F {
    // SAFETY: the caller vouches for sixteen values.
    unsafe {
        match width {
            Width::F32 => L::load(p.cast()),
            Width::F16 => L::load_f16(p),
            Width::Bf16 => L::load_bf16(p),
        }
    }
}

fn bytes_of(width: Width) -> usize {
    if width == Width::F32 { 4 } else { 2 }
}

/// Up to fifteen weights from `p`, the other lanes zero.
#[inline(always)]
unsafe fn load_tail<L: Lanes>(p: *const u8, width: Width, n: usize) -> L::F {
    let mut part = [0u8; 64];
    // SAFETY: the caller vouches for n values.
    unsafe {
        std::ptr::copy_nonoverlapping(p, part.as_mut_ptr(), n * bytes_of(width));
        load::<L>(part.as_ptr(), width)
    }
}

/// [`DotRows`] of this width.
fn dot_rows(level: Level, task: DotRows<'_>, width: Width) {
    macro_rules! rows {
        ($rows:literal) => {
            match width {
                Width::F32 => lanes::run(level, Fixed::<$rows, 0>(task)),
                Width::F16 => lanes::run(level, Fixed::<$rows, 1>(task)),
                Width::Bf16 => lanes::run(level, Fixed::<$rows, 2>(task)),
            }
        };
    }
    match task.x.rows {
        1 => rows!(1),
        2 => rows!(2),
        3 => rows!(3),
        _ => rows!(4),
    }
}

/// Some vectors of up to sixteen weight rows against up to four rows of activations.
struct DotRows<'a> {
    x: &'a Whole,
    /// The first weight row; the others follow.
    w: *const u8,
    /// Values of a row.
    n: usize,
    /// The rows' places in `p`.
    which: Range<usize>,
    vectors: Range<usize>,
    /// Bytes from what is read to what is asked for meanwhile; 0 asks for nothing.
    ahead: usize,
    /// For each row of activations sixteen sums of each weight row, which are added to.
    p: &'a mut [[[f32; 16]; 16]; FEW],
}

/// The same, with the number of rows of activations and the width of weights as constants.
struct Fixed<'a, const ROWS: usize, const WIDTH: u8>(DotRows<'a>);

impl<const ROWS: usize, const WIDTH: u8> Kernel for Fixed<'_, ROWS, WIDTH> {
    type Out = ();

    #[inline(always)]
    unsafe fn at<L: Lanes>(self) {
        let DotRows { x, w, n, which, vectors, ahead, p: sums } = self.0;
        let width = [Width::F32, Width::F16, Width::Bf16][WIDTH as usize];
        let step = 16 * bytes_of(width);
        for (row, i) in which.enumerate() {
            let w = w.wrapping_add(row * n * bytes_of(width));
            // SAFETY: there are as many weight rows of n values as places in `which`, one after the other; `vectors` end with n,
            // and a row of activations has the whole vectors that hold as many; the level is the caller's. What is asked for
            // need not exist.
            unsafe {
                let mut p = [L::splat(0.0); ROWS];
                for t in 0..ROWS {
                    p[t] = L::load(sums[t][i].as_ptr());
                }
                for v in vectors.clone() {
                    let at = w.add(v * step);
                    if ahead > 0 {
                        L::prefetch(at.wrapping_add(ahead));
                    }
                    let weights = load::<L>(at, width);
                    for t in 0..ROWS {
                        p[t] = L::fma(weights, L::load(x.x.add((t * x.vectors + v) * 16)), p[t]);
                    }
                }
                if vectors.end == n / 16 && !n.is_multiple_of(16) {
                    let v = vectors.end;
                    let weights = load_tail::<L>(w.add(v * step), width, n % 16);
                    for t in 0..ROWS {
                        p[t] = L::fma(weights, L::load(x.x.add((t * x.vectors + v) * 16)), p[t]);
                    }
                }
                for t in 0..ROWS {
                    L::store(sums[t][i].as_mut_ptr(), p[t]);
                }
            }
        }
    }
}

/// Turns sixteen weight rows into a panel.
struct Pack {
    w: [*const u8; 16],
    width: Width,
    n: usize,
    to: *mut f32,
    tails: *mut f32,
}

impl Kernel for Pack {
    type Out = ();

    #[inline(always)]
    unsafe fn at<L: Lanes>(self) {
        let Pack { w, width, n, to, tails } = self;
        let vectors = n.div_ceil(16);
        // SAFETY: sixteen rows of n values, and a panel for their whole vectors; the level is the caller's.
        unsafe {
            for v in 0..vectors {
                for w in w {
                    L::prefetch(w.wrapping_add(v * 16 * bytes_of(width) + AHEAD_IN_ROW));
                }
                let rows = if v < n / 16 {
                    each!(16, i => load::<L>(w[i].add(v * 16 * bytes_of(width)), width))
                } else {
                    for (i, w) in w.iter().enumerate() {
                        L::store(tails.add(16 * i), load_tail::<L>(w.add(v * 16 * bytes_of(width)), width, n % 16));
                    }
                    each!(16, i => L::load(tails.add(16 * i)))
                };
                let columns = L::transpose(rows);
                for class in 0..16 {
                    L::store(to.add(class * class_floats(vectors) + v * 16), columns[class]);
                }
            }
        }
    }
}

/// The outputs of up to four panels for all rows.
struct Multiply<'a> {
    x: &'a Columns,
    panels: *const f32,
    sums: Sums,
    product: &'a Product<'a>,
    outputs: Range<usize>,
    threads: usize,
}

impl Kernel for Multiply<'_> {
    type Out = ();

    #[inline(always)]
    unsafe fn at<L: Lanes>(self) {
        let tiles = self.x.tiles;
        let panels = self.outputs.len().div_ceil(16);
        let calls = strips(self.product.n_in, STRIP).count() * tiles.count * panels.div_ceil(L::VECTORS);
        let mut ask = Ask::new(self.product, &self.outputs, self.threads, calls);
        for strip in strips(self.product.n_in, STRIP) {
            for tile in 0..tiles.count {
                let rows = tiles.rows(tile);
                for v in (0..panels).step_by(L::VECTORS) {
                    let wide = L::VECTORS.min(panels - v);
                    // SAFETY: the level is the caller's; rows and panels lie within the product.
                    unsafe {
                        ask.some::<L>();
                        with_tile!(TIMES, rows.len(), wide, |ROWS, WIDE| self
                            .tile::<L, ROWS, WIDE>(&strip, rows.start, v));
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

impl Multiply<'_> {
    /// One strip of ROWS rows from `row` against WIDE panels from `v`: the micro-kernel.
    #[inline(always)]
    unsafe fn tile<L: Lanes, const ROWS: usize, const WIDE: usize>(&self, strip: &Strip, row: usize, v: usize) {
        let vectors = self.product.n_in.div_ceil(16);
        // SAFETY: panels have `vectors` vectors, every row its values and sums; the level is the caller's.
        unsafe {
            let panels: [*const f32; WIDE] = each!(WIDE, i => {
                let class = self.panels.add((v + i) * panel_floats(vectors) + strip.class * class_floats(vectors));
                class.add(strip.rounds.start * 16)
            });
            let mut p = self.sums.begin::<L, ROWS, WIDE>(strip, row, v);
            let x = self.x.of(strip, row);
            for round in 0..strip.rounds.len() {
                let x = x.add(round * ROWS);
                // Up to eight rows of two rounds are a line.
                if round % 2 == 0 || ROWS > 8 {
                    L::prefetch(x.wrapping_add(AHEAD_IN_TILE * ROWS).cast());
                }
                let weights: [L::F; WIDE] = each!(WIDE, i => L::load(panels[i].add(round * 16)));
                for t in 0..ROWS {
                    let x = L::splat(*x.add(t));
                    for i in 0..WIDE {
                        p[i][t] = L::fma(weights[i], x, p[i][t]);
                    }
                }
            }
            self.sums.end::<L, ROWS, WIDE>(strip, row, v, p);
        }
    }
}
