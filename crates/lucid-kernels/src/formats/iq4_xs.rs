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

use super::{Block, Format, f16_at, iq4_nl::LEVELS, u16_at};

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
