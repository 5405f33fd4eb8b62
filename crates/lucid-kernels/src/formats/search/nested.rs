//! The search for the formats of 256 values a block, whose groups have scales that are small multiples of the block's own.
//!
//! ```text
//!      x̂ᵢ = (d · c_g) · qᵢ                           Q3_K, Q6_K, IQ4_XS
//!      x̂ᵢ = (d · c_g) · qᵢ − (m · k_g)               Q2_K, Q4_K, Q5_K
//! ```
//!
//! Each group first finds the scale and the offset it would like best. Those wishes are themselves a row of numbers to be
//! stored as integers times a scale, and what it costs to miss one is known: δ² · Σwq² for a scale, δ² · Σw for an offset. So
//! the same search finds d and m. Then the groups choose their integers anew by their true error, d and m are fitted to
//! the whole block given those choices, and so on in turn.

use super::{Fit, Group, Levels, Steps, as_f16, as_scale, inverse};

/// How many multiples the largest scale of a block may come to lie on, counted from the end. Trying one costs little beside
/// the groups, and the more are tried the closer one of them is to an f16.
const TOPS: usize = 8;

/// d of a block and the c of its groups, integers as f32.
pub(in crate::formats) struct Scales<const GROUPS: usize> {
    pub(in crate::formats) d: f32,
    pub(in crate::formats) c: [f32; GROUPS],
}

/// Searches d and c. `ends` are those of [`Group::best_scale`] for the groups; `turns` is how often groups and block take
/// turns.
#[inline(always)]
pub(in crate::formats) fn nested_scales<const GROUPS: usize, const N: usize>(
    x: &[[f32; N]],
    w: &[[f32; N]],
    levels: impl Levels,
    ends: &[f32],
    multiples: Steps,
    turns: usize,
) -> Scales<GROUPS> {
    let groups: [Group<N>; GROUPS] = std::array::from_fn(|g| Group::new(&x[g], &w[g]));
    let wishes = groups.map(|group| group.best_scale(levels, ends, 1, |s| s));
    let mut scales = wishes.map(|wish| wish.scale);
    let tops: [f32; TOPS] = std::array::from_fn(|i| multiples.low + i as f32);
    let mut d = Group::new(&scales, &wishes.map(|wish| wish.stiffness)).best_scale(multiples, &tops, 2, as_scale).scale;

    let mut best = (f32::INFINITY, Scales { d: 0.0, c: [0.0; GROUPS] });
    for _ in 0..turns {
        let (mut error, mut slope, mut curvature) = (0.0, 0.0, 0.0);
        let mut c = [0.0; GROUPS];
        for g in 0..GROUPS {
            let near = multiples.step(scales[g] * inverse(d));
            let mut chosen: Option<Fit> = None;
            for multiple in [near, multiples.step(near - 1.0), multiples.step(near + 1.0)] {
                let tried = groups[g].fit(d * multiple, 0.0, levels);
                if chosen.is_none_or(|chosen| tried.error < chosen.error) {
                    (chosen, c[g]) = (Some(tried), multiple);
                }
            }
            let Some(chosen) = chosen else { continue };
            error += chosen.error;
            slope += c[g] * chosen.qr;
            curvature += c[g] * c[g] * chosen.qq;
            scales[g] = chosen.scale;
        }
        if error < best.0 {
            best = (error, Scales { d, c });
        }
        let next = if curvature > 0.0 { as_scale(d + slope / curvature) } else { d };
        if next == d {
            break;
        }
        d = next;
    }
    best.1
}

/// d and m of a block, the c and k of its groups, integers as f32, and the error they leave.
pub(in crate::formats) struct Lines<const GROUPS: usize> {
    pub(in crate::formats) d: f32,
    pub(in crate::formats) m: f32,
    pub(in crate::formats) c: [f32; GROUPS],
    pub(in crate::formats) k: [f32; GROUPS],
    error: f32,
}

/// Searches d, m, c and k. `ends` are those of [`Group::best_line`] for the groups, `tops` those of [`Group::best_scale`]
/// for the rows of their scales and offsets.
///
/// With d and m at or above zero, no step lies below the offset and no offset above zero: values that all lie between 10
/// and 11 would be steps up from 0. So when all lie on one side of zero their mirror image is tried as well, and −d and −m
/// mirror it back.
pub(in crate::formats) fn nested_lines<const GROUPS: usize, const N: usize>(
    x: &[[f32; N]],
    w: &[[f32; N]],
    levels: Steps,
    ends: &[(f32, f32)],
    multiples: Steps,
    tops: &[f32],
) -> Lines<GROUPS> {
    let upright = upright_lines(x, w, levels, ends, multiples, tops);
    let (below, above) = (x.as_flattened().iter().any(|&v| v < 0.0), x.as_flattened().iter().any(|&v| v > 0.0));
    if below && above || upright.error == 0.0 {
        return upright;
    }
    let mirrored: [[f32; N]; GROUPS] = std::array::from_fn(|g| x[g].map(|v| -v));
    let mirrored = upright_lines(&mirrored, w, levels, ends, multiples, tops);
    if mirrored.error < upright.error { Lines { d: -mirrored.d, m: -mirrored.m, ..mirrored } } else { upright }
}

/// [`nested_lines`] with d and m at or above zero. Not inlined, because it is called twice and long.
#[inline(never)]
fn upright_lines<const GROUPS: usize, const N: usize>(
    x: &[[f32; N]],
    w: &[[f32; N]],
    levels: Steps,
    ends: &[(f32, f32)],
    multiples: Steps,
    tops: &[f32],
) -> Lines<GROUPS> {
    const TURNS: usize = 3;
    let groups: [Group<N>; GROUPS] = std::array::from_fn(|g| Group::new(&x[g], &w[g]));
    let wishes = groups.map(|group| group.best_line(levels, ends, 1, |o| o.min(0.0), |s| s));
    let (mut scales, mut mins) = (wishes.map(|wish| wish.scale), wishes.map(|wish| -wish.offset));
    let row = |wish: &[f32; GROUPS], costs| Group::new(wish, &costs).best_scale(multiples, tops, 2, as_scale).scale;
    let mut d = row(&scales, wishes.map(|wish| wish.stiffness));
    let mut m = row(&mins, groups.map(|group| group.weight));

    let mut best = Lines { d: 0.0, m: 0.0, c: [0.0; GROUPS], k: [0.0; GROUPS], error: f32::INFINITY };
    for _ in 0..TURNS {
        let mut this = Lines { d, m, error: 0.0, ..best };
        let mut normal = Normal::default();
        for g in 0..GROUPS {
            let near = multiples.step(scales[g] * inverse(d));
            let mut chosen: Option<Fit> = None;
            for c in [near, multiples.step(near - 1.0), multiples.step(near + 1.0)] {
                // The offset that suits this scale: from the wish, in one or two corrections.
                let mut k = multiples.step(mins[g] * inverse(m));
                for _ in 0..3 {
                    let tried = groups[g].fit(d * c, -(m * k), levels);
                    if chosen.is_none_or(|chosen| tried.error < chosen.error) {
                        (chosen, this.c[g], this.k[g]) = (Some(tried), c, k);
                    }
                    let better = multiples.step(k - tried.r / groups[g].weight * inverse(m));
                    if better == k {
                        break;
                    }
                    k = better;
                }
            }
            let Some(chosen) = chosen else { continue };
            this.error += chosen.error;
            normal.add(&chosen, this.c[g], this.k[g], groups[g].weight);
            (scales[g], mins[g]) = (chosen.scale, -chosen.offset);
        }
        if this.error < best.error {
            best = this;
        }
        let (by_d, by_m) = normal.solve();
        let next = (as_scale(d + by_d), as_f16(m + by_m));
        if next == (d, m) {
            break;
        }
        (d, m) = next;
    }
    best
}

/// The least-squares problem for d and m over a block, in the products a = c · q and b = −k.
#[derive(Default)]
struct Normal {
    aa: f32,
    ab: f32,
    bb: f32,
    ar: f32,
    br: f32,
}

impl Normal {
    fn add(&mut self, group: &Fit, c: f32, k: f32, weight: f32) {
        self.aa += c * c * group.qq;
        self.ab -= c * k * group.q;
        self.bb += k * k * weight;
        self.ar += c * group.qr;
        self.br -= k * group.r;
    }

    /// The changes of d and m. With no offset in the block, or levels that move with it, d alone changes.
    fn solve(&self) -> (f32, f32) {
        let det = self.aa * self.bb - self.ab * self.ab;
        if det > 1e-6 * self.aa * self.bb {
            let (d, m) = (self.ar * self.bb - self.br * self.ab, self.br * self.aa - self.ar * self.ab);
            (d / det, m / det)
        } else if self.aa > 0.0 {
            (self.ar / self.aa, 0.0)
        } else {
            (0.0, 0.0)
        }
    }
}
