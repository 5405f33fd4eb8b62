//! Q5_0: 32 values in five bits each with one scale.
//!
//! ```text
//! byte   0   1   2   …    5     6         7         …        21
//!      ├───────┼───────────┼─────────┼─────────┼───────┼─────────┤
//!      │ d f16 │  h  u32   │ n₀ │n₁₆ │ n₁ │n₁₇ │   …   │n₁₅ │n₃₁ │     low nibble │ high nibble
//!      └───────┴───────────┴─────────┴─────────┴───────┴─────────┘
//!      qᵢ = nᵢ + 16 · (bit i of h)
//!      xᵢ = d · (qᵢ − 16)                                22 bytes for 32 values, 5.5 bits each
//! ```
//!
//! The nibbles lie as in Q4_0; the fifth bits of all 32 values form one little-endian word.

use super::{Block, Format, f16_at, u32_at};

/// 32 five-bit steps, offset by 16, and an f16 scale.
pub struct Q5_0;

impl Block for Q5_0 {
    const FORMAT: Format = Format::Q5_0;
    const LEN: usize = 32;
    const BYTES: usize = 22;

    fn decode(bytes: &[u8], out: &mut [f32]) {
        let d = f16_at(bytes, 0);
        let high = u32_at(bytes, 2);
        for (i, &b) in bytes[6..22].iter().enumerate() {
            let fifth = |bit: usize| ((high >> bit) & 1) << 4;
            out[i] = d * ((u32::from(b & 15) | fifth(i)) as i32 - 16) as f32;
            out[i + 16] = d * ((u32::from(b >> 4) | fifth(i + 16)) as i32 - 16) as f32;
        }
    }
}
