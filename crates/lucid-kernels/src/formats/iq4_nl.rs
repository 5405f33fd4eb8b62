//! IQ4_NL: 32 values in four bits each that pick from a fixed table of unequal steps, with one scale.
//!
//! ```text
//! byte   0   1     2         3         …        17
//!      ├───────┼─────────┼─────────┼───────┼─────────┤
//!      │ d f16 │ n₀ │n₁₆ │ n₁ │n₁₇ │   …   │n₁₅ │n₃₁ │     low nibble │ high nibble
//!      └───────┴─────────┴─────────┴───────┴─────────┘
//!      xᵢ = d · LEVELS[nᵢ]                               18 bytes for 32 values, 4.5 bits each
//! ```
//!
//! The layout is that of Q4_0. Weights crowd around zero, so the table spends its sixteen levels more densely there.

use super::{
    Block, Encode, Format, f16_at,
    q4_0::put_nibbles,
    search::{Group, Table, array, as_f16, levels_of, put_f16},
    unpack::{Unpack, all_nibbles_at, halves_at, lookups, neighbours, nibbles_across, nibbles_at, raised},
};
use crate::lanes::{Lanes, Order, each};

/// The sixteen levels of IQ4_NL and IQ4_XS, ascending: about 10 apart near zero, 24 apart at the ends.
pub(super) const LEVELS: [i8; 16] = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113];

/// 32 four-bit choices from a table of levels and an f16 scale.
pub struct IQ4_NL;

impl Block for IQ4_NL {
    const FORMAT: Format = Format::IQ4_NL;
    const LEN: usize = 32;
    const BYTES: usize = 18;

    fn decode(bytes: &[u8], out: &mut [f32]) {
        let d = f16_at(bytes, 0);
        for (i, &b) in bytes[2..18].iter().enumerate() {
            out[i] = d * LEVELS[usize::from(b & 15)] as f32;
            out[i + 16] = d * LEVELS[usize::from(b >> 4)] as f32;
        }
    }
}

/// Where the largest magnitude may come to lie. There are a thousand ways to cross the unequal steps, so many starts help.
pub(super) const STARTS: [f32; 10] = [-127.0, -118.0, -134.0, -122.0, -130.0, -140.0, 113.0, 108.0, 120.0, 126.0];

impl Encode for IQ4_NL {
    /// No level is zero, so values too small for the smallest scale need a scale of zero, which `as_f16` may give.
    #[inline(always)]
    fn encode(x: &[f32], weights: Option<&[f32]>, out: &mut [u8]) {
        let (x, w) = (array(x), weights.map_or(&[1.0; 32], array));
        let d = Group::new(x, w).best_scale(Table(LEVELS), &STARTS, 2, as_f16).scale;
        put_f16(&mut out[..2], d);
        put_nibbles(&mut out[2..], level_codes(levels_of(x, d, 0.0, Table(LEVELS))));
    }
}

/// The codes of levels.
#[inline(always)]
pub(super) fn level_codes(levels: [f32; 32]) -> [u8; 32] {
    /// The code of each level, at the level itself read as a byte.
    const CODES: [u8; 256] = {
        let mut codes = [0; 256];
        let mut code = 0;
        while code < LEVELS.len() {
            codes[LEVELS[code] as u8 as usize] = code as u8;
            code += 1;
        }
        codes
    };
    levels.map(|level| CODES[usize::from(level as i8 as u8)])
}

/// The levels of IQ4_NL and IQ4_XS, plus 128.
pub(super) const UNEQUAL: [u8; 16] = raised(LEVELS, 128);

impl Unpack for IQ4_NL {
    const OFFSET: u8 = 128;
    const ORDER: Order = Order::Apart;
    const ACROSS: bool = true;

    #[inline(always)]
    unsafe fn codes<L: Lanes>(round: &[u8], k: usize) -> L::B {
        // SAFETY: the caller's word.
        unsafe { L::lookup(&UNEQUAL, nibbles_at::<L>(neighbours::<Self>(round, k), 2)) }
    }

    #[inline(always)]
    unsafe fn mixed<L: Lanes>(round: &[u8]) -> [L::B; 8] {
        // SAFETY: the caller's word.
        unsafe { lookups::<L>(&UNEQUAL, all_nibbles_at::<L, Self>(round, 2)) }
    }

    #[inline(always)]
    unsafe fn across<L: Lanes>(round: *const u8, stride: usize, pair: usize) -> [[L::B; 8]; 2] {
        // SAFETY: the caller's word.
        unsafe {
            let nibbles = nibbles_across::<L, Self>(round, stride, pair, 2);
            each!(2, i => lookups::<L>(&UNEQUAL, nibbles[i]))
        }
    }

    #[inline(always)]
    unsafe fn scales<L: Lanes>(round: &[u8], _: usize) -> [L::F; 2] {
        // SAFETY: the caller's word.
        unsafe { [halves_at::<L, Self>(round, 0); 2] }
    }
}
