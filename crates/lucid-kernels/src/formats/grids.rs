//! The codebooks of the IQ1, IQ2 and IQ3 formats: short vectors of magnitudes that occur often in weights.
//!
//! Where other formats give each value a code of its own, these give one code to eight values (or four), an index into a
//! list of *points*. A point is a vector of small levels; of all vectors the list keeps those near which real weights fall,
//! so that an index of 8 to 11 bits does where naming any of the 3⁸ vectors would take 13.
//!
//! | codebook | of         | keeps | out of                                   | levels                  | used by |
//! |----------|------------|-------|------------------------------------------|-------------------------|---------|
//! | IQ2_XXS  | magnitudes | 256   | the 3,281 of 3⁸ with an even digit sum   | 8 25 43                 | IQ2_XXS |
//! | IQ2_XS   | magnitudes | 512   | the same                                 | 8 25 43                 | IQ2_XS  |
//! | IQ2_S    | magnitudes | 1,024 | the same                                 | 8 25 43                 | IQ2_S   |
//! | IQ3_XXS  | magnitudes | 256   | the 2,048 of 8⁴ with an even digit sum   | 4 12 20 28 36 44 52 62  | IQ3_XXS |
//! | IQ3_S    | magnitudes | 512   | all 4,096 of 8⁴                          | 1 3 5 7 9 11 13 15      | IQ3_S   |
//! | IQ1      | values     | 2,048 | all 6,561 of 3⁸                          | −1 0 1                  | IQ1_S, IQ1_M |
//!
//! Which points are kept was found by training on weights and is no formula, but each list is in order: read a point as a
//! number whose digits choose the levels, first value the lowest digit, and the numbers ascend. So a list is a set, and a set
//! is written below as one bit per candidate, in that order: four candidates a hexadecimal digit, the first in its highest
//! bit. Four of the sets have as candidates only the vectors whose digits have an even sum. (Read a digit as ½, 1½ or 2½:
//! eight of them with an even sum and an even number of minuses are a point of the lattice E₈, the densest packing in eight
//! dimensions, and no two of the points are needlessly close.)
//!
//! Magnitudes take their signs from bits beside the index. Formats short of bits store seven signs for eight values: among
//! eight there is always an even number of minuses, because the encoder flips its least important value where there is not.

use super::unpack::{bytes_at, floats};
use crate::lanes::{Lanes, each};

/// The 256 points of IQ2_XXS.
pub(super) static IQ2_XXS: [[i8; 8]; 256] = points(IQ2_XXS_SET, [8, 25, 43], Sums::Even);
/// The 512 points of IQ2_XS.
pub(super) static IQ2_XS: [[i8; 8]; 512] = points(IQ2_XS_SET, [8, 25, 43], Sums::Even);
/// The 1,024 points of IQ2_S.
pub(super) static IQ2_S: [[i8; 8]; 1024] = points(IQ2_S_SET, [8, 25, 43], Sums::Even);
/// The 256 points of IQ3_XXS.
pub(super) static IQ3_XXS: [[i8; 4]; 256] = points(IQ3_XXS_SET, [4, 12, 20, 28, 36, 44, 52, 62], Sums::Even);
/// The 512 points of IQ3_S.
pub(super) static IQ3_S: [[i8; 4]; 512] = points(IQ3_S_SET, [1, 3, 5, 7, 9, 11, 13, 15], Sums::Any);
/// The 2,048 points of IQ1_S and IQ1_M.
pub(super) static IQ1: [[i8; 8]; 2048] = points(IQ1_SET, [-1, 0, 1], Sums::Any);

/// Writes `scale` times the point, negative where a bit of `signs` is set, the first value's lowest.
pub(super) fn signed<const DIM: usize>(x: &mut [f32], scale: f32, point: &[i8; DIM], signs: u8) {
    for (i, (x, &level)) in x.iter_mut().zip(point).enumerate() {
        let magnitude = scale * level as f32;
        *x = if (signs >> i) & 1 == 1 { -magnitude } else { magnitude };
    }
}

/// Writes `scale` times the point moved by `shift`.
pub(super) fn shifted(x: &mut [f32], scale: f32, point: &[i8; 8], shift: f32) {
    for (x, &level) in x.iter_mut().zip(point) {
        *x = scale * (level as f32 + shift);
    }
}

/// Eight signs from the seven stored: the eighth makes the number of minuses even.
pub(super) const fn even_signs(seven: u8) -> u8 {
    seven | ((seven.count_ones() as u8 & 1) << 7)
}

/// Which candidates a set has bits for.
enum Sums {
    /// Vectors whose digits have an even sum.
    Even,
    /// All vectors.
    Any,
}

/// Unpacks a set, at compile time: all vectors of `DIM` digits below `BASE` in ascending order, their bits in `set`.
///
/// A set with another number of points than `N`, or with bits left over, does not compile.
const fn points<const BASE: usize, const DIM: usize, const N: usize>(
    set: &str,
    levels: [i8; BASE],
    sums: Sums,
) -> [[i8; DIM]; N] {
    let set = set.as_bytes();
    let mut points = [[0; DIM]; N];
    let mut digits = [0; DIM];
    let (mut n, mut bit) = (0, 0);
    loop {
        let mut sum = 0;
        let mut i = 0;
        while i < DIM {
            sum += digits[i];
            i += 1;
        }
        if matches!(sums, Sums::Any) || sum % 2 == 0 {
            if (hex(set[bit / 4]) >> (3 - bit % 4)) & 1 == 1 {
                i = 0;
                while i < DIM {
                    points[n][i] = levels[digits[i]];
                    i += 1;
                }
                n += 1;
            }
            bit += 1;
        }
        // Count up by one; past the last vector every digit carries.
        i = 0;
        while i < DIM && digits[i] == BASE - 1 {
            digits[i] = 0;
            i += 1;
        }
        if i == DIM {
            break;
        }
        digits[i] += 1;
    }
    assert!(n == N, "the set has another number of points");
    assert!(bit.div_ceil(4) == set.len(), "the set has digits left over");
    points
}

/// The value of a lower-case hexadecimal digit.
const fn hex(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        b'a'..=b'f' => digit - b'a' + 10,
        _ => panic!("no hexadecimal digit"),
    }
}

/// Eight points of eight magnitudes (or sixteen of four) with their signs, raised by 64: 64 codes of a block.
#[inline(always)]
pub(super) unsafe fn signed_points<'a, L: Lanes, const DIM: usize>(
    point: impl Fn(usize) -> &'a [i8; DIM],
    signs: u64,
) -> L::B {
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
pub(super) fn signs_of_sevens(words: [u32; 2]) -> u64 {
    let of = |i: usize| u64::from(even_signs((words[i / 4] >> (7 * (i % 4))) as u8 & 127));
    (0..8).fold(0, |signs, i| signs | of(i) << (8 * i))
}

/// Sixteen four-bit scales s as d · (½ + s) / 4.
#[inline(always)]
pub(super) unsafe fn half_up_scales<L: Lanes>(d: f32, nibbles: &[u8]) -> [L::F; 2] {
    let nibble = |g: usize| f32::from((nibbles[g / 2] >> (4 * (g % 2))) & 15);
    // SAFETY: the caller's word.
    unsafe { [floats::<L>(each!(16, g => d * (0.5 + nibble(g)) * 0.25)); 2] }
}

/// 64 codes of eight points of −1, 0 and 1 in eighths, each moved up or down by one of them, and raised by 16.
#[inline(always)]
pub(super) unsafe fn shifted_points<L: Lanes>(point: impl Fn(usize) -> (usize, bool)) -> L::B {
    let mut codes = [0u8; 64];
    for (i, codes) in codes.chunks_exact_mut(8).enumerate() {
        let (point, down) = point(i);
        let middle = if down { 15 } else { 17 };
        codes.copy_from_slice(&IQ1[point].map(|level| (8 * level + middle) as u8));
    }
    // SAFETY: the caller's word.
    unsafe { bytes_at::<L>(&codes, 0) }
}

const IQ2_XXS_SET: &str = "\
    fe6f259904650200041060100004003219a086413410200c200300800100964166004004004000000420000000064220104a0482011080\
    000084000002414100400002000200010200000000c804001000a00000000800001000006400808c000002200000300000000019008100\
    00100040100000000000100104000004000000000000000800000325922864020100045001100110800120800020200420000000800000\
    00006402800000400002840000004000402530000480080040000080000000100000000018008000000004000080000424000400000010\
    0000004000000000900800800100001000000100020000a000000000060000040000000000000000800000000000000000000000001900\
    40010004104000000040000000065020100004000400020040100800010000000000800000000008000000004824000008010000100000\
    00800000401080000000000800000000000000000000020000080000000000000000040002004000800000000400000000000400000000\
    000000000000000000000000400000400000000000000000000";

const IQ2_XS_SET: &str = "\
    fffbfd9ed87ff3d92c807b219408803fd9ee86403d90c844001902c001001fca6482011c80400120080480000287fb3d91c807b2190083\
    03a010080003d90d82400190080000010400800000cc04100400a0000040000000100000ff219008043201202000200800040059018000\
    001000420002080800000029840080204000000208008200005803fd9fca6403d90c8050119818000001ed86402080c824000010880120\
    00006402888000420090100010000000003d92c804001940c0000010002000001c84402100890000012000020002004410110000800218\
    00000000000010019008220803000000000000204000808100000000040280000200000000002000000800000400000004000220001ec8\
    e403003e80424000080400018096702010100400080000100400008002404008600440000000000040002442c804080800802000800000\
    000401005000920000000200006000008000000000040000400008000000200020000d8440000080000120001680200080400010000100\
    0000000000000001004010d00000124000000c00000c0000808";

const IQ2_S_SET: &str = "\
    fffbfdfecaffb3df6ce67b23f40aa23fdfffe7db3ff6ff67b21f40b643201efaffb2881cf45b21100862c2000107fbbdfeeb67ffdfecf6\
    036994c06403df6ff67b21fecf6432016c86402001fb47b21800f64320200424020400007beb9c48a07391cc8640220b4800c05f6cf643\
    2016c8640a000c804040000a603200100e40000002004100041803ffdffe65b3dfcff67b219e4b643001fff7fb3d90ff67b23900f64320\
    10026fb3d904807b2190081032010000003dfeff67b01fecf6432016c86406000ff67b21900f643201000640a0000007b2191080032010\
    0000020200001005decb641201ec864020204804080008b643201000640220204040000000203200002008200100000000004000011eda\
    67a2980df67b01901ae032000007fa3d90c807b2190088032030000002980c800011800801000000400c1008df27b21900a60322000064\
    020000017b21900810320100000a2000202000190280000030000a000000000000100aa2720000480020040002416000580b2010000812\
    020000000000004000001010000008000010040018680002008";

const IQ3_XXS_SET: &str = "\
    edc84006ccac8208e8cd09029c2000080401210690040400000200200b004080ccce1800c8c00000cc880004c0881010a000080000a010\
    082000000000408000ccd84000ec880058c9c182008a00000a000204004010800200000000c10020008cc00824c0883000c82004040804\
    000000081004904002000201004000040080210305000000000200818090100020002000082000204008000000002c0800000400800890\
    10020002040004400004000850000440080000000008000020400000203020008000800100002000090000000020002000040000040000\
    408000007804040000108000040024008204008000808000c02000000008000000000000";

const IQ3_S_SET: &str = "\
    e5eac410a550a049e8c4914408004420c5924488255000901044a05208a0014480114820904000802800a2104500021002500040002000\
    40a800a21000880000e8d5a04a000a4020d288409040a00082802588209004802049904188400020801428005022880000409040a00040\
    0000000089000a00000050a0400440002080d5aa51a054a00194a0912448204000004900508140110048a4402850208002004100902440\
    0000240840200180100080a100400000044000044002801080000020552054294010405408500080008022802080280080000040885180\
    51040010104220400020880040a004200802001000020000400000005000a0040000000088208920408000802150208410440000508440\
    10800120800850a04400000000a00008018000004005004000000020000010000800008000008400801040000020882000892002085420\
    40200000002080401082001000002180010008400410480080200200000000200200005000000000000020000000280020000000000000\
    54005000008000800081000000080000200008200420808008400080000000000004001000200090000008000080000400000080000000\
    00500000000000008900a00280082000204008001400000048824080004000002000002400100000441080000080000000002000200000\
    0020000040000000008000000000000000";

const IQ1_SET: &str = "\
    aaa428a10540428a10a28c15610451455810540428a10a28410422a2a4a8a005404104111800104105c0540511dd55500955d000440050\
    5531410510028a10a28411010a28428a10510c10190510015410a28428a1041242aa10a2803443050451640054241555451047f5101014\
    14000540421455140415010450d9109d5d15045375914575555c3ed7575ddd41701d445d53cb7049404400440415515d50414010005452\
    0745dc4404d4450081028155511410448028a10aa8410490a2842aa1051040c4155c042141042a428a10450410a90a284054101d154101\
    0512400410414516454014d55410a10410410c10a20200a28428a10500428a00a28094410051415410850c28a00a28411410a28428a104\
    40400455540004488d517514155d8555150e004150104014444021004100120105570d54554304d15d44575be5d1d17615490d54554ed1\
    51223054041221021451541055041333454445f5590517154000400054151100040105d14545145d0501414c505d7d1d5d7fd74505d445\
    10515014574500854c40305f25577bf7d41574b17d7ed75feffefd67be5d7b96dfe4fffd645f489787514408557d702155104d15d04175\
    ff5d2497c101204634164f155025d40040541010475548004041545065049341910941140045003101c8004110100036515555dd40657d\
    5105534001d6e9740b4d9708410874557b14a88ba520005041005141041080850441559c5d444c210590011800514546408128228a00a2\
    8435410a28428a1055041455e150485410a28428a00510428a10a2800440050245440011001045105651761d5555010004504147134484\
    10220a28428a905104a8a10a28615010555454010050428a10a28415000a28428a10470411415018415410554555510dd1405054550414\
    410155501410140095114044057dd0141d10515dd24d75ff5d251f7555044a14166d050c670150401410445646010450405555d4555745\
    9505451010080405514400417000a28428a10550028a10a28495600052554010a50008b02228411410a28428a000104141354f04000000\
    555014505d04574540004112901497280088d2a28a00a28015400a28428a10112410111450021000a28028a00540028a10a28";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signs_come_in_even_numbers() {
        for seven in 0..128 {
            let signs = even_signs(seven);
            assert_eq!((signs & 127, signs.count_ones() % 2), (seven, 0));
        }
    }

    #[test]
    fn points_are_read_lowest_digit_first() {
        // Nine candidates, first digit first: 00 10 20 01 11 21 02 12 22. Bits 0100 0010 1 keep three of them.
        assert_eq!(points::<3, 2, 3>("428", [5, 6, 7], Sums::Any), [[6, 5], [5, 7], [7, 7]]);
        // With an even sum: 00 20 11 02 22. Bits 1001 1.
        assert_eq!(points::<3, 2, 3>("98", [5, 6, 7], Sums::Even), [[5, 5], [5, 7], [7, 7]]);
    }
}
