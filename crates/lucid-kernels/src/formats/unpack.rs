//! Blocks as small integers, for dot products in integers: the first half of every fast matrix product.
//!
//! Every quantised format is the same thing underneath. A block of any of them is
//!
//! ```text
//! weightᵢ = scale_g · (codeᵢ − OFFSET) + min_g          g = i / GROUP,  GROUP = 16 or 32
//! ```
//!
//! with unsigned byte codes, f32 scales (products of a block's scale and its groups' small integers: exact), and in some
//! formats minima (exact, too). [`Unpack`] reads the three from memory into registers; what follows knows no format any
//! more.
//!
//! It does so from a *round* of 512 weights, whole blocks in every format: codes come 64 at a time, as many as a register of
//! 64 bytes holds, and scales sixteen at a time. So no lane is ever idle, however small the blocks are.
//!
//! ```text
//! a round:   Q4_0   │d n│d n│d n│d n│d n│d n│d n│d n│d n│d n│d n│d n│d n│d n│d n│d n│      16 blocks of 32
//!            Q4_K   │d m scales n n n n n n n n     │d m scales n n n n n n n n     │       2 blocks of 256
//! codes          k = 0 … 7:  │ 32 of block 2k │ 32 of block 2k + 1 │
//! scales                     │ s₀ s₁ … s₁₅ │             and, where a group is 16, │ s₁₆ s₁₇ … s₃₁ │
//! ```
//!
//! Codes are below 128 wherever the format allows, because the instructions before VNNI add pairs of products in 16 bits:
//! 2 · 127 · 127 fits, 2 · 255 · 127 does not. Formats of [`Codes::Wide`] have all eight bits and the offset 128. Of codes
//! below 16, [`Codes::Small`], even eight steps fit 16 bits.

use super::{Block, u16_at, u32_at};
use crate::lanes::{Codes, Lanes, Order, each};

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
    /// How large codes are. [`Codes::Wide`] have the offset 128.
    const CODES: Codes = if Self::OFFSET == 128 { Codes::Wide } else { Codes::Narrow };
    /// Whether it is worth a kernel for each number of a few rows ([`Lanes::HELD`]). Of rarer formats one row has its own, and
    /// the others share one, so that the program is built sooner.
    const USUAL: bool = true;
    /// Bytes of a round.
    const ROUND_BYTES: usize = ROUND / Self::LEN * Self::BYTES;

    /// The 64 codes from code 64 · k of a round on.
    ///
    /// # Safety
    /// As for every function of [`Lanes`].
    unsafe fn codes<L: Lanes>(round: &[u8], k: usize) -> L::B;

    /// The order of [`Unpack::mixed`].
    const ORDER: Order = Order::Together;

    /// All codes of a round, mixed ([`Lanes::mix`]).
    ///
    /// # Safety
    /// As for every function of [`Lanes`].
    #[inline(always)]
    unsafe fn mixed<L: Lanes>(round: &[u8]) -> [L::B; 8] {
        // SAFETY: the caller's word.
        unsafe { L::mix(each!(8, k => Self::codes::<L>(round, k)), Self::ORDER) }
    }

    /// Whether there is [`Unpack::across`].
    const ACROSS: bool = false;

    /// The codes of blocks 2 · `pair` and 2 · `pair` + 1 of a round, of sixteen rows `stride` bytes from one to the next:
    /// vector k of a block has the four codes from 4 · k on, those of row r in lane r. Only at levels with [`Lanes::ACROSS`].
    ///
    /// # Safety
    /// As for every function of [`Lanes`]; sixteen rows have a round from `round` on, and `pair` is below 8.
    #[inline(always)]
    unsafe fn across<L: Lanes>(_round: *const u8, _stride: usize, _pair: usize) -> [[L::B; 8]; 2] {
        unreachable!("not asked for where ACROSS is false")
    }

    /// The sixteen scales from group 16 · i of a round on; and the minima, or anything if the format has none.
    ///
    /// # Safety
    /// As for every function of [`Lanes`].
    unsafe fn scales<L: Lanes>(round: &[u8], i: usize) -> [L::F; 2];
}

/// The nibbles of sixteen bytes of all sixteen blocks, from byte `at` of each.
#[inline(always)]
pub(super) unsafe fn all_nibbles_at<L: Lanes, B: Block>(round: &[u8], at: usize) -> [L::B; 8] {
    assert!(15 * B::BYTES + at + 16 <= round.len());
    // SAFETY: the last of the sixteen ends within the round.
    unsafe { L::nibbles_apart(round.as_ptr().add(at), B::BYTES) }
}

/// [`Unpack::across`] of nibbles from byte `at` of each block of a format of 32 values.
#[inline(always)]
pub(super) unsafe fn nibbles_across<L: Lanes, B: Block>(
    round: *const u8,
    stride: usize,
    pair: usize,
    at: usize,
) -> [[L::B; 8]; 2] {
    // SAFETY: the caller's word.
    unsafe { each!(2, i => L::nibbles_apart(round.add((2 * pair + i) * B::BYTES + at), stride)) }
}

/// What a table says for each of 512 codes.
#[inline(always)]
pub(super) unsafe fn lookups<L: Lanes>(table: &[u8; 16], codes: [L::B; 8]) -> [L::B; 8] {
    // SAFETY: the caller's word.
    unsafe { each!(8, k => L::lookup(table, codes[k])) }
}

/// Blocks 2k and 2k + 1 of a format of 32 values.
#[inline(always)]
pub(super) fn neighbours<B: Block>(round: &[u8], k: usize) -> [&[u8]; 2] {
    let both = &round[2 * k * B::BYTES..2 * (k + 1) * B::BYTES];
    [&both[..B::BYTES], &both[B::BYTES..]]
}

/// Block `i` of a format.
#[inline(always)]
pub(super) fn block<B: Block>(round: &[u8], i: usize) -> &[u8] {
    &round[i * B::BYTES..(i + 1) * B::BYTES]
}

/// Of a format of more than 32 values, the block that holds codes from 64 · k on, and how many times 64 of its own come
/// before.
#[inline(always)]
pub(super) fn within<B: Block>(round: &[u8], k: usize) -> (&[u8], usize) {
    (block::<B>(round, k * 64 / B::LEN), k % (B::LEN / 64))
}

/// The f16 at byte `at`.
#[inline(always)]
pub(super) unsafe fn half_at<L: Lanes>(bytes: &[u8], at: usize) -> f32 {
    // SAFETY: the caller's word.
    unsafe { L::f16(u16_at(bytes, at)) }
}

/// The f16 at byte `at` of each of sixteen blocks of 32.
#[inline(always)]
pub(super) unsafe fn halves_at<L: Lanes, B: Block>(round: &[u8], at: usize) -> L::F {
    assert!(15 * B::BYTES + at + 2 <= round.len());
    // SAFETY: the last of the sixteen ends within the round.
    unsafe { L::gather_f16(round.as_ptr().add(at), B::BYTES) }
}

/// Sixteen floats one by one.
#[inline(always)]
pub(super) unsafe fn floats<L: Lanes>(x: [f32; 16]) -> L::F {
    // SAFETY: sixteen.
    unsafe { L::load(x.as_ptr()) }
}

/// 64 bytes of a block, from byte `at`.
#[inline(always)]
pub(super) unsafe fn bytes_at<L: Lanes>(block: &[u8], at: usize) -> L::B {
    // SAFETY: 64 bytes by the slicing.
    unsafe { L::load_bytes(block[at..at + 64].as_ptr()) }
}

/// `x & mask` for the 32 bytes of a block from byte `at`, then `(x >> n) & mask`.
#[inline(always)]
pub(super) unsafe fn twice_at<L: Lanes>(block: &[u8], at: usize, n: u32, mask: u8) -> L::B {
    // SAFETY: 32 bytes by the slicing.
    unsafe { L::twice(block[at..at + 32].as_ptr(), n, mask) }
}

/// The nibbles of sixteen bytes of two blocks each, from byte `at`: low ones first.
#[inline(always)]
pub(super) unsafe fn nibbles_at<L: Lanes>([a, b]: [&[u8]; 2], at: usize) -> L::B {
    // SAFETY: sixteen bytes by the slicing.
    unsafe { L::nibbles(a[at..at + 16].as_ptr(), b[at..at + 16].as_ptr()) }
}

/// 32 signed bytes of two blocks each, from byte `at`, raised by 128.
#[inline(always)]
pub(super) unsafe fn raised_at<L: Lanes>([a, b]: [&[u8]; 2], at: usize) -> L::B {
    // SAFETY: 32 bytes by the slicing.
    unsafe { L::xor(L::two(a[at..at + 32].as_ptr(), b[at..at + 32].as_ptr()), L::splat_byte(0x80)) }
}

/// Sets the bit `bit` of every code where the words of two blocks at byte `at` have one.
#[inline(always)]
pub(super) unsafe fn with_bits<L: Lanes>(codes: L::B, [a, b]: [&[u8]; 2], at: usize, bit: u8) -> L::B {
    let bits = u64::from(u32_at(a, at)) | u64::from(u32_at(b, at)) << 32;
    // SAFETY: the caller's word.
    unsafe { L::or(codes, L::shift_and(L::spread(bits), 0, bit)) }
}

/// Moves bit `from` of every byte to bit `to` and clears the others.
#[inline(always)]
pub(super) unsafe fn moved_bit<L: Lanes>(c: L::B, from: u32, to: u32) -> L::B {
    // SAFETY: the caller's word.
    unsafe { if from > to { L::shift_and(c, from - to, 1 << to) } else { L::shift_left_and(c, to - from, 1 << to) } }
}

/// 64 two-bit codes: runs of 32 neighbours share a shift, and four runs 32 bytes, the first of a block at byte `at`.
#[inline(always)]
pub(super) unsafe fn twos_at<L: Lanes>(block: &[u8], at: usize, k: usize) -> L::B {
    // SAFETY: the caller's word. Runs 0 and 1 are the lowest bits here, 2 and 3 the fifth and sixth.
    unsafe { L::shift_and(twice_at::<L>(block, at + 32 * (k / 2), 2, 0x33), 4 * (k as u32 % 2), 3) }
}

/// The low nibbles of eight bytes.
pub(super) const LOW_NIBBLES: u64 = 0x0F0F_0F0F_0F0F_0F0F;

/// The little-endian u64 at byte `at`.
#[inline(always)]
pub(super) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}

/// Eight bytes below 128, each lowered by 32, to bytes with a sign.
#[inline(always)]
pub(super) fn lowered_by_32(bytes: u64) -> u64 {
    // With its top bit set no byte borrows from its neighbour.
    ((bytes | 0x8080_8080_8080_8080) - 0x2020_2020_2020_2020) ^ 0x8080_8080_8080_8080
}

/// Sixteen scales, each a small integer times d: eight integers in a word.
#[inline(always)]
pub(super) unsafe fn of_sixteen<L: Lanes>(integers: [u64; 2], d: f32) -> L::F {
    // SAFETY: the caller's word.
    unsafe { L::mul(L::splat(d), L::from_i8(integers)) }
}

/// A table of levels raised by an offset, so that they are unsigned.
pub(super) const fn raised(levels: [i8; 16], offset: i16) -> [u8; 16] {
    let mut table = [0; 16];
    let mut i = 0;
    while i < 16 {
        table[i] = (levels[i] as i16 + offset) as u8;
        i += 1;
    }
    table
}

/// One f16 at byte `at` of each block, as often as a block of the format has groups among sixteen.
#[inline(always)]
pub(super) unsafe fn one_each<L: Lanes, B: Unpack>(round: &[u8], at: usize) -> [L::F; 2] {
    // SAFETY: the caller's word.
    unsafe { [floats::<L>(each!(16, g => half_at::<L>(block::<B>(round, g * B::GROUP / B::LEN), at))); 2] }
}

/// The low two bits of byte i of a word, its next two, and so on: eight codes from sixteen bits.
#[inline(always)]
pub(super) fn neighbours_of_two_bits(word: u16) -> [u8; 8] {
    // Spread the pairs apart in three steps, each moving half of what is left.
    let mut x = u64::from(word);
    x = (x | x << 24) & 0x0000_00FF_0000_00FF;
    x = (x | x << 12) & 0x000F_000F_000F_000F;
    x = (x | x << 6) & 0x0303_0303_0303_0303;
    x.to_le_bytes()
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
                let most = match B::CODES {
                    Codes::Small => 15,
                    Codes::Narrow => 127,
                    Codes::Wide => 255,
                };
                assert!(codes[i] <= most);
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
