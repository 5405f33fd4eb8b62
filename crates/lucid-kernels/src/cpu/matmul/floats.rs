//! Products of weights as floats with activations as they are: plain float formats, and every format where exactness is asked
//! for.
//!
//! The same two shapes as in [`integers`](super::integers). With few rows a lane is an element's class: sixteen weights by
//! sixteen activations, one fused multiply-add, and the lanes are added at the end of the row. With many rows, sixteen weight
//! rows are widened and transposed into a panel, class by class (elements 0, 16, 32 …, then 1, 17 …), lanes are outputs, and a
//! class ends with one addition to y.

use super::{FEW, Plan, Product, integers::Total, prepare::Whole};
use crate::{
    cpu::{Machine, Parts},
    formats::Format,
    lanes::{self, Kernel, Lanes, each},
    level::Level,
};

/// How far ahead of their use weights are asked for.
const AHEAD: usize = 4096;

/// The same where sixteen rows are read side by side.
const AHEAD_IN_ROW: usize = 768;

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
    let mut scratch = m.scratch();
    let scratch = &mut *scratch;
    let x = Whole::new(m, product, !few, &mut scratch.shared);
    let mut plan = Plan::default();
    let row = plan.room::<f32>(if decoded { product.n_in } else { 0 });
    let tails = plan.room::<f32>(16 * 16);
    let panel = plan.room::<f32>(if few { 0 } else { 2 * panel_floats(x.vectors) });
    let sums = plan.room::<f32>(if few { 0 } else { x.rows * 32 });
    let rows = plan.room::<f32>(if few || !decoded { 0 } else { 16 * x.vectors * 16 });
    let buffers = Parts::new(&mut scratch.threads);
    product.run(m, &|outputs, thread| {
        // SAFETY: a thread number belongs to one thread at a time, so its buffer does, too.
        let base = unsafe { buffers.part(thread..thread + 1) }[0].for_plan(&plan);
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
        let level = m.level;
        if few {
            for first in outputs.clone().step_by(16) {
                let mut p = [[[0f32; 16]; 16]; FEW];
                for (i, o) in (first..outputs.end.min(first + 16)).enumerate() {
                    dot_rows(level, &x, bytes(o, base.at(row)), product.n_in, width, i, &mut p);
                }
                for (t, p) in p[..x.rows].iter().enumerate() {
                    // SAFETY: every output is in one piece.
                    unsafe { product.put(t, first, &lanes::run(level, Total(p))) };
                }
            }
        } else {
            for first in outputs.clone().step_by(32) {
                let filled = (outputs.end - first).min(32);
                for (v, first_row) in (first..first + filled).step_by(16).enumerate() {
                    // A row past the end repeats the last one; its lane goes nowhere.
                    let w = std::array::from_fn(|i| {
                        bytes(
                            (first_row + i).min(outputs.end - 1),
                            base.at::<f32>(rows).wrapping_add(i * x.vectors * 16),
                        )
                    });
                    let to = base.at::<f32>(panel).wrapping_add(v * panel_floats(x.vectors));
                    lanes::run(level, Pack { w, width, n: product.n_in, to, tails: base.at(tails) });
                }
                lanes::run(
                    level,
                    PanelProduct { x: &x, panel: base.at(panel), y: base.at(sums), product, first, filled },
                );
            }
        }
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

/// One weight row against up to four rows of activations.
fn dot_rows(level: Level, x: &Whole, w: *const u8, n: usize, width: Width, i: usize, p: &mut [[[f32; 16]; 16]; FEW]) {
    macro_rules! rows {
        ($rows:literal) => {
            match width {
                Width::F32 => lanes::run(level, DotRows::<$rows, 0> { x, w, n, i, p }),
                Width::F16 => lanes::run(level, DotRows::<$rows, 1> { x, w, n, i, p }),
                Width::Bf16 => lanes::run(level, DotRows::<$rows, 2> { x, w, n, i, p }),
            }
        };
    }
    match x.rows {
        1 => rows!(1),
        2 => rows!(2),
        3 => rows!(3),
        _ => rows!(4),
    }
}

struct DotRows<'a, const ROWS: usize, const WIDTH: u8> {
    x: &'a Whole,
    w: *const u8,
    n: usize,
    i: usize,
    p: &'a mut [[[f32; 16]; 16]; FEW],
}

impl<const ROWS: usize, const WIDTH: u8> Kernel for DotRows<'_, ROWS, WIDTH> {
    type Out = ();

    #[inline(always)]
    unsafe fn at<L: Lanes>(self) {
        let DotRows { x, w, n, i, p: out } = self;
        let width = [Width::F32, Width::F16, Width::Bf16][WIDTH as usize];
        let step = 16 * bytes_of(width);
        // SAFETY: a weight row has n values, a row of activations the whole vectors that hold as many; the level is the caller's.
        unsafe {
            let mut p = [L::splat(0.0); ROWS];
            for v in 0..n / 16 {
                let at = w.add(v * step);
                L::prefetch(at.wrapping_add(AHEAD));
                let weights = load::<L>(at, width);
                for t in 0..ROWS {
                    p[t] = L::fma(weights, L::load(x.x.add((t * x.vectors + v) * 16)), p[t]);
                }
            }
            if !n.is_multiple_of(16) {
                let v = n / 16;
                let weights = load_tail::<L>(w.add(v * step), width, n % 16);
                for t in 0..ROWS {
                    p[t] = L::fma(weights, L::load(x.x.add((t * x.vectors + v) * 16)), p[t]);
                }
            }
            for t in 0..ROWS {
                L::store(out[t][i].as_mut_ptr(), p[t]);
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

/// Up to 32 outputs for all rows.
struct PanelProduct<'a> {
    x: &'a Whole,
    panel: *const f32,
    y: *mut f32,
    product: &'a Product<'a>,
    first: usize,
    filled: usize,
}

impl Kernel for PanelProduct<'_> {
    type Out = ();

    #[inline(always)]
    unsafe fn at<L: Lanes>(self) {
        let rows = self.x.rows;
        let tiles = rows.div_ceil(L::ROWS);
        let vectors = self.filled.div_ceil(16);
        // A class of a panel is small enough for L1, so it meets all rows before the next class; y waits in memory.
        for class in 0..16 {
            for tile in 0..tiles {
                let (from, to) = (tile * rows / tiles, (tile + 1) * rows / tiles);
                for v in (0..vectors).step_by(L::VECTORS) {
                    let wide = L::VECTORS == 2 && vectors > 1;
                    // SAFETY: the level is the caller's; rows and outputs lie within the product.
                    unsafe {
                        match (to - from, wide) {
                            (1, false) => self.tile::<L, 1, 1>(class, from, v),
                            (2, false) => self.tile::<L, 2, 1>(class, from, v),
                            (3, false) => self.tile::<L, 3, 1>(class, from, v),
                            (4, false) => self.tile::<L, 4, 1>(class, from, v),
                            (5, false) => self.tile::<L, 5, 1>(class, from, v),
                            (6, false) => self.tile::<L, 6, 1>(class, from, v),
                            (1, true) => self.tile::<L, 1, 2>(class, from, v),
                            (2, true) => self.tile::<L, 2, 2>(class, from, v),
                            (3, true) => self.tile::<L, 3, 2>(class, from, v),
                            (4, true) => self.tile::<L, 4, 2>(class, from, v),
                            (5, true) => self.tile::<L, 5, 2>(class, from, v),
                            _ => self.tile::<L, 6, 2>(class, from, v),
                        }
                    }
                }
            }
        }
        for t in 0..rows {
            for v in 0..vectors {
                let mut outputs = [0f32; 16];
                // SAFETY: y has 32 values of each row; every output is in one piece.
                unsafe {
                    L::store(outputs.as_mut_ptr(), L::canonical(L::load(self.y.add(t * 32 + 16 * v))));
                    self.product.put(t, self.first + 16 * v, &outputs);
                }
            }
        }
    }
}

impl PanelProduct<'_> {
    /// One class of ROWS rows from `row` against VECTORS panels from `v`: the micro-kernel.
    #[inline(always)]
    unsafe fn tile<L: Lanes, const ROWS: usize, const VECTORS: usize>(&self, class: usize, row: usize, v: usize) {
        if ROWS > L::ROWS || VECTORS > L::VECTORS {
            return; // never asked for; so it need not be compiled
        }
        let vectors = self.x.vectors;
        // SAFETY: panels and rows have `vectors` vectors, y 32 values of each row; the level is the caller's.
        unsafe {
            let mut p = [[L::splat(0.0); ROWS]; VECTORS];
            let x = self.x.x.add(row * vectors * 16 + class * vectors);
            let w = self.panel.add(v * panel_floats(vectors) + class * class_floats(vectors));
            for i in 0..vectors {
                let weights: [L::F; VECTORS] = each!(VECTORS, v => L::load(w.add(v * panel_floats(vectors) + i * 16)));
                for t in 0..ROWS {
                    let x = L::splat(*x.add(t * vectors * 16 + i));
                    for v in 0..VECTORS {
                        p[v][t] = L::fma(weights[v], x, p[v][t]);
                    }
                }
            }
            for i in 0..VECTORS {
                for t in 0..ROWS {
                    let y = self.y.add((row + t) * 32 + 16 * (v + i));
                    let sum = if class == 0 { L::splat(0.0) } else { L::load(y) };
                    L::store(y, L::add(sum, p[i][t]));
                }
            }
        }
    }
}
