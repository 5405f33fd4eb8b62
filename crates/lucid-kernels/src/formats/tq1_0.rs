//! TQ1_0: 256 values of −1, 0 or 1 times one scale, five of them in a byte.
//!
//! ```text
//! byte   0     …     31   32    …    47   48   …   51   52  53
//!      ├────────────────┼───────────────┼─────────────┼────────┤
//!      │ values 0 – 159 │   160 – 239   │  240 – 255  │ d  f16 │
//!      │  5 a byte      │   5 a byte    │  4 a byte   │        │
//!      └────────────────┴───────────────┴─────────────┴────────┘
//!      xᵢ = d · (tᵢ − 1),  tᵢ ∈ {0, 1, 2}                54 bytes for 256 values, 1.6875 bits each
//!
//!      value    0 + 32·n + k   is digit n of byte k         n = 0 … 4
//!      value  160 + 16·n + k   is digit n of byte 32 + k    n = 0 … 4
//!      value  240 +  4·n + k   is digit n of byte 48 + k    n = 0 … 3
//! ```
//!
//! Five ternary digits are one of 3⁵ = 243 numbers and fit a byte. To read a digit without dividing, the byte holds not
//! that number v but the fraction v / 243 in units of 1/256, rounded up. Multiplying the fraction by 3 carries its first
//! digit above the point; multiplying by 3ⁿ first and keeping only what is below the point brings digit n to the front.

use super::{
    Block, Encode, Format, f16_at,
    search::{Group, Steps, array, as_scale, codes, put_f16},
    unpack::{Unpack, bytes_at, one_each, within},
};
use crate::lanes::{Codes, Lanes};

/// 256 ternary digits, five to the byte, and an f16 scale.
pub struct TQ1_0;

/// The runs of bytes that hold digits: first byte, bytes, digits in each.
pub(super) const RUNS: [(usize, usize, u32); 3] = [(0, 32, 5), (32, 16, 5), (48, 4, 4)];

impl Block for TQ1_0 {
    const FORMAT: Format = Format::TQ1_0;
    const LEN: usize = 256;
    const BYTES: usize = 54;

    fn decode(bytes: &[u8], out: &mut [f32]) {
        let d = f16_at(bytes, 52);
        let mut rest = out;
        for (first, n, digits) in RUNS {
            for digit in 0..digits {
                let (x, after) = rest.split_at_mut(n);
                for (x, &b) in x.iter_mut().zip(&bytes[first..first + n]) {
                    let fraction = b.wrapping_mul(3u8.pow(digit));
                    let t = (u16::from(fraction) * 3) >> 8;
                    *x = d * (t as i32 - 1) as f32;
                }
                rest = after;
            }
        }
    }
}

impl Encode for TQ1_0 {
    #[inline(always)]
    fn encode(x: &[f32], weights: Option<&[f32]>, out: &mut [u8]) {
        let (d, t) = ternary(x, weights);
        let mut rest = &t[..];
        for (first, n, digits) in RUNS {
            let (run, after) = rest.split_at(n * digits as usize);
            for k in 0..n {
                // The digits as a number in base 3, filled up to five with zeros, then as a fraction of 243.
                let v = (0..5).fold(0, |v, digit| 3 * v + run.get(n * digit + k).map_or(0, |&t| u32::from(t)));
                out[first + k] = (v * 256).div_ceil(243) as u8;
            }
            rest = after;
        }
        put_f16(&mut out[52..], d);
    }
}

/// The scale and the codes 0, 1, 2 of a ternary block, here and in TQ2_0.
///
/// Weights that were trained to be ternary come back exactly, whatever the start: their only magnitude is the scale.
/// Others lose least when the scale lies well below the largest magnitude.
#[inline(always)]
pub(super) fn ternary(x: &[f32], weights: Option<&[f32]>) -> (f32, [u8; 256]) {
    const LEVELS: Steps = Steps { low: -1.0, high: 1.0 };
    let (x, w) = (array(x), weights.map_or(&[1.0; 256], array));
    let d = Group::new(x, w).best_scale(LEVELS, &[1.0, 1.5, 2.0, 2.7], 2, as_scale).scale;
    (d, codes(x, d, 0.0, LEVELS))
}

impl Unpack for TQ1_0 {
    const OFFSET: u8 = 1;
    const USUAL: bool = false;
    const CODES: Codes = Codes::Small;

    #[inline(always)]
    unsafe fn codes<L: Lanes>(round: &[u8], k: usize) -> L::B {
        let (block, k) = within::<Self>(round, k);
        let mut codes = [0u8; 64];
        // Where the run begins among the 64, if not before them or behind them.
        let mut at = -64 * k as isize;
        for (first, n, digits) in RUNS {
            for digit in 0..digits {
                if (0..64).contains(&at) {
                    for (code, b) in codes[at as usize..].iter_mut().zip(&block[first..first + n]) {
                        *code = ((u16::from(b.wrapping_mul(3u8.pow(digit))) * 3) >> 8) as u8;
                    }
                }
                at += n as isize;
            }
        }
        // SAFETY: the caller's word.
        unsafe { bytes_at::<L>(&codes, 0) }
    }

    #[inline(always)]
    unsafe fn scales<L: Lanes>(round: &[u8], _: usize) -> [L::F; 2] {
        // SAFETY: the caller's word.
        unsafe { one_each::<L, Self>(round, 52) }
    }
}
