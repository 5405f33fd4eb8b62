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

use super::{Block, Format, f16_at};

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
