//! Rotary position embedding of q and k together, in place; what it computes is drawn in [`ops::rope`](crate::ops::rope()).
//!
//! ```text
//! angle = pos · freq                      f64, exact to 2⁻⁵³ of itself
//! c, s  = cos(angle) · scale, sin(angle) · scale        f64, then one rounding to f32
//! a′    = fma(a, c, −(b·s))               b·s and a·... each round once: two roundings in f32
//! b′    = fma(a, s, b·c)
//! ```
//!
//! Sine and cosine are our own, from operations that IEEE 754 defines to the bit: libraries differ in their last place.

use super::{Machine, Parts, buffer::Plan, partial};
use crate::{
    lanes::{self, Kernel, Lanes},
    ops::{Pairs, Rotation},
};

/// Rotates every head of every row of `q` and of `k`, in place; row `t` of both stands at `positions[t]`. Each may be empty.
pub fn rope(m: &Machine, q: &mut [f32], k: &mut [f32], positions: &[u32], head_dim: usize, rotation: &Rotation) {
    let (rows, half) = (positions.len(), rotation.freqs.len());
    assert!(head_dim > 0 && 2 * half <= head_dim);
    let widths = [q.len() / rows.max(1), k.len() / rows.max(1)];
    assert!(q.len() == rows * widths[0] && k.len() == rows * widths[1] && widths.iter().all(|w| w % head_dim == 0));
    let mut plan = Plan::default();
    let places = [(); 4].map(|()| plan.room::<f32>(half));
    let mut scratch = m.scratch();
    let bases: &mut [_] = &mut scratch.threads;
    for thread in bases.iter_mut() {
        thread.for_plan(&plan);
    }
    let bases = Parts::new(bases);
    let out = [Parts::new(q), Parts::new(k)];
    let row_work = (widths[0] + widths[1]).max(1);
    m.in_ranges(rows, 1, super::add::GRAIN / 4 / row_work, &|range, thread| {
        // SAFETY: a thread number belongs to one thread at a time, so its buffer does, too.
        let base = unsafe { bases.part(thread..thread + 1) }[0].for_plan(&plan);
        // SAFETY: four places of this thread's buffer, planned above.
        let [cos, sin, first, second] = unsafe { places.map(|at| base.slice::<f32>(at, half)) };
        for t in range {
            for (i, freq) in rotation.freqs.iter().enumerate() {
                let (s, c) = sin_cos(f64::from(positions[t]) * f64::from(*freq));
                (sin[i], cos[i]) = ((s * f64::from(rotation.scale)) as f32, (c * f64::from(rotation.scale)) as f32);
            }
            for (out, width) in out.iter().zip(widths) {
                // SAFETY: rows are disjoint.
                for head in unsafe { out.part(t * width..(t + 1) * width) }.chunks_exact_mut(head_dim) {
                    for i in 0..half {
                        (first[i], second[i]) = match rotation.pairs {
                            Pairs::Neighbours => (head[2 * i], head[2 * i + 1]),
                            Pairs::Halves => (head[i], head[i + half]),
                        };
                    }
                    let (a, b) = head[..2 * half].split_at_mut(half);
                    lanes::run(m.level, Rotate { from: (first, second), cos, sin, a, b });
                }
            }
        }
    });
}

struct Rotate<'a> {
    from: (&'a [f32], &'a [f32]),
    cos: &'a [f32],
    sin: &'a [f32],
    a: &'a mut [f32],
    b: &'a mut [f32],
}

impl Kernel for Rotate<'_> {
    type Out = ();

    #[inline(always)]
    unsafe fn at<L: Lanes>(self) {
        for i in (0..self.cos.len()).step_by(16) {
            // SAFETY: the level's instructions exist.
            unsafe {
                let (a, b) = (partial::load::<L>(self.from.0, i, 0.0), partial::load::<L>(self.from.1, i, 0.0));
                let (c, s) = (partial::load::<L>(self.cos, i, 0.0), partial::load::<L>(self.sin, i, 0.0));
                let minus = L::sub(L::splat(0.0), L::mul(b, s));
                partial::store::<L>(self.a, i, L::fma(a, c, minus));
                partial::store::<L>(self.b, i, L::fma(a, s, L::mul(b, c)));
            }
        }
    }
}

/// π/2 in three parts; the first two have 33 bits, so that up to 2²⁰ times them is exact.
const HALF_PI: [f64; 3] = [1.570_796_326_734_125_6, 6.077_100_506_303_966e-11, 2.022_266_248_795_950_6e-21];

/// Sine and cosine of an angle of at most 2²⁰, off by less than 2⁻⁵⁰.
///
/// The angle less the nearest multiple of π/2 lies within ±π/4, where Taylor's polynomials of degree 17 and 16 are off by less
/// than 10⁻¹⁷; the multiple says which of the two is which, and their signs.
pub(super) fn sin_cos(angle: f64) -> (f64, f64) {
    let n = (angle * std::f64::consts::FRAC_2_PI).round_ties_even();
    let r = HALF_PI.iter().fold(angle, |r, part| r - n * part);
    let r2 = r * r;
    // Terms −r²/((2k)(2k+1)) and −r²/((2k−1)(2k)) multiply up from the last, so no table of factorials is needed.
    let mut sin = 1.0;
    let mut cos = 1.0;
    for k in (1..=8).rev() {
        let k = 2.0 * f64::from(k);
        sin = 1.0 - r2 / (k * (k + 1.0)) * sin;
        cos = 1.0 - r2 / (k * (k - 1.0)) * cos;
    }
    let sin = r * sin;
    match (n as i64) & 3 {
        0 => (sin, cos),
        1 => (cos, -sin),
        2 => (-sin, -cos),
        _ => (-cos, sin),
    }
}
