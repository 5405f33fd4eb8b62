//! Addition: `xᵢ = xᵢ + yᵢ`, and a bias in every row. One rounding each.

use super::{Machine, Parts, partial};
use crate::lanes::{self, Kernel, Lanes};

/// Values per piece: enough that handing it out costs little beside it.
pub(super) const GRAIN: usize = 16 << 10;

/// `xᵢ += yᵢ`.
pub fn add(m: &Machine, x: &mut [f32], y: &[f32]) {
    assert_eq!(x.len(), y.len());
    let out = Parts::new(x);
    m.in_ranges(y.len(), 16, GRAIN, &|range, _| {
        // SAFETY: ranges are disjoint.
        let x = unsafe { out.part(range.clone()) };
        lanes::run(m.level, Add { x, y: &y[range] });
    });
}

/// Adds `bias` (f32 bytes) to every row of `x`.
pub fn add_bias(m: &Machine, x: &mut [f32], bias: &[u8]) {
    let n = bias.len() / 4;
    assert!(n > 0 && x.len().is_multiple_of(n));
    let (len, out) = (x.len(), Parts::new(x));
    m.in_ranges(len, n, GRAIN, &|range, _| {
        // SAFETY: ranges are disjoint.
        for row in unsafe { out.part(range) }.chunks_exact_mut(n) {
            lanes::run(m.level, AddBias { x: row, bias });
        }
    });
}

pub(super) struct Add<'a> {
    pub(super) x: &'a mut [f32],
    pub(super) y: &'a [f32],
}

impl Kernel for Add<'_> {
    type Out = ();

    #[inline(always)]
    unsafe fn at<L: Lanes>(self) {
        for i in (0..self.y.len()).step_by(16) {
            // SAFETY: the level's instructions exist.
            unsafe {
                let sum = L::add(partial::load::<L>(self.x, i, 0.0), partial::load::<L>(self.y, i, 0.0));
                partial::store::<L>(self.x, i, sum);
            }
        }
    }
}

struct AddBias<'a> {
    x: &'a mut [f32],
    bias: &'a [u8],
}

impl Kernel for AddBias<'_> {
    type Out = ();

    #[inline(always)]
    unsafe fn at<L: Lanes>(self) {
        for i in (0..self.x.len()).step_by(16) {
            // SAFETY: the level's instructions exist.
            unsafe {
                let sum = L::add(partial::load::<L>(self.x, i, 0.0), partial::load_bytes::<L>(self.bias, i));
                partial::store::<L>(self.x, i, sum);
            }
        }
    }
}
