//! e^x and ln x from `+ − × ÷` alone, so that every platform computes the same bits.
//!
//! The standard library calls the system's C library for these, and those differ from one another in the last bit: enough
//! to move a token across a threshold. Both functions here stay within 2⁻⁵¹ of the exact value, relatively.

use std::f64::consts::{LN_2, LOG2_E};

/// ln 2 cut after 33 bits: its product with an exponent of up to 11 bits, sign aside, is exact.
const LN_2_HIGH: f64 = f64::from_bits(0x3fe6_2e42_fee0_0000);
/// What is missing from [`LN_2_HIGH`].
const LN_2_LOW: f64 = f64::from_bits(0x3dea_39ef_3579_3c76);

/// 1/n! for n from 0 to 13.
const INVERSE_FACTORIALS: [f64; 14] = {
    let mut table = [1.0; 14];
    let (mut n, mut factorial) = (1, 1.0); // 13! is exact
    while n < 14 {
        factorial *= n as f64;
        table[n] = 1.0 / factorial;
        n += 1;
    }
    table
};

/// `e^x = 2^k · e^r` with `k = round(x / ln 2)`, so `|r| ≤ ½ ln 2`, where the series ends: `0.347¹⁴/14! < 2⁻⁵⁷`.
///
/// Error: `1 + t` with `|t| ≤ 0.42`, where t carries about four roundings of 2⁻⁵³; then one more of at most 2⁻⁵³. That is
/// 2.7 · 2⁻⁵³ against a result of at least 0.7.
pub(super) fn exp(x: f64) -> f64 {
    if x.is_nan() {
        return x;
    }
    if x < -746.0 {
        return 0.0; // below half the smallest number
    }
    if x > 710.0 {
        return f64::INFINITY;
    }
    let k = (x * LOG2_E).round_ties_even();
    let r = (x - k * LN_2_HIGH) - k * LN_2_LOW;
    let series = INVERSE_FACTORIALS.iter().rev().fold(0.0, |sum, term| sum * r + term);
    // in two steps, because 2^k alone may be too large or too small for a number when the result is not
    let k = k as i32;
    series * power_of_two(k / 2) * power_of_two(k - k / 2)
}

/// 2^k for |k| ≤ 1022.
fn power_of_two(k: i32) -> f64 {
    f64::from_bits(((k + 1023) as u64) << 52)
}

/// `ln x = k ln 2 + 2 (s + s³/3 + s⁵/5 + …)` with `x = 2^k · m`, `√½ ≤ m < √2` and `s = (m − 1)/(m + 1)`, so
/// `|s| ≤ 0.172` and the term after s²¹/21 is below 2⁻⁶² of the sum.
///
/// Error: `m − 1` is exact, so near 1 the result keeps its relative precision; elsewhere it is at least ½ ln 2, against
/// about three roundings of 2⁻⁵³.
pub(super) fn ln(x: f64) -> f64 {
    if x.is_nan() || x < 0.0 {
        return f64::NAN;
    }
    if x == 0.0 {
        return f64::NEG_INFINITY;
    }
    if x == f64::INFINITY {
        return x;
    }
    if x < f64::MIN_POSITIVE {
        return ln(x * 18014398509481984.0) - 54.0 * LN_2; // subnormal: times 2^54
    }
    let mut k = (x.to_bits() >> 52) as i32 - 1023;
    let mut m = f64::from_bits(x.to_bits() & ((1 << 52) - 1) | 1023 << 52); // 1 ≤ m < 2
    if m > std::f64::consts::SQRT_2 {
        m *= 0.5;
        k += 1;
    }
    let s = (m - 1.0) / (m + 1.0);
    let square = s * s;
    let tail = (1..=10).rev().fold(0.0, |sum, n| (sum + 1.0 / (2 * n + 1) as f64) * square);
    let k = k as f64;
    k * LN_2_HIGH + (2.0 * s + (2.0 * s * tail + k * LN_2_LOW))
}

/// `x^y = e^(y ln x)` for x ≥ 0. Its error grows with `|y ln x|`.
pub(super) fn pow(x: f64, y: f64) -> f64 {
    if y == 0.0 { 1.0 } else { exp(y * ln(x)) }
}

/// The logarithm to base 2.
pub(super) fn log2(x: f64) -> f64 {
    ln(x) * LOG2_E
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Our bound of 2⁻⁵¹, and the one ulp (2⁻⁵²) that the system's function may be off itself.
    const BOUND: f64 = 3.0 * f64::EPSILON;

    fn close(ours: f64, theirs: f64, what: &str) {
        assert!((ours - theirs).abs() <= BOUND * theirs.abs(), "{what}: {ours:e} against {theirs:e}");
    }

    #[test]
    fn exp_is_the_exponential() {
        for i in -70_000..=70_000 {
            let x = i as f64 * 0.010_123;
            if x > -708.0 {
                close(exp(x), x.exp(), &format!("exp {x}"));
            }
        }
        assert_eq!([exp(0.0), exp(f64::NEG_INFINITY), exp(f64::INFINITY)], [1.0, 0.0, f64::INFINITY]);
        assert_eq!([exp(-745.0), exp(-746.5)], [5e-324, 0.0], "the smallest number, and nothing below");
        assert!(exp(709.0).is_finite() && exp(710.0).is_infinite() && exp(f64::NAN).is_nan());
    }

    #[test]
    fn ln_is_its_inverse() {
        for i in 1..=100_000u32 {
            let x = i as f64 * 0.000_37;
            close(ln(x), x.ln(), &format!("ln {x}"));
            close(ln(1.0 / x), (1.0 / x).ln(), &format!("ln 1/{x}"));
        }
        for k in -1074..=1023 {
            let x = if k < -1022 { f64::from_bits(1 << (k + 1074)) } else { power_of_two(k.min(1022)) };
            close(ln(x), x.ln(), &format!("ln 2^{k}"));
        }
        assert_eq!([ln(1.0), ln(0.0), ln(f64::INFINITY)], [0.0, f64::NEG_INFINITY, f64::INFINITY]);
        assert!(ln(-1.0).is_nan() && ln(f64::NAN).is_nan());
    }

    #[test]
    fn the_two_halves_of_ln_2_are_ln_2() {
        assert_eq!(LN_2_HIGH + LN_2_LOW, LN_2);
        assert_eq!(LN_2_HIGH.to_bits() & ((1 << 20) - 1), 0, "20 zero bits: products with k are exact");
    }

    /// These bits are the promise that a seed means the same text everywhere.
    #[test]
    fn the_bits_are_fixed() {
        let bits = [exp(-1.0), exp(-10.5), ln(0.1), ln(40.0), pow(1.1, 7.0)].map(f64::to_bits);
        assert_eq!(bits, FIXED, "{bits:#x?}");
    }

    const FIXED: [u64; 5] = [
        0x3fd7_8b56_362c_ef38,
        0x3efc_dfc2_63f6_a0ba,
        0xc002_6bb1_bbb5_5515,
        0x400d_82d3_3b32_720d,
        0x3fff_2df1_fb5a_7ed6,
    ];
}
