//! Softmax: `yᵢ = exp(xᵢ − max x) / Σⱼ exp(xⱼ − max x)` over a row.
//!
//! Sixteen partial sums, element i in lane i mod 16, added in the order of the lanes; one division per element.

use super::{Machine, Parts, add::GRAIN, partial};
use crate::lanes::{self, Kernel, Lanes};

/// Replaces every row of `n` values by its softmax.
pub fn softmax(m: &Machine, x: &mut [f32], n: usize) {
    assert!(n > 0 && x.len().is_multiple_of(n));
    let (len, out) = (x.len(), Parts::new(x));
    m.in_ranges(len, n, GRAIN / 4, &|range, _| {
        // SAFETY: ranges are disjoint.
        for row in unsafe { out.part(range) }.chunks_exact_mut(n) {
            lanes::run(m.level, Softmax(row));
        }
    });
}

struct Softmax<'a>(&'a mut [f32]);

impl Kernel for Softmax<'_> {
    type Out = ();

    #[inline(always)]
    unsafe fn at<L: Lanes>(self) {
        let x = self.0;
        // SAFETY: the level's instructions exist.
        unsafe {
            let mut max = L::splat(f32::NEG_INFINITY);
            for i in (0..x.len()).step_by(16) {
                let v = partial::load::<L>(x, i, f32::NEG_INFINITY);
                max = L::if_greater(v, max, v, max);
            }
            let max = L::splat(lanes::largest::<L>(max));
            let mut sum = L::splat(0.0);
            for i in (0..x.len()).step_by(16) {
                // A lane past the end holds −∞, whose exponential is 0.
                let e = lanes::exp::<L>(L::sub(partial::load::<L>(x, i, f32::NEG_INFINITY), max));
                sum = L::add(sum, e);
                partial::store::<L>(x, i, e);
            }
            let sum = L::splat(lanes::sum_in_order::<L>(sum));
            for i in (0..x.len()).step_by(16) {
                partial::store::<L>(x, i, L::div(partial::load::<L>(x, i, 0.0), sum));
            }
        }
    }
}
