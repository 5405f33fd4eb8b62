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

use super::{Block, Format, f16_at};

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
