//! Q4_K: 256 values in four bits each; eight groups of 32, each with a six-bit scale and a six-bit minimum.
//!
//! ```text
//! byte   0   1    2   3    4     …     15   16     …     143
//!      ├────────┼────────┼────────────────┼─────────────────┤
//!      │ d  f16 │ m  f16 │ 8 scales and   │ q: two nibbles  │
//!      │        │        │ 8 minima       │    a byte       │
//!      └────────┴────────┴────────────────┴─────────────────┘
//!      xᵢ = (d · scale_g) · qᵢ − (m · min_g)             144 bytes for 256 values, 4.5 bits each
//!      g  = i / 32
//!
//!      code qᵢ      byte 16 + 32·(i / 64) + i % 32,  low nibble for even g, high for odd
//! ```
//!
//! The sixteen six-bit numbers share twelve bytes, the same in Q5_K. The first four of each kind are the low six bits of
//! a byte; the last four are cut in two, their top bits in the two bits left over above:
//!
//! ```text
//!      byte     bits 7 6          bits 5 … 0
//!      4 + k    scale₄₊ₖ bits 5 4   scaleₖ               k = 0 … 3
//!      8 + k    min₄₊ₖ   bits 5 4   minₖ
//!               bits 7 … 4          bits 3 … 0
//!      12 + k   min₄₊ₖ   bits 3 … 0  scale₄₊ₖ bits 3 … 0
//! ```

use super::{
    Block, Encode, Format, f16_at,
    search::{Steps, codes, nested_lines, put_f16, starts},
    unpack::{Unpack, block, twice_at, within},
};
use crate::lanes::{Codes, Lanes, Order, each};

/// Eight groups of 32 four-bit steps, a scale and a minimum of six bits for each.
pub struct Q4_K;

impl Block for Q4_K {
    const FORMAT: Format = Format::Q4_K;
    const LEN: usize = 256;
    const BYTES: usize = 144;

    fn decode(bytes: &[u8], out: &mut [f32]) {
        let (d, m) = (f16_at(bytes, 0), f16_at(bytes, 2));
        let (scales, codes) = (&bytes[4..16], &bytes[16..144]);
        for (g, x) in out.chunks_exact_mut(32).enumerate() {
            let (scale, min) = scale_and_min(scales, g);
            let (scale, min) = (d * scale as f32, m * min as f32);
            for (x, q) in x.iter_mut().zip(&codes[32 * (g / 2)..]) {
                *x = scale * ((q >> (4 * (g % 2))) & 15) as f32 - min;
            }
        }
    }
}

/// The six-bit scale and minimum of group `g` from the twelve bytes drawn above.
pub(super) fn scale_and_min(scales: &[u8], g: usize) -> (u8, u8) {
    if g < 4 {
        (scales[g] & 63, scales[4 + g] & 63)
    } else {
        let (scale_high, min_high, low) = (scales[g - 4] >> 6, scales[g] >> 6, scales[4 + g]);
        (low & 15 | scale_high << 4, low >> 4 | min_high << 4)
    }
}

const LEVELS: Steps = Steps { low: 0.0, high: 15.0 };
/// The range of a scale and a minimum, here and in Q5_K.
pub(super) const SCALES: Steps = Steps { low: 0.0, high: 63.0 };
/// Where the largest of a block's scales, or minima, may come to lie, here and in Q5_K.
pub(super) const TOPS: [f32; 5] = [63.0, 62.0, 61.0, 60.0, 63.5];

impl Encode for Q4_K {
    #[inline(always)]
    fn encode(x: &[f32], weights: Option<&[f32]>, out: &mut [u8]) {
        let (x, w) = (x.as_chunks().0, weights.unwrap_or(&[1.0; 256]).as_chunks().0);
        let found = nested_lines::<8, 32>(x, w, LEVELS, &starts(LEVELS), SCALES, &TOPS);

        put_f16(&mut out[..2], found.d);
        put_f16(&mut out[2..4], found.m);
        put_scales_and_mins(&mut out[4..16], &found.c, &found.k);
        out[16..].fill(0);
        for (g, x) in x.iter().enumerate() {
            let q = codes(x, found.d * found.c[g], -(found.m * found.k[g]), LEVELS);
            for (b, q) in out[16 + 32 * (g / 2)..].iter_mut().zip(q) {
                *b |= q << (4 * (g % 2));
            }
        }
    }
}

/// Writes eight scales and eight minima of six bits as drawn above.
pub(super) fn put_scales_and_mins(bytes: &mut [u8], scales: &[f32; 8], mins: &[f32; 8]) {
    for k in 0..4 {
        let [scale, min, scale_4, min_4] = [scales[k], mins[k], scales[4 + k], mins[4 + k]].map(|v| v as u8);
        bytes[k] = scale | (scale_4 >> 4) << 6;
        bytes[4 + k] = min | (min_4 >> 4) << 6;
        bytes[8 + k] = scale_4 & 15 | min_4 << 4;
    }
}

/// The scales and minima of two blocks of Q4_K or Q5_K.
#[inline(always)]
pub(super) unsafe fn of_two_blocks<L: Lanes, B: Block>(round: &[u8]) -> [L::F; 2] {
    let (a, b) = (&block::<B>(round, 0)[..16], &block::<B>(round, 1)[..16]);
    // SAFETY: sixteen bytes by the slicing.
    unsafe { L::six_bit_scales(a.as_ptr(), b.as_ptr()) }
}

impl Unpack for Q4_K {
    const OFFSET: u8 = 0;
    const CODES: Codes = Codes::Small;
    const MINS: bool = true;
    const ORDER: Order = Order::Runs;
    const ACROSS: bool = true;

    #[inline(always)]
    unsafe fn codes<L: Lanes>(round: &[u8], k: usize) -> L::B {
        let (block, k) = within::<Self>(round, k);
        // SAFETY: the caller's word.
        unsafe { twice_at::<L>(block, 16 + 32 * k, 4, 15) }
    }

    #[inline(always)]
    unsafe fn mixed<L: Lanes>(round: &[u8]) -> [L::B; 8] {
        let (a, b) = (&block::<Self>(round, 0)[16..], &block::<Self>(round, 1)[16..]);
        // SAFETY: 128 bytes by the slicing.
        unsafe { L::nibbles_in_runs(a.as_ptr(), b.as_ptr()) }
    }

    #[inline(always)]
    unsafe fn across<L: Lanes>(round: *const u8, stride: usize, pair: usize) -> [[L::B; 8]; 2] {
        // SAFETY: the caller's word.
        unsafe {
            let bytes = round.add(pair / 4 * Self::BYTES + 16 + 32 * (pair % 4));
            let (a, b) = (L::nibbles_apart(bytes, stride), L::nibbles_apart(bytes.add(16), stride));
            // Low nibbles are the even block, high ones the odd one.
            each!(2, i => each!(8, k => if k < 4 { a[4 * i + k] } else { b[4 * i + k - 4] }))
        }
    }

    #[inline(always)]
    unsafe fn scales<L: Lanes>(round: &[u8], _: usize) -> [L::F; 2] {
        // SAFETY: the caller's word.
        unsafe { of_two_blocks::<L, Self>(round) }
    }
}
