//! TQ2_0: 256 values of −1, 0 or 1 times one scale, in two bits each.
//!
//! ```text
//! byte   0    …    63   64  65
//!      ├──────────────┼────────┤
//!      │ q: 4 a byte  │ d  f16 │
//!      └──────────────┴────────┘
//!      xᵢ = d · (qᵢ − 1)                                 66 bytes for 256 values, 2.0625 bits each
//!
//!      code qᵢ      byte 32·(i / 128) + i % 32,  bits 2·(i / 32 % 4) and the next
//! ```
//!
//! Code 3, which no encoder writes, reads as 2·d.

use super::{
    Block, Encode, Format, f16_at,
    search::put_f16,
    tq1_0::ternary,
    unpack::{Unpack, one_each, twos_at, within},
};
use crate::lanes::{Codes, Lanes};

/// 256 ternary digits of two bits and an f16 scale.
pub struct TQ2_0;

impl Block for TQ2_0 {
    const FORMAT: Format = Format::TQ2_0;
    const LEN: usize = 256;
    const BYTES: usize = 66;

    fn decode(bytes: &[u8], out: &mut [f32]) {
        let d = f16_at(bytes, 64);
        for (run, x) in out.chunks_exact_mut(32).enumerate() {
            for (x, q) in x.iter_mut().zip(&bytes[32 * (run / 4)..]) {
                *x = d * (((q >> (2 * (run % 4))) & 3) as i32 - 1) as f32;
            }
        }
    }
}

impl Encode for TQ2_0 {
    #[inline(always)]
    fn encode(x: &[f32], weights: Option<&[f32]>, out: &mut [u8]) {
        let (d, q) = ternary(x, weights);
        for (out, q) in out.chunks_exact_mut(32).zip(q.as_chunks::<128>().0) {
            for (i, b) in out.iter_mut().enumerate() {
                *b = q[i] | q[i + 32] << 2 | q[i + 64] << 4 | q[i + 96] << 6;
            }
        }
        put_f16(&mut out[64..], d);
    }
}

impl Unpack for TQ2_0 {
    const OFFSET: u8 = 1;
    const USUAL: bool = false;
    const CODES: Codes = Codes::Small;

    #[inline(always)]
    unsafe fn codes<L: Lanes>(round: &[u8], k: usize) -> L::B {
        let (block, k) = within::<Self>(round, k);
        // SAFETY: the caller's word.
        unsafe { twos_at::<L>(block, 0, k) }
    }

    #[inline(always)]
    unsafe fn scales<L: Lanes>(round: &[u8], _: usize) -> [L::F; 2] {
        // SAFETY: the caller's word.
        unsafe { one_each::<L, Self>(round, 64) }
    }
}
