//! IQ1_S: 256 values as points of a ternary codebook of 2,048; eight groups of 32, each with a three-bit scale and a shift.
//!
//! ```text
//! byte   0   1   2    …    33   34       …       49
//!      ├───────┼──────────────┼────────────────────┤
//!      │ d f16 │ point: low   │ w₀ … w₇  u16       │      50 bytes for 256 values, 1.5625 bits each
//!      │       │ eight bits   │                    │
//!      └───────┴──────────────┴────────────────────┘
//!      word of a group:   │ δ │ s │ h₃ │ h₂ │ h₁ │ h₀ │      lowest bits on the right: 3 high bits of a point four times,
//!                                                          3 of scale, 1 for the sign of the shift
//!      eight values:  x = (d · (2·s + 1)) · (POINTS[p] + δ),  δ = ⅛, or −⅛ where the bit is set
//! ```
//!
//! Without signs of their own the three levels −1, 0 and 1 carry them; the shift makes up for a group whose mean is not
//! zero.

use super::{
    Block, Format, f16_at, grids, u16_at,
    unpack::{Unpack, block, floats, half_at, within},
};
use crate::lanes::{Lanes, each};

/// Eight groups of 32 values: four points out of 2,048, a three-bit scale, and a shift.
pub struct IQ1_S;

/// How far every value of a group is moved, up or down, in units of its scale. The same in IQ1_M.
pub(super) const SHIFT: f32 = 0.125;

impl Block for IQ1_S {
    const FORMAT: Format = Format::IQ1_S;
    const LEN: usize = 256;
    const BYTES: usize = 50;

    fn decode(bytes: &[u8], out: &mut [f32]) {
        let d = f16_at(bytes, 0);
        let groups = bytes[2..34].chunks_exact(4).zip(bytes[34..50].chunks_exact(2));
        for ((lows, word), x) in groups.zip(out.chunks_exact_mut(32)) {
            let word = u16_at(word, 0);
            let scale = d * (2 * ((word >> 12) & 7) + 1) as f32;
            let shift = if word >> 15 == 1 { -SHIFT } else { SHIFT };
            for (k, x) in x.chunks_exact_mut(8).enumerate() {
                let point = usize::from(lows[k]) | usize::from((word >> (3 * k)) & 7) << 8;
                grids::shifted(x, scale, &grids::IQ1[point], shift);
            }
        }
    }
}

impl Unpack for IQ1_S {
    const OFFSET: u8 = 16;
    const USUAL: bool = false;

    #[inline(always)]
    unsafe fn codes<L: Lanes>(round: &[u8], k: usize) -> L::B {
        let (block, k) = within::<Self>(round, k);
        let point = |i: usize| {
            let word = u16_at(block, 34 + 2 * (2 * k + i / 4));
            let high = usize::from((word >> (3 * (i % 4))) & 7);
            (usize::from(block[2 + 8 * k + i]) | high << 8, word >> 15 == 1)
        };
        // SAFETY: the caller's word.
        unsafe { grids::shifted_points::<L>(point) }
    }

    #[inline(always)]
    unsafe fn scales<L: Lanes>(round: &[u8], _: usize) -> [L::F; 2] {
        // SAFETY: the caller's word.
        unsafe {
            [floats::<L>(each!(16, g => {
                let block = block::<Self>(round, g / 8);
                half_at::<L>(block, 0) * f32::from(2 * ((u16_at(block, 34 + 2 * (g % 8)) >> 12) & 7) + 1) * 0.125
            })); 2]
        }
    }
}
