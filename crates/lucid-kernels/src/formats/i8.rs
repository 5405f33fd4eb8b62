//! I8: little-endian signed bytes, one value a block.

use super::{Block, Format};

/// One `i8`.
pub struct I8;

impl Block for I8 {
    const FORMAT: Format = Format::I8;
    const LEN: usize = 1;
    const BYTES: usize = 1;

    fn decode(bytes: &[u8], out: &mut [f32]) {
        out[0] = bytemuck::pod_read_unaligned::<i8>(bytes) as f32;
    }
}
