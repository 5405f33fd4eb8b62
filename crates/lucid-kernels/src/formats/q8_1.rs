//! Q8_1: 32 values as signed bytes with one scale and their sum; the activations beside Q4_1 and Q5_1 weights.
//!
//! ```text
//! byte   0   1   2   3     4   5        …       35
//!      ├───────┼───────┼───┼───┼─────────┼───┤
//!      │ d f16 │ s f16 │q₀ │q₁ │    …    │q₃₁│      q: i8
//!      └───────┴───────┴───┴───┴─────────┴───┘
//!      xᵢ = d · qᵢ,  s ≈ Σ xᵢ                            36 bytes for 32 values, 9 bits each
//! ```
//!
//! The sum saves a dot product with minima one addition per value; reading the values needs it not. The format is
//! for intermediate values; a file that uses its id all the same can be read.

use super::{
    Block, Format, f16_at,
    unpack::{Unpack, halves_at, neighbours, raised_at},
};
use crate::lanes::Lanes;

/// 32 signed bytes, an f16 scale, and the sum of the values.
pub struct Q8_1;

impl Block for Q8_1 {
    const FORMAT: Format = Format::Q8_1;
    const LEN: usize = 32;
    const BYTES: usize = 36;

    fn decode(bytes: &[u8], out: &mut [f32]) {
        let d = f16_at(bytes, 0);
        for (x, &q) in out.iter_mut().zip(&bytes[4..36]) {
            *x = d * (q as i8) as f32;
        }
    }
}

impl Unpack for Q8_1 {
    const OFFSET: u8 = 128;
    const USUAL: bool = false;

    #[inline(always)]
    unsafe fn codes<L: Lanes>(round: &[u8], k: usize) -> L::B {
        // SAFETY: the caller's word.
        unsafe { raised_at::<L>(neighbours::<Self>(round, k), 4) }
    }

    #[inline(always)]
    unsafe fn scales<L: Lanes>(round: &[u8], _: usize) -> [L::F; 2] {
        // SAFETY: the caller's word.
        unsafe { [halves_at::<L, Self>(round, 0); 2] }
    }
}
