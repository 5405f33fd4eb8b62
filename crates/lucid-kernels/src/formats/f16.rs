//! F16: little-endian half-width floats of 1 sign, 5 exponent and 10 mantissa bits; one value a block.

use super::{Block, Encode, Format, f16_at};

/// One `f16`.
pub struct F16;

impl Block for F16 {
    const FORMAT: Format = Format::F16;
    const LEN: usize = 1;
    const BYTES: usize = 2;

    fn decode(bytes: &[u8], out: &mut [f32]) {
        out[0] = f16_at(bytes, 0);
    }
}

impl Encode for F16 {
    /// Rounds to nearest, ties to even.
    #[inline(always)]
    fn encode(x: &[f32], _: Option<&[f32]>, out: &mut [u8]) {
        out.copy_from_slice(&half::f16::from_f32(x[0]).to_le_bytes());
    }
}
