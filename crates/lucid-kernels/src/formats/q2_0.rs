//! Q2_0: 64 values of −1, 0, 1 or 2 times one scale.
//!
//! ```text
//! byte   0   1   2    …    17
//!      ├───────┼─────────────┤
//!      │ d f16 │ q: 4 a byte │      lowest bits of byte 2 first
//!      └───────┴─────────────┘
//!      xᵢ = d · (qᵢ − 1)                                 18 bytes for 64 values, 2.25 bits each
//! ```
//!
//! Unlike in the ternary TQ2_0, neighbours share a byte and the fourth code is meant to be used.

use super::{
    Block, Format, f16_at, u16_at,
    unpack::{Unpack, bytes_at, neighbours_of_two_bits, one_each, within},
};
use crate::lanes::{Codes, Lanes, each};

/// 64 two-bit steps, offset by 1, and an f16 scale.
pub struct Q2_0;

impl Block for Q2_0 {
    const FORMAT: Format = Format::Q2_0;
    const LEN: usize = 64;
    const BYTES: usize = 18;

    fn decode(bytes: &[u8], out: &mut [f32]) {
        let d = f16_at(bytes, 0);
        for (x, &b) in out.chunks_exact_mut(4).zip(&bytes[2..18]) {
            for (i, x) in x.iter_mut().enumerate() {
                *x = d * (((b >> (2 * i)) & 3) as i32 - 1) as f32;
            }
        }
    }
}

impl Unpack for Q2_0 {
    const OFFSET: u8 = 1;
    const USUAL: bool = false;
    const CODES: Codes = Codes::Small;

    #[inline(always)]
    unsafe fn codes<L: Lanes>(round: &[u8], k: usize) -> L::B {
        let (block, _) = within::<Self>(round, k);
        let codes: [[u8; 8]; 8] = each!(8, i => neighbours_of_two_bits(u16_at(block, 2 + 2 * i)));
        // SAFETY: the caller's word.
        unsafe { bytes_at::<L>(codes.as_flattened(), 0) }
    }

    #[inline(always)]
    unsafe fn scales<L: Lanes>(round: &[u8], _: usize) -> [L::F; 2] {
        // SAFETY: the caller's word.
        unsafe { one_each::<L, Self>(round, 0) }
    }
}
