//! IQ4_XS: 256 values in four bits each that pick from the table of IQ4_NL; eight groups of 32, each with a six-bit scale.
//!
//! ```text
//! byte   0   1    2   3    4     …     7    8      …     135
//!      ├────────┼────────┼────────────────┼─────────────────┤
//!      │ d  f16 │ scale  │ scale: low     │ n: two nibbles  │
//!      │        │ high 2 │ four bits      │    a byte       │
//!      └────────┴────────┴────────────────┴─────────────────┘
//!      xᵢ = (d · (s_g − 32)) · LEVELS[nᵢ]                136 bytes for 256 values, 4.25 bits each
//!      g  = i / 32
//!
//!      scale s_g    low four: byte 4 + g / 2,  low nibble for even g, high for odd
//!                   high two: bits 2·g and the next of the u16 at byte 2
//!      nibble nᵢ    byte 8 + 16·g + i % 16,  low for the first half of the group, high for the second
//! ```

use super::{
    Block, Encode, Format, f16_at,
    iq4_nl::{LEVELS, STARTS, UNEQUAL, level_codes},
    q4_0::put_nibbles,
    search::{Steps, Table, levels_of, nested_scales, put_f16},
    u16_at, u32_at,
    unpack::{LOW_NIBBLES, Unpack, block, half_at, lookups, lowered_by_32, neighbours_of_two_bits, nibbles_at, within},
};
use crate::lanes::{Lanes, each};

/// Eight groups of 32 four-bit choices from a table of levels, and a six-bit scale, offset by 32, for each.
pub struct IQ4_XS;

impl Block for IQ4_XS {
    const FORMAT: Format = Format::IQ4_XS;
    const LEN: usize = 256;
    const BYTES: usize = 136;

    fn decode(bytes: &[u8], out: &mut [f32]) {
        let d = f16_at(bytes, 0);
        let (scales_high, scales_low) = (u16_at(bytes, 2), &bytes[4..8]);
        let groups = bytes[8..136].chunks_exact(16).zip(out.chunks_exact_mut(32));
        for (g, (codes, x)) in groups.enumerate() {
            let low = (scales_low[g / 2] >> (4 * (g % 2))) & 15;
            let high = (scales_high >> (2 * g)) & 3;
            let scale = d * ((u16::from(low) | high << 4) as i32 - 32) as f32;
            for (i, &b) in codes.iter().enumerate() {
                x[i] = scale * LEVELS[usize::from(b & 15)] as f32;
                x[i + 16] = scale * LEVELS[usize::from(b >> 4)] as f32;
            }
        }
    }
}

const SCALES: Steps = Steps { low: -32.0, high: 31.0 };

impl Encode for IQ4_XS {
    #[inline(always)]
    fn encode(x: &[f32], weights: Option<&[f32]>, out: &mut [u8]) {
        let (x, w) = (x.as_chunks::<32>().0, weights.unwrap_or(&[1.0; 256]).as_chunks().0);
        let found = nested_scales::<8, 32>(x, w, Table(LEVELS), &STARTS, SCALES, 3);

        let (mut scales_high, mut scales_low) = (0, [0; 4]);
        for (g, x) in x.iter().enumerate() {
            let scale = (found.c[g] - SCALES.low) as u16;
            scales_low[g / 2] |= (scale as u8 & 15) << (4 * (g % 2));
            scales_high |= (scale >> 4) << (2 * g);
            let levels = levels_of(x, found.d * found.c[g], 0.0, Table(LEVELS));
            put_nibbles(&mut out[8 + 16 * g..], level_codes(levels));
        }
        put_f16(&mut out[..2], found.d);
        out[2..4].copy_from_slice(&u16::to_le_bytes(scales_high));
        out[4..8].copy_from_slice(&scales_low);
    }
}

impl Unpack for IQ4_XS {
    const OFFSET: u8 = 128;
    const ACROSS: bool = true;

    #[inline(always)]
    unsafe fn codes<L: Lanes>(round: &[u8], k: usize) -> L::B {
        let (block, k) = within::<Self>(round, k);
        let groups = &block[8 + 32 * k..];
        // SAFETY: the caller's word.
        unsafe { L::lookup(&UNEQUAL, nibbles_at::<L>([groups, &groups[16..]], 0)) }
    }

    #[inline(always)]
    unsafe fn across<L: Lanes>(round: *const u8, stride: usize, pair: usize) -> [[L::B; 8]; 2] {
        // SAFETY: the caller's word.
        unsafe {
            let groups = round.add(pair / 4 * Self::BYTES + 8 + 32 * (pair % 4));
            each!(2, i => lookups::<L>(&UNEQUAL, L::nibbles_apart(groups.add(16 * i), stride)))
        }
    }

    #[inline(always)]
    unsafe fn scales<L: Lanes>(round: &[u8], _: usize) -> [L::F; 2] {
        let (a, b) = (block::<Self>(round, 0), block::<Self>(round, 1));
        let eight = |block: &[u8]| {
            // The eight low nibbles to a byte each, in three steps that move half of what is left.
            let mut low = u64::from(u32_at(block, 4));
            low = (low | low << 16) & 0x0000_FFFF_0000_FFFF;
            low = (low | low << 8) & 0x00FF_00FF_00FF_00FF;
            low = (low | low << 4) & LOW_NIBBLES;
            lowered_by_32(low | u64::from_le_bytes(neighbours_of_two_bits(u16_at(block, 2))) << 4)
        };
        // SAFETY: the caller's word.
        unsafe {
            let d = L::halves(half_at::<L>(a, 0), half_at::<L>(b, 0));
            [L::mul(d, L::from_i8([eight(a), eight(b)])); 2]
        }
    }
}
