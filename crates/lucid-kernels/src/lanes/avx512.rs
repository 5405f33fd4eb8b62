//! The lanes in AVX-512: one register each. With VNNI, four products of bytes are added in one instruction.

use super::{Lanes, x86::codes_in_avx2};
use std::arch::x86_64::*;

/// Sixteen lanes in one register. Needs f16c, fma, avx2, and avx512 f, bw, vl, dq; and vnni if `VNNI`.
#[derive(Clone, Copy)]
pub(crate) struct Avx512<const VNNI: bool>;

/// Lane of each block's first half in the two vectors of sums; the second half is four lanes on. See [`Lanes::sums_of_four`].
const FIRST_HALVES: [i32; 16] = [0, 8, 1, 9, 2, 10, 3, 11, 16, 24, 17, 25, 18, 26, 19, 27];

macro_rules! simple {
    ($($name:ident($($arg:ident),*) = $intrinsic:ident;)*) => {
        $(#[inline(always)]
        unsafe fn $name($($arg: __m512),*) -> __m512 {
            // SAFETY: the trait's contract: the instructions exist.
            unsafe { $intrinsic($($arg),*) }
        })*
    };
}

impl<const VNNI: bool> Lanes for Avx512<VNNI> {
    type F = __m512;
    type I = __m512i;
    type B = __m512i;
    type C = __m256i;
    const FULL: bool = VNNI;
    const VECTORS: usize = 2;
    const ROWS: usize = 6;

    codes_in_avx2!();

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
    unsafe fn load_bytes(p: *const u8) -> __m512i {
        // SAFETY: the caller vouches for 64 bytes.
        unsafe { _mm512_loadu_si512(p.cast()) }
    }

    #[inline(always)]
    unsafe fn splat_bytes(p: *const i8) -> __m512i {
        // SAFETY: the caller vouches for four bytes.
        unsafe { _mm512_set1_epi32(p.cast::<i32>().read_unaligned()) }
    }

    #[inline(always)]
    unsafe fn dot(acc: __m512i, u: __m512i, x: __m512i) -> __m512i {
        // SAFETY: the trait's contract. Without VNNI, pairs are added in 16 bits: at most 2 · 127 · 127 in magnitude.
        unsafe { if VNNI { _mm512_dpbusd_epi32(acc, u, x) } else { Self::dot_narrow(acc, u, x) } }
    }

    #[inline(always)]
    unsafe fn dot_wide(acc: __m512i, u: __m512i, x: __m512i) -> __m512i {
        // SAFETY: the trait's contract. |w| · (x with the sign of w): pairs are at most 2 · 128 · 127 = 32512 in magnitude.
        unsafe {
            let w = _mm512_xor_si512(u, _mm512_set1_epi8(-128));
            let signed = _mm512_mask_sub_epi8(x, _mm512_movepi8_mask(w), _mm512_setzero_si512(), x);
            Self::dot_narrow(acc, _mm512_abs_epi8(w), signed)
        }
    }

    #[inline(always)]
    unsafe fn sums_of_four(v: [__m512i; 8]) -> (__m512i, __m512i) {
        // SAFETY: the trait's contract.
        unsafe {
            // Lane by lane of 128 bits: (a₀+a₂, b₀+b₂, a₁+a₃, b₁+b₃), then (Σa, Σb, Σc, Σd).
            let two = |a, b| _mm512_add_epi32(_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
            let four = |a, b| _mm512_add_epi32(_mm512_unpacklo_epi64(a, b), _mm512_unpackhi_epi64(a, b));
            let low = four(two(v[0], v[1]), two(v[2], v[3]));
            let high = four(two(v[4], v[5]), two(v[6], v[7]));
            let first = _mm512_loadu_si512(FIRST_HALVES.as_ptr().cast());
            let second = _mm512_add_epi32(first, _mm512_set1_epi32(4));
            (_mm512_permutex2var_epi32(low, first, high), _mm512_permutex2var_epi32(low, second, high))
        }
    }

    #[inline(always)]
    unsafe fn evens_and_odds(a: __m512, b: __m512) -> (__m512, __m512) {
        // SAFETY: the trait's contract.
        unsafe {
            let even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
            let odd = _mm512_add_epi32(even, _mm512_set1_epi32(1));
            (_mm512_permutex2var_ps(a, even, b), _mm512_permutex2var_ps(a, odd, b))
        }
    }

    #[inline(always)]
    unsafe fn transpose(v: [__m512; 16]) -> [__m512; 16] {
        // SAFETY: the trait's contract.
        unsafe {
            // Within lanes of 128 bits: four rows' columns 4L + i become one vector, for i = 0 … 3 and every lane L.
            let mut x = [[_mm512_setzero_ps(); 4]; 4];
            for g in 0..4 {
                let cast = |v| _mm512_castps_pd(v);
                let (low_ab, high_ab) =
                    (_mm512_unpacklo_ps(v[4 * g], v[4 * g + 1]), _mm512_unpackhi_ps(v[4 * g], v[4 * g + 1]));
                let (low_cd, high_cd) =
                    (_mm512_unpacklo_ps(v[4 * g + 2], v[4 * g + 3]), _mm512_unpackhi_ps(v[4 * g + 2], v[4 * g + 3]));
                x[g][0] = _mm512_castpd_ps(_mm512_unpacklo_pd(cast(low_ab), cast(low_cd)));
                x[g][1] = _mm512_castpd_ps(_mm512_unpackhi_pd(cast(low_ab), cast(low_cd)));
                x[g][2] = _mm512_castpd_ps(_mm512_unpacklo_pd(cast(high_ab), cast(high_cd)));
                x[g][3] = _mm512_castpd_ps(_mm512_unpackhi_pd(cast(high_ab), cast(high_cd)));
            }
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

impl<const VNNI: bool> Avx512<VNNI> {
    /// `acc + Σ u·x` by way of 16 bits.
    #[inline(always)]
    unsafe fn dot_narrow(acc: __m512i, u: __m512i, x: __m512i) -> __m512i {
        // SAFETY: the instructions exist by the caller's word.
        unsafe {
            let pairs = _mm512_maddubs_epi16(u, x);
            _mm512_add_epi32(acc, _mm512_madd_epi16(pairs, _mm512_set1_epi16(1)))
        }
    }
}
