//! The lanes in AVX-512: one register each. With VNNI, four products of bytes are added in one instruction.

use super::{Codes, Lanes, Order, each, words_of_blocks, x86::small_in_avx2};
use std::arch::x86_64::*;

/// Sixteen lanes in one register. Needs f16c, fma, avx2, and avx512 f, bw, vl, dq; and vnni if `VNNI`.
#[derive(Clone, Copy)]
pub(crate) struct Avx512<const VNNI: bool>;

/// Where the sixteen blocks' first halves lie in two vectors of sums; the second halves are four lanes on. See
/// [`Lanes::dot_mixed`].
const FIRST_HALVES: [i32; 16] = [0, 8, 1, 9, 2, 10, 3, 11, 16, 24, 17, 25, 18, 26, 19, 27];
/// The same where sums of low nibbles are in one vector, and those of high ones in the other.
const FIRST_HALVES_OF_RUNS: [i32; 16] = [0, 16, 8, 24, 1, 17, 9, 25, 2, 18, 10, 26, 3, 19, 11, 27];

macro_rules! simple {
    ($($name:ident($($arg:ident),*) = $intrinsic:ident;)*) => {
        $(#[inline(always)]
        unsafe fn $name($($arg: __m512),*) -> __m512 {
            // SAFETY: the trait's contract: the instructions exist.
            unsafe { $intrinsic($($arg),*) }
        })*
    };
}

/// Within lanes of 128 bits, four bytes each: vector i of the result has piece i of all four.
///
/// # Safety
/// As for every function of [`Lanes`].
#[inline(always)]
unsafe fn exchange([a, b, c, d]: [__m512i; 4]) -> [__m512i; 4] {
    // SAFETY: the caller's word.
    unsafe {
        let (ab, cd) = (_mm512_unpacklo_epi32(a, b), _mm512_unpacklo_epi32(c, d));
        let (low, high) = (_mm512_unpackhi_epi32(a, b), _mm512_unpackhi_epi32(c, d));
        [
            _mm512_unpacklo_epi64(ab, cd),
            _mm512_unpackhi_epi64(ab, cd),
            _mm512_unpacklo_epi64(low, high),
            _mm512_unpackhi_epi64(low, high),
        ]
    }
}

/// Sums of neighbouring pairs of sixteen bits.
///
/// # Safety
/// As for every function of [`Lanes`].
#[inline(always)]
unsafe fn in_fours(pairs: __m512i) -> __m512i {
    // SAFETY: the caller's word.
    unsafe { _mm512_madd_epi16(pairs, _mm512_set1_epi16(1)) }
}

impl<const VNNI: bool> Lanes for Avx512<VNNI> {
    type F = __m512;
    type I = __m512i;
    type B = __m512i;
    const ACROSS: bool = true;
    const VECTORS: usize = 2;
    const ROWS: usize = 6;
    const HELD: bool = VNNI;
    const LOWERS: bool = !VNNI;

    small_in_avx2!();

    simple! {
        add(a, b) = _mm512_add_ps;
        sub(a, b) = _mm512_sub_ps;
        mul(a, b) = _mm512_mul_ps;
        div(a, b) = _mm512_div_ps;
        fma(a, b, c) = _mm512_fmadd_ps;
    }

    #[inline(always)]
    unsafe fn load(p: *const f32) -> __m512 {
        // SAFETY: the trait's contract.
        unsafe { _mm512_loadu_ps(p) }
    }

    #[inline(always)]
    unsafe fn store(p: *mut f32, x: __m512) {
        // SAFETY: the trait's contract.
        unsafe { _mm512_storeu_ps(p, x) }
    }

    #[inline(always)]
    unsafe fn splat(x: f32) -> __m512 {
        // SAFETY: the trait's contract.
        unsafe { _mm512_set1_ps(x) }
    }

    #[inline(always)]
    unsafe fn round(a: __m512) -> __m512 {
        // SAFETY: the trait's contract.
        unsafe { _mm512_roundscale_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(a) }
    }

    #[inline(always)]
    unsafe fn if_greater(a: __m512, b: __m512, x: __m512, y: __m512) -> __m512 {
        // SAFETY: the trait's contract.
        unsafe { _mm512_mask_blend_ps(_mm512_cmp_ps_mask::<_CMP_GT_OQ>(a, b), y, x) }
    }

    #[inline(always)]
    unsafe fn canonical(a: __m512) -> __m512 {
        // SAFETY: the trait's contract.
        unsafe { _mm512_mask_blend_ps(_mm512_cmp_ps_mask::<_CMP_UNORD_Q>(a, a), a, _mm512_set1_ps(f32::NAN)) }
    }

    #[inline(always)]
    unsafe fn exp2_whole(n: __m512) -> __m512 {
        // SAFETY: the trait's contract.
        unsafe {
            let exponent = _mm512_add_epi32(_mm512_cvtps_epi32(n), _mm512_set1_epi32(127));
            _mm512_castsi512_ps(_mm512_slli_epi32::<23>(exponent))
        }
    }

    #[inline(always)]
    unsafe fn load_f16(p: *const u8) -> __m512 {
        // SAFETY: the trait's contract.
        unsafe { _mm512_cvtph_ps(_mm256_loadu_si256(p.cast())) }
    }

    #[inline(always)]
    unsafe fn load_bf16(p: *const u8) -> __m512 {
        // SAFETY: the trait's contract.
        unsafe { _mm512_castsi512_ps(_mm512_slli_epi32::<16>(_mm512_cvtepu16_epi32(_mm256_loadu_si256(p.cast())))) }
    }

    #[inline(always)]
    unsafe fn load_i8(p: *const i8) -> __m512 {
        // SAFETY: the trait's contract.
        unsafe { _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(p.cast()))) }
    }

    #[inline(always)]
    unsafe fn from_i8(words: [u64; 2]) -> __m512 {
        // SAFETY: the trait's contract.
        unsafe {
            _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_set_epi64x(words[1].cast_signed(), words[0].cast_signed())))
        }
    }

    #[inline(always)]
    unsafe fn store_i8(p: *mut i8, x: __m512) {
        // SAFETY: the trait's contract.
        unsafe { _mm_storeu_si128(p.cast(), _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(x))) }
    }

    #[inline(always)]
    unsafe fn largest_of_32(p: *const f32) -> u32 {
        // SAFETY: the caller vouches for 32 values.
        unsafe {
            let magnitude = _mm512_set1_epi32(0x7FFF_FFFF);
            let a = _mm512_and_si512(_mm512_loadu_si512(p.cast()), magnitude);
            let b = _mm512_and_si512(_mm512_loadu_si512(p.add(16).cast()), magnitude);
            _mm512_reduce_max_epu32(_mm512_max_epu32(a, b))
        }
    }

    #[inline(always)]
    unsafe fn load_i32(p: *const i32) -> __m512i {
        // SAFETY: the trait's contract.
        unsafe { _mm512_loadu_si512(p.cast()) }
    }

    #[inline(always)]
    unsafe fn splat_i32(x: i32) -> __m512i {
        // SAFETY: the trait's contract.
        unsafe { _mm512_set1_epi32(x) }
    }

    #[inline(always)]
    unsafe fn add_i32(a: __m512i, b: __m512i) -> __m512i {
        // SAFETY: the trait's contract.
        unsafe { _mm512_add_epi32(a, b) }
    }

    #[inline(always)]
    unsafe fn to_f32(a: __m512i) -> __m512 {
        // SAFETY: the trait's contract.
        unsafe { _mm512_cvtepi32_ps(a) }
    }

    #[inline(always)]
    unsafe fn gather_f16(p: *const u8, stride: usize) -> __m512 {
        // SAFETY: the caller vouches for the sixteen, and so for all between the first and the last.
        unsafe {
            if stride == 18 {
                // Eight of them, nine words apart, end with the last of 128 bytes: two loads and a permutation.
                let words = _mm512_castsi128_si512(_mm_setr_epi16(0, 9, 18, 27, 36, 45, 54, 63));
                let low = _mm512_permutex2var_epi16(Self::load_bytes(p), words, Self::load_bytes(p.add(64)));
                let p = p.add(8 * 18);
                let high = _mm512_permutex2var_epi16(Self::load_bytes(p), words, Self::load_bytes(p.add(64)));
                let both = _mm256_set_m128i(_mm512_castsi512_si128(high), _mm512_castsi512_si128(low));
                return _mm512_cvtph_ps(both);
            }
            let at = |i: usize| p.add(i * stride).cast::<i16>().read_unaligned();
            let low = _mm_setr_epi16(at(0), at(1), at(2), at(3), at(4), at(5), at(6), at(7));
            let high = _mm_setr_epi16(at(8), at(9), at(10), at(11), at(12), at(13), at(14), at(15));
            _mm512_cvtph_ps(_mm256_set_m128i(high, low))
        }
    }

    #[inline(always)]
    unsafe fn halves(a: f32, b: f32) -> __m512 {
        // SAFETY: the trait's contract.
        unsafe { _mm512_mask_blend_ps(0xFF00, _mm512_set1_ps(a), _mm512_set1_ps(b)) }
    }

    #[inline(always)]
    unsafe fn load_bytes(p: *const u8) -> __m512i {
        // SAFETY: the caller vouches for 64 bytes.
        unsafe { _mm512_loadu_si512(p.cast()) }
    }

    #[inline(always)]
    unsafe fn store_bytes(p: *mut u8, b: __m512i) {
        // SAFETY: the caller vouches for 64 bytes.
        unsafe { _mm512_storeu_si512(p.cast(), b) }
    }

    #[inline(always)]
    unsafe fn splat_bytes(p: *const i8) -> __m512i {
        // SAFETY: the caller vouches for four bytes.
        unsafe { _mm512_set1_epi32(p.cast::<i32>().read_unaligned()) }
    }

    #[inline(always)]
    unsafe fn splat_byte(c: u8) -> __m512i {
        // SAFETY: the trait's contract.
        unsafe { _mm512_set1_epi8(c as i8) }
    }

    #[inline(always)]
    unsafe fn two(p: *const u8, q: *const u8) -> __m512i {
        // SAFETY: the caller vouches for 32 bytes at both.
        unsafe {
            let low = _mm512_castsi256_si512(_mm256_loadu_si256(p.cast()));
            _mm512_inserti64x4::<1>(low, _mm256_loadu_si256(q.cast()))
        }
    }

    #[inline(always)]
    unsafe fn nibbles(p: *const u8, q: *const u8) -> __m512i {
        // SAFETY: the caller vouches for sixteen bytes at both. Both broadcasts are loads, the second through a mask.
        unsafe {
            let low = _mm512_broadcast_i32x4(_mm_loadu_si128(p.cast()));
            let both = _mm512_mask_broadcast_i32x4(low, 0xFF00, _mm_loadu_si128(q.cast()));
            let shifted = _mm512_srlv_epi64(both, _mm512_setr_epi64(0, 0, 4, 4, 0, 0, 4, 4));
            _mm512_and_si512(shifted, _mm512_set1_epi8(15))
        }
    }

    #[inline(always)]
    unsafe fn twice(p: *const u8, n: u32, mask: u8) -> __m512i {
        // SAFETY: the caller vouches for 32 bytes. Of the shifted ones, bits of the neighbour byte are above 8 − n.
        unsafe {
            let both = _mm512_broadcast_i64x4(_mm256_loadu_si256(p.cast()));
            let n = n as i64;
            let shifted = _mm512_srlv_epi64(both, _mm512_setr_epi64(0, 0, 0, 0, n, n, n, n));
            let cut = [mask, mask & (0xFF >> n)].map(|mask| i64::from_ne_bytes([mask; 8]));
            let [a, b] = cut;
            _mm512_and_si512(shifted, _mm512_setr_epi64(a, a, a, a, b, b, b, b))
        }
    }

    #[inline(always)]
    unsafe fn shift_and(a: __m512i, n: u32, mask: u8) -> __m512i {
        // SAFETY: the trait's contract. Bits that come over from the neighbour byte are above 8 − n; the mask cuts them off.
        unsafe {
            let shifted = _mm512_srl_epi16(a, _mm_cvtsi32_si128(n as i32));
            _mm512_and_si512(shifted, _mm512_set1_epi8((mask & (0xFF >> n)) as i8))
        }
    }

    #[inline(always)]
    unsafe fn shift_left_and(a: __m512i, n: u32, mask: u8) -> __m512i {
        // SAFETY: as above, for the n lowest bits.
        unsafe {
            let shifted = _mm512_sll_epi16(a, _mm_cvtsi32_si128(n as i32));
            _mm512_and_si512(shifted, _mm512_set1_epi8((mask & (0xFF << n)) as i8))
        }
    }

    #[inline(always)]
    unsafe fn or(a: __m512i, b: __m512i) -> __m512i {
        // SAFETY: the trait's contract.
        unsafe { _mm512_or_si512(a, b) }
    }

    #[inline(always)]
    unsafe fn xor(a: __m512i, b: __m512i) -> __m512i {
        // SAFETY: the trait's contract.
        unsafe { _mm512_xor_si512(a, b) }
    }

    #[inline(always)]
    unsafe fn add_bytes(a: __m512i, b: __m512i) -> __m512i {
        // SAFETY: the trait's contract.
        unsafe { _mm512_add_epi8(a, b) }
    }

    #[inline(always)]
    unsafe fn spread(bits: u64) -> __m512i {
        // SAFETY: the trait's contract.
        unsafe { _mm512_movm_epi8(bits) }
    }

    #[inline(always)]
    unsafe fn lookup(table: &[u8; 16], a: __m512i) -> __m512i {
        // SAFETY: the trait's contract.
        unsafe { _mm512_shuffle_epi8(_mm512_broadcast_i32x4(_mm_loadu_si128(table.as_ptr().cast())), a) }
    }

    #[inline(always)]
    unsafe fn begin(start: __m512i, codes: Codes) -> __m512i {
        // SAFETY: the trait's contract.
        unsafe { if VNNI || codes != Codes::Small { start } else { _mm512_setzero_si512() } }
    }

    #[inline(always)]
    unsafe fn dot(acc: __m512i, u: __m512i, x: __m512i, codes: Codes) -> __m512i {
        // SAFETY: the trait's contract. Without VNNI, pairs are added in 16 bits. That is at most 2 · 127 · 127 in magnitude;
        // of small codes 2 · 15 · 127 a step; of wide ones, as |w| · (x with the sign of w), 2 · 128 · 127 = 32512.
        unsafe {
            match codes {
                _ if VNNI => _mm512_dpbusd_epi32(acc, u, x),
                Codes::Small => _mm512_add_epi16(acc, _mm512_maddubs_epi16(u, x)),
                Codes::Narrow => _mm512_add_epi32(acc, in_fours(_mm512_maddubs_epi16(u, x))),
                Codes::Wide => {
                    let w = _mm512_xor_si512(u, _mm512_set1_epi8(-128));
                    let signed = _mm512_mask_sub_epi8(x, _mm512_movepi8_mask(w), _mm512_setzero_si512(), x);
                    _mm512_add_epi32(acc, in_fours(_mm512_maddubs_epi16(_mm512_abs_epi8(w), signed)))
                }
            }
        }
    }

    #[inline(always)]
    unsafe fn end(start: __m512i, acc: __m512i, codes: Codes) -> __m512i {
        // SAFETY: the trait's contract.
        unsafe {
            if VNNI || codes != Codes::Small {
                return acc;
            }
            _mm512_add_epi32(start, in_fours(acc))
        }
    }

    #[inline(always)]
    unsafe fn mix(v: [__m512i; 8], order: Order) -> [__m512i; 8] {
        // SAFETY: the trait's contract. Adding up four vectors of products adds up whole halves of blocks, each in a lane of
        // its own.
        unsafe {
            let [a, b, c, d, e, f, g, h] = match order {
                Order::Together => v,
                Order::Apart => return words_of_blocks::<Self>(v),
                // The blocks with low nibbles, then those with high ones.
                Order::Runs => each!(8, i => {
                    let (a, b) = (v[2 * (i % 4)], v[2 * (i % 4) + 1]);
                    if i < 4 { _mm512_shuffle_i64x2::<0x44>(a, b) } else { _mm512_shuffle_i64x2::<0xEE>(a, b) }
                }),
            };
            let ([a, b, c, d], [e, f, g, h]) = (exchange([a, b, c, d]), exchange([e, f, g, h]));
            [a, b, c, d, e, f, g, h]
        }
    }

    #[inline(always)]
    unsafe fn nibbles_apart(p: *const u8, stride: usize) -> [__m512i; 8] {
        // SAFETY: the caller vouches for sixteen bytes of each of sixteen blocks.
        unsafe {
            // Block 4q + i in quarter q of vector i: after the exchange, block b is in lane b. Words change places while the
            // nibbles of both halves are still together.
            let at = |block: usize| _mm_loadu_si128(p.add(block * stride).cast());
            let packed = exchange(each!(4, i => {
                let low = _mm256_set_m128i(at(4 + i), at(i));
                let high = _mm256_set_m128i(at(12 + i), at(8 + i));
                _mm512_inserti64x4::<1>(_mm512_castsi256_si512(low), high)
            }));
            each!(8, k => Self::shift_and(packed[k % 4], 4 * (k as u32 / 4), 15))
        }
    }

    #[inline(always)]
    unsafe fn nibbles_in_runs(p: *const u8, q: *const u8) -> [__m512i; 8] {
        // SAFETY: the caller vouches for 128 bytes at both. Words change places before nibbles are taken apart, here, too.
        unsafe {
            let at = |p: *const u8| _mm512_loadu_si512(p.cast());
            let packed = exchange([at(p), at(p.add(64)), at(q), at(q.add(64))]);
            each!(8, k => Self::shift_and(packed[k % 4], 4 * (k as u32 / 4), 15))
        }
    }

    #[inline(always)]
    unsafe fn dot_mixed(
        start: [__m512i; 2],
        u: [__m512i; 8],
        x: *const i8,
        codes: Codes,
        order: Order,
    ) -> [__m512i; 2] {
        // SAFETY: the caller's word.
        unsafe { Self::dots_mixed([start], u, [x], codes, order)[0] }
    }

    #[inline(always)]
    unsafe fn dots_mixed<const N: usize>(
        start: [[__m512i; 2]; N],
        u: [__m512i; 8],
        x: [*const i8; N],
        codes: Codes,
        order: Order,
    ) -> [[__m512i; 2]; N] {
        // SAFETY: the caller vouches for 512 bytes of each row.
        unsafe {
            // Sums that need no permutation begin with the starts; to the others they are added after it.
            let zero = [[_mm512_setzero_si512(); 2]; N];
            let (start, after) = if order == Order::Apart { (start, zero) } else { (zero, start) };
            let mut sums: [[__m512i; 2]; N] = each!(N, t => each!(2, half => Self::begin(start[t][half], codes)));
            for i in 0..4 {
                for t in 0..N {
                    for half in 0..2 {
                        let k = 4 * half + i;
                        let x = _mm512_loadu_si512(x[t].add(64 * k).cast());
                        sums[t][half] = Self::dot(sums[t][half], u[k], x, codes);
                    }
                }
            }
            let sums: [[__m512i; 2]; N] =
                each!(N, t => each!(2, half => Self::end(start[t][half], sums[t][half], codes)));
            let first = match order {
                Order::Together => FIRST_HALVES,
                Order::Apart => return sums,
                Order::Runs => FIRST_HALVES_OF_RUNS,
            };
            let first = _mm512_loadu_si512(first.as_ptr().cast());
            let halves = [first, _mm512_add_epi32(first, _mm512_set1_epi32(4))];
            each!(N, t => each!(2, half => {
                let [low, high] = sums[t];
                _mm512_add_epi32(after[t][half], _mm512_permutex2var_epi32(low, halves[half], high))
            }))
        }
    }

    #[inline(always)]
    unsafe fn evens_and_odds(a: __m512, b: __m512) -> [__m512; 2] {
        // SAFETY: the trait's contract.
        unsafe {
            let even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
            let odd = _mm512_add_epi32(even, _mm512_set1_epi32(1));
            [_mm512_permutex2var_ps(a, even, b), _mm512_permutex2var_ps(a, odd, b)]
        }
    }

    #[inline(always)]
    unsafe fn transpose(v: [__m512; 16]) -> [__m512; 16] {
        // SAFETY: the trait's contract.
        unsafe {
            // Within lanes of 128 bits: four rows' columns 4L + i become one vector, for i = 0 … 3 and every lane L.
            let x: [[__m512; 4]; 4] = each!(4, g => {
                let four = exchange(each!(4, i => _mm512_castps_si512(v[4 * g + i])));
                each!(4, i => _mm512_castsi512_ps(four[i]))
            });
            // Then lanes change places: column 4L + i is lane L of the four groups.
            let mut y = [_mm512_setzero_ps(); 16];
            for i in 0..4 {
                let a = _mm512_shuffle_f32x4::<0x44>(x[0][i], x[1][i]);
                let b = _mm512_shuffle_f32x4::<0x44>(x[2][i], x[3][i]);
                let c = _mm512_shuffle_f32x4::<0xEE>(x[0][i], x[1][i]);
                let d = _mm512_shuffle_f32x4::<0xEE>(x[2][i], x[3][i]);
                y[i] = _mm512_shuffle_f32x4::<0x88>(a, b);
                y[4 + i] = _mm512_shuffle_f32x4::<0xDD>(a, b);
                y[8 + i] = _mm512_shuffle_f32x4::<0x88>(c, d);
                y[12 + i] = _mm512_shuffle_f32x4::<0xDD>(c, d);
            }
            y
        }
    }
}
