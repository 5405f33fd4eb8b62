//! Q8_K: 256 values as signed bytes with one f32 scale and the sums of their groups; the activations beside K-quant weights.
//!
//! ```text
//! byte   0  …  3   4   5        …      259  260        …       291
//!      ├─────────┼───┼───┼─────────┼─────┼───────────────────────┤
//!      │  d f32  │q₀ │q₁ │    …    │q₂₅₅ │ b₀ … b₁₅: i16         │      q: i8
//!      └─────────┴───┴───┴─────────┴─────┴───────────────────────┘
//!      xᵢ = d · qᵢ,  b_g = Σ qᵢ over group g = i / 16    292 bytes for 256 values, 9.125 bits each
//! ```
//!
//! The sums save a dot product with minima one addition per value; reading the values needs them not. The format is
//! for intermediate values; a file that uses its id all the same can be read.

use super::{
    Block, Format, u32_at,
    unpack::{Unpack, block, bytes_at, within},
};
use crate::lanes::Lanes;

/// 256 signed bytes, an f32 scale, and the sums of groups of 16.
pub struct Q8_K;

impl Block for Q8_K {
    const FORMAT: Format = Format::Q8_K;
    const LEN: usize = 256;
    const BYTES: usize = 292;

    fn decode(bytes: &[u8], out: &mut [f32]) {
        let d = f32::from_bits(u32_at(bytes, 0));
        for (x, &q) in out.iter_mut().zip(&bytes[4..260]) {
            *x = d * (q as i8) as f32;
        }
    }
}

impl Unpack for Q8_K {
    const OFFSET: u8 = 128;
    const USUAL: bool = false;

    #[inline(always)]
    unsafe fn codes<L: Lanes>(round: &[u8], k: usize) -> L::B {
        let (block, k) = within::<Self>(round, k);
        // SAFETY: the caller's word.
        unsafe { L::xor(bytes_at::<L>(block, 4 + 64 * k), L::splat_byte(0x80)) }
    }

    #[inline(always)]
    unsafe fn scales<L: Lanes>(round: &[u8], _: usize) -> [L::F; 2] {
        let (a, b) = (u32_at(block::<Self>(round, 0), 0), u32_at(block::<Self>(round, 1), 0));
        // SAFETY: the caller's word.
        unsafe { [L::halves(f32::from_bits(a), f32::from_bits(b)); 2] }
    }
}
