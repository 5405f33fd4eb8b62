//! F32: little-endian 32-bit IEEE floats, one value a block.

use super::{Block, Encode, Format};

/// One `f32`.
pub struct F32;

impl Block for F32 {
    const FORMAT: Format = Format::F32;
    const LEN: usize = 1;
    const BYTES: usize = 4;

    fn decode(bytes: &[u8], out: &mut [f32]) {
        out[0] = bytemuck::pod_read_unaligned::<f32>(bytes);
    }
}

impl Encode for F32 {
    const LARGEST: f32 = f32::MAX;

    #[inline(always)]
    fn encode(x: &[f32], _: Option<&[f32]>, out: &mut [u8]) {
        out.copy_from_slice(bytemuck::cast_slice(x));
    }
}
