//! The search that the encoders share: which scale, and which offset, lose least.
//!
//! A group of values x is stored as levels q out of a small set, times a scale s, plus, in some formats, an offset o. Given s
//! and o the best q is the nearest level. Given q the best s and o solve a small least-squares problem in what is left:
//!
//! ```text
//!      x̂ᵢ = s · qᵢ + o        rᵢ = xᵢ − x̂ᵢ        E = Σ wᵢ · rᵢ²
//!
//!      ⎡ Σwq²  Σwq ⎤ ⎡ δs ⎤   ⎡ Σwqr ⎤
//!      ⎣ Σwq   Σw  ⎦ ⎣ δo ⎦ = ⎣ Σwr  ⎦            s + δs, o + δo: the best for these q
//! ```
//!
//! The two taken in turn descend into a valley of E, and there are many: a search looks at several starts, takes the most
//! promising and descends from there. Scales and offsets are rounded to what the format can store *before* they are judged,
//! so what is compared is the error of what a decoder will read.
//!
//! The weights w are the importance of the columns, or all one. Nothing else is mixed in (some encoders weigh large values
//! more), so what falls is the mean squared error itself, weighted or not.

mod lanes;
mod nested;

use half::f16;

use lanes::Lanes;
pub(super) use nested::{nested_lines, nested_scales};

/// The numbers that a code can stand for, before the scale.
pub(super) trait Levels: Copy {
    /// The level nearest to each value.
    fn nearest(self, v: Lanes) -> Lanes;
}

/// The integers `low..=high`, coded from zero.
#[derive(Clone, Copy)]
pub(super) struct Steps {
    pub(super) low: f32,
    pub(super) high: f32,
}

/// 1.5 · 2²³: a small number added to it loses its fraction, rounded to nearest even, and leaves itself in the low bits.
/// `f32::round_ties_even` is a call on processors before SSE4.1.
const INTEGERS: f32 = 12_582_912.0;

impl Levels for Steps {
    #[inline(always)]
    fn nearest(self, v: Lanes) -> Lanes {
        let v = v.min(Lanes::splat(self.high)).max(Lanes::splat(self.low));
        (v + Lanes::splat(INTEGERS)) - Lanes::splat(INTEGERS)
    }
}

impl Steps {
    /// [`Levels::nearest`] for one value.
    #[inline(always)]
    fn step(self, v: f32) -> f32 {
        (v.max(self.low).min(self.high) + INTEGERS) - INTEGERS
    }
}

/// Any ascending integers.
#[derive(Clone, Copy)]
pub(super) struct Table<const N: usize>(pub(super) [i8; N]);

impl<const N: usize> Levels for Table<N> {
    /// Climbs from the lowest level, one gap for each midpoint that lies below the value.
    #[inline(always)]
    fn nearest(self, v: Lanes) -> Lanes {
        let mut level = Lanes::splat(self.0[0] as f32);
        for pair in self.0.windows(2) {
            let (below, above) = (pair[0] as f32, pair[1] as f32);
            level = level + v.if_above((below + above) * 0.5, above - below);
        }
        level
    }
}

/// A group of values with their weights, and what the search asks about it over and over.
#[derive(Clone, Copy)]
pub(super) struct Group<'a, const N: usize> {
    x: &'a [f32; N],
    w: &'a [f32; N],
    /// Σ w
    weight: f32,
    /// The smallest value.
    low: f32,
    /// The largest value.
    high: f32,
}

/// What one choice of scale and offset makes of a group.
#[derive(Clone, Copy)]
struct Fit {
    scale: f32,
    offset: f32,
    /// E = Σ w · r²
    error: f32,
    /// Σ w · q · r
    qr: f32,
    /// Σ w · r
    r: f32,
    /// Σ w · q²
    qq: f32,
    /// Σ w · q
    q: f32,
}

/// A scale and an offset, and a bound on the error they leave.
#[derive(Clone, Copy)]
pub(super) struct Line {
    pub(super) scale: f32,
    pub(super) offset: f32,
    bound: f32,
    /// Σ w · q²: a change δ of the scale costs δ² times this.
    stiffness: f32,
}

impl<'a, const N: usize> Group<'a, N> {
    #[inline(always)]
    pub(super) fn new(x: &'a [f32; N], w: &'a [f32; N]) -> Self {
        let weight = lanes(w).fold(Lanes::splat(0.0), |sum, w| sum + w).sum();
        let first = Lanes::splat(x[0]);
        let (low, high) = lanes(x).fold((first, first), |(low, high), x| (low.min(x), high.max(x)));
        let low = low.to_array().into_iter().fold(x[0], |a, b| if b < a { b } else { a });
        let high = high.to_array().into_iter().fold(x[0], |a, b| if b > a { b } else { a });
        Group { x, w, weight, low, high }
    }

    /// The value of largest magnitude, with its sign.
    #[inline(always)]
    pub(super) fn peak(&self) -> f32 {
        if -self.low > self.high { self.low } else { self.high }
    }

    /// Tries one scale and one offset. Sums that the caller does not read are not computed, once this is inlined.
    #[inline(always)]
    fn fit(&self, scale: f32, offset: f32, levels: impl Levels) -> Fit {
        let (scales, offsets, inverses) = (Lanes::splat(scale), Lanes::splat(offset), Lanes::splat(inverse(scale)));
        let zero = Lanes::splat(0.0);
        let (mut error, mut qr, mut r, mut qq, mut q) = (zero, zero, zero, zero, zero);
        for (x, w) in lanes(self.x).zip(lanes(self.w)) {
            let x = x - offsets;
            let level = levels.nearest(x * inverses);
            let rest = x - scales * level;
            let (wl, wr) = (w * level, w * rest);
            error = error + wr * rest;
            qr = qr + wr * level;
            r = r + wr;
            qq = qq + wl * level;
            q = q + wl;
        }
        Fit { scale, offset, error: error.sum(), qr: qr.sum(), r: r.sum(), qq: qq.sum(), q: q.sum() }
    }

    /// The error under one scale, without offset.
    #[inline(always)]
    pub(super) fn error(&self, scale: f32, levels: impl Levels) -> f32 {
        self.fit(scale, 0.0, levels).error
    }

    /// The scale of least error, for a format without offset.
    ///
    /// `ends` says on which numbers the value of largest magnitude may come to lie, one start for each; the best start
    /// then improves `rounds` times. `stored` rounds a scale to what the format can hold.
    #[inline(always)]
    pub(super) fn best_scale(
        &self,
        levels: impl Levels,
        ends: &[f32],
        rounds: usize,
        stored: impl Fn(f32) -> f32,
    ) -> Line {
        let mut best = Line::WORST;
        for i in 0..ends.len() + rounds {
            let scale = ends.get(i).map_or(best.scale, |end| stored(self.peak() / end));
            let tried = self.fit(scale, 0.0, levels);
            best = best.or(self.line(&tried, stored(tried.scale_at(0.0)), 0.0));
        }
        best
    }

    /// The scale and the offset of least error.
    ///
    /// `ends` says on which numbers the smallest and the largest value may come to lie, one start for each; the best start
    /// then improves `rounds` times. `stored_offset` and `stored_scale` round to what the format can hold.
    #[inline(always)]
    pub(super) fn best_line(
        &self,
        levels: Steps,
        ends: &[(f32, f32)],
        rounds: usize,
        stored_offset: impl Fn(f32) -> f32,
        stored_scale: impl Fn(f32) -> f32,
    ) -> Line {
        let low = stored_offset(self.low);
        let mut best = Line::WORST;
        for i in 0..ends.len() + rounds {
            let (scale, offset) = ends.get(i).map_or((best.scale, best.offset), |&(first, last)| {
                let offset = stored_offset(low - first * (self.high - low) / (last - first));
                (stored_scale((self.high - offset) / last), offset)
            });
            let tried = self.fit(scale, offset, levels);
            let offset = stored_offset(tried.best_offset(self.weight));
            best = best.or(self.line(&tried, stored_scale(tried.scale_at(offset)), offset));
        }
        best
    }

    /// What was tried, or a scale and offset that suit its levels better.
    ///
    /// To the bound belongs what rounding may hide: in the sums, or a trial far off the mark would be promising by what
    /// happens to cancel, and in numbers as large as these, or choices that are equal would differ by chance.
    #[inline(always)]
    fn line(&self, tried: &Fit, scale: f32, offset: f32) -> Line {
        let span = if offset == 0.0 { self.peak() } else { self.high - self.low };
        let hidden = 1e-5 * tried.error + 1e-8 * self.weight * span * span;
        let error = tried.error_at(scale, offset, self.weight).max(0.0);
        if error < tried.error {
            Line { scale, offset, bound: error + hidden, stiffness: tried.qq }
        } else {
            Line { scale: tried.scale, offset: tried.offset, bound: tried.error + hidden, stiffness: tried.qq }
        }
    }
}

impl Fit {
    /// E with the same q under another scale and offset, which choosing q anew can only lower; `weight` is Σ w.
    #[inline(always)]
    fn error_at(&self, scale: f32, offset: f32, weight: f32) -> f32 {
        let (s, o) = (scale - self.scale, offset - self.offset);
        self.error - s * (2.0 * self.qr - s * self.qq) - o * (2.0 * (self.r - s * self.q) - o * weight)
    }

    /// The best scale for these q once the offset has become `offset`.
    #[inline(always)]
    fn scale_at(&self, offset: f32) -> f32 {
        if self.qq > 0.0 { self.scale + (self.qr - (offset - self.offset) * self.q) / self.qq } else { self.scale }
    }

    /// The best offset for these q, the scale following.
    #[inline(always)]
    fn best_offset(&self, weight: f32) -> f32 {
        let det = self.qq * weight - self.q * self.q;
        let by = if det > 0.0 { (self.r * self.qq - self.qr * self.q) / det } else { self.r / weight };
        self.offset + by
    }
}

impl Line {
    const WORST: Line = Line { scale: 0.0, offset: 0.0, bound: f32::INFINITY, stiffness: 0.0 };

    /// The better of two; the other must be better by a thousandth. Groups that are alike must choose alike, or they would
    /// share no scale of their block, and equal choices are common where weights take few values.
    #[inline(always)]
    fn or(self, other: Line) -> Line {
        if other.bound < self.bound * 0.999 { other } else { self }
    }
}

/// Starts for [`Group::best_line`]: the range fills all the steps, all but one, or is cut short by some at either end.
pub(super) const fn starts(levels: Steps) -> [(f32, f32); 12] {
    let (a, b, c, d) = (levels.high, levels.high - 1.0, levels.high + 0.4, levels.high + 0.8);
    let (e, f) = (-0.4, -0.8);
    [(0.0, a), (0.0, b), (0.0, c), (0.0, d), (e, a), (e, b), (e, c), (e, d), (f, a), (f, b), (f, c), (f, d)]
}

/// 1 / scale, or 0 for a scale far below what any of these formats can store.
#[inline(always)]
fn inverse(scale: f32) -> f32 {
    if scale.abs() < 1e-30 { 0.0 } else { 1.0 / scale }
}

/// The nearest level to each value of a group, given its scale and offset.
#[inline(always)]
pub(super) fn levels_of<const N: usize>(x: &[f32; N], scale: f32, offset: f32, levels: impl Levels) -> [f32; N] {
    let (offset, inverse) = (Lanes::splat(offset), Lanes::splat(inverse(scale)));
    let mut out = [0.0; N];
    for (out, x) in out.as_chunks_mut().0.iter_mut().zip(lanes(x)) {
        *out = levels.nearest((x - offset) * inverse).to_array();
    }
    out
}

/// The codes of a group on integer steps, given its scale and offset.
#[inline(always)]
pub(super) fn codes<const N: usize>(x: &[f32; N], scale: f32, offset: f32, levels: Steps) -> [u8; N] {
    let mut codes = [0; N];
    for (code, level) in codes.iter_mut().zip(levels_of(x, scale, offset, levels)) {
        *code = (level - levels.low + INTEGERS).to_bits() as u8;
    }
    codes
}

/// A group, four values at a time.
#[inline(always)]
fn lanes<const N: usize>(x: &[f32; N]) -> impl Iterator<Item = Lanes> {
    const { assert!(N.is_multiple_of(Lanes::N)) };
    x.as_chunks().0.iter().map(|x| Lanes::new(*x))
}

/// A slice as an array, whose length the compiler knows.
#[inline(always)]
pub(super) fn array<const N: usize>(x: &[f32]) -> &[f32; N] {
    x.try_into().expect("a slice as long as the block")
}

/// The nearest f16, as f32, and the largest finite one for what lies beyond; ties go to even.
#[inline(always)]
pub(super) fn as_f16(v: f32) -> f32 {
    let v = v.clamp(-65504.0, 65504.0);
    if v.abs() < 6.103_515_6e-5 {
        // Below 2⁻¹⁴ the f16 are the multiples of 2⁻²⁴, as the f32 are between ½ and 1.
        return (v + 0.75) - 0.75;
    }
    // Above, they are the f32 whose last 13 bits are zero.
    let bits = v.to_bits();
    f32::from_bits((bits + 0xFFF + (bits >> 13 & 1)) & !0x1FFF)
}

/// [`as_f16`] for a scale whose levels include zero: the smallest f16 rather than zero, so that the largest of small values
/// still find a step.
#[inline(always)]
pub(super) fn as_scale(v: f32) -> f32 {
    const SMALLEST: f32 = 1.0 / (1 << 24) as f32;
    if v != 0.0 && v.abs() < SMALLEST { SMALLEST.copysign(v) } else { as_f16(v) }
}

/// Writes a number that [`as_f16`] or [`as_scale`] returned.
#[inline(always)]
pub(super) fn put_f16(bytes: &mut [u8], v: f32) {
    bytes.copy_from_slice(&f16::from_f32(v).to_le_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every f16, the points halfway to the next, and their neighbours.
    #[test]
    fn as_f16_rounds_as_half_does() {
        for bits in 0..0x7C00u16 {
            let (here, next) = (f16::from_bits(bits).to_f32(), f16::from_bits(bits + 1).to_f32());
            let middle = (here + next) * 0.5;
            for v in [here, middle, middle.next_down(), middle.next_up()] {
                let want = f16::from_f32(v).to_f32();
                let want = if want.is_finite() { want } else { 65504.0 };
                assert_eq!(as_f16(v), want, "{v:e}");
                assert_eq!(as_f16(-v), -want, "{v:e}");
            }
        }
        assert_eq!(as_f16(f32::MAX), 65504.0);
        assert!(as_f16(-0.0).to_bits() == 0, "a scale of zero has one spelling");
    }

    #[test]
    fn nearest_levels_are_nearest() {
        let table = Table([-12, -8, -6, -4, -3, -2, -1, 0, 1, 2, 3, 4, 6, 8, 12]);
        let steps = Steps { low: -4.0, high: 3.0 };
        for i in -1500..=1500 {
            let v = i as f32 / 100.0;
            let [level, ..] = table.nearest(Lanes::splat(v)).to_array();
            assert!(
                table.0.iter().all(|&l| (v - level).abs() <= (v - l as f32).abs()),
                "{v} is not nearest to {level}"
            );
            let [step, ..] = steps.nearest(Lanes::splat(v)).to_array();
            assert_eq!(step, v.round_ties_even().clamp(-4.0, 3.0), "{v}");
            assert_eq!(step, steps.step(v), "{v}");
        }
    }

    /// The closed form against the sum itself, both in exact arithmetic: every number is a small multiple of 1/8.
    #[test]
    fn predicted_errors_are_the_errors() {
        let x = [0.125, 0.5, -1.0, 2.0, 3.5, -0.25, 1.75, 0.0];
        let w = [1.0, 2.0, 1.0, 0.5, 1.0, 1.0, 0.25, 1.0];
        let levels = Steps { low: -4.0, high: 3.0 };
        let group = Group::new(&x, &w);
        let tried = group.fit(0.5, 0.25, levels);
        let q = levels_of(&x, 0.5, 0.25, levels);
        for (scale, offset) in [(0.5, 0.25), (1.0, 0.25), (0.5, -0.5), (-0.25, 2.0)] {
            let direct: f32 = (0..8).map(|i| w[i] * (x[i] - scale * q[i] - offset).powi(2)).sum();
            assert_eq!(tried.error_at(scale, offset, group.weight), direct, "scale {scale} offset {offset}");
        }
    }
}
