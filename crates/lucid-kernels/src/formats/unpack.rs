//! Blocks as small integers, for dot products in integers: the first half of every fast matrix product.
//!
//! Every quantised format is the same thing underneath. A block of any of them is
//!
//! ```text
//! weightᵢ = scale_g · (codeᵢ − OFFSET) + min_g          g = i / GROUP,  GROUP = 16 or 32
//! ```
//!
//! with unsigned byte codes, f32 scales (products of a block's scale and its groups' small integers: exact), and in some formats
//! minima (exact, too). [`Unpack::unpack`] writes the three; what follows knows no format any more.
//!
//! Codes are below 128 wherever the format allows, because the instructions before VNNI add pairs of products in 16 bits:
//! 2 · 127 · 127 fits, 2 · 255 · 127 does not. [`Unpack::WIDE`] formats have all eight bits and the offset 128.

use super::{
    Block, blocks, grids, iq4_nl::LEVELS, mxfp4, mxfp4::E2M1_TWICE, nvfp4, q4_k::scale_and_min, tq1_0::RUNS, u16_at,
    u32_at,
};
use crate::lanes::Lanes;

/// A block format that is integers and scales.
pub(crate) trait Unpack: Block {
    /// Values that share a scale: 16 or 32.
    const GROUP: usize = 32;
    /// What a code must be lowered by to have its sign.
    const OFFSET: u8;
    /// Whether groups have minima.
    const MINS: bool = false;
    /// Whether codes use all of `0 ..= 255`; then the offset is 128. Otherwise they are below 128.
    const WIDE: bool = Self::OFFSET == 128;

    /// Writes [`Block::LEN`] codes, as many scales as there are groups, and as many minima if the format has them.
    ///
    /// # Safety
    /// As for every function of [`Lanes`].
    unsafe fn unpack<L: Lanes>(block: &[u8], codes: &mut [u8], scales: &mut [f32], mins: &mut [f32]);
}

/// The f16 at byte `at`.
#[inline(always)]
unsafe fn half_at<L: Lanes>(bytes: &[u8], at: usize) -> f32 {
    // SAFETY: the caller's word.
    unsafe { L::f16(u16_at(bytes, at)) }
}

/// Both nibbles of each byte: low ones first, high ones behind all of them.
#[inline(always)]
fn nibbles(bytes: &[u8], codes: &mut [u8]) {
    let (low, high) = codes.split_at_mut(bytes.len());
    for ((&b, low), high) in bytes.iter().zip(low).zip(high) {
        (*low, *high) = (b & 15, b >> 4);
    }
}

/// 32 nibbles with a fifth bit each.
#[inline(always)]
fn fives(high: u32, bytes: &[u8], codes: &mut [u8]) {
    nibbles(bytes, codes);
    for (i, code) in codes.iter_mut().enumerate() {
        *code |= ((high >> i) as u8 & 1) << 4;
    }
}

impl Unpack for blocks::Q4_0 {
    const OFFSET: u8 = 8;

    #[inline(always)]
    unsafe fn unpack<L: Lanes>(block: &[u8], codes: &mut [u8], scales: &mut [f32], _: &mut [f32]) {
        // SAFETY: the caller's word.
        scales[0] = unsafe { half_at::<L>(block, 0) };
        nibbles(&block[2..18], codes);
    }
}

impl Unpack for blocks::Q4_1 {
    const OFFSET: u8 = 0;
    const MINS: bool = true;

    #[inline(always)]
    unsafe fn unpack<L: Lanes>(block: &[u8], codes: &mut [u8], scales: &mut [f32], mins: &mut [f32]) {
        // SAFETY: the caller's word.
        (scales[0], mins[0]) = unsafe { (half_at::<L>(block, 0), half_at::<L>(block, 2)) };
        nibbles(&block[4..20], codes);
    }
}

impl Unpack for blocks::Q5_0 {
    const OFFSET: u8 = 16;

    #[inline(always)]
    unsafe fn unpack<L: Lanes>(block: &[u8], codes: &mut [u8], scales: &mut [f32], _: &mut [f32]) {
        // SAFETY: the caller's word.
        scales[0] = unsafe { half_at::<L>(block, 0) };
        fives(u32_at(block, 2), &block[6..22], codes);
    }
}

impl Unpack for blocks::Q5_1 {
    const OFFSET: u8 = 0;
    const MINS: bool = true;

    #[inline(always)]
    unsafe fn unpack<L: Lanes>(block: &[u8], codes: &mut [u8], scales: &mut [f32], mins: &mut [f32]) {
        // SAFETY: the caller's word.
        (scales[0], mins[0]) = unsafe { (half_at::<L>(block, 0), half_at::<L>(block, 2)) };
        fives(u32_at(block, 4), &block[8..24], codes);
    }
}

/// Signed bytes with the sign's meaning turned around: q + 128.
#[inline(always)]
fn signed_bytes(bytes: &[u8], codes: &mut [u8]) {
    for (&q, code) in bytes.iter().zip(codes) {
        *code = q ^ 0x80;
    }
}

impl Unpack for blocks::Q8_0 {
    const OFFSET: u8 = 128;

    #[inline(always)]
    unsafe fn unpack<L: Lanes>(block: &[u8], codes: &mut [u8], scales: &mut [f32], _: &mut [f32]) {
        // SAFETY: the caller's word.
        scales[0] = unsafe { half_at::<L>(block, 0) };
        signed_bytes(&block[2..34], codes);
    }
}

impl Unpack for blocks::Q8_1 {
    const OFFSET: u8 = 128;

    #[inline(always)]
    unsafe fn unpack<L: Lanes>(block: &[u8], codes: &mut [u8], scales: &mut [f32], _: &mut [f32]) {
        // SAFETY: the caller's word.
        scales[0] = unsafe { half_at::<L>(block, 0) };
        signed_bytes(&block[4..36], codes);
    }
}

impl Unpack for blocks::Q8_K {
    const OFFSET: u8 = 128;

    #[inline(always)]
    unsafe fn unpack<L: Lanes>(block: &[u8], codes: &mut [u8], scales: &mut [f32], _: &mut [f32]) {
        scales.fill(f32::from_bits(u32_at(block, 0)));
        signed_bytes(&block[4..260], codes);
    }
}

/// Two-bit codes in runs of 32 neighbours that share a shift.
#[inline(always)]
fn twos(bytes: &[u8], codes: &mut [u8]) {
    for (run, codes) in codes.chunks_exact_mut(32).enumerate() {
        for (code, b) in codes.iter_mut().zip(&bytes[32 * (run / 4)..]) {
            *code = (b >> (2 * (run % 4))) & 3;
        }
    }
}

impl Unpack for blocks::Q2_K {
    const GROUP: usize = 16;
    const OFFSET: u8 = 0;
    const MINS: bool = true;

    #[inline(always)]
    unsafe fn unpack<L: Lanes>(block: &[u8], codes: &mut [u8], scales: &mut [f32], mins: &mut [f32]) {
        // SAFETY: the caller's word.
        let (d, m) = unsafe { (half_at::<L>(block, 80), half_at::<L>(block, 82)) };
        for g in 0..16 {
            scales[g] = d * f32::from(block[g] & 15);
            mins[g] = -(m * f32::from(block[g] >> 4));
        }
        twos(&block[16..80], codes);
    }
}

impl Unpack for blocks::Q3_K {
    const GROUP: usize = 16;
    const OFFSET: u8 = 4;

    #[inline(always)]
    unsafe fn unpack<L: Lanes>(block: &[u8], codes: &mut [u8], scales: &mut [f32], _: &mut [f32]) {
        // SAFETY: the caller's word.
        let d = unsafe { half_at::<L>(block, 108) };
        let packed = &block[96..108];
        for g in 0..16 {
            let (low, high) = ((packed[g % 8] >> (4 * (g / 8))) & 15, (packed[8 + g % 4] >> (2 * (g / 4))) & 3);
            scales[g] = d * (i32::from(low | high << 4) - 32) as f32;
        }
        twos(&block[32..96], codes);
        for (run, codes) in codes.chunks_exact_mut(32).enumerate() {
            for (code, third) in codes.iter_mut().zip(&block[..32]) {
                *code |= ((third >> run) & 1) << 2;
            }
        }
    }
}

/// The eight scales and minima of Q4_K and Q5_K.
#[inline(always)]
unsafe fn six_bit_scales<L: Lanes>(block: &[u8], scales: &mut [f32], mins: &mut [f32]) {
    // SAFETY: the caller's word.
    let (d, m) = unsafe { (half_at::<L>(block, 0), half_at::<L>(block, 2)) };
    for g in 0..8 {
        let (scale, min) = scale_and_min(&block[4..16], g);
        (scales[g], mins[g]) = (d * f32::from(scale), -(m * f32::from(min)));
    }
}

impl Unpack for blocks::Q4_K {
    const OFFSET: u8 = 0;
    const MINS: bool = true;

    #[inline(always)]
    unsafe fn unpack<L: Lanes>(block: &[u8], codes: &mut [u8], scales: &mut [f32], mins: &mut [f32]) {
        // SAFETY: the caller's word.
        unsafe { six_bit_scales::<L>(block, scales, mins) };
        for (bytes, codes) in block[16..144].chunks_exact(32).zip(codes.chunks_exact_mut(64)) {
            nibbles(bytes, codes);
        }
    }
}

impl Unpack for blocks::Q5_K {
    const OFFSET: u8 = 0;
    const MINS: bool = true;

    #[inline(always)]
    unsafe fn unpack<L: Lanes>(block: &[u8], codes: &mut [u8], scales: &mut [f32], mins: &mut [f32]) {
        // SAFETY: the caller's word.
        unsafe { six_bit_scales::<L>(block, scales, mins) };
        for (bytes, codes) in block[48..176].chunks_exact(32).zip(codes.chunks_exact_mut(64)) {
            nibbles(bytes, codes);
        }
        for (g, codes) in codes.chunks_exact_mut(32).enumerate() {
            for (code, fifth) in codes.iter_mut().zip(&block[16..48]) {
                *code |= ((fifth >> g) & 1) << 4;
            }
        }
    }
}

impl Unpack for blocks::Q6_K {
    const GROUP: usize = 16;
    const OFFSET: u8 = 32;

    #[inline(always)]
    unsafe fn unpack<L: Lanes>(block: &[u8], codes: &mut [u8], scales: &mut [f32], _: &mut [f32]) {
        // SAFETY: the caller's word.
        let d = unsafe { half_at::<L>(block, 208) };
        for g in 0..16 {
            scales[g] = d * f32::from(block[192 + g] as i8);
        }
        for (half, codes) in codes.chunks_exact_mut(128).enumerate() {
            let (low, high) = (&block[64 * half..][..64], &block[128 + 32 * half..][..32]);
            nibbles(low, codes);
            for (i, code) in codes.iter_mut().enumerate() {
                *code |= ((high[i % 32] >> (2 * (i / 32))) & 3) << 4;
            }
        }
    }
}

/// 32 nibbles that choose from a table of bytes, which holds each level plus the offset.
#[inline(always)]
fn chosen(bytes: &[u8], table: &[u8; 16], codes: &mut [u8]) {
    nibbles(bytes, codes);
    for code in codes {
        *code = table[usize::from(*code & 15)];
    }
}

/// A table of levels raised by an offset.
const fn raised(levels: [i8; 16], offset: i16) -> [u8; 16] {
    let mut table = [0; 16];
    let mut i = 0;
    while i < 16 {
        table[i] = (levels[i] as i16 + offset) as u8;
        i += 1;
    }
    table
}

/// The levels of IQ4_NL and IQ4_XS, plus 128.
pub(crate) const UNEQUAL: [u8; 16] = raised(LEVELS, 128);
/// The levels of MXFP4 and NVFP4, plus 12.
pub(crate) const FLOATS: [u8; 16] = raised(E2M1_TWICE, 12);

impl Unpack for blocks::IQ4_NL {
    const OFFSET: u8 = 128;

    #[inline(always)]
    unsafe fn unpack<L: Lanes>(block: &[u8], codes: &mut [u8], scales: &mut [f32], _: &mut [f32]) {
        // SAFETY: the caller's word.
        scales[0] = unsafe { half_at::<L>(block, 0) };
        chosen(&block[2..18], &UNEQUAL, codes);
    }
}

impl Unpack for blocks::IQ4_XS {
    const OFFSET: u8 = 128;

    #[inline(always)]
    unsafe fn unpack<L: Lanes>(block: &[u8], codes: &mut [u8], scales: &mut [f32], _: &mut [f32]) {
        // SAFETY: the caller's word.
        let (d, high) = (unsafe { half_at::<L>(block, 0) }, u16_at(block, 2));
        for g in 0..8 {
            let low = (block[4 + g / 2] >> (4 * (g % 2))) & 15;
            let s = i32::from(u16::from(low) | ((high >> (2 * g)) & 3) << 4);
            scales[g] = d * (s - 32) as f32;
        }
        for (bytes, codes) in block[8..136].chunks_exact(16).zip(codes.chunks_exact_mut(32)) {
            chosen(bytes, &UNEQUAL, codes);
        }
    }
}

impl Unpack for blocks::MXFP4 {
    const OFFSET: u8 = 12;

    #[inline(always)]
    unsafe fn unpack<L: Lanes>(block: &[u8], codes: &mut [u8], scales: &mut [f32], _: &mut [f32]) {
        scales[0] = mxfp4::half_scale(block[0]);
        chosen(&block[1..17], &FLOATS, codes);
    }
}

impl Unpack for blocks::NVFP4 {
    const GROUP: usize = 16;
    const OFFSET: u8 = 12;

    #[inline(always)]
    unsafe fn unpack<L: Lanes>(block: &[u8], codes: &mut [u8], scales: &mut [f32], _: &mut [f32]) {
        for (g, codes) in codes.chunks_exact_mut(16).enumerate() {
            scales[g] = nvfp4::half_scale(block[g]);
            chosen(&block[4 + 8 * g..][..8], &FLOATS, codes);
        }
    }
}

impl Unpack for blocks::Q1_0 {
    const OFFSET: u8 = 1;

    #[inline(always)]
    unsafe fn unpack<L: Lanes>(block: &[u8], codes: &mut [u8], scales: &mut [f32], _: &mut [f32]) {
        // SAFETY: the caller's word.
        scales.fill(unsafe { half_at::<L>(block, 0) });
        for (i, code) in codes.iter_mut().enumerate() {
            *code = ((block[2 + i / 8] >> (i % 8)) & 1) * 2;
        }
    }
}

impl Unpack for blocks::Q2_0 {
    const OFFSET: u8 = 1;

    #[inline(always)]
    unsafe fn unpack<L: Lanes>(block: &[u8], codes: &mut [u8], scales: &mut [f32], _: &mut [f32]) {
        // SAFETY: the caller's word.
        scales.fill(unsafe { half_at::<L>(block, 0) });
        for (i, code) in codes.iter_mut().enumerate() {
            *code = (block[2 + i / 4] >> (2 * (i % 4))) & 3;
        }
    }
}

impl Unpack for blocks::TQ1_0 {
    const OFFSET: u8 = 1;

    #[inline(always)]
    unsafe fn unpack<L: Lanes>(block: &[u8], codes: &mut [u8], scales: &mut [f32], _: &mut [f32]) {
        // SAFETY: the caller's word.
        scales.fill(unsafe { half_at::<L>(block, 52) });
        let mut rest = codes;
        for (first, n, digits) in RUNS {
            for digit in 0..digits {
                let (codes, after) = rest.split_at_mut(n);
                for (code, b) in codes.iter_mut().zip(&block[first..first + n]) {
                    *code = ((u16::from(b.wrapping_mul(3u8.pow(digit))) * 3) >> 8) as u8;
                }
                rest = after;
            }
        }
    }
}

impl Unpack for blocks::TQ2_0 {
    const OFFSET: u8 = 1;

    #[inline(always)]
    unsafe fn unpack<L: Lanes>(block: &[u8], codes: &mut [u8], scales: &mut [f32], _: &mut [f32]) {
        // SAFETY: the caller's word.
        scales.fill(unsafe { half_at::<L>(block, 64) });
        twos(&block[..64], codes);
    }
}

/// A point with its signs, raised by 64.
#[inline(always)]
fn signed_point(point: &[i8], signs: u8, codes: &mut [u8]) {
    for (i, (code, level)) in codes.iter_mut().zip(point).enumerate() {
        let negative = 0u8.wrapping_sub((signs >> i) & 1);
        *code = ((*level as u8 ^ negative).wrapping_sub(negative)).wrapping_add(64);
    }
}

impl Unpack for blocks::IQ2_XXS {
    const OFFSET: u8 = 64;

    #[inline(always)]
    unsafe fn unpack<L: Lanes>(block: &[u8], codes: &mut [u8], scales: &mut [f32], _: &mut [f32]) {
        // SAFETY: the caller's word.
        let d = unsafe { half_at::<L>(block, 0) };
        for (g, (group, codes)) in block[2..66].chunks_exact(8).zip(codes.chunks_exact_mut(32)).enumerate() {
            let word = u32_at(group, 4);
            scales[g] = d * (0.5 + (word >> 28) as f32) * 0.25;
            for (k, codes) in codes.chunks_exact_mut(8).enumerate() {
                let signs = grids::even_signs((word >> (7 * k)) as u8 & 127);
                signed_point(&grids::IQ2_XXS[usize::from(group[k])], signs, codes);
            }
        }
    }
}

impl Unpack for blocks::IQ2_XS {
    const GROUP: usize = 16;
    const OFFSET: u8 = 64;

    #[inline(always)]
    unsafe fn unpack<L: Lanes>(block: &[u8], codes: &mut [u8], scales: &mut [f32], _: &mut [f32]) {
        // SAFETY: the caller's word.
        let d = unsafe { half_at::<L>(block, 0) };
        for g in 0..16 {
            scales[g] = d * (0.5 + f32::from((block[66 + g / 2] >> (4 * (g % 2))) & 15)) * 0.25;
        }
        for (k, codes) in codes.chunks_exact_mut(8).enumerate() {
            let word = u16_at(block, 2 + 2 * k);
            let signs = grids::even_signs((word >> 9) as u8);
            signed_point(&grids::IQ2_XS[usize::from(word & 511)], signs, codes);
        }
    }
}

impl Unpack for blocks::IQ2_S {
    const GROUP: usize = 16;
    const OFFSET: u8 = 64;

    #[inline(always)]
    unsafe fn unpack<L: Lanes>(block: &[u8], codes: &mut [u8], scales: &mut [f32], _: &mut [f32]) {
        // SAFETY: the caller's word.
        let d = unsafe { half_at::<L>(block, 0) };
        for g in 0..16 {
            scales[g] = d * (0.5 + f32::from((block[74 + g / 2] >> (4 * (g % 2))) & 15)) * 0.25;
        }
        for (k, codes) in codes.chunks_exact_mut(8).enumerate() {
            let high = (block[66 + k / 4] >> (2 * (k % 4))) & 3;
            let point = usize::from(block[2 + k]) | usize::from(high) << 8;
            signed_point(&grids::IQ2_S[point], block[34 + k], codes);
        }
    }
}

impl Unpack for blocks::IQ3_XXS {
    const OFFSET: u8 = 64;

    #[inline(always)]
    unsafe fn unpack<L: Lanes>(block: &[u8], codes: &mut [u8], scales: &mut [f32], _: &mut [f32]) {
        // SAFETY: the caller's word.
        let d = unsafe { half_at::<L>(block, 0) };
        for (g, codes) in codes.chunks_exact_mut(32).enumerate() {
            let (points, word) = (&block[2 + 8 * g..][..8], u32_at(block, 66 + 4 * g));
            scales[g] = d * (0.5 + (word >> 28) as f32) * 0.5;
            for (k, codes) in codes.chunks_exact_mut(4).enumerate() {
                let signs = grids::even_signs((word >> (7 * (k / 2))) as u8 & 127) >> (4 * (k % 2));
                signed_point(&grids::IQ3_XXS[usize::from(points[k])], signs, codes);
            }
        }
    }
}

impl Unpack for blocks::IQ3_S {
    const OFFSET: u8 = 64;

    #[inline(always)]
    unsafe fn unpack<L: Lanes>(block: &[u8], codes: &mut [u8], scales: &mut [f32], _: &mut [f32]) {
        // SAFETY: the caller's word.
        let d = unsafe { half_at::<L>(block, 0) };
        for g in 0..8 {
            let s = (block[106 + g / 2] >> (4 * (g % 2))) & 15;
            scales[g] = d * f32::from(1 + 2 * s);
        }
        for (k, codes) in codes.chunks_exact_mut(4).enumerate() {
            let ninth = (block[66 + k / 8] >> (k % 8)) & 1;
            let point = usize::from(block[2 + k]) | usize::from(ninth) << 8;
            signed_point(&grids::IQ3_S[point], block[74 + k / 2] >> (4 * (k % 2)), codes);
        }
    }
}

/// A point of −1, 0 and 1 in eighths, moved up or down by one of them, and raised by 16.
#[inline(always)]
fn shifted_point(point: &[i8; 8], down: bool, codes: &mut [u8]) {
    let middle = if down { 15 } else { 17 };
    for (code, level) in codes.iter_mut().zip(point) {
        *code = (8 * level + middle) as u8;
    }
}

impl Unpack for blocks::IQ1_S {
    const OFFSET: u8 = 16;

    #[inline(always)]
    unsafe fn unpack<L: Lanes>(block: &[u8], codes: &mut [u8], scales: &mut [f32], _: &mut [f32]) {
        // SAFETY: the caller's word.
        let d = unsafe { half_at::<L>(block, 0) };
        for (g, codes) in codes.chunks_exact_mut(32).enumerate() {
            let (lows, word) = (&block[2 + 4 * g..][..4], u16_at(block, 34 + 2 * g));
            scales[g] = d * f32::from(2 * ((word >> 12) & 7) + 1) * 0.125;
            for (k, codes) in codes.chunks_exact_mut(8).enumerate() {
                let point = usize::from(lows[k]) | usize::from((word >> (3 * k)) & 7) << 8;
                shifted_point(&grids::IQ1[point], word >> 15 == 1, codes);
            }
        }
    }
}

impl Unpack for blocks::IQ1_M {
    const GROUP: usize = 16;
    const OFFSET: u8 = 16;

    #[inline(always)]
    unsafe fn unpack<L: Lanes>(block: &[u8], codes: &mut [u8], scales: &mut [f32], _: &mut [f32]) {
        let words: [u16; 4] = std::array::from_fn(|j| u16_at(block, 48 + 2 * j));
        // SAFETY: the caller's word.
        let d = unsafe { L::f16((0..4).fold(0, |d, j| d | (words[j] >> 12) << (4 * j))) };
        for g in 0..16 {
            scales[g] = d * f32::from(2 * ((words[g / 4] >> (3 * (g % 4))) & 7) + 1) * 0.125;
        }
        for (k, codes) in codes.chunks_exact_mut(8).enumerate() {
            let high = block[32 + k / 2] >> (4 * (k % 2));
            let point = usize::from(block[k]) | usize::from(high & 7) << 8;
            shifted_point(&grids::IQ1[point], high & 8 != 0, codes);
        }
    }
}

/// `with_unpack!(format, B => expression, else other)`: the expression with `B` bound to the [`Unpack`] type that the run-time
/// format names, or the other for a format of plain numbers.
macro_rules! with_unpack {
    ($format:expr, $block:ident => $body:expr, else $other:expr) => {
        with_unpack!(@ $format, $block, $body, $other,
            Q4_0 Q4_1 Q5_0 Q5_1 Q8_0 Q8_1 Q2_K Q3_K Q4_K Q5_K Q6_K Q8_K IQ2_XXS IQ2_XS IQ3_XXS IQ1_S IQ4_NL IQ3_S IQ2_S IQ4_XS
            IQ1_M TQ1_0 TQ2_0 MXFP4 NVFP4 Q1_0 Q2_0)
    };
    (@ $format:expr, $block:ident, $body:expr, $other:expr, $($name:ident)*) => {
        match $format {
            $($crate::formats::Format::$name => {
                type $block = $crate::formats::blocks::$name;
                $body
            })*
            _ => $other,
        }
    };
}
pub(crate) use with_unpack;

/// Whether a format is integers and scales.
#[cfg(test)]
fn is_integers(format: super::Format) -> bool {
    with_unpack!(format, B => { let _ = B::OFFSET; true }, else false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        formats::{Format, testing::random_rows},
        lanes::scalar::Scalar,
    };

    #[test]
    fn codes_scales_and_minima_are_the_decoded_values() {
        for &format in Format::ALL.iter().filter(|f| is_integers(**f)) {
            with_unpack!(format, B => check::<B>(), else unreachable!());
        }
    }

    fn check<B: Unpack>() {
        let blocks = random_rows(B::FORMAT, B::LEN * 40, 1);
        let (mut codes, mut want) = (vec![0; B::LEN], vec![0.0; B::LEN]);
        let (mut scales, mut mins) = (vec![0.0; B::LEN / B::GROUP], vec![0.0; B::LEN / B::GROUP]);
        for block in blocks.chunks_exact(B::BYTES) {
            // SAFETY: plain loops need no instructions.
            unsafe { B::unpack::<Scalar>(block, &mut codes, &mut scales, &mut mins) };
            B::decode(block, &mut want);
            for i in 0..B::LEN {
                let g = i / B::GROUP;
                let got = scales[g].mul_add((i32::from(codes[i]) - i32::from(B::OFFSET)) as f32, mins[g]);
                assert_eq!(got, want[i], "{} value {i}", B::FORMAT.name());
                assert!(B::WIDE || codes[i] < 128);
            }
        }
    }

    #[test]
    fn only_plain_numbers_are_left_out() {
        let left: Vec<&str> = Format::ALL.iter().filter(|f| !is_integers(**f)).map(|f| f.name()).collect();
        assert_eq!(left, ["F32", "F16", "I8", "I16", "I32", "I64", "F64", "BF16"]);
    }
}
