//! Q1_0: 128 signs and one scale.
//!
//! ```text
//! byte   0   1   2    …    17
//!      ├───────┼─────────────┤
//!      │ d f16 │ bit i: sign │      lowest bit of byte 2 first
//!      └───────┴─────────────┘
//!      xᵢ = d where bit i is set, else −d                18 bytes for 128 values, 1.125 bits each
//! ```

use super::{
    Block, Format, f16_at,
    unpack::{Unpack, one_each, u64_at, within},
};
use crate::lanes::{Codes, Lanes};

/// 128 signs and an f16 scale.
pub struct Q1_0;

impl Block for Q1_0 {
    const FORMAT: Format = Format::Q1_0;
    const LEN: usize = 128;
    const BYTES: usize = 18;

    fn decode(bytes: &[u8], out: &mut [f32]) {
        let d = f16_at(bytes, 0);
        for (x, &b) in out.chunks_exact_mut(8).zip(&bytes[2..18]) {
            for (i, x) in x.iter_mut().enumerate() {
                *x = if (b >> i) & 1 == 1 { d } else { -d };
            }
        }
    }
}

impl Unpack for Q1_0 {
    const OFFSET: u8 = 1;
    const USUAL: bool = false;
    const CODES: Codes = Codes::Small;

    #[inline(always)]
    unsafe fn codes<L: Lanes>(round: &[u8], k: usize) -> L::B {
        let (block, k) = within::<Self>(round, k);
        // SAFETY: the caller's word.
        unsafe { L::shift_and(L::spread(u64_at(block, 2 + 8 * k)), 0, 2) }
    }

    #[inline(always)]
    unsafe fn scales<L: Lanes>(round: &[u8], _: usize) -> [L::F; 2] {
        // SAFETY: the caller's word.
        unsafe { one_each::<L, Self>(round, 0) }
    }
}
