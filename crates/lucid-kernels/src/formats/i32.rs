//! I32: little-endian signed 32-bit integers, one value a block.

use super::{Block, Format};

/// One `i32`.
pub struct I32;

impl Block for I32 {
    const FORMAT: Format = Format::I32;
    const LEN: usize = 1;
    const BYTES: usize = 4;

    fn decode(bytes: &[u8], out: &mut [f32]) {
        out[0] = bytemuck::pod_read_unaligned::<i32>(bytes) as f32;
    }
}
