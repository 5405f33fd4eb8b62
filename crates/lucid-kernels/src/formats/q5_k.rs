//! Q5_K: 256 values in five bits each; eight groups of 32, each with a six-bit scale and a six-bit minimum.
//!
//! ```text
//! byte   0   1    2   3    4     …     15   16    …    47   48     …     175
//!      ├────────┼────────┼────────────────┼──────────────┼─────────────────┤
//!      │ d  f16 │ m  f16 │ 8 scales and   │ h: fifth bit │ q: two nibbles  │
//!      │        │        │ 8 minima       │  8 a byte    │    a byte       │
//!      └────────┴────────┴────────────────┴──────────────┴─────────────────┘
//!      xᵢ = (d · scale_g) · qᵢ − (m · min_g)             176 bytes for 256 values, 5.5 bits each
//!      g  = i / 32
//!
//!      code qᵢ      low bits:  byte 48 + 32·(i / 64) + i % 32,  low nibble for even g, high for odd
//!                   fifth bit: byte 16 + i % 32,  bit g
//! ```
//!
//! Scales and minima are packed as in Q4_K.

use super::{
    Block, Encode, Format, f16_at,
    q4_k::{SCALES, TOPS, of_two_blocks, put_scales_and_mins, scale_and_min},
    search::{Steps, codes, nested_lines, put_f16, starts},
    unpack::{Unpack, moved_bit, twice_at, within},
};
use crate::lanes::Lanes;

/// Eight groups of 32 five-bit steps, a scale and a minimum of six bits for each.
pub struct Q5_K;

impl Block for Q5_K {
    const FORMAT: Format = Format::Q5_K;
    const LEN: usize = 256;
    const BYTES: usize = 176;

    fn decode(bytes: &[u8], out: &mut [f32]) {
        let (d, m) = (f16_at(bytes, 0), f16_at(bytes, 2));
        let (scales, fifths, codes) = (&bytes[4..16], &bytes[16..48], &bytes[48..176]);
        for (g, x) in out.chunks_exact_mut(32).enumerate() {
            let (scale, min) = scale_and_min(scales, g);
            let (scale, min) = (d * scale as f32, m * min as f32);
            for ((x, q), h) in x.iter_mut().zip(&codes[32 * (g / 2)..]).zip(fifths) {
                let code = (q >> (4 * (g % 2))) & 15 | ((h >> g) & 1) << 4;
                *x = scale * code as f32 - min;
            }
        }
    }
}

const LEVELS: Steps = Steps { low: 0.0, high: 31.0 };

impl Encode for Q5_K {
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
            for (i, q) in q.into_iter().enumerate() {
                out[16 + i] |= (q >> 4) << g;
                out[48 + 32 * (g / 2) + i] |= (q & 15) << (4 * (g % 2));
            }
        }
    }
}

impl Unpack for Q5_K {
    const OFFSET: u8 = 0;
    const MINS: bool = true;

    #[inline(always)]
    unsafe fn codes<L: Lanes>(round: &[u8], k: usize) -> L::B {
        let (block, k) = within::<Self>(round, k);
        // SAFETY: the caller's word. The fifth bits of groups 2k and 2k + 1 are bits 2k and 2k + 1 of the same 32 bytes.
        unsafe {
            let fifths = twice_at::<L>(block, 16, 1, 0x55);
            L::or(twice_at::<L>(block, 48 + 32 * k, 4, 15), moved_bit::<L>(fifths, 2 * k as u32, 4))
        }
    }

    #[inline(always)]
    unsafe fn scales<L: Lanes>(round: &[u8], _: usize) -> [L::F; 2] {
        // SAFETY: the caller's word.
        unsafe { of_two_blocks::<L, Self>(round) }
    }
}
