//! The norms, over each row of n values:
//!
//! ```text
//! RMSNorm     yᵢ = gainᵢ · (xᵢ · r)                        r = 1 / √(Σ x² / n + ε)
//! LayerNorm   yᵢ = fma(gainᵢ, (xᵢ − mean) · r, biasᵢ)       r = 1 / √(Σ (x − mean)² / n + ε),  mean = Σ x / n
//! ```
//!
//! Sums run in sixteen lanes, element i in lane i mod 16, squares by fused multiply-add; the lanes are added in order. Every
//! other sign above is one rounding to f32.

use super::{Machine, Parts, add::GRAIN, partial};
use crate::lanes::{self, Kernel, Lanes, sum_in_order};

/// RMSNorm of every row of `x` into `y`; `gain` is f32 bytes as long as a row.
pub fn rms_norm(m: &Machine, x: &[f32], gain: &[u8], eps: f32, y: &mut [f32]) {
    let n = gain.len() / 4;
    assert!(n > 0 && x.len().is_multiple_of(n) && x.len() == y.len());
    let out = Parts::new(y);
    m.in_ranges(x.len(), n, GRAIN / 4, &|range, _| {
        // SAFETY: ranges are disjoint.
        let y = unsafe { out.part(range.clone()) };
        for (x, y) in x[range].chunks_exact(n).zip(y.chunks_exact_mut(n)) {
            lanes::run(m.level, RmsNorm { x, gain, eps, y });
        }
    });
}

/// `x = x + y`, then `out` = RMSNorm of `x`: the end of one half of a layer and the start of the next, in one pass.
///
/// The same bits as [`add`](super::add) and [`rms_norm`] one after the other.
pub fn add_rms_norm(m: &Machine, x: &mut [f32], y: &[f32], gain: &[u8], eps: f32, out: &mut [f32]) {
    let n = gain.len() / 4;
    assert!(n > 0 && x.len().is_multiple_of(n) && x.len() == y.len() && x.len() == out.len());
    let (x, out) = (Parts::new(x), Parts::new(out));
    m.in_ranges(y.len(), n, GRAIN / 4, &|range, _| {
        // SAFETY: ranges are disjoint.
        let (x, out) = unsafe { (x.part(range.clone()), out.part(range.clone())) };
        for ((x, y), out) in x.chunks_exact_mut(n).zip(y[range].chunks_exact(n)).zip(out.chunks_exact_mut(n)) {
            lanes::run(m.level, super::add::Add { x, y });
            lanes::run(m.level, RmsNorm { x, gain, eps, y: out });
        }
    });
}

/// LayerNorm of every row of `x` into `y`; `gain` and `bias` are f32 bytes as long as a row.
pub fn layer_norm(m: &Machine, x: &[f32], gain: &[u8], bias: &[u8], eps: f32, y: &mut [f32]) {
    let n = gain.len() / 4;
    assert!(n > 0 && x.len().is_multiple_of(n) && x.len() == y.len() && gain.len() == bias.len());
    let out = Parts::new(y);
    m.in_ranges(x.len(), n, GRAIN / 4, &|range, _| {
        // SAFETY: ranges are disjoint.
        let y = unsafe { out.part(range.clone()) };
        for (x, y) in x[range].chunks_exact(n).zip(y.chunks_exact_mut(n)) {
            lanes::run(m.level, LayerNorm { x, gain, bias, eps, y });
        }
    });
}

struct RmsNorm<'a> {
    x: &'a [f32],
    gain: &'a [u8],
    eps: f32,
    y: &'a mut [f32],
}

impl Kernel for RmsNorm<'_> {
    type Out = ();

    #[inline(always)]
    unsafe fn at<L: Lanes>(self) {
        let RmsNorm { x, gain, eps, y } = self;
        // SAFETY: the level's instructions exist.
        unsafe {
            let mut squares = L::splat(0.0);
            for i in (0..x.len()).step_by(16) {
                let x = partial::load::<L>(x, i, 0.0);
                squares = L::fma(x, x, squares);
            }
            let r = L::splat(1.0 / (sum_in_order::<L>(squares) / x.len() as f32 + eps).sqrt());
            for i in (0..x.len()).step_by(16) {
                let normed = L::mul(partial::load::<L>(x, i, 0.0), r);
                partial::store::<L>(y, i, L::mul(partial::load_bytes::<L>(gain, i), normed));
            }
        }
    }
}

struct LayerNorm<'a> {
    x: &'a [f32],
    gain: &'a [u8],
    bias: &'a [u8],
    eps: f32,
    y: &'a mut [f32],
}

impl Kernel for LayerNorm<'_> {
    type Out = ();

    #[inline(always)]
    unsafe fn at<L: Lanes>(self) {
        let LayerNorm { x, gain, bias, eps, y } = self;
        let n = x.len() as f32;
        // SAFETY: the level's instructions exist.
        unsafe {
            let mut sum = L::splat(0.0);
            for i in (0..x.len()).step_by(16) {
                sum = L::add(sum, partial::load::<L>(x, i, 0.0));
            }
            let mean = sum_in_order::<L>(sum) / n;
            let mut squares = L::splat(0.0);
            for i in (0..x.len()).step_by(16) {
                // A lane past the end holds the mean, and adds nothing.
                let from_mean = L::sub(partial::load::<L>(x, i, mean), L::splat(mean));
                squares = L::fma(from_mean, from_mean, squares);
            }
            let r = L::splat(1.0 / (sum_in_order::<L>(squares) / n + eps).sqrt());
            for i in (0..x.len()).step_by(16) {
                let normed = L::mul(L::sub(partial::load::<L>(x, i, 0.0), L::splat(mean)), r);
                let scaled = L::fma(partial::load_bytes::<L>(gain, i), normed, partial::load_bytes::<L>(bias, i));
                partial::store::<L>(y, i, scaled);
            }
        }
    }
}
