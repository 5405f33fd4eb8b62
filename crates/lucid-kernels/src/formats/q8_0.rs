//! Q8_0: 32 values as signed bytes with one scale.
//!
//! ```text
//! byte   0   1   2   3        …       33
//!      ├───────┼───┼───┼─────────┼───┤
//!      │ d f16 │q₀ │q₁ │    …    │q₃₁│      q: i8
//!      └───────┴───┴───┴─────────┴───┘
//!      xᵢ = d · qᵢ                           34 bytes for 32 values, 8.5 bits each
//! ```

use super::{Block, Encode, Format, f16_at};

/// 32 signed bytes and an f16 scale.
pub struct Q8_0;

impl Block for Q8_0 {
    const FORMAT: Format = Format::Q8_0;
    const LEN: usize = 32;
    const BYTES: usize = 34;

    fn decode(bytes: &[u8], out: &mut [f32]) {
        let d = f16_at(bytes, 0);
        for (x, &q) in out.iter_mut().zip(&bytes[2..34]) {
            *x = d * (q as i8) as f32;
        }
    }
}

impl Encode for Q8_0 {
    /// The step is the largest magnitude over 127; nothing is gained by searching further at eight bits.
    fn encode_row(x: &[f32], _importance: Option<&[f32]>, out: &mut [u8]) {
        for (x, block) in x.chunks_exact(Self::LEN).zip(out.chunks_exact_mut(Self::BYTES)) {
            let largest = x.iter().fold(0f32, |m, v| m.max(v.abs()));
            let d = largest / 127.0;
            let inverse = if d > 0.0 { 1.0 / d } else { 0.0 };
            block[..2].copy_from_slice(&half::f16::from_f32(d).to_le_bytes());
            for (q, v) in block[2..].iter_mut().zip(x) {
                *q = (v * inverse).round() as i8 as u8;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decodes_scale_times_step() {
        let mut block = [0u8; 34];
        block[..2].copy_from_slice(&half::f16::from_f32(0.5).to_le_bytes());
        block[2] = 3;
        block[33] = (-128i8) as u8;
        let mut x = [0f32; 32];
        Q8_0::decode(&block, &mut x);
        assert_eq!((x[0], x[1], x[31]), (1.5, 0.0, -64.0));
    }
}
