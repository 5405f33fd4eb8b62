//! IQ3_XXS: 256 values as signed points of a codebook of 256; eight groups of 32, each with a four-bit scale.
//!
//! ```text
//! byte   0   1   2    …    65   66      …      97
//!      ├───────┼──────────────┼───────────────────┤
//!      │ d f16 │ p₀ … p₆₃     │ w₀ … w₇  u32      │        98 bytes for 256 values, 3.0625 bits each
//!      └───────┴──────────────┴───────────────────┘
//!      word of a group:   │ s │ ±₃ │ ±₂ │ ±₁ │ ±₀ │          lowest bits on the right: 7 bits of signs four times, 4 of scale
//!      four values:  x = (d · (½ + s) / 2) · POINTS[p] · signs
//! ```
//!
//! A point has four values here, so that eight signs cover two points.

use super::{
    Block, Format, f16_at, grids, u32_at,
    unpack::{Unpack, block, floats, half_at, within},
};
use crate::lanes::{Lanes, each};

/// Eight groups of 32 values: eight points out of 256, their signs, and a four-bit scale.
pub struct IQ3_XXS;

impl Block for IQ3_XXS {
    const FORMAT: Format = Format::IQ3_XXS;
    const LEN: usize = 256;
    const BYTES: usize = 98;

    fn decode(bytes: &[u8], out: &mut [f32]) {
        let d = f16_at(bytes, 0);
        let groups = bytes[2..66].chunks_exact(8).zip(bytes[66..98].chunks_exact(4));
        for ((points, word), x) in groups.zip(out.chunks_exact_mut(32)) {
            let word = u32_at(word, 0);
            let scale = d * (0.5 + (word >> 28) as f32) * 0.5;
            for (k, (points, x)) in points.chunks_exact(2).zip(x.chunks_exact_mut(8)).enumerate() {
                let signs = grids::even_signs((word >> (7 * k)) as u8 & 127);
                let (first, second) = x.split_at_mut(4);
                grids::signed(first, scale, &grids::IQ3_XXS[usize::from(points[0])], signs);
                grids::signed(second, scale, &grids::IQ3_XXS[usize::from(points[1])], signs >> 4);
            }
        }
    }
}

impl Unpack for IQ3_XXS {
    const OFFSET: u8 = 64;
    const USUAL: bool = false;

    #[inline(always)]
    unsafe fn codes<L: Lanes>(round: &[u8], k: usize) -> L::B {
        let (block, k) = within::<Self>(round, k);
        let point = |i: usize| &grids::IQ3_XXS[usize::from(block[2 + 16 * k + i])];
        let signs = grids::signs_of_sevens([u32_at(block, 66 + 8 * k), u32_at(block, 70 + 8 * k)]);
        // SAFETY: the caller's word.
        unsafe { grids::signed_points::<L, 4>(point, signs) }
    }

    #[inline(always)]
    unsafe fn scales<L: Lanes>(round: &[u8], _: usize) -> [L::F; 2] {
        // SAFETY: the caller's word.
        unsafe {
            [floats::<L>(each!(16, g => {
                let block = block::<Self>(round, g / 8);
                half_at::<L>(block, 0) * (0.5 + (u32_at(block, 66 + 4 * (g % 8)) >> 28) as f32) * 0.5
            })); 2]
        }
    }
}
