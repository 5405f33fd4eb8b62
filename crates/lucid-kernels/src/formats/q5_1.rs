//! Q5_1: 32 values in five bits each with one scale and one minimum.
//!
//! ```text
//! byte   0   1   2   3   4   …    7     8         9         …        23
//!      ├───────┼───────┼───────────┼─────────┼─────────┼───────┼─────────┤
//!      │ d f16 │ m f16 │  h  u32   │ n₀ │n₁₆ │ n₁ │n₁₇ │   …   │n₁₅ │n₃₁ │     low nibble │ high nibble
//!      └───────┴───────┴───────────┴─────────┴─────────┴───────┴─────────┘
//!      qᵢ = nᵢ + 16 · (bit i of h)
//!      xᵢ = d · qᵢ + m                                   24 bytes for 32 values, 6 bits each
//! ```

use super::{
    Block, Encode, Format, f16_at,
    q5_0::put_fives,
    search::{Group, Steps, array, as_f16, as_scale, codes, put_f16, starts},
    u32_at,
    unpack::{Unpack, halves_at, neighbours, nibbles_at, with_bits},
};
use crate::lanes::Lanes;

/// 32 five-bit steps above an f16 minimum, with an f16 scale.
pub struct Q5_1;

impl Block for Q5_1 {
    const FORMAT: Format = Format::Q5_1;
    const LEN: usize = 32;
    const BYTES: usize = 24;

    fn decode(bytes: &[u8], out: &mut [f32]) {
        let (d, m) = (f16_at(bytes, 0), f16_at(bytes, 2));
        let high = u32_at(bytes, 4);
        for (i, &b) in bytes[8..24].iter().enumerate() {
            let fifth = |bit: usize| ((high >> bit) & 1) << 4;
            out[i] = d * (u32::from(b & 15) | fifth(i)) as f32 + m;
            out[i + 16] = d * (u32::from(b >> 4) | fifth(i + 16)) as f32 + m;
        }
    }
}

const LEVELS: Steps = Steps { low: 0.0, high: 31.0 };

impl Encode for Q5_1 {
    /// As for Q4_1.
    #[inline(always)]
    fn encode(x: &[f32], weights: Option<&[f32]>, out: &mut [u8]) {
        let x = array(x);
        let line = match weights {
            None => Group::new(x, &[1.0; 32]).best_line(LEVELS, &[(0.0, 31.0)], 0, as_f16, as_scale),
            Some(w) => Group::new(x, array(w)).best_line(LEVELS, &starts(LEVELS), 2, as_f16, as_scale),
        };
        put_f16(&mut out[..2], line.scale);
        put_f16(&mut out[2..4], line.offset);
        put_fives(&mut out[4..], codes(x, line.scale, line.offset, LEVELS));
    }
}

impl Unpack for Q5_1 {
    const OFFSET: u8 = 0;
    const MINS: bool = true;

    #[inline(always)]
    unsafe fn codes<L: Lanes>(round: &[u8], k: usize) -> L::B {
        let both = neighbours::<Self>(round, k);
        // SAFETY: the caller's word.
        unsafe { with_bits::<L>(nibbles_at::<L>(both, 8), both, 4, 16) }
    }

    #[inline(always)]
    unsafe fn scales<L: Lanes>(round: &[u8], _: usize) -> [L::F; 2] {
        // SAFETY: the caller's word.
        unsafe { [halves_at::<L, Self>(round, 0), halves_at::<L, Self>(round, 2)] }
    }
}
