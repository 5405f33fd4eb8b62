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

use super::{Block, blocks, grids, iq4_nl::LEVELS, mxfp4, mxfp4::E2M1_TWICE, nvfp4, tq1_0::RUNS, u16_at, u32_at};
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

/// 32 bytes of a block, from byte `at`.
#[inline(always)]
unsafe fn bytes_at<L: Lanes>(block: &[u8], at: usize) -> L::C {
    // SAFETY: 32 bytes by the slicing.
    unsafe { L::load_codes(block[at..at + 32].as_ptr()) }
}

/// The 32 nibbles of sixteen bytes of a block, from byte `at`: low ones first.
#[inline(always)]
unsafe fn nibbles_at<L: Lanes>(block: &[u8], at: usize) -> L::C {
    // SAFETY: sixteen bytes by the slicing.
    unsafe { L::nibbles(block[at..at + 16].as_ptr()) }
}

/// Writes the 32 codes of one group of a block.
#[inline(always)]
unsafe fn put<L: Lanes>(codes: &mut [u8], group: usize, c: L::C) {
    // SAFETY: 32 bytes by the slicing.
    unsafe { L::store_codes(codes[32 * group..32 * group + 32].as_mut_ptr(), c) }
}

/// Sets the bit `bit` of every code where the word has one.
#[inline(always)]
unsafe fn with_bits<L: Lanes>(c: L::C, word: u32, bit: u8) -> L::C {
    // SAFETY: the caller's word.
    unsafe { L::or(c, L::shift_and(L::spread(word), 0, bit)) }
}

/// Moves bit `from` of every byte to bit `to` and clears the others.
#[inline(always)]
unsafe fn moved_bit<L: Lanes>(c: L::C, from: u32, to: u32) -> L::C {
    // SAFETY: the caller's word.
    unsafe { if from > to { L::shift_and(c, from - to, 1 << to) } else { L::shift_left_and(c, to - from, 1 << to) } }
}

impl Unpack for blocks::Q4_0 {
    const OFFSET: u8 = 8;

    #[inline(always)]
    unsafe fn unpack<L: Lanes>(block: &[u8], codes: &mut [u8], scales: &mut [f32], _: &mut [f32]) {
        // SAFETY: the caller's word.
        unsafe {
            scales[0] = half_at::<L>(block, 0);
            put::<L>(codes, 0, nibbles_at::<L>(block, 2));
        }
    }
}

impl Unpack for blocks::Q4_1 {
    const OFFSET: u8 = 0;
    const MINS: bool = true;

    #[inline(always)]
    unsafe fn unpack<L: Lanes>(block: &[u8], codes: &mut [u8], scales: &mut [f32], mins: &mut [f32]) {
        // SAFETY: the caller's word.
        unsafe {
            (scales[0], mins[0]) = (half_at::<L>(block, 0), half_at::<L>(block, 2));
            put::<L>(codes, 0, nibbles_at::<L>(block, 4));
        }
    }
}

impl Unpack for blocks::Q5_0 {
    const OFFSET: u8 = 16;

    #[inline(always)]
    unsafe fn unpack<L: Lanes>(block: &[u8], codes: &mut [u8], scales: &mut [f32], _: &mut [f32]) {
        // SAFETY: the caller's word.
        unsafe {
            scales[0] = half_at::<L>(block, 0);
            put::<L>(codes, 0, with_bits::<L>(nibbles_at::<L>(block, 6), u32_at(block, 2), 16));
        }
    }
}

impl Unpack for blocks::Q5_1 {
    const OFFSET: u8 = 0;
    const MINS: bool = true;

    #[inline(always)]
    unsafe fn unpack<L: Lanes>(block: &[u8], codes: &mut [u8], scales: &mut [f32], mins: &mut [f32]) {
        // SAFETY: the caller's word.
        unsafe {
            (scales[0], mins[0]) = (half_at::<L>(block, 0), half_at::<L>(block, 2));
            put::<L>(codes, 0, with_bits::<L>(nibbles_at::<L>(block, 8), u32_at(block, 4), 16));
        }
    }
}

/// 32 signed bytes from byte `at`, raised by 128.
#[inline(always)]
unsafe fn raised_at<L: Lanes>(block: &[u8], at: usize) -> L::C {
    // SAFETY: the caller's word.
    unsafe { L::xor(bytes_at::<L>(block, at), L::splat_code(0x80)) }
}

impl Unpack for blocks::Q8_0 {
    const OFFSET: u8 = 128;

    #[inline(always)]
    unsafe fn unpack<L: Lanes>(block: &[u8], codes: &mut [u8], scales: &mut [f32], _: &mut [f32]) {
        // SAFETY: the caller's word.
        unsafe {
            scales[0] = half_at::<L>(block, 0);
            put::<L>(codes, 0, raised_at::<L>(block, 2));
        }
    }
}

impl Unpack for blocks::Q8_1 {
    const OFFSET: u8 = 128;

    #[inline(always)]
    unsafe fn unpack<L: Lanes>(block: &[u8], codes: &mut [u8], scales: &mut [f32], _: &mut [f32]) {
        // SAFETY: the caller's word.
        unsafe {
            scales[0] = half_at::<L>(block, 0);
            put::<L>(codes, 0, raised_at::<L>(block, 4));
        }
    }
}

impl Unpack for blocks::Q8_K {
    const OFFSET: u8 = 128;

    #[inline(always)]
    unsafe fn unpack<L: Lanes>(block: &[u8], codes: &mut [u8], scales: &mut [f32], _: &mut [f32]) {
        // SAFETY: the caller's word.
        unsafe {
            scales.fill(f32::from_bits(u32_at(block, 0)));
            for g in 0..8 {
                put::<L>(codes, g, raised_at::<L>(block, 4 + 32 * g));
            }
        }
    }
}

/// The two-bit codes of run `run`: runs of 32 neighbours share a shift, and four runs 32 bytes.
#[inline(always)]
unsafe fn twos_at<L: Lanes>(block: &[u8], at: usize, run: usize) -> L::C {
    // SAFETY: the caller's word.
    unsafe { L::shift_and(bytes_at::<L>(block, at + 32 * (run / 4)), 2 * (run as u32 % 4), 3) }
}

impl Unpack for blocks::Q2_K {
    const GROUP: usize = 16;
    const OFFSET: u8 = 0;
    const MINS: bool = true;

    #[inline(always)]
    unsafe fn unpack<L: Lanes>(block: &[u8], codes: &mut [u8], scales: &mut [f32], mins: &mut [f32]) {
        // SAFETY: the caller's word.
        unsafe {
            let (d, m) = (half_at::<L>(block, 80), half_at::<L>(block, 82));
            let low: [u8; 16] = std::array::from_fn(|g| block[g] & 15);
            let high: [u8; 16] = std::array::from_fn(|g| block[g] >> 4);
            put_scales::<L>(&low.map(|s| s as i8), d, scales);
            put_scales::<L>(&high.map(|s| s as i8), -m, mins);
            for run in 0..8 {
                put::<L>(codes, run, twos_at::<L>(block, 16, run));
            }
        }
    }
}

/// Sixteen scales, each a small integer times d.
#[inline(always)]
unsafe fn put_scales<L: Lanes>(integers: &[i8; 16], d: f32, scales: &mut [f32]) {
    // SAFETY: sixteen integers, and sixteen scales by the slicing.
    unsafe { L::store(scales[..16].as_mut_ptr(), L::mul(L::splat(d), L::load_i8(integers.as_ptr()))) }
}

impl Unpack for blocks::Q3_K {
    const GROUP: usize = 16;
    const OFFSET: u8 = 4;

    #[inline(always)]
    unsafe fn unpack<L: Lanes>(block: &[u8], codes: &mut [u8], scales: &mut [f32], _: &mut [f32]) {
        // SAFETY: the caller's word.
        unsafe {
            let low: u64 = u64::from_le_bytes(block[96..104].try_into().unwrap_or_default());
            let high = u64::from(u32_at(block, 104));
            // Eight scales at a time, a byte each: four bits from the low eight bytes, two from the high four, which serve twice.
            let mut integers = [0i8; 16];
            for half in 0..2 {
                let lows = (low >> (4 * half)) & 0x0F0F_0F0F_0F0F_0F0F;
                let highs = (high >> (4 * half)) & 0x0303_0303 | ((high >> (4 * half + 2)) & 0x0303_0303) << 32;
                let bytes = (lows | highs << 4).to_le_bytes();
                for (i, b) in bytes.into_iter().enumerate() {
                    integers[8 * half + i] = b as i8 - 32;
                }
            }
            put_scales::<L>(&integers, half_at::<L>(block, 108), scales);
            let thirds = bytes_at::<L>(block, 0);
            for run in 0..8 {
                let third = moved_bit::<L>(thirds, run as u32, 2);
                put::<L>(codes, run, L::or(twos_at::<L>(block, 32, run), third));
            }
        }
    }
}

/// The eight scales and minima of Q4_K and Q5_K: all sixteen six-bit numbers at once, four in a word.
#[inline(always)]
unsafe fn six_bit_scales<L: Lanes>(block: &[u8], scales: &mut [f32], mins: &mut [f32]) {
    // SAFETY: the caller's word; eight scales and minima by the slicing.
    unsafe {
        let (d, m) = (half_at::<L>(block, 0), half_at::<L>(block, 2));
        let (a, b, c) = (u32_at(block, 4), u32_at(block, 8), u32_at(block, 12));
        let words = [
            a & 0x3F3F_3F3F,
            c & 0x0F0F_0F0F | (a >> 2) & 0x3030_3030,
            b & 0x3F3F_3F3F,
            (c >> 4) & 0x0F0F_0F0F | (b >> 2) & 0x3030_3030,
        ];
        let mut factors = [d; 16];
        factors[8..].fill(-m);
        let mut all = [0f32; 16];
        L::store(all.as_mut_ptr(), L::mul(L::load(factors.as_ptr()), L::load_i8(words.as_ptr().cast())));
        scales[..8].copy_from_slice(&all[..8]);
        mins[..8].copy_from_slice(&all[8..]);
    }
}

impl Unpack for blocks::Q4_K {
    const OFFSET: u8 = 0;
    const MINS: bool = true;

    #[inline(always)]
    unsafe fn unpack<L: Lanes>(block: &[u8], codes: &mut [u8], scales: &mut [f32], mins: &mut [f32]) {
        // SAFETY: the caller's word.
        unsafe {
            six_bit_scales::<L>(block, scales, mins);
            for pair in 0..4 {
                let bytes = bytes_at::<L>(block, 16 + 32 * pair);
                put::<L>(codes, 2 * pair, L::shift_and(bytes, 0, 15));
                put::<L>(codes, 2 * pair + 1, L::shift_and(bytes, 4, 15));
            }
        }
    }
}

impl Unpack for blocks::Q5_K {
    const OFFSET: u8 = 0;
    const MINS: bool = true;

    #[inline(always)]
    unsafe fn unpack<L: Lanes>(block: &[u8], codes: &mut [u8], scales: &mut [f32], mins: &mut [f32]) {
        // SAFETY: the caller's word.
        unsafe {
            six_bit_scales::<L>(block, scales, mins);
            let fifths = bytes_at::<L>(block, 16);
            for g in 0..8 {
                let low = L::shift_and(bytes_at::<L>(block, 48 + 32 * (g / 2)), 4 * (g as u32 % 2), 15);
                put::<L>(codes, g, L::or(low, moved_bit::<L>(fifths, g as u32, 4)));
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
        unsafe {
            let integers: &[i8; 16] = bytemuck::cast_ref::<[u8; 16], _>(block[192..208].try_into().unwrap_or(&[0; 16]));
            put_scales::<L>(integers, half_at::<L>(block, 208), scales);
            for half in 0..2 {
                let highs = bytes_at::<L>(block, 128 + 32 * half);
                for run in 0..4 {
                    let low = L::shift_and(bytes_at::<L>(block, 64 * half + 32 * (run % 2)), 4 * (run as u32 / 2), 15);
                    let high = match run {
                        0 => L::shift_left_and(highs, 4, 0x30),
                        1 => L::shift_left_and(highs, 2, 0x30),
                        2 => L::shift_and(highs, 0, 0x30),
                        _ => L::shift_and(highs, 2, 0x30),
                    };
                    put::<L>(codes, 4 * half + run, L::or(low, high));
                }
            }
        }
    }
}

/// A table of levels raised by an offset, so that they are unsigned.
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
const UNEQUAL: [u8; 16] = raised(LEVELS, 128);
/// The levels of MXFP4 and NVFP4, plus 12.
const FLOATS: [u8; 16] = raised(E2M1_TWICE, 12);

impl Unpack for blocks::IQ4_NL {
    const OFFSET: u8 = 128;

    #[inline(always)]
    unsafe fn unpack<L: Lanes>(block: &[u8], codes: &mut [u8], scales: &mut [f32], _: &mut [f32]) {
        // SAFETY: the caller's word.
        unsafe {
            scales[0] = half_at::<L>(block, 0);
            put::<L>(codes, 0, L::lookup(&UNEQUAL, nibbles_at::<L>(block, 2)));
        }
    }
}

impl Unpack for blocks::IQ4_XS {
    const OFFSET: u8 = 128;

    #[inline(always)]
    unsafe fn unpack<L: Lanes>(block: &[u8], codes: &mut [u8], scales: &mut [f32], _: &mut [f32]) {
        // SAFETY: the caller's word.
        unsafe {
            let (d, high) = (half_at::<L>(block, 0), u16_at(block, 2));
            for g in 0..8 {
                let low = (block[4 + g / 2] >> (4 * (g % 2))) & 15;
                let s = i32::from(u16::from(low) | ((high >> (2 * g)) & 3) << 4);
                scales[g] = d * (s - 32) as f32;
                put::<L>(codes, g, L::lookup(&UNEQUAL, nibbles_at::<L>(block, 8 + 16 * g)));
            }
        }
    }
}

impl Unpack for blocks::MXFP4 {
    const OFFSET: u8 = 12;

    #[inline(always)]
    unsafe fn unpack<L: Lanes>(block: &[u8], codes: &mut [u8], scales: &mut [f32], _: &mut [f32]) {
        // SAFETY: the caller's word.
        unsafe {
            scales[0] = mxfp4::half_scale(block[0]);
            put::<L>(codes, 0, L::lookup(&FLOATS, nibbles_at::<L>(block, 1)));
        }
    }
}

impl Unpack for blocks::NVFP4 {
    const GROUP: usize = 16;
    const OFFSET: u8 = 12;

    #[inline(always)]
    unsafe fn unpack<L: Lanes>(block: &[u8], codes: &mut [u8], scales: &mut [f32], _: &mut [f32]) {
        // SAFETY: the caller's word.
        unsafe {
            for g in 0..4 {
                scales[g] = nvfp4::half_scale(block[g]);
            }
            for pair in 0..2 {
                // Sixteen bytes are two groups, of which each has its low nibbles first.
                let mut c = [0u8; 32];
                for (i, b) in block[4 + 16 * pair..20 + 16 * pair].iter().enumerate() {
                    let at = 16 * (i / 8) + i % 8;
                    (c[at], c[at + 8]) = (b & 15, b >> 4);
                }
                put::<L>(codes, pair, L::lookup(&FLOATS, L::load_codes(c.as_ptr())));
            }
        }
    }
}

impl Unpack for blocks::Q1_0 {
    const OFFSET: u8 = 1;

    #[inline(always)]
    unsafe fn unpack<L: Lanes>(block: &[u8], codes: &mut [u8], scales: &mut [f32], _: &mut [f32]) {
        // SAFETY: the caller's word.
        unsafe {
            scales.fill(half_at::<L>(block, 0));
            for g in 0..4 {
                put::<L>(codes, g, L::shift_and(L::spread(u32_at(block, 2 + 4 * g)), 0, 2));
            }
        }
    }
}

/// The low two bits of byte i of a word, its next two, and so on: eight codes from sixteen bits.
#[inline(always)]
fn neighbours_of_two_bits(word: u16) -> [u8; 8] {
    // Spread the pairs apart in three steps, each moving half of what is left.
    let mut x = u64::from(word);
    x = (x | x << 24) & 0x0000_00FF_0000_00FF;
    x = (x | x << 12) & 0x000F_000F_000F_000F;
    x = (x | x << 6) & 0x0303_0303_0303_0303;
    x.to_le_bytes()
}

impl Unpack for blocks::Q2_0 {
    const OFFSET: u8 = 1;

    #[inline(always)]
    unsafe fn unpack<L: Lanes>(block: &[u8], codes: &mut [u8], scales: &mut [f32], _: &mut [f32]) {
        // SAFETY: the caller's word.
        unsafe {
            scales.fill(half_at::<L>(block, 0));
            for (k, codes) in codes.chunks_exact_mut(8).enumerate() {
                codes.copy_from_slice(&neighbours_of_two_bits(u16_at(block, 2 + 2 * k)));
            }
        }
    }
}

impl Unpack for blocks::TQ1_0 {
    const OFFSET: u8 = 1;

    #[inline(always)]
    unsafe fn unpack<L: Lanes>(block: &[u8], codes: &mut [u8], scales: &mut [f32], _: &mut [f32]) {
        // SAFETY: the caller's word.
        unsafe {
            scales.fill(half_at::<L>(block, 52));
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
}

impl Unpack for blocks::TQ2_0 {
    const OFFSET: u8 = 1;

    #[inline(always)]
    unsafe fn unpack<L: Lanes>(block: &[u8], codes: &mut [u8], scales: &mut [f32], _: &mut [f32]) {
        // SAFETY: the caller's word.
        unsafe {
            scales.fill(half_at::<L>(block, 64));
            for run in 0..8 {
                put::<L>(codes, run, twos_at::<L>(block, 0, run));
            }
        }
    }
}

/// Four points of eight magnitudes (or eight of four) with their signs, raised by 64: 32 codes of a group.
#[inline(always)]
unsafe fn signed_points<L: Lanes, const N: usize, const DIM: usize>(points: [&[i8; DIM]; N], signs: u32) -> L::C {
    // Where the mask m is all ones, (x ^ m) + 1 = −x; adding 64 − m does both.
    let mut magnitudes = [0u8; 32];
    for (to, point) in magnitudes.chunks_exact_mut(DIM).zip(points) {
        to.copy_from_slice(bytemuck::cast_slice(point));
    }
    // SAFETY: the caller's word.
    unsafe {
        let minus = L::spread(signs);
        let flipped = L::xor(L::load_codes(magnitudes.as_ptr()), minus);
        L::add_codes(L::add_codes(flipped, L::shift_and(minus, 0, 1)), L::splat_code(64))
    }
}

/// The 32 signs of four times seven bits.
#[inline(always)]
fn signs_of_sevens(word: u32) -> u32 {
    (0..4).fold(0, |signs, k| signs | u32::from(grids::even_signs((word >> (7 * k)) as u8 & 127)) << (8 * k))
}

impl Unpack for blocks::IQ2_XXS {
    const OFFSET: u8 = 64;

    #[inline(always)]
    unsafe fn unpack<L: Lanes>(block: &[u8], codes: &mut [u8], scales: &mut [f32], _: &mut [f32]) {
        // SAFETY: the caller's word.
        unsafe {
            let d = half_at::<L>(block, 0);
            for g in 0..8 {
                let (points, word) = (&block[2 + 8 * g..6 + 8 * g], u32_at(block, 6 + 8 * g));
                scales[g] = d * (0.5 + (word >> 28) as f32) * 0.25;
                let points: [_; 4] = std::array::from_fn(|k| &grids::IQ2_XXS[usize::from(points[k])]);
                put::<L>(codes, g, signed_points::<L, 4, 8>(points, signs_of_sevens(word)));
            }
        }
    }
}

/// Sixteen four-bit scales s as d · (½ + s) / 4.
#[inline(always)]
fn half_up_scales(d: f32, nibbles: &[u8], scales: &mut [f32]) {
    for (g, scale) in scales.iter_mut().enumerate() {
        *scale = d * (0.5 + f32::from((nibbles[g / 2] >> (4 * (g % 2))) & 15)) * 0.25;
    }
}

impl Unpack for blocks::IQ2_XS {
    const GROUP: usize = 16;
    const OFFSET: u8 = 64;

    #[inline(always)]
    unsafe fn unpack<L: Lanes>(block: &[u8], codes: &mut [u8], scales: &mut [f32], _: &mut [f32]) {
        // SAFETY: the caller's word.
        unsafe {
            half_up_scales(half_at::<L>(block, 0), &block[66..74], scales);
            for g in 0..8 {
                let words: [u16; 4] = std::array::from_fn(|k| u16_at(block, 2 + 8 * g + 2 * k));
                let points = words.map(|w| &grids::IQ2_XS[usize::from(w & 511)]);
                let signs = words.map(|w| grids::even_signs((w >> 9) as u8));
                put::<L>(codes, g, signed_points::<L, 4, 8>(points, u32::from_le_bytes(signs)));
            }
        }
    }
}

impl Unpack for blocks::IQ2_S {
    const GROUP: usize = 16;
    const OFFSET: u8 = 64;

    #[inline(always)]
    unsafe fn unpack<L: Lanes>(block: &[u8], codes: &mut [u8], scales: &mut [f32], _: &mut [f32]) {
        // SAFETY: the caller's word.
        unsafe {
            half_up_scales(half_at::<L>(block, 0), &block[74..82], scales);
            for g in 0..8 {
                let points: [_; 4] = std::array::from_fn(|k| {
                    let high = (block[66 + g] >> (2 * k)) & 3;
                    &grids::IQ2_S[usize::from(block[2 + 4 * g + k]) | usize::from(high) << 8]
                });
                put::<L>(codes, g, signed_points::<L, 4, 8>(points, u32_at(block, 34 + 4 * g)));
            }
        }
    }
}

impl Unpack for blocks::IQ3_XXS {
    const OFFSET: u8 = 64;

    #[inline(always)]
    unsafe fn unpack<L: Lanes>(block: &[u8], codes: &mut [u8], scales: &mut [f32], _: &mut [f32]) {
        // SAFETY: the caller's word.
        unsafe {
            let d = half_at::<L>(block, 0);
            for g in 0..8 {
                let word = u32_at(block, 66 + 4 * g);
                scales[g] = d * (0.5 + (word >> 28) as f32) * 0.5;
                let points: [_; 8] = std::array::from_fn(|k| &grids::IQ3_XXS[usize::from(block[2 + 8 * g + k])]);
                put::<L>(codes, g, signed_points::<L, 8, 4>(points, signs_of_sevens(word)));
            }
        }
    }
}

impl Unpack for blocks::IQ3_S {
    const OFFSET: u8 = 64;

    #[inline(always)]
    unsafe fn unpack<L: Lanes>(block: &[u8], codes: &mut [u8], scales: &mut [f32], _: &mut [f32]) {
        // SAFETY: the caller's word.
        unsafe {
            let d = half_at::<L>(block, 0);
            for g in 0..8 {
                let s = (block[106 + g / 2] >> (4 * (g % 2))) & 15;
                scales[g] = d * f32::from(1 + 2 * s);
                let points: [_; 8] = std::array::from_fn(|k| {
                    let ninth = (block[66 + g] >> k) & 1;
                    &grids::IQ3_S[usize::from(block[2 + 8 * g + k]) | usize::from(ninth) << 8]
                });
                put::<L>(codes, g, signed_points::<L, 8, 4>(points, u32_at(block, 74 + 4 * g)));
            }
        }
    }
}

/// A point of −1, 0 and 1 in eighths, moved up or down by one of them, and raised by 16.
#[inline(always)]
fn shifted_point(point: &[i8; 8], down: bool, codes: &mut [u8]) {
    let middle = if down { 15 } else { 17 };
    codes.copy_from_slice(&point.map(|level| (8 * level + middle) as u8));
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
