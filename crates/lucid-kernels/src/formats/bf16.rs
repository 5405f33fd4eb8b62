//! BF16: little-endian half-width floats of 1 sign, 8 exponent and 7 mantissa bits, the upper half of an f32; one value a
//! block.

use super::{Block, Encode, Format};

/// One `bf16`.
pub struct BF16;

impl Block for BF16 {
    const FORMAT: Format = Format::BF16;
    const LEN: usize = 1;
    const BYTES: usize = 2;

    fn decode(bytes: &[u8], out: &mut [f32]) {
        out[0] = half::bf16::from_le_bytes([bytes[0], bytes[1]]).to_f32();
    }
}

impl Encode for BF16 {
    const LARGEST: f32 = half::bf16::MAX.to_f32_const();

    /// Rounds to nearest, ties to even.
    #[inline(always)]
    fn encode(x: &[f32], _: Option<&[f32]>, out: &mut [u8]) {
        out.copy_from_slice(&half::bf16::from_f32(x[0]).to_le_bytes());
    }
}
