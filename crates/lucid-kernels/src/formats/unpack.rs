//! Blocks as small integers, for dot products in integers: the first half of every fast matrix product.
//!
//! Every quantised format is the same thing underneath. A block of any of them is
//!
//! ```text
//! weightᵢ = scale_g · (codeᵢ − OFFSET) + min_g          g = i / GROUP,  GROUP = 16 or 32
//! ```
//!
//! with unsigned byte codes, f32 scales (products of a block's scale and its groups' small integers: exact), and in some formats
//! minima (exact, too). [`Unpack`] reads the three from memory into registers; what follows knows no format any more.
//!
//! It does so from a *round* of 512 weights, whole blocks in every format: codes come 64 at a time, as many as a register of 64 bytes
//! holds, and scales sixteen at a time. So no lane is ever idle, however small the blocks are.
//!
//! ```text
//! a round:   Q4_0   │d n│d n│d n│d n│d n│d n│d n│d n│d n│d n│d n│d n│d n│d n│d n│d n│      16 blocks of 32
//!            Q4_K   │d m scales n n n n n n n n     │d m scales n n n n n n n n     │       2 blocks of 256
//! codes          k = 0 … 7:  │ 32 of block 2k │ 32 of block 2k + 1 │
//! scales                     │ s₀ s₁ … s₁₅ │             and, where a group is 16, │ s₁₆ s₁₇ … s₃₁ │
//! ```
//!
//! Codes are below 128 wherever the format allows, because the instructions before VNNI add pairs of products in 16 bits:
//! 2 · 127 · 127 fits, 2 · 255 · 127 does not. [`Unpack::WIDE`] formats have all eight bits and the offset 128.

use super::{Block, blocks, grids, iq4_nl::LEVELS, mxfp4, mxfp4::E2M1_TWICE, nvfp4, tq1_0::RUNS, u16_at, u32_at};
use crate::lanes::{Lanes, each};

/// Weights of a round.
pub(crate) const ROUND: usize = 512;

/// A block format that is integers and scales.
///
/// A round of zero bytes has finite scales in every format, so that they can stand for what is missing from a last round.
pub(crate) trait Unpack: Block {
    /// Values that share a scale: 16 or 32.
    const GROUP: usize = 32;
    /// What a code must be lowered by to have its sign.
    const OFFSET: u8;
    /// Whether groups have minima.
    const MINS: bool = false;
    /// Whether codes use all of `0 ..= 255`; then the offset is 128. Otherwise they are below 128.
    const WIDE: bool = Self::OFFSET == 128;
    /// Bytes of a round.
    const ROUND_BYTES: usize = ROUND / Self::LEN * Self::BYTES;

    /// The 64 codes from code 64 · k of a round on.
    ///
    /// # Safety
    /// As for every function of [`Lanes`].
    unsafe fn codes<L: Lanes>(round: &[u8], k: usize) -> L::B;

    /// The sixteen scales from group 16 · i of a round on; and the minima, or anything if the format has none.
    ///
    /// # Safety
    /// As for every function of [`Lanes`].
    unsafe fn scales<L: Lanes>(round: &[u8], i: usize) -> [L::F; 2];
}

/// Blocks 2k and 2k + 1 of a format of 32 values.
#[inline(always)]
fn neighbours<B: Block>(round: &[u8], k: usize) -> [&[u8]; 2] {
    let both = &round[2 * k * B::BYTES..2 * (k + 1) * B::BYTES];
    [&both[..B::BYTES], &both[B::BYTES..]]
}

/// Block `i` of a format.
#[inline(always)]
fn block<B: Block>(round: &[u8], i: usize) -> &[u8] {
    &round[i * B::BYTES..(i + 1) * B::BYTES]
}

/// Of a format of more than 32 values, the block that holds codes from 64 · k on, and how many times 64 of its own come before.
#[inline(always)]
fn within<B: Block>(round: &[u8], k: usize) -> (&[u8], usize) {
    (block::<B>(round, k * 64 / B::LEN), k % (B::LEN / 64))
}

/// The f16 at byte `at`.
#[inline(always)]
unsafe fn half_at<L: Lanes>(bytes: &[u8], at: usize) -> f32 {
    // SAFETY: the caller's word.
    unsafe { L::f16(u16_at(bytes, at)) }
}

/// The f16 at byte `at` of each of sixteen blocks of 32.
#[inline(always)]
unsafe fn halves_at<L: Lanes, B: Block>(round: &[u8], at: usize) -> L::F {
    assert!(15 * B::BYTES + at + 2 <= round.len());
    // SAFETY: the last of the sixteen ends within the round.
    unsafe { L::gather_f16(round.as_ptr().add(at), B::BYTES) }
}

/// Sixteen floats one by one.
#[inline(always)]
unsafe fn floats<L: Lanes>(x: [f32; 16]) -> L::F {
    // SAFETY: sixteen.
    unsafe { L::load(x.as_ptr()) }
}

/// 64 bytes of a block, from byte `at`.
#[inline(always)]
unsafe fn bytes_at<L: Lanes>(block: &[u8], at: usize) -> L::B {
    // SAFETY: 64 bytes by the slicing.
    unsafe { L::load_bytes(block[at..at + 64].as_ptr()) }
}

/// `x & mask` for the 32 bytes of a block from byte `at`, then `(x >> n) & mask`.
#[inline(always)]
unsafe fn twice_at<L: Lanes>(block: &[u8], at: usize, n: u32, mask: u8) -> L::B {
    // SAFETY: 32 bytes by the slicing.
    unsafe { L::twice(block[at..at + 32].as_ptr(), n, mask) }
}

/// The nibbles of sixteen bytes of two blocks each, from byte `at`: low ones first.
#[inline(always)]
unsafe fn nibbles_at<L: Lanes>([a, b]: [&[u8]; 2], at: usize) -> L::B {
    // SAFETY: sixteen bytes by the slicing.
    unsafe { L::nibbles(a[at..at + 16].as_ptr(), b[at..at + 16].as_ptr()) }
}

/// 32 signed bytes of two blocks each, from byte `at`, raised by 128.
#[inline(always)]
unsafe fn raised_at<L: Lanes>([a, b]: [&[u8]; 2], at: usize) -> L::B {
    // SAFETY: 32 bytes by the slicing.
    unsafe { L::xor(L::two(a[at..at + 32].as_ptr(), b[at..at + 32].as_ptr()), L::splat_byte(0x80)) }
}

/// Sets the bit `bit` of every code where the words of two blocks at byte `at` have one.
#[inline(always)]
unsafe fn with_bits<L: Lanes>(codes: L::B, [a, b]: [&[u8]; 2], at: usize, bit: u8) -> L::B {
    let bits = u64::from(u32_at(a, at)) | u64::from(u32_at(b, at)) << 32;
    // SAFETY: the caller's word.
    unsafe { L::or(codes, L::shift_and(L::spread(bits), 0, bit)) }
}

/// Moves bit `from` of every byte to bit `to` and clears the others.
#[inline(always)]
unsafe fn moved_bit<L: Lanes>(c: L::B, from: u32, to: u32) -> L::B {
    // SAFETY: the caller's word.
    unsafe { if from > to { L::shift_and(c, from - to, 1 << to) } else { L::shift_left_and(c, to - from, 1 << to) } }
}

impl Unpack for blocks::Q4_0 {
    const OFFSET: u8 = 8;

    #[inline(always)]
    unsafe fn codes<L: Lanes>(round: &[u8], k: usize) -> L::B {
        // SAFETY: the caller's word.
        unsafe { nibbles_at::<L>(neighbours::<Self>(round, k), 2) }
    }

    #[inline(always)]
    unsafe fn scales<L: Lanes>(round: &[u8], _: usize) -> [L::F; 2] {
        // SAFETY: the caller's word.
        unsafe { [halves_at::<L, Self>(round, 0); 2] }
    }
}

impl Unpack for blocks::Q4_1 {
    const OFFSET: u8 = 0;
    const MINS: bool = true;

    #[inline(always)]
    unsafe fn codes<L: Lanes>(round: &[u8], k: usize) -> L::B {
        // SAFETY: the caller's word.
        unsafe { nibbles_at::<L>(neighbours::<Self>(round, k), 4) }
    }

    #[inline(always)]
    unsafe fn scales<L: Lanes>(round: &[u8], _: usize) -> [L::F; 2] {
        // SAFETY: the caller's word.
        unsafe { [halves_at::<L, Self>(round, 0), halves_at::<L, Self>(round, 2)] }
    }
}

impl Unpack for blocks::Q5_0 {
    const OFFSET: u8 = 16;

    #[inline(always)]
    unsafe fn codes<L: Lanes>(round: &[u8], k: usize) -> L::B {
        let both = neighbours::<Self>(round, k);
        // SAFETY: the caller's word.
        unsafe { with_bits::<L>(nibbles_at::<L>(both, 6), both, 2, 16) }
    }

    #[inline(always)]
    unsafe fn scales<L: Lanes>(round: &[u8], _: usize) -> [L::F; 2] {
        // SAFETY: the caller's word.
        unsafe { [halves_at::<L, Self>(round, 0); 2] }
    }
}

impl Unpack for blocks::Q5_1 {
    const OFFSET: u8 = 0;
    const MINS: bool = true;

    #[inline(always)]
    unsafe fn codes<L: Lanes>(round: &[u8], k: usize) -> L::B {
        let both = neighbours::<Self>(round, k);
        // SAFETY: the caller's word.
        unsafe { with_bits::<L>(nibbles_at::<L>(both, 8), both, 4, 16) }
    }

    #[inline(always)]
    unsafe fn scales<L: Lanes>(round: &[u8], _: usize) -> [L::F; 2] {
        // SAFETY: the caller's word.
        unsafe { [halves_at::<L, Self>(round, 0), halves_at::<L, Self>(round, 2)] }
    }
}

impl Unpack for blocks::Q8_0 {
    const OFFSET: u8 = 128;

    #[inline(always)]
    unsafe fn codes<L: Lanes>(round: &[u8], k: usize) -> L::B {
        // SAFETY: the caller's word.
        unsafe { raised_at::<L>(neighbours::<Self>(round, k), 2) }
    }

    #[inline(always)]
    unsafe fn scales<L: Lanes>(round: &[u8], _: usize) -> [L::F; 2] {
        // SAFETY: the caller's word.
        unsafe { [halves_at::<L, Self>(round, 0); 2] }
    }
}

impl Unpack for blocks::Q8_1 {
    const OFFSET: u8 = 128;

    #[inline(always)]
    unsafe fn codes<L: Lanes>(round: &[u8], k: usize) -> L::B {
        // SAFETY: the caller's word.
        unsafe { raised_at::<L>(neighbours::<Self>(round, k), 4) }
    }

    #[inline(always)]
    unsafe fn scales<L: Lanes>(round: &[u8], _: usize) -> [L::F; 2] {
        // SAFETY: the caller's word.
        unsafe { [halves_at::<L, Self>(round, 0); 2] }
    }
}

impl Unpack for blocks::Q8_K {
    const OFFSET: u8 = 128;

    #[inline(always)]
    unsafe fn codes<L: Lanes>(round: &[u8], k: usize) -> L::B {
        let (block, k) = within::<Self>(round, k);
        // SAFETY: the caller's word.
        unsafe { L::xor(bytes_at::<L>(block, 4 + 64 * k), L::splat_byte(0x80)) }
    }

    #[inline(always)]
    unsafe fn scales<L: Lanes>(round: &[u8], _: usize) -> [L::F; 2] {
        let (a, b) = (u32_at(block::<Self>(round, 0), 0), u32_at(block::<Self>(round, 1), 0));
        // SAFETY: the caller's word.
        unsafe { [L::halves(f32::from_bits(a), f32::from_bits(b)); 2] }
    }
}

/// 64 two-bit codes: runs of 32 neighbours share a shift, and four runs 32 bytes, the first of a block at byte `at`.
#[inline(always)]
unsafe fn twos_at<L: Lanes>(block: &[u8], at: usize, k: usize) -> L::B {
    // SAFETY: the caller's word. Runs 0 and 1 are the lowest bits here, 2 and 3 the fifth and sixth.
    unsafe { L::shift_and(twice_at::<L>(block, at + 32 * (k / 2), 2, 0x33), 4 * (k as u32 % 2), 3) }
}

impl Unpack for blocks::Q2_K {
    const GROUP: usize = 16;
    const OFFSET: u8 = 0;
    const MINS: bool = true;

    #[inline(always)]
    unsafe fn codes<L: Lanes>(round: &[u8], k: usize) -> L::B {
        let (block, k) = within::<Self>(round, k);
        // SAFETY: the caller's word.
        unsafe { twos_at::<L>(block, 16, k) }
    }

    #[inline(always)]
    unsafe fn scales<L: Lanes>(round: &[u8], i: usize) -> [L::F; 2] {
        let block = block::<Self>(round, i);
        // SAFETY: the caller's word.
        unsafe {
            let (d, m) = (half_at::<L>(block, 80), half_at::<L>(block, 82));
            let (a, b) = (u64_at(block, 0), u64_at(block, 8));
            let high = [(a >> 4) & LOW_NIBBLES, (b >> 4) & LOW_NIBBLES];
            [of_sixteen::<L>([a & LOW_NIBBLES, b & LOW_NIBBLES], d), of_sixteen::<L>(high, -m)]
        }
    }
}

/// The low nibbles of eight bytes.
const LOW_NIBBLES: u64 = 0x0F0F_0F0F_0F0F_0F0F;

/// The little-endian u64 at byte `at`.
#[inline(always)]
fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}

/// Eight bytes below 128, each lowered by 32, to bytes with a sign.
#[inline(always)]
fn lowered_by_32(bytes: u64) -> u64 {
    // With its top bit set no byte borrows from its neighbour.
    ((bytes | 0x8080_8080_8080_8080) - 0x2020_2020_2020_2020) ^ 0x8080_8080_8080_8080
}

/// Sixteen scales, each a small integer times d: eight integers in a word.
#[inline(always)]
unsafe fn of_sixteen<L: Lanes>(integers: [u64; 2], d: f32) -> L::F {
    // SAFETY: the caller's word.
    unsafe { L::mul(L::splat(d), L::from_i8(integers)) }
}

impl Unpack for blocks::Q3_K {
    const GROUP: usize = 16;
    const OFFSET: u8 = 4;

    #[inline(always)]
    unsafe fn codes<L: Lanes>(round: &[u8], k: usize) -> L::B {
        let (block, k) = within::<Self>(round, k);
        // SAFETY: the caller's word. The third bits of runs 2k and 2k + 1 are bits 2k and 2k + 1 of the same 32 bytes.
        unsafe {
            let thirds = twice_at::<L>(block, 0, 1, 0x55);
            L::or(twos_at::<L>(block, 32, k), moved_bit::<L>(thirds, 2 * k as u32, 2))
        }
    }

    #[inline(always)]
    unsafe fn scales<L: Lanes>(round: &[u8], i: usize) -> [L::F; 2] {
        let block = block::<Self>(round, i);
        let (low, high) = (u64_at(block, 96), u64::from(u32_at(block, 104)));
        // Eight scales at a time, a byte each: four bits from the low eight bytes, two from the high four, which serve twice.
        let eight = |shift: u32| {
            let highs = (high >> shift) & 0x0303_0303 | ((high >> (shift + 2)) & 0x0303_0303) << 32;
            lowered_by_32((low >> shift) & LOW_NIBBLES | highs << 4)
        };
        let integers = [eight(0), eight(4)];
        // SAFETY: the caller's word.
        unsafe { [of_sixteen::<L>(integers, half_at::<L>(block, 108)); 2] }
    }
}

/// The eight scales of a block of Q4_K or Q5_K, and its eight minima: all sixteen six-bit numbers at once, four in half a word.
#[inline(always)]
fn six_bit_scales(block: &[u8]) -> (u64, u64) {
    let (a, b, c) = (u32_at(block, 4), u32_at(block, 8), u32_at(block, 12));
    let scales = [a & 0x3F3F_3F3F, c & 0x0F0F_0F0F | (a >> 2) & 0x3030_3030];
    let mins = [b & 0x3F3F_3F3F, (c >> 4) & 0x0F0F_0F0F | (b >> 2) & 0x3030_3030];
    (u64::from(scales[0]) | u64::from(scales[1]) << 32, u64::from(mins[0]) | u64::from(mins[1]) << 32)
}

/// The scales and minima of two blocks of Q4_K or Q5_K.
#[inline(always)]
unsafe fn of_two_blocks<L: Lanes, B: Block>(round: &[u8]) -> [L::F; 2] {
    let (a, b) = (block::<B>(round, 0), block::<B>(round, 1));
    let ((a_scales, a_mins), (b_scales, b_mins)) = (six_bit_scales(a), six_bit_scales(b));
    // SAFETY: the caller's word.
    unsafe {
        let d = L::halves(half_at::<L>(a, 0), half_at::<L>(b, 0));
        let m = L::halves(-half_at::<L>(a, 2), -half_at::<L>(b, 2));
        [L::mul(d, L::from_i8([a_scales, b_scales])), L::mul(m, L::from_i8([a_mins, b_mins]))]
    }
}

impl Unpack for blocks::Q4_K {
    const OFFSET: u8 = 0;
    const MINS: bool = true;

    #[inline(always)]
    unsafe fn codes<L: Lanes>(round: &[u8], k: usize) -> L::B {
        let (block, k) = within::<Self>(round, k);
        // SAFETY: the caller's word.
        unsafe { twice_at::<L>(block, 16 + 32 * k, 4, 15) }
    }

    #[inline(always)]
    unsafe fn scales<L: Lanes>(round: &[u8], _: usize) -> [L::F; 2] {
        // SAFETY: the caller's word.
        unsafe { of_two_blocks::<L, Self>(round) }
    }
}

impl Unpack for blocks::Q5_K {
    const OFFSET: u8 = 0;
    const MINS: bool = true;

    #[inline(always)]
    unsafe fn codes<L: Lanes>(round: &[u8], k: usize) -> L::B {
        let (block, k) = within::<Self>(round, k);
        // SAFETY: the caller's word. The fifth bits of groups 2k and 2k + 1 are bits 2k and 2k + 1 of the same 32 bytes.
        unsafe {
            let fifths = twice_at::<L>(block, 16, 1, 0x55);
            L::or(twice_at::<L>(block, 48 + 32 * k, 4, 15), moved_bit::<L>(fifths, 2 * k as u32, 4))
        }
    }

    #[inline(always)]
    unsafe fn scales<L: Lanes>(round: &[u8], _: usize) -> [L::F; 2] {
        // SAFETY: the caller's word.
        unsafe { of_two_blocks::<L, Self>(round) }
    }
}

impl Unpack for blocks::Q6_K {
    const GROUP: usize = 16;
    const OFFSET: u8 = 32;

    #[inline(always)]
    unsafe fn codes<L: Lanes>(round: &[u8], k: usize) -> L::B {
        let (block, k) = within::<Self>(round, k);
        // SAFETY: the caller's word. Of 64 bytes the low nibbles come first; their high bits are the lowest and third pair of bits of 32
        // bytes, which `twice` puts at bits 0 and 4, and their second and fourth.
        unsafe {
            let low = L::shift_and(bytes_at::<L>(block, 64 * (k / 2)), 4 * (k as u32 % 2), 15);
            let high = twice_at::<L>(block, 128 + 32 * (k / 2), 2, 0x33);
            L::or(low, if k % 2 == 0 { L::shift_left_and(high, 4, 0x30) } else { L::shift_and(high, 0, 0x30) })
        }
    }

    #[inline(always)]
    unsafe fn scales<L: Lanes>(round: &[u8], i: usize) -> [L::F; 2] {
        let block = block::<Self>(round, i);
        // SAFETY: the caller's word.
        unsafe { [of_sixteen::<L>([u64_at(block, 192), u64_at(block, 200)], half_at::<L>(block, 208)); 2] }
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
    unsafe fn codes<L: Lanes>(round: &[u8], k: usize) -> L::B {
        // SAFETY: the caller's word.
        unsafe { L::lookup(&UNEQUAL, nibbles_at::<L>(neighbours::<Self>(round, k), 2)) }
    }

    #[inline(always)]
    unsafe fn scales<L: Lanes>(round: &[u8], _: usize) -> [L::F; 2] {
        // SAFETY: the caller's word.
        unsafe { [halves_at::<L, Self>(round, 0); 2] }
    }
}

impl Unpack for blocks::IQ4_XS {
    const OFFSET: u8 = 128;

    #[inline(always)]
    unsafe fn codes<L: Lanes>(round: &[u8], k: usize) -> L::B {
        let (block, k) = within::<Self>(round, k);
        let groups = &block[8 + 32 * k..];
        // SAFETY: the caller's word.
        unsafe { L::lookup(&UNEQUAL, nibbles_at::<L>([groups, &groups[16..]], 0)) }
    }

    #[inline(always)]
    unsafe fn scales<L: Lanes>(round: &[u8], _: usize) -> [L::F; 2] {
        let (a, b) = (block::<Self>(round, 0), block::<Self>(round, 1));
        let eight = |block: &[u8]| {
            // The eight low nibbles to a byte each, in three steps that move half of what is left.
            let mut low = u64::from(u32_at(block, 4));
            low = (low | low << 16) & 0x0000_FFFF_0000_FFFF;
            low = (low | low << 8) & 0x00FF_00FF_00FF_00FF;
            low = (low | low << 4) & LOW_NIBBLES;
            lowered_by_32(low | u64::from_le_bytes(neighbours_of_two_bits(u16_at(block, 2))) << 4)
        };
        // SAFETY: the caller's word.
        unsafe {
            let d = L::halves(half_at::<L>(a, 0), half_at::<L>(b, 0));
            [L::mul(d, L::from_i8([eight(a), eight(b)])); 2]
        }
    }
}

impl Unpack for blocks::MXFP4 {
    const OFFSET: u8 = 12;

    #[inline(always)]
    unsafe fn codes<L: Lanes>(round: &[u8], k: usize) -> L::B {
        // SAFETY: the caller's word.
        unsafe { L::lookup(&FLOATS, nibbles_at::<L>(neighbours::<Self>(round, k), 1)) }
    }

    #[inline(always)]
    unsafe fn scales<L: Lanes>(round: &[u8], _: usize) -> [L::F; 2] {
        // SAFETY: the caller's word.
        unsafe { [floats::<L>(each!(16, i => mxfp4::half_scale(round[i * Self::BYTES]))); 2] }
    }
}

impl Unpack for blocks::NVFP4 {
    const GROUP: usize = 16;
    const OFFSET: u8 = 12;

    #[inline(always)]
    unsafe fn codes<L: Lanes>(round: &[u8], k: usize) -> L::B {
        let (block, _) = within::<Self>(round, k);
        // Sixteen bytes are two groups, of which each has its low nibbles first.
        let mut codes = [0u8; 64];
        for (codes, bytes) in codes.chunks_exact_mut(16).zip(block[4..36].chunks_exact(8)) {
            for (i, b) in bytes.iter().enumerate() {
                (codes[i], codes[i + 8]) = (b & 15, b >> 4);
            }
        }
        // SAFETY: the caller's word.
        unsafe { L::lookup(&FLOATS, bytes_at::<L>(&codes, 0)) }
    }

    #[inline(always)]
    unsafe fn scales<L: Lanes>(round: &[u8], i: usize) -> [L::F; 2] {
        let scale = |g: usize| nvfp4::half_scale(block::<Self>(round, 4 * i + g / 4)[g % 4]);
        // SAFETY: the caller's word.
        unsafe { [floats::<L>(std::array::from_fn(scale)); 2] }
    }
}

/// One f16 at byte `at` of each block, as often as a block of the format has groups among sixteen.
#[inline(always)]
unsafe fn one_each<L: Lanes, B: Unpack>(round: &[u8], at: usize) -> [L::F; 2] {
    // SAFETY: the caller's word.
    unsafe { [floats::<L>(each!(16, g => half_at::<L>(block::<B>(round, g * B::GROUP / B::LEN), at))); 2] }
}

impl Unpack for blocks::Q1_0 {
    const OFFSET: u8 = 1;

    #[inline(always)]
    unsafe fn codes<L: Lanes>(round: &[u8], k: usize) -> L::B {
        let (block, k) = within::<Self>(round, k);
        // SAFETY: the caller's word.
        unsafe { L::shift_and(L::spread(u64_at(block, 2 + 8 * k)), 0, 2) }
    }

    #[inline(always)]
    unsafe fn scales<L: Lanes>(round: &[u8], _: usize) -> [L::F; 2] {
        // SAFETY: the caller's word.
        unsafe { one_each::<L, Self>(round, 0) }
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
    unsafe fn codes<L: Lanes>(round: &[u8], k: usize) -> L::B {
        let (block, _) = within::<Self>(round, k);
        let codes: [[u8; 8]; 8] = std::array::from_fn(|i| neighbours_of_two_bits(u16_at(block, 2 + 2 * i)));
        // SAFETY: the caller's word.
        unsafe { bytes_at::<L>(codes.as_flattened(), 0) }
    }

    #[inline(always)]
    unsafe fn scales<L: Lanes>(round: &[u8], _: usize) -> [L::F; 2] {
        // SAFETY: the caller's word.
        unsafe { one_each::<L, Self>(round, 0) }
    }
}

impl Unpack for blocks::TQ1_0 {
    const OFFSET: u8 = 1;

    #[inline(always)]
    unsafe fn codes<L: Lanes>(round: &[u8], k: usize) -> L::B {
        let (block, k) = within::<Self>(round, k);
        let mut codes = [0u8; 64];
        // Where the run begins among the 64, if not before them or behind them.
        let mut at = -64 * k as isize;
        for (first, n, digits) in RUNS {
            for digit in 0..digits {
                if (0..64).contains(&at) {
                    for (code, b) in codes[at as usize..].iter_mut().zip(&block[first..first + n]) {
                        *code = ((u16::from(b.wrapping_mul(3u8.pow(digit))) * 3) >> 8) as u8;
                    }
                }
                at += n as isize;
            }
        }
        // SAFETY: the caller's word.
        unsafe { bytes_at::<L>(&codes, 0) }
    }

    #[inline(always)]
    unsafe fn scales<L: Lanes>(round: &[u8], _: usize) -> [L::F; 2] {
        // SAFETY: the caller's word.
        unsafe { one_each::<L, Self>(round, 52) }
    }
}

impl Unpack for blocks::TQ2_0 {
    const OFFSET: u8 = 1;

    #[inline(always)]
    unsafe fn codes<L: Lanes>(round: &[u8], k: usize) -> L::B {
        let (block, k) = within::<Self>(round, k);
        // SAFETY: the caller's word.
        unsafe { twos_at::<L>(block, 0, k) }
    }

    #[inline(always)]
    unsafe fn scales<L: Lanes>(round: &[u8], _: usize) -> [L::F; 2] {
        // SAFETY: the caller's word.
        unsafe { one_each::<L, Self>(round, 64) }
    }
}

/// Eight points of eight magnitudes (or sixteen of four) with their signs, raised by 64: 64 codes of a block.
#[inline(always)]
unsafe fn signed_points<'a, L: Lanes, const DIM: usize>(point: impl Fn(usize) -> &'a [i8; DIM], signs: u64) -> L::B {
    // Where the mask m is all ones, (x ^ m) + 1 = −x; adding 64 − m does both.
    let mut magnitudes = [0u8; 64];
    for (i, to) in magnitudes.chunks_exact_mut(DIM).enumerate() {
        to.copy_from_slice(bytemuck::cast_slice(point(i)));
    }
    // SAFETY: the caller's word.
    unsafe {
        let minus = L::spread(signs);
        let flipped = L::xor(bytes_at::<L>(&magnitudes, 0), minus);
        L::add_bytes(L::add_bytes(flipped, L::shift_and(minus, 0, 1)), L::splat_byte(64))
    }
}

/// The 64 signs of eight times seven bits, of which the words hold four each.
#[inline(always)]
fn signs_of_sevens(words: [u32; 2]) -> u64 {
    let of = |i: usize| u64::from(grids::even_signs((words[i / 4] >> (7 * (i % 4))) as u8 & 127));
    (0..8).fold(0, |signs, i| signs | of(i) << (8 * i))
}

impl Unpack for blocks::IQ2_XXS {
    const OFFSET: u8 = 64;

    #[inline(always)]
    unsafe fn codes<L: Lanes>(round: &[u8], k: usize) -> L::B {
        let (block, k) = within::<Self>(round, k);
        let groups = &block[2 + 16 * k..18 + 16 * k];
        let point = |i: usize| &grids::IQ2_XXS[usize::from(groups[i / 4 * 8 + i % 4])];
        // SAFETY: the caller's word.
        unsafe { signed_points::<L, 8>(point, signs_of_sevens([u32_at(groups, 4), u32_at(groups, 12)])) }
    }

    #[inline(always)]
    unsafe fn scales<L: Lanes>(round: &[u8], _: usize) -> [L::F; 2] {
        // SAFETY: the caller's word.
        unsafe {
            let scale = |g: usize| {
                let block = block::<Self>(round, g / 8);
                half_at::<L>(block, 0) * (0.5 + (u32_at(block, 6 + 8 * (g % 8)) >> 28) as f32) * 0.25
            };
            [floats::<L>(std::array::from_fn(scale)); 2]
        }
    }
}

/// Sixteen four-bit scales s as d · (½ + s) / 4.
#[inline(always)]
unsafe fn half_up_scales<L: Lanes>(d: f32, nibbles: &[u8]) -> [L::F; 2] {
    let scale = |g: usize| d * (0.5 + f32::from((nibbles[g / 2] >> (4 * (g % 2))) & 15)) * 0.25;
    // SAFETY: the caller's word.
    unsafe { [floats::<L>(std::array::from_fn(scale)); 2] }
}

impl Unpack for blocks::IQ2_XS {
    const GROUP: usize = 16;
    const OFFSET: u8 = 64;

    #[inline(always)]
    unsafe fn codes<L: Lanes>(round: &[u8], k: usize) -> L::B {
        let (block, k) = within::<Self>(round, k);
        let words: [u16; 8] = std::array::from_fn(|i| u16_at(block, 2 + 16 * k + 2 * i));
        let signs = words.map(|w| grids::even_signs((w >> 9) as u8));
        // SAFETY: the caller's word.
        unsafe { signed_points::<L, 8>(|i| &grids::IQ2_XS[usize::from(words[i] & 511)], u64::from_le_bytes(signs)) }
    }

    #[inline(always)]
    unsafe fn scales<L: Lanes>(round: &[u8], i: usize) -> [L::F; 2] {
        let block = block::<Self>(round, i);
        // SAFETY: the caller's word.
        unsafe { half_up_scales::<L>(half_at::<L>(block, 0), &block[66..74]) }
    }
}

impl Unpack for blocks::IQ2_S {
    const GROUP: usize = 16;
    const OFFSET: u8 = 64;

    #[inline(always)]
    unsafe fn codes<L: Lanes>(round: &[u8], k: usize) -> L::B {
        let (block, k) = within::<Self>(round, k);
        let point = |i: usize| {
            let high = (block[66 + 2 * k + i / 4] >> (2 * (i % 4))) & 3;
            &grids::IQ2_S[usize::from(block[2 + 8 * k + i]) | usize::from(high) << 8]
        };
        // SAFETY: the caller's word.
        unsafe { signed_points::<L, 8>(point, u64_at(block, 34 + 8 * k)) }
    }

    #[inline(always)]
    unsafe fn scales<L: Lanes>(round: &[u8], i: usize) -> [L::F; 2] {
        let block = block::<Self>(round, i);
        // SAFETY: the caller's word.
        unsafe { half_up_scales::<L>(half_at::<L>(block, 0), &block[74..82]) }
    }
}

impl Unpack for blocks::IQ3_XXS {
    const OFFSET: u8 = 64;

    #[inline(always)]
    unsafe fn codes<L: Lanes>(round: &[u8], k: usize) -> L::B {
        let (block, k) = within::<Self>(round, k);
        let point = |i: usize| &grids::IQ3_XXS[usize::from(block[2 + 16 * k + i])];
        let signs = signs_of_sevens([u32_at(block, 66 + 8 * k), u32_at(block, 70 + 8 * k)]);
        // SAFETY: the caller's word.
        unsafe { signed_points::<L, 4>(point, signs) }
    }

    #[inline(always)]
    unsafe fn scales<L: Lanes>(round: &[u8], _: usize) -> [L::F; 2] {
        // SAFETY: the caller's word.
        unsafe {
            let scale = |g: usize| {
                let block = block::<Self>(round, g / 8);
                half_at::<L>(block, 0) * (0.5 + (u32_at(block, 66 + 4 * (g % 8)) >> 28) as f32) * 0.5
            };
            [floats::<L>(std::array::from_fn(scale)); 2]
        }
    }
}

impl Unpack for blocks::IQ3_S {
    const OFFSET: u8 = 64;

    #[inline(always)]
    unsafe fn codes<L: Lanes>(round: &[u8], k: usize) -> L::B {
        let (block, k) = within::<Self>(round, k);
        let point = |i: usize| {
            let ninth = (block[66 + 2 * k + i / 8] >> (i % 8)) & 1;
            &grids::IQ3_S[usize::from(block[2 + 16 * k + i]) | usize::from(ninth) << 8]
        };
        // SAFETY: the caller's word.
        unsafe { signed_points::<L, 4>(point, u64_at(block, 74 + 8 * k)) }
    }

    #[inline(always)]
    unsafe fn scales<L: Lanes>(round: &[u8], _: usize) -> [L::F; 2] {
        // SAFETY: the caller's word.
        unsafe {
            let scale = |g: usize| {
                let block = block::<Self>(round, g / 8);
                let s = (block[106 + g % 8 / 2] >> (4 * (g % 2))) & 15;
                half_at::<L>(block, 0) * f32::from(1 + 2 * s)
            };
            [floats::<L>(std::array::from_fn(scale)); 2]
        }
    }
}

/// 64 codes of eight points of −1, 0 and 1 in eighths, each moved up or down by one of them, and raised by 16.
#[inline(always)]
unsafe fn shifted_points<L: Lanes>(point: impl Fn(usize) -> (usize, bool)) -> L::B {
    let mut codes = [0u8; 64];
    for (i, codes) in codes.chunks_exact_mut(8).enumerate() {
        let (point, down) = point(i);
        let middle = if down { 15 } else { 17 };
        codes.copy_from_slice(&grids::IQ1[point].map(|level| (8 * level + middle) as u8));
    }
    // SAFETY: the caller's word.
    unsafe { bytes_at::<L>(&codes, 0) }
}

impl Unpack for blocks::IQ1_S {
    const OFFSET: u8 = 16;

    #[inline(always)]
    unsafe fn codes<L: Lanes>(round: &[u8], k: usize) -> L::B {
        let (block, k) = within::<Self>(round, k);
        let point = |i: usize| {
            let word = u16_at(block, 34 + 2 * (2 * k + i / 4));
            let high = usize::from((word >> (3 * (i % 4))) & 7);
            (usize::from(block[2 + 8 * k + i]) | high << 8, word >> 15 == 1)
        };
        // SAFETY: the caller's word.
        unsafe { shifted_points::<L>(point) }
    }

    #[inline(always)]
    unsafe fn scales<L: Lanes>(round: &[u8], _: usize) -> [L::F; 2] {
        // SAFETY: the caller's word.
        unsafe {
            let scale = |g: usize| {
                let block = block::<Self>(round, g / 8);
                half_at::<L>(block, 0) * f32::from(2 * ((u16_at(block, 34 + 2 * (g % 8)) >> 12) & 7) + 1) * 0.125
            };
            [floats::<L>(std::array::from_fn(scale)); 2]
        }
    }
}

impl Unpack for blocks::IQ1_M {
    const GROUP: usize = 16;
    const OFFSET: u8 = 16;

    #[inline(always)]
    unsafe fn codes<L: Lanes>(round: &[u8], k: usize) -> L::B {
        let (block, k) = within::<Self>(round, k);
        let point = |i: usize| {
            let high = block[32 + 4 * k + i / 2] >> (4 * (i % 2));
            (usize::from(block[8 * k + i]) | usize::from(high & 7) << 8, high & 8 != 0)
        };
        // SAFETY: the caller's word.
        unsafe { shifted_points::<L>(point) }
    }

    #[inline(always)]
    unsafe fn scales<L: Lanes>(round: &[u8], i: usize) -> [L::F; 2] {
        let block = block::<Self>(round, i);
        let words: [u16; 4] = std::array::from_fn(|j| u16_at(block, 48 + 2 * j));
        // SAFETY: the caller's word.
        unsafe {
            let d = L::f16((0..4).fold(0, |d, j| d | (words[j] >> 12) << (4 * j)));
            let scale = |g: usize| d * f32::from(2 * ((words[g / 4] >> (3 * (g % 4))) & 7) + 1) * 0.125;
            [floats::<L>(std::array::from_fn(scale)); 2]
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

/// The codes, scales and minima of a round, by plain loops.
#[cfg(test)]
pub(crate) fn plain<B: Unpack>(round: &[u8]) -> (Vec<u8>, Vec<f32>, Vec<f32>) {
    use crate::lanes::scalar::Scalar;
    // SAFETY: plain loops need no instructions.
    let codes = (0..8).flat_map(|k| unsafe { B::codes::<Scalar>(round, k) }).collect();
    // SAFETY: as above.
    let of = |which: usize| (0..32 / B::GROUP).flat_map(move |i| unsafe { B::scales::<Scalar>(round, i)[which] });
    (codes, of(0).collect(), of(1).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::{Format, testing::random_rows};

    #[test]
    fn codes_scales_and_minima_are_the_decoded_values() {
        for &format in Format::ALL.iter().filter(|f| is_integers(**f)) {
            with_unpack!(format, B => check::<B>(), else unreachable!());
        }
    }

    fn check<B: Unpack>() {
        let rounds = random_rows(B::FORMAT, ROUND * 20, 1);
        let mut want = vec![0.0; ROUND];
        for round in rounds.chunks_exact(B::ROUND_BYTES) {
            let (codes, scales, mins) = plain::<B>(round);
            for (block, want) in round.chunks_exact(B::BYTES).zip(want.chunks_exact_mut(B::LEN)) {
                B::decode(block, want);
            }
            for i in 0..ROUND {
                let g = i / B::GROUP;
                let min = if B::MINS { mins[g] } else { 0.0 };
                let got = scales[g].mul_add((i32::from(codes[i]) - i32::from(B::OFFSET)) as f32, min);
                assert_eq!(got, want[i], "{} value {i}", B::FORMAT.name());
                assert!(B::WIDE || codes[i] < 128);
            }
        }
    }

    #[test]
    fn zero_bytes_have_finite_scales() {
        for &format in Format::ALL.iter().filter(|f| is_integers(**f)) {
            with_unpack!(format, B => {
                let (_, scales, mins) = plain::<B>(&[0; B::ROUND_BYTES]);
                assert!(scales.iter().chain(&mins).all(|x| x.is_finite()), "{}", format.name());
            }, else unreachable!());
        }
    }

    #[test]
    fn only_plain_numbers_are_left_out() {
        let left: Vec<&str> = Format::ALL.iter().filter(|f| !is_integers(**f)).map(|f| f.name()).collect();
        assert_eq!(left, ["F32", "F16", "I8", "I16", "I32", "I64", "F64", "BF16"]);
    }
}
