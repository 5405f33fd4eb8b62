//! Q4_1: 32 values in four bits each with one scale and one minimum.
//!
//! ```text
//! byte   0   1   2   3     4         5         …        19
//!      ├───────┼───────┼─────────┼─────────┼───────┼─────────┤
//!      │ d f16 │ m f16 │ n₀ │n₁₆ │ n₁ │n₁₇ │   …   │n₁₅ │n₃₁ │     low nibble │ high nibble
//!      └───────┴───────┴─────────┴─────────┴───────┴─────────┘
//!      xᵢ = d · nᵢ + m                                   20 bytes for 32 values, 5 bits each
//! ```
//!
//! The minimum spends sixteen bits so that a block whose values all lie on one side of zero wastes no steps.

use super::{
    Block, Encode, Format, f16_at,
    q4_0::put_nibbles,
    search::{Group, Steps, array, as_f16, as_scale, codes, put_f16, starts},
    unpack::{Unpack, all_nibbles_at, halves_at, neighbours, nibbles_across, nibbles_at},
};
use crate::lanes::{Codes, Lanes, Order};

/// 32 four-bit steps above an f16 minimum, with an f16 scale.
pub struct Q4_1;

impl Block for Q4_1 {
    const FORMAT: Format = Format::Q4_1;
    const LEN: usize = 32;
    const BYTES: usize = 20;

    fn decode(bytes: &[u8], out: &mut [f32]) {
        let (d, m) = (f16_at(bytes, 0), f16_at(bytes, 2));
        for (i, &b) in bytes[4..20].iter().enumerate() {
            out[i] = d * (b & 15) as f32 + m;
            out[i + 16] = d * (b >> 4) as f32 + m;
        }
    }
}

const LEVELS: Steps = Steps { low: 0.0, high: 15.0 };

impl Encode for Q4_1 {
    /// The range is spread over all the steps. With weights, what matters may fill less than the range, and more starts are
    /// worth their time.
    #[inline(always)]
    fn encode(x: &[f32], weights: Option<&[f32]>, out: &mut [u8]) {
        let x = array(x);
        let line = match weights {
            None => Group::new(x, &[1.0; 32]).best_line(LEVELS, &[(0.0, 15.0)], 0, as_f16, as_scale),
            Some(w) => Group::new(x, array(w)).best_line(LEVELS, &starts(LEVELS), 2, as_f16, as_scale),
        };
        put_f16(&mut out[..2], line.scale);
        put_f16(&mut out[2..4], line.offset);
        put_nibbles(&mut out[4..], codes(x, line.scale, line.offset, LEVELS));
    }
}

impl Unpack for Q4_1 {
    const OFFSET: u8 = 0;
    const CODES: Codes = Codes::Small;
    const MINS: bool = true;
    const ORDER: Order = Order::Apart;
    const ACROSS: bool = true;

    #[inline(always)]
    unsafe fn codes<L: Lanes>(round: &[u8], k: usize) -> L::B {
        // SAFETY: the caller's word.
        unsafe { nibbles_at::<L>(neighbours::<Self>(round, k), 4) }
    }

    #[inline(always)]
    unsafe fn mixed<L: Lanes>(round: &[u8]) -> [L::B; 8] {
        // SAFETY: the caller's word.
        unsafe { all_nibbles_at::<L, Self>(round, 4) }
    }

    #[inline(always)]
    unsafe fn across<L: Lanes>(round: *const u8, stride: usize, pair: usize) -> [[L::B; 8]; 2] {
        // SAFETY: the caller's word.
        unsafe { nibbles_across::<L, Self>(round, stride, pair, 4) }
    }

    #[inline(always)]
    unsafe fn scales<L: Lanes>(round: &[u8], _: usize) -> [L::F; 2] {
        // SAFETY: the caller's word.
        unsafe { [halves_at::<L, Self>(round, 0), halves_at::<L, Self>(round, 2)] }
    }
}
