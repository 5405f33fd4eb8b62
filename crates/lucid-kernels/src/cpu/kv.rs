//! How keys and values lie in a cache.
//!
//! ```text
//! 64 positions:   head 0 │ head 1 │ …
//! keys:           ╰ 0 … 15: dimension 0 of all sixteen │ dimension 1 of all sixteen │ …   16 … 31: …   32 … 47: …   48 … 63: …
//! values:         ╰ dimensions of position 0 │ dimensions of position 1 │ …
//! ```
//!
//! The score of a query against sixteen keys is a sum over dimensions: with sixteen *positions* side by side, each step is
//! one fused multiply-add of a vector with a number, and nothing is ever added across lanes. The weighted sum of values runs
//! over positions, so there *dimensions* lie side by side. What attention reads at a time, 64 positions of one head, is one
//! piece of memory in both. Heads are padded with zeros to a multiple of 16 dimensions (32 in q8_0).
//!
//! In q8_0, 32 dimensions of a head and position share an f16 scale, and the scales come first: in keys sixteen for each 32
//! dimensions, in values one. A stored value is the f32 `d · q` exactly, so attention computes the same for all types from the
//! values that the cache holds.

use crate::formats::f16_to_f32;
use std::ops::Range;

/// What a cache stores.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CacheType {
    /// 32-bit floats: exact.
    F32,
    /// 16-bit floats: half the memory, 11 bits of each value.
    F16,
    /// Bytes with one f16 scale for 32 dimensions: 8.5 bits a value.
    Q8_0,
}

impl CacheType {
    /// Every type.
    pub const ALL: [CacheType; 3] = [CacheType::F32, CacheType::F16, CacheType::Q8_0];

    /// The name that `--kv` takes.
    pub fn name(self) -> &'static str {
        match self {
            CacheType::F32 => "f32",
            CacheType::F16 => "f16",
            CacheType::Q8_0 => "q8_0",
        }
    }

    /// The type of this name.
    pub fn from_name(name: &str) -> Option<CacheType> {
        CacheType::ALL.into_iter().find(|t| t.name().eq_ignore_ascii_case(name))
    }
}

/// The layout of the keys, and of the values, of one layer and sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheLayout {
    /// What is stored.
    pub kind: CacheType,
    /// Key/value heads.
    pub heads: usize,
    /// Dimensions of a head.
    pub dim: usize,
}

/// Positions whose keys lie side by side.
pub(super) const SIDE: usize = 16;
/// Positions that attention takes at a time, and of which a head is one piece of memory.
pub(super) const TILE: usize = 64;

impl CacheLayout {
    /// Dimensions of a head as stored.
    pub(super) fn padded(self) -> usize {
        self.dim.next_multiple_of(if self.kind == CacheType::Q8_0 { 32 } else { 16 })
    }

    /// Bytes of one position of one head, keys or values alike.
    pub(super) fn head_bytes(self) -> usize {
        match self.kind {
            CacheType::F32 => 4 * self.padded(),
            CacheType::F16 => 2 * self.padded(),
            CacheType::Q8_0 => self.padded() / 32 * 34,
        }
    }

    /// Bytes that hold this many positions: of a cache of keys, and as many of a cache of values.
    ///
    /// The bytes of a shorter cache are a prefix of those of a longer one, so copying as many copies a prefix of a sequence.
    pub fn bytes(self, positions: usize) -> usize {
        positions.next_multiple_of(TILE) * self.heads * self.head_bytes()
    }

    /// Writes the key and the value of one position, `heads · dim` values each, converted; both caches hold that position.
    pub fn store(self, position: usize, key: &[f32], value: &[f32], keys: &mut [u8], values: &mut [u8]) {
        let CacheLayout { heads, dim, .. } = self;
        assert!(key.len() == heads * dim && value.len() == heads * dim);
        let (size, at) = (self.head_bytes(), position % TILE);
        for h in 0..heads {
            let tile = self.tile(position / TILE, h);
            let side = tile.start + at / SIDE * SIDE * size;
            self.put(&key[h * dim..][..dim], &mut keys[side..side + SIDE * size], SIDE, at % SIDE);
            self.put(&value[h * dim..][..dim], &mut values[tile.start + at * size..][..size], 1, 0);
        }
    }

    /// The bytes of a tile of one head.
    #[inline(always)]
    pub(super) fn tile(self, tile: usize, head: usize) -> Range<usize> {
        let bytes = TILE * self.head_bytes();
        let start = (tile * self.heads + head) * bytes;
        start..start + bytes
    }

    /// Writes one head's values, each `stride` elements after the one before, the first at element `at`.
    fn put(self, x: &[f32], out: &mut [u8], stride: usize, at: usize) {
        match self.kind {
            CacheType::F32 => {
                for (i, x) in x.iter().enumerate() {
                    out[4 * (i * stride + at)..][..4].copy_from_slice(&x.to_le_bytes());
                }
            }
            CacheType::F16 => {
                for (i, x) in x.iter().enumerate() {
                    out[2 * (i * stride + at)..][..2].copy_from_slice(&to_f16(*x).to_le_bytes());
                }
            }
            CacheType::Q8_0 => {
                let (scales, codes) = out.split_at_mut(self.padded() / 32 * 2 * stride);
                for (b, x) in x.chunks(32).enumerate() {
                    let (d, inverse) = q8_scale(x);
                    scales[2 * (b * stride + at)..][..2].copy_from_slice(&d.to_le_bytes());
                    for (i, x) in x.iter().enumerate() {
                        codes[(32 * b + i) * stride + at] = (x * inverse).round_ties_even() as i8 as u8;
                    }
                }
            }
        }
    }
}

/// The nearest f16, to even.
fn to_f16(x: f32) -> u16 {
    half::f16::from_f32_const(x).to_bits()
}

/// The scale of a q8_0 block, the f16 nearest to a/127 for the largest magnitude a, and what multiplies values before they
/// are rounded: 127/a kept within 127 codes of the scale that is stored. A block with a NaN or an infinity has the scale NaN.
fn q8_scale(x: &[f32]) -> (u16, f32) {
    let largest = x.iter().fold(0, |max, x| max.max(x.to_bits() & 0x7FFF_FFFF));
    if largest >= 0x7F80_0000 {
        return (0x7E00, 0.0);
    }
    let d = to_f16(f32::from_bits(largest) / 127.0);
    let scale = f16_to_f32(d);
    if scale == 0.0 {
        (0, 0.0)
    } else if scale == f32::INFINITY {
        (0x7BFF, 1.0 / 65504.0)
    } else {
        (d, 1.0 / scale)
    }
}
