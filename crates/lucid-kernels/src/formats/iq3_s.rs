//! IQ3_S: 256 values as signed points of a codebook of 512; eight groups of 32, each with a four-bit scale.
//!
//! ```text
//! byte   0   1   2    …    65   66   …   73   74   …  105   106  …  109
//!      ├───────┼──────────────┼─────────────┼─────────────┼─────────────┤
//!      │ d f16 │ point: low   │ point: 9th  │ signs: 8    │ s₀ … s₇:    │
//!      │       │ eight bits   │ bit         │ a byte      │ 2 a byte    │
//!      └───────┴──────────────┴─────────────┴─────────────┴─────────────┘
//!      four values:  x = (d · (1 + 2·s)) · POINTS[p] · signs         110 bytes for 256 values, 3.4375 bits each
//!
//!      values 4·k … 4·k + 3:  point p  byte 2 + k, and above it bit k % 8 of byte 66 + k / 8
//!                             signs    byte 74 + k / 2, low nibble for even k, else high
//!                             scale s  byte 106 + k / 16, low nibble for k / 8 even, else high
//! ```

use super::{
    Block, Format, f16_at, grids,
    unpack::{Unpack, block, floats, half_at, u64_at, within},
};
use crate::lanes::{Lanes, each};

/// Eight groups of 32 values: eight points out of 512, their signs, and a four-bit scale.
pub struct IQ3_S;

impl Block for IQ3_S {
    const FORMAT: Format = Format::IQ3_S;
    const LEN: usize = 256;
    const BYTES: usize = 110;

    fn decode(bytes: &[u8], out: &mut [f32]) {
        let d = f16_at(bytes, 0);
        let (lows, ninths, signs, scales) = (&bytes[2..66], &bytes[66..74], &bytes[74..106], &bytes[106..110]);
        for (k, x) in out.chunks_exact_mut(4).enumerate() {
            let ninth = (ninths[k / 8] >> (k % 8)) & 1;
            let point = usize::from(lows[k]) | usize::from(ninth) << 8;
            let s = (scales[k / 16] >> (4 * (k / 8 % 2))) & 15;
            let scale = d * (1 + 2 * s) as f32;
            grids::signed(x, scale, &grids::IQ3_S[point], signs[k / 2] >> (4 * (k % 2)));
        }
    }
}

impl Unpack for IQ3_S {
    const OFFSET: u8 = 64;
    const USUAL: bool = false;

    #[inline(always)]
    unsafe fn codes<L: Lanes>(round: &[u8], k: usize) -> L::B {
        let (block, k) = within::<Self>(round, k);
        let point = |i: usize| {
            let ninth = (block[66 + 2 * k + i / 8] >> (i % 8)) & 1;
            &grids::IQ3_S[usize::from(block[2 + 16 * k + i]) | usize::from(ninth) << 8]
        };
        // SAFETY: the caller's word.
        unsafe { grids::signed_points::<L, 4>(point, u64_at(block, 74 + 8 * k)) }
    }

    #[inline(always)]
    unsafe fn scales<L: Lanes>(round: &[u8], _: usize) -> [L::F; 2] {
        // SAFETY: the caller's word.
        unsafe {
            [floats::<L>(each!(16, g => {
                let block = block::<Self>(round, g / 8);
                let s = (block[106 + g % 8 / 2] >> (4 * (g % 2))) & 15;
                half_at::<L>(block, 0) * f32::from(1 + 2 * s)
            })); 2]
        }
    }
}
