//! Four f32 side by side: the arithmetic of the search.
//!
//! An encoder spends its time in sums over a group of 16 or 32 values. A compiler may not reorder a sum of floats, so the
//! order is written down here once: four interleaved partial sums, added in pairs at the end. That is one register on
//! x86-64, and plain code that gives the same bits elsewhere.

use std::ops::{Add, Mul, Sub};

#[cfg(not(target_arch = "x86_64"))]
pub(in crate::formats) use plain::Lanes;
#[cfg(target_arch = "x86_64")]
pub(in crate::formats) use sse::Lanes;

impl Lanes {
    /// How many values.
    pub(super) const N: usize = 4;

    #[inline(always)]
    pub(super) fn splat(v: f32) -> Self {
        Lanes::new([v; 4])
    }

    /// (0 + 2) + (1 + 3).
    #[inline(always)]
    pub(super) fn sum(self) -> f32 {
        let [a, b, c, d] = self.to_array();
        (a + c) + (b + d)
    }
}

#[cfg(target_arch = "x86_64")]
mod sse {
    use super::{Add, Mul, Sub};
    use std::arch::x86_64::*;

    /// Four values.
    #[derive(Clone, Copy)]
    pub(in crate::formats) struct Lanes(__m128);

    /// Calls an intrinsic of the SSE that every x86-64 processor has.
    macro_rules! sse {
        ($call:expr) => {
            // SAFETY: SSE belongs to x86-64 itself, and an intrinsic on registers alone asks for nothing else.
            Lanes(unsafe { $call })
        };
    }

    impl Lanes {
        #[inline(always)]
        pub(in crate::formats) fn new(v: [f32; 4]) -> Self {
            Lanes(bytemuck::cast(v))
        }

        #[inline(always)]
        pub(in crate::formats) fn to_array(self) -> [f32; 4] {
            bytemuck::cast(self.0)
        }

        /// The smaller of each pair.
        #[inline(always)]
        pub(in crate::formats) fn min(self, other: Self) -> Self {
            sse!(_mm_min_ps(self.0, other.0))
        }

        /// The larger of each pair.
        #[inline(always)]
        pub(in crate::formats) fn max(self, other: Self) -> Self {
            sse!(_mm_max_ps(self.0, other.0))
        }

        /// `gap` where the value is above `threshold`, else 0.
        #[inline(always)]
        pub(in crate::formats) fn if_above(self, threshold: f32, gap: f32) -> Self {
            sse!(_mm_and_ps(_mm_cmpgt_ps(self.0, _mm_set1_ps(threshold)), _mm_set1_ps(gap)))
        }
    }

    macro_rules! operators {
        ($($trait:ident $method:ident $intrinsic:ident)*) => { $(
            impl $trait for Lanes {
                type Output = Lanes;
                #[inline(always)]
                fn $method(self, other: Lanes) -> Lanes { sse!($intrinsic(self.0, other.0)) }
            }
        )* };
    }
    operators! { Add add _mm_add_ps  Sub sub _mm_sub_ps  Mul mul _mm_mul_ps }
}

#[cfg(any(test, not(target_arch = "x86_64")))]
mod plain {
    use super::{Add, Mul, Sub};

    /// Four values.
    #[derive(Clone, Copy)]
    pub(in crate::formats) struct Lanes([f32; 4]);

    impl Lanes {
        #[inline(always)]
        pub(in crate::formats) fn new(v: [f32; 4]) -> Self {
            Lanes(v)
        }

        #[inline(always)]
        pub(in crate::formats) fn to_array(self) -> [f32; 4] {
            self.0
        }

        /// The smaller of each pair.
        #[inline(always)]
        pub(in crate::formats) fn min(self, other: Self) -> Self {
            Lanes(std::array::from_fn(|i| if self.0[i] < other.0[i] { self.0[i] } else { other.0[i] }))
        }

        /// The larger of each pair.
        #[inline(always)]
        pub(in crate::formats) fn max(self, other: Self) -> Self {
            Lanes(std::array::from_fn(|i| if self.0[i] > other.0[i] { self.0[i] } else { other.0[i] }))
        }

        /// `gap` where the value is above `threshold`, else 0.
        #[inline(always)]
        pub(in crate::formats) fn if_above(self, threshold: f32, gap: f32) -> Self {
            Lanes(self.0.map(|v| if v > threshold { gap } else { 0.0 }))
        }
    }

    macro_rules! operators {
        ($($trait:ident $method:ident $operator:tt)*) => { $(
            impl $trait for Lanes {
                type Output = Lanes;
                #[inline(always)]
                fn $method(self, other: Lanes) -> Lanes { Lanes(std::array::from_fn(|i| self.0[i] $operator other.0[i])) }
            }
        )* };
    }
    operators! { Add add +  Sub sub -  Mul mul * }
}

#[cfg(test)]
mod tests {
    use super::{Lanes, plain};

    /// Zeros of both signs, ties, subnormals, the extremes, infinities and NaN, each beside each.
    #[test]
    fn registers_and_plain_code_agree_bit_for_bit() {
        const V: [f32; 12] =
            [0.0, -0.0, 1.0, -1.0, 0.1, 1e-45, f32::MIN_POSITIVE, 1e30, f32::MAX, f32::MIN, f32::INFINITY, f32::NAN];
        // Which NaN comes out of an operation is nobody's promise.
        let bits = |v: [f32; 4]| v.map(|v| if v.is_nan() { !0 } else { v.to_bits() });
        for a in V {
            for b in V {
                let (x, y) = ([a, b, b, a], [b, a, 0.5, 3.0]);
                let (r, s) = (Lanes::new(x), Lanes::new(y));
                let (p, q) = (plain::Lanes::new(x), plain::Lanes::new(y));
                assert_eq!(bits((r + s).to_array()), bits((p + q).to_array()), "{a} + {b}");
                assert_eq!(bits((r - s).to_array()), bits((p - q).to_array()), "{a} - {b}");
                assert_eq!(bits((r * s).to_array()), bits((p * q).to_array()), "{a} * {b}");
                assert_eq!(bits(r.min(s).to_array()), bits(p.min(q).to_array()), "min {a} {b}");
                assert_eq!(bits(r.max(s).to_array()), bits(p.max(q).to_array()), "max {a} {b}");
                assert_eq!(bits(r.if_above(b, 7.0).to_array()), bits(p.if_above(b, 7.0).to_array()), "{a} > {b}");
            }
        }
        assert_eq!(Lanes::new([1e8, 1.0, -1e8, 2.0]).sum(), 3.0);
    }
}
