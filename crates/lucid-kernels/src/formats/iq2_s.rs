//! IQ2_S: 256 values as signed points of a codebook of 1,024; sixteen groups of 16, each with a four-bit scale.
//!
//! ```text
//! byte   0   1   2    …    33   34   …   65   66   …   73   74   …   81
//!      ├───────┼──────────────┼─────────────┼─────────────┼─────────────┤
//!      │ d f16 │ point: low   │ signs: 8    │ point: high │ s₀ … s₁₅:   │
//!      │       │ eight bits   │ a byte      │ two bits    │ 2 a byte    │
//!      └───────┴──────────────┴─────────────┴─────────────┴─────────────┘
//!      eight values:  x = (d · (½ + s) / 4) · POINTS[p] · signs      82 bytes for 256 values, 2.5625 bits each
//!
//!      values 8·k … 8·k + 7:  point p  byte 2 + k, and above it bits 2·(k % 4) and the next of byte 66 + k / 4
//!                             signs    byte 34 + k, all eight free
//!                             scale s  byte 74 + k / 4, low nibble for k / 2 even, else high
//! ```

use super::{
    Block, Format, f16_at, grids,
    unpack::{Unpack, block, half_at, u64_at, within},
};
use crate::lanes::Lanes;

/// Sixteen groups of 16 values: two points out of 1,024, their signs, and a four-bit scale.
pub struct IQ2_S;

impl Block for IQ2_S {
    const FORMAT: Format = Format::IQ2_S;
    const LEN: usize = 256;
    const BYTES: usize = 82;

    fn decode(bytes: &[u8], out: &mut [f32]) {
        let d = f16_at(bytes, 0);
        let (lows, signs, highs, scales) = (&bytes[2..34], &bytes[34..66], &bytes[66..74], &bytes[74..82]);
        for (k, x) in out.chunks_exact_mut(8).enumerate() {
            let high = (highs[k / 4] >> (2 * (k % 4))) & 3;
            let point = usize::from(lows[k]) | usize::from(high) << 8;
            let s = (scales[k / 4] >> (4 * (k / 2 % 2))) & 15;
            let scale = d * (0.5 + s as f32) * 0.25;
            grids::signed(x, scale, &grids::IQ2_S[point], signs[k]);
        }
    }
}

impl Unpack for IQ2_S {
    const GROUP: usize = 16;
    const OFFSET: u8 = 64;
    const USUAL: bool = false;

    #[inline(always)]
    unsafe fn codes<L: Lanes>(round: &[u8], k: usize) -> L::B {
        let (block, k) = within::<Self>(round, k);
        let point = |i: usize| {
            let high = (block[66 + 2 * k + i / 4] >> (2 * (i % 4))) & 3;
            &grids::IQ2_S[usize::from(block[2 + 8 * k + i]) | usize::from(high) << 8]
        };
        // SAFETY: the caller's word.
        unsafe { grids::signed_points::<L, 8>(point, u64_at(block, 34 + 8 * k)) }
    }

    #[inline(always)]
    unsafe fn scales<L: Lanes>(round: &[u8], i: usize) -> [L::F; 2] {
        let block = block::<Self>(round, i);
        // SAFETY: the caller's word.
        unsafe { grids::half_up_scales::<L>(half_at::<L>(block, 0), &block[74..82]) }
    }
}
