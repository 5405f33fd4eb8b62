//! IQ2_XXS: 256 values as signed points of a codebook of 256; eight groups of 32, each with a four-bit scale.
//!
//! ```text
//! byte   0   1   2     …      65
//!      ├───────┼────────────────┤
//!      │ d f16 │ groups 0 … 7   │                        66 bytes for 256 values, 2.0625 bits each
//!      └───────┴────────────────┘
//!      a group:   byte  0    1    2    3     4        …        7
//!                     ├────┬────┬────┬────┼─────────────────────┤
//!                     │ p₀ │ p₁ │ p₂ │ p₃ │ s │ ±₃ │ ±₂ │ ±₁ │ ±₀ │    a u32, lowest bits on the right:
//!                     └────┴────┴────┴────┴─────────────────────┘    7 bits of signs four times, 4 of scale
//!      eight values:  x = (d · (½ + s) / 4) · POINTS[p] · signs
//! ```

use super::{
    Block, Format, f16_at, grids, u32_at,
    unpack::{Unpack, block, floats, half_at, within},
};
use crate::lanes::{Lanes, each};

/// Eight groups of 32 values: four points out of 256, their signs, and a four-bit scale.
pub struct IQ2_XXS;

impl Block for IQ2_XXS {
    const FORMAT: Format = Format::IQ2_XXS;
    const LEN: usize = 256;
    const BYTES: usize = 66;

    fn decode(bytes: &[u8], out: &mut [f32]) {
        let d = f16_at(bytes, 0);
        for (group, x) in bytes[2..66].chunks_exact(8).zip(out.chunks_exact_mut(32)) {
            let word = u32_at(group, 4);
            let scale = d * (0.5 + (word >> 28) as f32) * 0.25;
            for (k, x) in x.chunks_exact_mut(8).enumerate() {
                let signs = grids::even_signs((word >> (7 * k)) as u8 & 127);
                grids::signed(x, scale, &grids::IQ2_XXS[usize::from(group[k])], signs);
            }
        }
    }
}

impl Unpack for IQ2_XXS {
    const OFFSET: u8 = 64;
    const USUAL: bool = false;

    #[inline(always)]
    unsafe fn codes<L: Lanes>(round: &[u8], k: usize) -> L::B {
        let (block, k) = within::<Self>(round, k);
        let groups = &block[2 + 16 * k..18 + 16 * k];
        let point = |i: usize| &grids::IQ2_XXS[usize::from(groups[i / 4 * 8 + i % 4])];
        // SAFETY: the caller's word.
        unsafe { grids::signed_points::<L, 8>(point, grids::signs_of_sevens([u32_at(groups, 4), u32_at(groups, 12)])) }
    }

    #[inline(always)]
    unsafe fn scales<L: Lanes>(round: &[u8], _: usize) -> [L::F; 2] {
        // SAFETY: the caller's word.
        unsafe {
            [floats::<L>(each!(16, g => {
                let block = block::<Self>(round, g / 8);
                half_at::<L>(block, 0) * (0.5 + (u32_at(block, 6 + 8 * (g % 8)) >> 28) as f32) * 0.25
            })); 2]
        }
    }
}
