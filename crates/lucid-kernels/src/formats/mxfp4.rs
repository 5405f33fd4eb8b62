//! MXFP4: 32 four-bit floats with one power of two as their scale, from the OCP microscaling formats.
//!
//! ```text
//! byte     0       1         2         …        16
//!      ├───────┼─────────┼─────────┼───────┼─────────┤
//!      │   e   │ n₀ │n₁₆ │ n₁ │n₁₇ │   …   │n₁₅ │n₃₁ │     low nibble │ high nibble
//!      └───────┴─────────┴─────────┴───────┴─────────┘
//!      xᵢ = 2^(e − 128) · E2M1_TWICE[nᵢ]                 17 bytes for 32 values, 4.25 bits each
//! ```
//!
//! A nibble is 1 sign, 2 exponent and 1 mantissa bits: ±{0, ½, 1, 1½, 2, 3, 4, 6}. The table holds twice that, to be
//! integers, so the scale is half of the 2^(e − 127) that the standard writes. Two readings follow GGUF's definition and not
//! the standard: e = 255 is a scale of 2^127 and no NaN, and the nibble 8 is 0 and not −0.

use super::{
    Block, Encode, Format,
    q4_0::put_nibbles,
    search::{Group, Table, array, levels_of},
    unpack::{Unpack, all_nibbles_at, floats, lookups, neighbours, nibbles_across, nibbles_at, raised},
};
use crate::lanes::{Lanes, Order, each};

/// Twice the value of each four-bit float: sign in the top bit, then two bits of exponent and one of mantissa.
pub(super) const E2M1_TWICE: [i8; 16] = [0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12];

/// 32 four-bit floats and a power of two.
pub struct MXFP4;

impl Block for MXFP4 {
    const FORMAT: Format = Format::MXFP4;
    const LEN: usize = 32;
    const BYTES: usize = 17;

    fn decode(bytes: &[u8], out: &mut [f32]) {
        let d = half_scale(bytes[0]);
        for (i, &b) in bytes[1..17].iter().enumerate() {
            out[i] = d * E2M1_TWICE[usize::from(b & 15)] as f32;
            out[i + 16] = d * E2M1_TWICE[usize::from(b >> 4)] as f32;
        }
    }
}

/// 2^(e − 128), exactly: the two smallest are subnormal floats.
pub(super) fn half_scale(e: u8) -> f32 {
    let bits = match e {
        0 => 1 << 21,
        1 => 1 << 22,
        _ => (u32::from(e) - 1) << 23,
    };
    f32::from_bits(bits)
}

/// The fifteen different numbers of [`E2M1_TWICE`], ascending.
const LEVELS: Table<15> = Table([-12, -8, -6, -4, -3, -2, -1, 0, 1, 2, 3, 4, 6, 8, 12]);

impl Encode for MXFP4 {
    /// Up to the largest float: 2^127 is a scale like another.
    const LARGEST: f32 = f32::MAX;

    /// The scale is a power of two, so two are in question: the largest magnitude comes to lie between 4 and 8, cut off at 6,
    /// or between 2 and 4.
    #[inline(always)]
    fn encode(x: &[f32], weights: Option<&[f32]>, out: &mut [u8]) {
        let w = weights.map_or(&[1.0; 32], array);
        // The largest magnitude is 1.m · 2^(exponent − 127), or less when that is the smallest a scale can serve.
        let exponent = ((Group::new(array(x), w).peak().abs().to_bits() >> 23) as u8).max(2);
        // Brought to between 1 and 2, which is exact, so that no square of a value overflows or vanishes.
        let x: [f32; 32] = std::array::from_fn(|i| x[i] * half_scale(255 - exponent));
        let group = Group::new(&x, w);
        let (fine, coarse) = (0.125, 0.25);
        let (scale, e) = if group.error(coarse, LEVELS) < group.error(fine, LEVELS) {
            (coarse, exponent - 1)
        } else {
            (fine, exponent - 2)
        };
        out[0] = e;
        put_nibbles(&mut out[1..], level_codes(levels_of(&x, scale, 0.0, LEVELS)));
    }
}

/// The nibbles of levels; zero is written without a sign.
#[inline(always)]
fn level_codes(levels: [f32; 32]) -> [u8; 32] {
    /// The nibble of each level, at the level's low five bits.
    const CODES: [u8; 32] = {
        let mut codes = [0; 32];
        let mut code = E2M1_TWICE.len();
        while code > 0 {
            code -= 1;
            codes[(E2M1_TWICE[code] & 31) as usize] = code as u8;
        }
        codes
    };
    levels.map(|level| CODES[(level as i8 & 31) as usize])
}

/// The levels of MXFP4 and NVFP4, plus 12.
pub(super) const FLOATS: [u8; 16] = raised(E2M1_TWICE, 12);

impl Unpack for MXFP4 {
    const OFFSET: u8 = 12;
    const ORDER: Order = Order::Apart;
    const ACROSS: bool = true;

    #[inline(always)]
    unsafe fn codes<L: Lanes>(round: &[u8], k: usize) -> L::B {
        // SAFETY: the caller's word.
        unsafe { L::lookup(&FLOATS, nibbles_at::<L>(neighbours::<Self>(round, k), 1)) }
    }

    #[inline(always)]
    unsafe fn mixed<L: Lanes>(round: &[u8]) -> [L::B; 8] {
        // SAFETY: the caller's word.
        unsafe { lookups::<L>(&FLOATS, all_nibbles_at::<L, Self>(round, 1)) }
    }

    #[inline(always)]
    unsafe fn across<L: Lanes>(round: *const u8, stride: usize, pair: usize) -> [[L::B; 8]; 2] {
        // SAFETY: the caller's word.
        unsafe {
            let nibbles = nibbles_across::<L, Self>(round, stride, pair, 1);
            each!(2, i => lookups::<L>(&FLOATS, nibbles[i]))
        }
    }

    #[inline(always)]
    unsafe fn scales<L: Lanes>(round: &[u8], _: usize) -> [L::F; 2] {
        // SAFETY: the caller's word.
        unsafe { [floats::<L>(each!(16, i => half_scale(round[i * Self::BYTES]))); 2] }
    }
}

#[cfg(test)]
mod tests {
    use super::half_scale;

    #[test]
    fn every_scale_is_its_power_of_two() {
        for e in 0..=255u8 {
            assert_eq!(f64::from(half_scale(e)), 2f64.powi(i32::from(e) - 128));
        }
    }
}
