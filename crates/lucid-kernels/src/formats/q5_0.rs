//! Q5_0: 32 values in five bits each with one scale.
//!
//! ```text
//! byte   0   1   2   …    5     6         7         …        21
//!      ├───────┼───────────┼─────────┼─────────┼───────┼─────────┤
//!      │ d f16 │  h  u32   │ n₀ │n₁₆ │ n₁ │n₁₇ │   …   │n₁₅ │n₃₁ │     low nibble │ high nibble
//!      └───────┴───────────┴─────────┴─────────┴───────┴─────────┘
//!      qᵢ = nᵢ + 16 · (bit i of h)
//!      xᵢ = d · (qᵢ − 16)                                22 bytes for 32 values, 5.5 bits each
//! ```
//!
//! The nibbles lie as in Q4_0; the fifth bits of all 32 values form one little-endian word.

use super::{
    Block, Encode, Format, f16_at,
    q4_0::put_nibbles,
    search::{Group, Steps, array, as_scale, codes, put_f16},
    u32_at,
    unpack::{Unpack, halves_at, neighbours, nibbles_at, with_bits},
};
use crate::lanes::Lanes;

/// 32 five-bit steps, offset by 16, and an f16 scale.
pub struct Q5_0;

impl Block for Q5_0 {
    const FORMAT: Format = Format::Q5_0;
    const LEN: usize = 32;
    const BYTES: usize = 22;

    fn decode(bytes: &[u8], out: &mut [f32]) {
        let d = f16_at(bytes, 0);
        let high = u32_at(bytes, 2);
        for (i, &b) in bytes[6..22].iter().enumerate() {
            let fifth = |bit: usize| ((high >> bit) & 1) << 4;
            out[i] = d * ((u32::from(b & 15) | fifth(i)) as i32 - 16) as f32;
            out[i + 16] = d * ((u32::from(b >> 4) | fifth(i + 16)) as i32 - 16) as f32;
        }
    }
}

const LEVELS: Steps = Steps { low: -16.0, high: 15.0 };

impl Encode for Q5_0 {
    /// As for Q4_0.
    #[inline(always)]
    fn encode(x: &[f32], weights: Option<&[f32]>, out: &mut [u8]) {
        let x = array(x);
        let d = match weights {
            None => Group::new(x, &[1.0; 32]).best_scale(LEVELS, &[-16.0, -16.6], 0, as_scale).scale,
            Some(w) => Group::new(x, array(w)).best_scale(LEVELS, &STARTS, 2, as_scale).scale,
        };
        put_f16(&mut out[..2], d);
        put_fives(&mut out[2..], codes(x, d, 0.0, LEVELS));
    }
}

const STARTS: [f32; 8] = [-16.0, -16.6, -15.4, -17.2, 15.0, 15.5, 14.5, 16.0];

/// Four bytes of fifth bits, then sixteen of nibbles.
#[inline(always)]
pub(super) fn put_fives(bytes: &mut [u8], codes: [u8; 32]) {
    let high = codes.iter().enumerate().fold(0u32, |high, (i, &q)| high | u32::from(q >> 4) << i);
    bytes[..4].copy_from_slice(&high.to_le_bytes());
    put_nibbles(&mut bytes[4..], codes);
}

impl Unpack for Q5_0 {
    const OFFSET: u8 = 16;

    #[inline(always)]
    unsafe fn codes<L: Lanes>(round: &[u8], k: usize) -> L::B {
        let both = neighbours::<Self>(round, k);
        // SAFETY: the caller's word.
        unsafe { with_bits::<L>(nibbles_at::<L>(both, 6), both, 2, 16) }
    }

    #[inline(always)]
    unsafe fn scales<L: Lanes>(round: &[u8], _: usize) -> [L::F; 2] {
        // SAFETY: the caller's word.
        unsafe { [halves_at::<L, Self>(round, 0); 2] }
    }
}
