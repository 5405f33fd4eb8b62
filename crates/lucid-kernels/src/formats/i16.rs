//! I16: little-endian signed 16-bit integers, one value a block.

use super::{Block, Format};

/// One `i16`.
pub struct I16;

impl Block for I16 {
    const FORMAT: Format = Format::I16;
    const LEN: usize = 1;
    const BYTES: usize = 2;

    fn decode(bytes: &[u8], out: &mut [f32]) {
        out[0] = bytemuck::pod_read_unaligned::<i16>(bytes) as f32;
    }
}
