//! Q2_K: 256 values in two bits each; sixteen groups of 16, each with a four-bit scale and a four-bit minimum.
//!
//! ```text
//! byte   0    …    15   16    …    79   80  81   82  83
//!      ├──────────────┼───────────────┼────────┼────────┤
//!      │  s₀ … s₁₅    │  q: 4 codes   │ d  f16 │ m  f16 │
//!      │ min │ scale  │   a byte      │        │        │
//!      └──────────────┴───────────────┴────────┴────────┘
//!      low nibble of s_g: scale of group g = i / 16;  high nibble: its minimum
//!      xᵢ = (d · scale_g) · qᵢ − (m · min_g)             84 bytes for 256 values, 2.625 bits each
//!
//!      code qᵢ      byte 16 + 32·(i / 128) + i % 32,  bits 2·(i / 32 % 4) and the next
//! ```
//!
//! Read by shift, then: the lowest two bits of 32 neighbouring bytes are values 0 to 31, the next two are values 32 to
//! 63, and after four such runs the next 32 bytes begin.

use super::{
    Block, Encode, Format, f16_at,
    search::{Steps, codes, nested_lines, put_f16, starts},
    unpack::{LOW_NIBBLES, Unpack, block, half_at, of_sixteen, twos_at, u64_at, within},
};
use crate::lanes::{Codes, Lanes};

/// Sixteen groups of 16 two-bit steps, a scale and a minimum of four bits for each.
pub struct Q2_K;

impl Block for Q2_K {
    const FORMAT: Format = Format::Q2_K;
    const LEN: usize = 256;
    const BYTES: usize = 84;

    fn decode(bytes: &[u8], out: &mut [f32]) {
        let (scales, codes) = (&bytes[..16], &bytes[16..80]);
        let (d, m) = (f16_at(bytes, 80), f16_at(bytes, 82));
        for (g, x) in out.chunks_exact_mut(16).enumerate() {
            let scale = d * (scales[g] & 15) as f32;
            let min = m * (scales[g] >> 4) as f32;
            // A run of 32 values is two groups; four runs share 32 bytes.
            let shift = 2 * (g / 2 % 4);
            for (x, q) in x.iter_mut().zip(&codes[32 * (g / 8) + 16 * (g % 2)..]) {
                *x = scale * ((q >> shift) & 3) as f32 - min;
            }
        }
    }
}

const LEVELS: Steps = Steps { low: 0.0, high: 3.0 };

impl Encode for Q2_K {
    #[inline(always)]
    fn encode(x: &[f32], weights: Option<&[f32]>, out: &mut [u8]) {
        let (x, w) = (x.as_chunks().0, weights.unwrap_or(&[1.0; 256]).as_chunks().0);
        let found = nested_lines::<16, 16>(x, w, LEVELS, &starts(LEVELS), Steps { low: 0.0, high: 15.0 }, &[15.0]);

        out.fill(0);
        for (g, x) in x.iter().enumerate() {
            let (c, k) = (found.c[g], found.k[g]);
            out[g] = c as u8 | (k as u8) << 4;
            let (place, shift) = (16 + 32 * (g / 8) + 16 * (g % 2), 2 * (g / 2 % 4));
            for (b, q) in out[place..].iter_mut().zip(codes(x, found.d * c, -(found.m * k), LEVELS)) {
                *b |= q << shift;
            }
        }
        put_f16(&mut out[80..82], found.d);
        put_f16(&mut out[82..84], found.m);
    }
}

impl Unpack for Q2_K {
    const GROUP: usize = 16;
    const OFFSET: u8 = 0;
    const CODES: Codes = Codes::Small;
    const MINS: bool = true;

    #[inline(always)]
    unsafe fn codes<L: Lanes>(round: &[u8], k: usize) -> L::B {
        let (block, k) = within::<Self>(round, k);
        // SAFETY: the caller's word.
        unsafe { twos_at::<L>(block, 16, k) }
    }

    #[inline(always)]
    unsafe fn scales<L: Lanes>(round: &[u8], i: usize) -> [L::F; 2] {
        let block = block::<Self>(round, i);
        // SAFETY: the caller's word.
        unsafe {
            let (d, m) = (half_at::<L>(block, 80), half_at::<L>(block, 82));
            let (a, b) = (u64_at(block, 0), u64_at(block, 8));
            let high = [(a >> 4) & LOW_NIBBLES, (b >> 4) & LOW_NIBBLES];
            [of_sixteen::<L>([a & LOW_NIBBLES, b & LOW_NIBBLES], d), of_sixteen::<L>(high, -m)]
        }
    }
}
