//! F64: little-endian 64-bit IEEE floats, rounded to f32 when read, one value a block.

use super::{Block, Format};

/// One `f64`.
pub struct F64;

impl Block for F64 {
    const FORMAT: Format = Format::F64;
    const LEN: usize = 1;
    const BYTES: usize = 8;

    fn decode(bytes: &[u8], out: &mut [f32]) {
        out[0] = bytemuck::pod_read_unaligned::<f64>(bytes) as f32;
    }
}
