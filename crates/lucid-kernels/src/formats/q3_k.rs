//! Q3_K: 256 values in three bits each; sixteen groups of 16, each with a signed six-bit scale.
//!
//! ```text
//! byte   0    …    31   32    …    95   96   …   107   108 109
//!      ├──────────────┼───────────────┼──────────────┼────────┤
//!      │ h: third bit │  low two bits │ s: 16 scales │ d  f16 │
//!      │  8 a byte    │    4 a byte   │ of six bits  │        │
//!      └──────────────┴───────────────┴──────────────┴────────┘
//!      xᵢ = (d · (s_g − 32)) · (qᵢ − 4)                  110 bytes for 256 values, 3.4375 bits each
//!      g  = i / 16
//!
//!      code qᵢ      low bits:  byte 32 + 32·(i / 128) + i % 32,  bits 2·(i / 32 % 4) and the next
//!                   third bit: byte i % 32,  bit i / 32
//!      scale s_g    low four:  byte 96 + g % 8,   low nibble for g < 8, else high
//!                   high two:  byte 104 + g % 4,  bits 2·(g / 4) and the next
//! ```

use super::{
    Block, Encode, Format, f16_at,
    search::{Steps, codes, nested_scales, put_f16},
    u32_at,
    unpack::{
        LOW_NIBBLES, Unpack, block, half_at, lowered_by_32, moved_bit, of_sixteen, twice_at, twos_at, u64_at, within,
    },
};
use crate::lanes::Lanes;

/// Sixteen groups of 16 three-bit steps, offset by 4, and a six-bit scale, offset by 32, for each.
pub struct Q3_K;

impl Block for Q3_K {
    const FORMAT: Format = Format::Q3_K;
    const LEN: usize = 256;
    const BYTES: usize = 110;

    fn decode(bytes: &[u8], out: &mut [f32]) {
        let (thirds, codes, scales) = (&bytes[..32], &bytes[32..96], &bytes[96..108]);
        let d = f16_at(bytes, 108);
        for (g, x) in out.chunks_exact_mut(16).enumerate() {
            let low = (scales[g % 8] >> (4 * (g / 8))) & 15;
            let high = (scales[8 + g % 4] >> (2 * (g / 4))) & 3;
            let scale = d * ((low | high << 4) as i32 - 32) as f32;

            let half = 16 * (g % 2);
            let (run, codes, thirds) = (g / 2, &codes[32 * (g / 8) + half..], &thirds[half..]);
            for ((x, q), h) in x.iter_mut().zip(codes).zip(thirds) {
                let code = (q >> (2 * (run % 4))) & 3 | ((h >> run) & 1) << 2;
                *x = scale * (code as i32 - 4) as f32;
            }
        }
    }
}

const LEVELS: Steps = Steps { low: -4.0, high: 3.0 };
const SCALES: Steps = Steps { low: -32.0, high: 31.0 };

impl Encode for Q3_K {
    #[inline(always)]
    fn encode(x: &[f32], weights: Option<&[f32]>, out: &mut [u8]) {
        let (x, w) = (x.as_chunks().0, weights.unwrap_or(&[1.0; 256]).as_chunks().0);
        let starts = [-4.0, -4.5, -3.5, -5.0, 3.0, 3.5];
        let found = nested_scales::<16, 16>(x, w, LEVELS, &starts, SCALES, 2);

        out.fill(0);
        for (g, x) in x.iter().enumerate() {
            let scale = (found.c[g] - SCALES.low) as u8;
            out[96 + g % 8] |= (scale & 15) << (4 * (g / 8));
            out[104 + g % 4] |= (scale >> 4) << (2 * (g / 4));
            let (half, run) = (16 * (g % 2), g / 2);
            for (i, q) in codes(x, found.d * found.c[g], 0.0, LEVELS).into_iter().enumerate() {
                out[half + i] |= (q >> 2) << run;
                out[32 + 32 * (g / 8) + half + i] |= (q & 3) << (2 * (run % 4));
            }
        }
        put_f16(&mut out[108..110], found.d);
    }
}

impl Unpack for Q3_K {
    const GROUP: usize = 16;
    const OFFSET: u8 = 4;

    #[inline(always)]
    unsafe fn codes<L: Lanes>(round: &[u8], k: usize) -> L::B {
        let (block, k) = within::<Self>(round, k);
        // SAFETY: the caller's word. The third bits of runs 2k and 2k + 1 are bits 2k and 2k + 1 of the same 32 bytes.
        unsafe {
            let thirds = twice_at::<L>(block, 0, 1, 0x55);
            L::or(twos_at::<L>(block, 32, k), moved_bit::<L>(thirds, 2 * k as u32, 2))
        }
    }

    #[inline(always)]
    unsafe fn scales<L: Lanes>(round: &[u8], i: usize) -> [L::F; 2] {
        let block = block::<Self>(round, i);
        let (low, high) = (u64_at(block, 96), u64::from(u32_at(block, 104)));
        // Eight scales at a time, a byte each: four bits from the low eight bytes, two from the high four, which serve twice.
        let eight = |shift: u32| {
            let highs = (high >> shift) & 0x0303_0303 | ((high >> (shift + 2)) & 0x0303_0303) << 32;
            lowered_by_32((low >> shift) & LOW_NIBBLES | highs << 4)
        };
        let integers = [eight(0), eight(4)];
        // SAFETY: the caller's word.
        unsafe { [of_sixteen::<L>(integers, half_at::<L>(block, 108)); 2] }
    }
}
