//! The lanes in AVX2: two registers each. With VNNI, four products of bytes are added in one instruction.

use super::{Codes, Lanes, Order, each, words_of_blocks, x86::small_in_avx2};
use std::arch::x86_64::*;

/// Sixteen lanes in two registers. Needs avx2, fma and f16c; and avxvnni if `VNNI`.
#[derive(Clone, Copy)]
pub(crate) struct Avx2<const VNNI: bool>;

type F = [__m256; 2];
type I = [__m256i; 2];

macro_rules! simple {
    ($($name:ident($($arg:ident),*) = $intrinsic:ident;)*) => {
        $(#[inline(always)]
        unsafe fn $name($($arg: F),*) -> F {
            // SAFETY: the trait's contract: the instructions exist.
            unsafe { [$intrinsic($($arg[0]),*), $intrinsic($($arg[1]),*)] }
        })*
    };
}

/// The two halves of an operation on both registers.
macro_rules! both {
    ($i:ident => $one:expr) => {{
        // No closure, see `each!`.
        let first = {
            let $i = 0usize;
            $one
        };
        let second = {
            let $i = 1usize;
            $one
        };
        [first, second]
    }};
}

/// Within lanes of 128 bits, four bytes each: register i of the result has piece i of all four.
///
/// # Safety
/// As for every function of [`Lanes`].
#[inline(always)]
unsafe fn exchange([a, b, c, d]: [__m256i; 4]) -> [__m256i; 4] {
    // SAFETY: the caller's word.
    unsafe {
        let (ab, cd) = (_mm256_unpacklo_epi32(a, b), _mm256_unpacklo_epi32(c, d));
        let (low, high) = (_mm256_unpackhi_epi32(a, b), _mm256_unpackhi_epi32(c, d));
        [
            _mm256_unpacklo_epi64(ab, cd),
            _mm256_unpackhi_epi64(ab, cd),
            _mm256_unpacklo_epi64(low, high),
            _mm256_unpackhi_epi64(low, high),
        ]
    }
}

impl<const VNNI: bool> Lanes for Avx2<VNNI> {
    type F = F;
    type I = I;
    type B = I;
    const ACROSS: bool = true;
    const VECTORS: usize = 1;
    const ROWS: usize = 3;
    const HELD: bool = false;
    const LOWERS: bool = !VNNI;

    small_in_avx2!();

    simple! {
        add(a, b) = _mm256_add_ps;
        sub(a, b) = _mm256_sub_ps;
        mul(a, b) = _mm256_mul_ps;
        div(a, b) = _mm256_div_ps;
        fma(a, b, c) = _mm256_fmadd_ps;
    }

    #[inline(always)]
    unsafe fn load(p: *const f32) -> F {
        // SAFETY: the trait's contract.
        unsafe { both!(i => _mm256_loadu_ps(p.add(8 * i))) }
    }

    #[inline(always)]
    unsafe fn store(p: *mut f32, x: F) {
        // SAFETY: the trait's contract.
        unsafe {
            _mm256_storeu_ps(p, x[0]);
            _mm256_storeu_ps(p.add(8), x[1]);
        }
    }

    #[inline(always)]
    unsafe fn splat(x: f32) -> F {
        // SAFETY: the trait's contract.
        unsafe { [_mm256_set1_ps(x); 2] }
    }

    #[inline(always)]
    unsafe fn round(a: F) -> F {
        // SAFETY: the trait's contract.
        unsafe { both!(i => _mm256_round_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(a[i])) }
    }

    #[inline(always)]
    unsafe fn if_greater(a: F, b: F, x: F, y: F) -> F {
        // SAFETY: the trait's contract.
        unsafe { both!(i => _mm256_blendv_ps(y[i], x[i], _mm256_cmp_ps::<_CMP_GT_OQ>(a[i], b[i]))) }
    }

    #[inline(always)]
    unsafe fn canonical(a: F) -> F {
        // SAFETY: the trait's contract.
        unsafe {
            let nan = _mm256_set1_ps(f32::NAN);
            both!(i => _mm256_blendv_ps(a[i], nan, _mm256_cmp_ps::<_CMP_UNORD_Q>(a[i], a[i])))
        }
    }

    #[inline(always)]
    unsafe fn exp2_whole(n: F) -> F {
        // SAFETY: the trait's contract.
        unsafe {
            let bias = _mm256_set1_epi32(127);
            both!(i => _mm256_castsi256_ps(_mm256_slli_epi32::<23>(_mm256_add_epi32(_mm256_cvtps_epi32(n[i]), bias))))
        }
    }

    #[inline(always)]
    unsafe fn load_f16(p: *const u8) -> F {
        // SAFETY: the trait's contract.
        unsafe { both!(i => _mm256_cvtph_ps(_mm_loadu_si128(p.add(16 * i).cast()))) }
    }

    #[inline(always)]
    unsafe fn load_bf16(p: *const u8) -> F {
        // SAFETY: the trait's contract.
        unsafe {
            both!(i => {
                let wide = _mm256_cvtepu16_epi32(_mm_loadu_si128(p.add(16 * i).cast()));
                _mm256_castsi256_ps(_mm256_slli_epi32::<16>(wide))
            })
        }
    }

    #[inline(always)]
    unsafe fn load_i8(p: *const i8) -> F {
        // SAFETY: the trait's contract.
        unsafe { both!(i => _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64(p.add(8 * i).cast())))) }
    }

    #[inline(always)]
    unsafe fn from_i8(words: [u64; 2]) -> F {
        // SAFETY: the trait's contract.
        unsafe { both!(i => _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_cvtsi64_si128(words[i].cast_signed())))) }
    }

    #[inline(always)]
    unsafe fn store_i8(p: *mut i8, x: F) {
        // SAFETY: the trait's contract.
        unsafe {
            // Packing works within lanes of 128 bits: values 0–3, 8–11 and 4–7, 12–15 come out interleaved.
            let words = _mm256_packs_epi32(_mm256_cvtps_epi32(x[0]), _mm256_cvtps_epi32(x[1]));
            let words = _mm256_permute4x64_epi64::<0b11_01_10_00>(words);
            let bytes = _mm_packs_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256::<1>(words));
            _mm_storeu_si128(p.cast(), bytes);
        }
    }

    #[inline(always)]
    unsafe fn largest_of_32(p: *const f32) -> u32 {
        // SAFETY: the caller vouches for 32 values.
        unsafe {
            let magnitude = _mm256_set1_epi32(0x7FFF_FFFF);
            let part = |i: usize| _mm256_and_si256(_mm256_loadu_si256(p.add(8 * i).cast()), magnitude);
            let eight = _mm256_max_epu32(_mm256_max_epu32(part(0), part(1)), _mm256_max_epu32(part(2), part(3)));
            let four = _mm_max_epu32(_mm256_castsi256_si128(eight), _mm256_extracti128_si256::<1>(eight));
            let two = _mm_max_epu32(four, _mm_unpackhi_epi64(four, four));
            _mm_cvtsi128_si32(_mm_max_epu32(two, _mm_shuffle_epi32::<1>(two))) as u32
        }
    }

    #[inline(always)]
    unsafe fn load_i32(p: *const i32) -> I {
        // SAFETY: the trait's contract.
        unsafe { both!(i => _mm256_loadu_si256(p.add(8 * i).cast())) }
    }

    #[inline(always)]
    unsafe fn splat_i32(x: i32) -> I {
        // SAFETY: the trait's contract.
        unsafe { [_mm256_set1_epi32(x); 2] }
    }

    #[inline(always)]
    unsafe fn add_i32(a: I, b: I) -> I {
        // SAFETY: the trait's contract.
        unsafe { both!(i => _mm256_add_epi32(a[i], b[i])) }
    }

    #[inline(always)]
    unsafe fn to_f32(a: I) -> F {
        // SAFETY: the trait's contract.
        unsafe { both!(i => _mm256_cvtepi32_ps(a[i])) }
    }

    #[inline(always)]
    unsafe fn gather_f16(p: *const u8, stride: usize) -> F {
        // SAFETY: the caller vouches for the sixteen.
        unsafe {
            let at = |i: usize| p.add(i * stride).cast::<i16>().read_unaligned();
            both!(h => {
                let i = 8 * h;
                let [a, b, c, d] = [at(i), at(i + 1), at(i + 2), at(i + 3)];
                _mm256_cvtph_ps(_mm_setr_epi16(a, b, c, d, at(i + 4), at(i + 5), at(i + 6), at(i + 7)))
            })
        }
    }

    #[inline(always)]
    unsafe fn halves(a: f32, b: f32) -> F {
        // SAFETY: the trait's contract.
        unsafe { [_mm256_set1_ps(a), _mm256_set1_ps(b)] }
    }

    #[inline(always)]
    unsafe fn load_bytes(p: *const u8) -> I {
        // SAFETY: the caller vouches for 64 bytes.
        unsafe { both!(i => _mm256_loadu_si256(p.add(32 * i).cast())) }
    }

    #[inline(always)]
    unsafe fn store_bytes(p: *mut u8, b: I) {
        // SAFETY: the caller vouches for 64 bytes.
        unsafe {
            _mm256_storeu_si256(p.cast(), b[0]);
            _mm256_storeu_si256(p.add(32).cast(), b[1]);
        }
    }

    #[inline(always)]
    unsafe fn splat_bytes(p: *const i8) -> I {
        // SAFETY: the caller vouches for four bytes.
        unsafe { [_mm256_set1_epi32(p.cast::<i32>().read_unaligned()); 2] }
    }

    #[inline(always)]
    unsafe fn splat_byte(c: u8) -> I {
        // SAFETY: the trait's contract.
        unsafe { [_mm256_set1_epi8(c as i8); 2] }
    }

    #[inline(always)]
    unsafe fn two(p: *const u8, q: *const u8) -> I {
        // SAFETY: the caller vouches for 32 bytes at both.
        unsafe { [_mm256_loadu_si256(p.cast()), _mm256_loadu_si256(q.cast())] }
    }

    #[inline(always)]
    unsafe fn nibbles(p: *const u8, q: *const u8) -> I {
        // SAFETY: the caller vouches for sixteen bytes at both.
        unsafe {
            let from = [p, q];
            both!(i => {
                let bytes = _mm_loadu_si128(from[i].cast());
                let both = _mm256_set_m128i(_mm_srli_epi16::<4>(bytes), bytes);
                _mm256_and_si256(both, _mm256_set1_epi8(15))
            })
        }
    }

    #[inline(always)]
    unsafe fn twice(p: *const u8, n: u32, mask: u8) -> I {
        // SAFETY: the caller vouches for 32 bytes.
        unsafe {
            let x = [_mm256_loadu_si256(p.cast()); 2];
            [Self::shift_and(x, 0, mask)[0], Self::shift_and(x, n, mask)[0]]
        }
    }

    #[inline(always)]
    unsafe fn shift_and(a: I, n: u32, mask: u8) -> I {
        // SAFETY: the trait's contract. Bits that come over from the neighbour byte are above 8 − n; the mask cuts them off.
        unsafe {
            let mask = _mm256_set1_epi8((mask & (0xFF >> n)) as i8);
            both!(i => _mm256_and_si256(_mm256_srl_epi16(a[i], _mm_cvtsi32_si128(n as i32)), mask))
        }
    }

    #[inline(always)]
    unsafe fn shift_left_and(a: I, n: u32, mask: u8) -> I {
        // SAFETY: as above, for the n lowest bits.
        unsafe {
            let mask = _mm256_set1_epi8((mask & (0xFF << n)) as i8);
            both!(i => _mm256_and_si256(_mm256_sll_epi16(a[i], _mm_cvtsi32_si128(n as i32)), mask))
        }
    }

    #[inline(always)]
    unsafe fn or(a: I, b: I) -> I {
        // SAFETY: the trait's contract.
        unsafe { both!(i => _mm256_or_si256(a[i], b[i])) }
    }

    #[inline(always)]
    unsafe fn xor(a: I, b: I) -> I {
        // SAFETY: the trait's contract.
        unsafe { both!(i => _mm256_xor_si256(a[i], b[i])) }
    }

    #[inline(always)]
    unsafe fn add_bytes(a: I, b: I) -> I {
        // SAFETY: the trait's contract.
        unsafe { both!(i => _mm256_add_epi8(a[i], b[i])) }
    }

    #[inline(always)]
    unsafe fn spread(bits: u64) -> I {
        // SAFETY: the trait's contract.
        unsafe {
            // Byte i of the word eight times each, then its bit i mod 8.
            let places = _mm256_setr_epi64x(0, 0x0101010101010101, 0x0202020202020202, 0x0303030303030303);
            let bit = _mm256_set1_epi64x(0x8040201008040201u64 as i64);
            both!(i => {
                let bytes = _mm256_shuffle_epi8(_mm256_set1_epi32((bits >> (32 * i)) as i32), places);
                _mm256_cmpeq_epi8(_mm256_and_si256(bytes, bit), bit)
            })
        }
    }

    #[inline(always)]
    unsafe fn lookup(table: &[u8; 16], a: I) -> I {
        // SAFETY: the trait's contract.
        unsafe {
            let table = _mm256_broadcastsi128_si256(_mm_loadu_si128(table.as_ptr().cast()));
            both!(i => _mm256_shuffle_epi8(table, a[i]))
        }
    }

    #[inline(always)]
    unsafe fn begin(start: I, codes: Codes) -> I {
        // SAFETY: the trait's contract.
        unsafe { if VNNI || codes != Codes::Small { start } else { Self::splat_i32(0) } }
    }

    #[inline(always)]
    unsafe fn dot(acc: I, u: I, x: I, codes: Codes) -> I {
        // SAFETY: the trait's contract. Without VNNI, pairs are added in 16 bits. That is at most 2 · 127 · 127 in magnitude;
        // of small codes 2 · 15 · 127 a step; of wide ones, as |w| · (x with the sign of w), 2 · 128 · 127 = 32512.
        unsafe {
            both!(i => match codes {
                _ if VNNI => _mm256_dpbusd_avx_epi32(acc[i], u[i], x[i]),
                Codes::Small => _mm256_add_epi16(acc[i], _mm256_maddubs_epi16(u[i], x[i])),
                Codes::Narrow => _mm256_add_epi32(acc[i], in_fours(_mm256_maddubs_epi16(u[i], x[i]))),
                Codes::Wide => {
                    let w = _mm256_xor_si256(u[i], _mm256_set1_epi8(-128));
                    let pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(w), _mm256_sign_epi8(x[i], w));
                    _mm256_add_epi32(acc[i], in_fours(pairs))
                }
            })
        }
    }

    #[inline(always)]
    unsafe fn end(start: I, acc: I, codes: Codes) -> I {
        // SAFETY: the trait's contract.
        unsafe {
            if VNNI || codes != Codes::Small {
                return acc;
            }
            both!(i => _mm256_add_epi32(start[i], in_fours(acc[i])))
        }
    }

    #[inline(always)]
    unsafe fn mix(v: [I; 8], order: Order) -> [I; 8] {
        // SAFETY: the trait's contract. Adding up four registers of products adds up whole halves of blocks.
        unsafe {
            if order == Order::Apart {
                return words_of_blocks::<Self>(v);
            }
            // Four registers are one block each.
            let mut m = v;
            for g in [0, 2, 4, 6] {
                let [a, b, c, d] = exchange([v[g][0], v[g][1], v[g + 1][0], v[g + 1][1]]);
                (m[g], m[g + 1]) = ([a, b], [c, d]);
            }
            m
        }
    }

    #[inline(always)]
    unsafe fn nibbles_apart(p: *const u8, stride: usize) -> [I; 8] {
        // SAFETY: the caller vouches for sixteen bytes of each of sixteen blocks.
        unsafe {
            // Of eight blocks: block 4q + i in half q of register i, so that after the exchange block b is in lane b. Words
            // change places while the nibbles of both halves are still together.
            let at = |block: usize| _mm_loadu_si128(p.add(block * stride).cast());
            let low = exchange(each!(4, i => _mm256_set_m128i(at(4 + i), at(i))));
            let high = exchange(each!(4, i => _mm256_set_m128i(at(12 + i), at(8 + i))));
            each!(8, k => Self::shift_and([low[k % 4], high[k % 4]], 4 * (k as u32 / 4), 15))
        }
    }

    #[inline(always)]
    unsafe fn dot_mixed(start: [I; 2], u: [I; 8], x: *const i8, codes: Codes, order: Order) -> [I; 2] {
        // SAFETY: the caller vouches for 512 bytes.
        unsafe {
            if order == Order::Apart {
                return each!(2, half => {
                    let mut sum = Self::begin(start[half], codes);
                    for i in 4 * half..4 * half + 4 {
                        sum = Self::dot(sum, u[i], Self::load_bytes(x.add(64 * i).cast()), codes);
                    }
                    Self::end(start[half], sum, codes)
                });
            }
            // First halves of four blocks in the low 128 bits, their second halves in the high ones.
            let fours: [__m256i; 4] = each!(4, g => {
                let zero = Self::splat_i32(0);
                let mut sum = zero;
                for i in [2 * g, 2 * g + 1] {
                    sum = Self::dot(sum, u[i], Self::load_bytes(x.add(64 * i).cast()), codes);
                }
                let [a, b] = Self::end(zero, sum, codes);
                _mm256_add_epi32(a, b)
            });
            let halves = |low, high| {
                (_mm256_permute2x128_si256::<0x20>(low, high), _mm256_permute2x128_si256::<0x31>(low, high))
            };
            let (a, b) = halves(fours[0], fours[1]);
            let (c, d) = halves(fours[2], fours[3]);
            [Self::add_i32(start[0], [a, c]), Self::add_i32(start[1], [b, d])]
        }
    }

    #[inline(always)]
    unsafe fn evens_and_odds(a: F, b: F) -> [F; 2] {
        // SAFETY: the trait's contract.
        unsafe {
            // Within lanes of 128 bits: evens of both registers, whose quarters then stand in the order 0, 2, 1, 3.
            let order = |x| _mm256_castpd_ps(_mm256_permute4x64_pd::<0b11_01_10_00>(_mm256_castps_pd(x)));
            let even = |x: F| order(_mm256_shuffle_ps::<0b10_00_10_00>(x[0], x[1]));
            let odd = |x: F| order(_mm256_shuffle_ps::<0b11_01_11_01>(x[0], x[1]));
            [[even(a), even(b)], [odd(a), odd(b)]]
        }
    }

    #[inline(always)]
    unsafe fn transpose(v: [F; 16]) -> [F; 16] {
        // SAFETY: the trait's contract.
        unsafe {
            // Squares of eight by eight: rows 0–7 and 8–15 by columns 0–7, then by columns 8–15.
            let mut y = v;
            for half in 0..2 {
                let a = transpose8(each!(8, i => v[i][half]));
                let b = transpose8(each!(8, i => v[8 + i][half]));
                for i in 0..8 {
                    y[8 * half + i] = [a[i], b[i]];
                }
            }
            y
        }
    }
}

/// Sums of neighbouring pairs of sixteen bits.
///
/// # Safety
/// As for every function of [`Lanes`].
#[inline(always)]
unsafe fn in_fours(pairs: __m256i) -> __m256i {
    // SAFETY: the caller's word.
    unsafe { _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)) }
}

/// Exchanges rows and columns of eight registers.
#[inline(always)]
unsafe fn transpose8(v: [__m256; 8]) -> [__m256; 8] {
    // SAFETY: the caller's level has the instructions.
    unsafe {
        // Within lanes of 128 bits: rows 4g … 4g + 3 of columns i and i + 4.
        let x: [[__m256; 4]; 2] = each!(2, g => {
            let four = exchange(each!(4, i => _mm256_castps_si256(v[4 * g + i])));
            each!(4, i => _mm256_castsi256_ps(four[i]))
        });
        each!(8, i => match i < 4 {
            true => _mm256_permute2f128_ps::<0x20>(x[0][i % 4], x[1][i % 4]),
            false => _mm256_permute2f128_ps::<0x31>(x[0][i % 4], x[1][i % 4]),
        })
    }
}
