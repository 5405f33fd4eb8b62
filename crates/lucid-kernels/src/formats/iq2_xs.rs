//! IQ2_XS: 256 values as signed points of a codebook of 512; sixteen groups of 16, each with a four-bit scale.
//!
//! ```text
//! byte   0   1   2      …      65   66    …    73
//!      ├───────┼──────────────────┼──────────────┤
//!      │ d f16 │ w₀ … w₃₁  u16    │ s₀ … s₁₅:    │      74 bytes for 256 values, 2.3125 bits each
//!      │       │ signs 7 │ point 9│ 2 a byte     │
//!      └───────┴──────────────────┴──────────────┘
//!      eight values:  x = (d · (½ + s) / 4) · POINTS[w % 512] · signs
//!
//!      values 8·k … 8·k + 7 are word w_k, with the scale s_{k/2}: byte 66 + k / 4, low nibble for k / 2 even, else high
//! ```

use super::{
    Block, Format, f16_at, grids, u16_at,
    unpack::{Unpack, block, half_at, within},
};
use crate::lanes::Lanes;

/// Sixteen groups of 16 values: two points out of 512, their signs, and a four-bit scale.
pub struct IQ2_XS;

impl Block for IQ2_XS {
    const FORMAT: Format = Format::IQ2_XS;
    const LEN: usize = 256;
    const BYTES: usize = 74;

    fn decode(bytes: &[u8], out: &mut [f32]) {
        let d = f16_at(bytes, 0);
        let (words, scales) = (&bytes[2..66], &bytes[66..74]);
        for (k, x) in out.chunks_exact_mut(8).enumerate() {
            let word = u16_at(words, 2 * k);
            let s = (scales[k / 4] >> (4 * (k / 2 % 2))) & 15;
            let scale = d * (0.5 + s as f32) * 0.25;
            let signs = grids::even_signs((word >> 9) as u8);
            grids::signed(x, scale, &grids::IQ2_XS[usize::from(word & 511)], signs);
        }
    }
}

impl Unpack for IQ2_XS {
    const GROUP: usize = 16;
    const OFFSET: u8 = 64;
    const USUAL: bool = false;

    #[inline(always)]
    unsafe fn codes<L: Lanes>(round: &[u8], k: usize) -> L::B {
        let (block, k) = within::<Self>(round, k);
        let words: [u16; 8] = std::array::from_fn(|i| u16_at(block, 2 + 16 * k + 2 * i));
        let signs = words.map(|w| grids::even_signs((w >> 9) as u8));
        // SAFETY: the caller's word.
        unsafe {
            grids::signed_points::<L, 8>(|i| &grids::IQ2_XS[usize::from(words[i] & 511)], u64::from_le_bytes(signs))
        }
    }

    #[inline(always)]
    unsafe fn scales<L: Lanes>(round: &[u8], i: usize) -> [L::F; 2] {
        let block = block::<Self>(round, i);
        // SAFETY: the caller's word.
        unsafe { grids::half_up_scales::<L>(half_at::<L>(block, 0), &block[66..74]) }
    }
}
