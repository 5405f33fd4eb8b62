//! Q8_0: 32 values as signed bytes with one scale.
//!
//! ```text
//! byte   0   1   2   3        …       33
//!      ├───────┼───┼───┼─────────┼───┤
//!      │ d f16 │q₀ │q₁ │    …    │q₃₁│      q: i8
//!      └───────┴───┴───┴─────────┴───┘
//!      xᵢ = d · qᵢ                           34 bytes for 32 values, 8.5 bits each
//! ```

use super::{
    Block, Encode, Format, f16_at,
    search::{Group, Steps, array, as_scale, codes, put_f16},
    unpack::{Unpack, halves_at, neighbours, raised_at},
};
use crate::lanes::Lanes;

/// 32 signed bytes and an f16 scale.
pub struct Q8_0;

impl Block for Q8_0 {
    const FORMAT: Format = Format::Q8_0;
    const LEN: usize = 32;
    const BYTES: usize = 34;

    fn decode(bytes: &[u8], out: &mut [f32]) {
        let d = f16_at(bytes, 0);
        for (x, &q) in out.iter_mut().zip(&bytes[2..34]) {
            *x = d * (q as i8) as f32;
        }
    }
}
/// Symmetric: −128 is left out, because dot products want the absolute value of one side and it has none in eight bits.
const LEVELS: Steps = Steps { low: -127.0, high: 127.0 };

impl Encode for Q8_0 {
    /// At eight bits there is little to search: the largest magnitude becomes 127, and one fit follows.
    #[inline(always)]
    fn encode(x: &[f32], weights: Option<&[f32]>, out: &mut [u8]) {
        let x = array(x);
        let d = match weights {
            None => Group::new(x, &[1.0; 32]).best_scale(LEVELS, &[127.0], 0, as_scale).scale,
            Some(w) => Group::new(x, array(w)).best_scale(LEVELS, &[127.0], 0, as_scale).scale,
        };
        put_f16(&mut out[..2], d);
        for (b, q) in out[2..].iter_mut().zip(codes::<32>(x, d, 0.0, LEVELS)) {
            *b = q.wrapping_sub(127);
        }
    }
}

impl Unpack for Q8_0 {
    const OFFSET: u8 = 128;

    #[inline(always)]
    unsafe fn codes<L: Lanes>(round: &[u8], k: usize) -> L::B {
        // SAFETY: the caller's word.
        unsafe { raised_at::<L>(neighbours::<Self>(round, k), 2) }
    }

    #[inline(always)]
    unsafe fn scales<L: Lanes>(round: &[u8], _: usize) -> [L::F; 2] {
        // SAFETY: the caller's word.
        unsafe { [halves_at::<L, Self>(round, 0); 2] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decodes_scale_times_step() {
        let mut block = [0u8; 34];
        block[..2].copy_from_slice(&half::f16::from_f32(0.5).to_le_bytes());
        block[2] = 3;
        block[33] = (-128i8) as u8;
        let mut x = [0f32; 32];
        Q8_0::decode(&block, &mut x);
        assert_eq!((x[0], x[1], x[31]), (1.5, 0.0, -64.0));
    }
}
