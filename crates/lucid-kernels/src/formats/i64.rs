//! I64: little-endian signed 64-bit integers, one value a block.

use super::{Block, Format};

/// One `i64`.
pub struct I64;

impl Block for I64 {
    const FORMAT: Format = Format::I64;
    const LEN: usize = 1;
    const BYTES: usize = 8;

    fn decode(bytes: &[u8], out: &mut [f32]) {
        out[0] = bytemuck::pod_read_unaligned::<i64>(bytes) as f32;
    }
}
