//! NVFP4: 64 four-bit floats; four groups of 16, each with an eight-bit float as its scale.
//!
//! ```text
//! byte   0    …    3   4    …    11   12   …   19   20   …   27   28   …   35
//!      ├─────────────┼──────────────┼─────────────┼─────────────┼─────────────┤
//!      │  s₀ … s₃    │   group 0    │   group 1   │   group 2   │   group 3   │
//!      └─────────────┴──────────────┴─────────────┴─────────────┴─────────────┘
//!      a group:  │ n₀ │n₈ │ n₁ │n₉ │  …  │ n₇ │n₁₅ │       low nibble │ high nibble
//!      xᵢ = (s_g / 2) · E2M1_TWICE[nᵢ]                   36 bytes for 64 values, 4.5 bits each
//! ```
//!
//! The four-bit floats are those of MXFP4, and as there the table holds twice their value and the scale is halved. A scale
//! is an E4M3 float without its sign: four bits of exponent, biased by 7, and three of mantissa. The tensor's own f32 scale,
//! which this family needs beside it, is a tensor of its own in the file. Readings that follow GGUF's definition and not
//! the standard: 0x7F is a scale of 0 and no NaN, and the top bit of a scale changes nothing, save that 0xFF is 480.

use super::{
    Block, Format,
    mxfp4::{E2M1_TWICE, FLOATS},
    unpack::{Unpack, block, bytes_at, floats, within},
};
use crate::lanes::{Lanes, each};

/// Four groups of 16 four-bit floats and an eight-bit float for each.
pub struct NVFP4;

impl Block for NVFP4 {
    const FORMAT: Format = Format::NVFP4;
    const LEN: usize = 64;
    const BYTES: usize = 36;

    fn decode(bytes: &[u8], out: &mut [f32]) {
        let groups = bytes[4..36].chunks_exact(8).zip(out.chunks_exact_mut(16));
        for ((codes, x), &scale) in groups.zip(&bytes[..4]) {
            let d = half_scale(scale);
            for (i, &b) in codes.iter().enumerate() {
                x[i] = d * E2M1_TWICE[usize::from(b & 15)] as f32;
                x[i + 8] = d * E2M1_TWICE[usize::from(b >> 4)] as f32;
            }
        }
    }
}

/// Half the value of an unsigned E4M3 float, exactly.
pub(super) fn half_scale(scale: u8) -> f32 {
    if scale == 0x7F {
        return 0.0;
    }
    let (exponent, mantissa) = (u32::from(scale >> 3) & 15, scale & 7);
    // Steps of an eighth; the numbers of exponent 0 lack the leading one and have the step of exponent 1.
    let steps = if exponent == 0 { mantissa } else { 8 + mantissa };
    let step = f32::from_bits((exponent.max(1) + 127 - 7 - 3 - 1) << 23);
    steps as f32 * step
}

impl Unpack for NVFP4 {
    const GROUP: usize = 16;
    const OFFSET: u8 = 12;
    const USUAL: bool = false;

    #[inline(always)]
    unsafe fn codes<L: Lanes>(round: &[u8], k: usize) -> L::B {
        let (block, _) = within::<Self>(round, k);
        // Sixteen bytes are two groups, of which each has its low nibbles first.
        let mut codes = [0u8; 64];
        for (codes, bytes) in codes.chunks_exact_mut(16).zip(block[4..36].chunks_exact(8)) {
            for (i, b) in bytes.iter().enumerate() {
                (codes[i], codes[i + 8]) = (b & 15, b >> 4);
            }
        }
        // SAFETY: the caller's word.
        unsafe { L::lookup(&FLOATS, bytes_at::<L>(&codes, 0)) }
    }

    #[inline(always)]
    unsafe fn scales<L: Lanes>(round: &[u8], i: usize) -> [L::F; 2] {
        // SAFETY: the caller's word.
        unsafe { [floats::<L>(each!(16, g => half_scale(block::<Self>(round, 4 * i + g / 4)[g % 4]))); 2] }
    }
}
