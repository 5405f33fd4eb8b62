//! IQ1_M: 256 values as points of the codebook of IQ1_S; sixteen groups of 16, each with a three-bit scale.
//!
//! ```text
//! byte   0    …    31   32   …   47   48      …      55
//!      ├──────────────┼─────────────┼───────────────────┤
//!      │ point: low   │ δ and high  │ w₀ … w₃  u16      │      56 bytes for 256 values, 1.75 bits each
//!      │ eight bits   │ three bits  │                   │
//!      └──────────────┴─────────────┴───────────────────┘
//!      word j:   │ d_j │ s₄ⱼ₊₃ │ s₄ⱼ₊₂ │ s₄ⱼ₊₁ │ s₄ⱼ │        lowest bits on the right: four scales of 3 bits, a nibble of d
//!      d:        the f16 with the nibbles d₃ d₂ d₁ d₀, highest first
//!      eight values:  x = (d · (2·s + 1)) · (POINTS[p] + δ),  δ = ⅛, or −⅛ where the bit is set
//!
//!      values 8·k … 8·k + 7:  nibble k % 2 of byte 32 + k / 2: three high bits of the point, and the bit of δ on top
//!                             scale s_{k/2}
//! ```
//!
//! Two bits finer than IQ1_S in the scales and the shifts; to pay for it, the block's own scale is cut in four nibbles that
//! fill the words of the group scales.

use super::{
    Block, Format, f16_to_f32, grids,
    iq1_s::SHIFT,
    u16_at,
    unpack::{Unpack, block, floats, within},
};
use crate::lanes::{Lanes, each};

/// Sixteen groups of 16 values: two points out of 2,048 with a shift each, and a three-bit scale.
pub struct IQ1_M;

impl Block for IQ1_M {
    const FORMAT: Format = Format::IQ1_M;
    const LEN: usize = 256;
    const BYTES: usize = 56;

    fn decode(bytes: &[u8], out: &mut [f32]) {
        let (lows, highs) = (&bytes[..32], &bytes[32..48]);
        let words: [u16; 4] = std::array::from_fn(|j| u16_at(bytes, 48 + 2 * j));
        let d = (0..4).fold(0, |d, j| d | (words[j] >> 12) << (4 * j));
        let d = f16_to_f32(d);
        for (k, x) in out.chunks_exact_mut(8).enumerate() {
            let high = highs[k / 2] >> (4 * (k % 2));
            let point = usize::from(lows[k]) | usize::from(high & 7) << 8;
            let shift = if high & 8 != 0 { -SHIFT } else { SHIFT };
            let s = (words[k / 8] >> (3 * (k / 2 % 4))) & 7;
            grids::shifted(x, d * (2 * s + 1) as f32, &grids::IQ1[point], shift);
        }
    }
}

impl Unpack for IQ1_M {
    const GROUP: usize = 16;
    const OFFSET: u8 = 16;
    const USUAL: bool = false;

    #[inline(always)]
    unsafe fn codes<L: Lanes>(round: &[u8], k: usize) -> L::B {
        let (block, k) = within::<Self>(round, k);
        let point = |i: usize| {
            let high = block[32 + 4 * k + i / 2] >> (4 * (i % 2));
            (usize::from(block[8 * k + i]) | usize::from(high & 7) << 8, high & 8 != 0)
        };
        // SAFETY: the caller's word.
        unsafe { grids::shifted_points::<L>(point) }
    }

    #[inline(always)]
    unsafe fn scales<L: Lanes>(round: &[u8], i: usize) -> [L::F; 2] {
        let block = block::<Self>(round, i);
        let words: [u16; 4] = std::array::from_fn(|j| u16_at(block, 48 + 2 * j));
        // SAFETY: the caller's word.
        unsafe {
            let d = L::f16((0..4).fold(0, |d, j| d | (words[j] >> 12) << (4 * j)));
            let odd = |g: usize| f32::from(2 * ((words[g / 4] >> (3 * (g % 4))) & 7) + 1);
            [floats::<L>(each!(16, g => d * odd(g) * 0.125)); 2]
        }
    }
}
