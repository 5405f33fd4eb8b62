//! Q4_0: 32 values in four bits each with one scale.
//!
//! ```text
//! byte   0   1     2         3         …        17
//!      ├───────┼─────────┼─────────┼───────┼─────────┤
//!      │ d f16 │ n₀ │n₁₆ │ n₁ │n₁₇ │   …   │n₁₅ │n₃₁ │     low nibble │ high nibble
//!      └───────┴─────────┴─────────┴───────┴─────────┘
//!      xᵢ = d · (nᵢ − 8)                                   18 bytes for 32 values, 4.5 bits each
//! ```
//!
//! The low nibbles are the first half of the block, the high nibbles the second, so that one mask and one shift unpack
//! sixteen neighbours at a time.

use super::{
    Block, Encode, Format, f16_at,
    search::{Group, Steps, array, as_scale, codes, put_f16},
    unpack::{Unpack, all_nibbles_at, halves_at, neighbours, nibbles_across, nibbles_at},
};
use crate::lanes::{Codes, Lanes, Order};

/// 32 four-bit steps, offset by 8, and an f16 scale.
pub struct Q4_0;

impl Block for Q4_0 {
    const FORMAT: Format = Format::Q4_0;
    const LEN: usize = 32;
    const BYTES: usize = 18;

    fn decode(bytes: &[u8], out: &mut [f32]) {
        let d = f16_at(bytes, 0);
        for (i, &b) in bytes[2..18].iter().enumerate() {
            out[i] = d * ((b & 15) as i32 - 8) as f32;
            out[i + 16] = d * ((b >> 4) as i32 - 8) as f32;
        }
    }
}

const LEVELS: Steps = Steps { low: -8.0, high: 7.0 };

impl Encode for Q4_0 {
    /// The largest magnitude usually lies best near −8, the end that is longer by one. With weights, what matters may be
    /// smaller than the largest, and more starts are worth their time.
    #[inline(always)]
    fn encode(x: &[f32], weights: Option<&[f32]>, out: &mut [u8]) {
        let x = array(x);
        let d = match weights {
            None => Group::new(x, &[1.0; 32]).best_scale(LEVELS, &[-8.0, -8.7], 0, as_scale).scale,
            Some(w) => Group::new(x, array(w)).best_scale(LEVELS, &STARTS, 2, as_scale).scale,
        };
        put_f16(&mut out[..2], d);
        put_nibbles(&mut out[2..], codes(x, d, 0.0, LEVELS));
    }
}

const STARTS: [f32; 9] = [-8.0, -8.6, -7.4, -9.2, 7.0, 7.5, 6.5, 8.0, 5.0];

/// Sixteen bytes of two codes each: the first half of the codes low, the second high.
#[inline(always)]
pub(super) fn put_nibbles(bytes: &mut [u8], codes: [u8; 32]) {
    for (i, b) in bytes[..16].iter_mut().enumerate() {
        *b = codes[i] & 15 | codes[i + 16] << 4;
    }
}

impl Unpack for Q4_0 {
    const OFFSET: u8 = 8;
    const CODES: Codes = Codes::Small;
    const ORDER: Order = Order::Apart;
    const ACROSS: bool = true;

    #[inline(always)]
    unsafe fn codes<L: Lanes>(round: &[u8], k: usize) -> L::B {
        // SAFETY: the caller's word.
        unsafe { nibbles_at::<L>(neighbours::<Self>(round, k), 2) }
    }

    #[inline(always)]
    unsafe fn mixed<L: Lanes>(round: &[u8]) -> [L::B; 8] {
        // SAFETY: the caller's word.
        unsafe { all_nibbles_at::<L, Self>(round, 2) }
    }

    #[inline(always)]
    unsafe fn across<L: Lanes>(round: *const u8, stride: usize, pair: usize) -> [[L::B; 8]; 2] {
        // SAFETY: the caller's word.
        unsafe { nibbles_across::<L, Self>(round, stride, pair, 2) }
    }

    #[inline(always)]
    unsafe fn scales<L: Lanes>(round: &[u8], _: usize) -> [L::F; 2] {
        // SAFETY: the caller's word.
        unsafe { [halves_at::<L, Self>(round, 0); 2] }
    }
}
