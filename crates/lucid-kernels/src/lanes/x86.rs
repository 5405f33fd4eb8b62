//! What the x86 levels share.

/// The functions of [`Lanes`](super::Lanes) that need less than a whole register.
macro_rules! small_in_avx2 {
    () => {
        #[inline(always)]
        unsafe fn f16(bits: u16) -> f32 {
            // SAFETY: the trait's contract.
            unsafe { _mm_cvtss_f32(_mm_cvtph_ps(_mm_cvtsi32_si128(bits.into()))) }
        }

        #[inline(always)]
        unsafe fn sums_of_sixteen(p: *const i8) -> [i32; 2] {
            // SAFETY: the caller vouches for 32 bytes.
            unsafe {
                // Raised by 128 bytes are unsigned; the instruction adds eight of them.
                let raised = _mm256_xor_si256(_mm256_loadu_si256(p.cast()), _mm256_set1_epi8(-128));
                let eights = _mm256_sad_epu8(raised, _mm256_setzero_si256());
                let (first, second) = (_mm256_castsi256_si128(eights), _mm256_extracti128_si256::<1>(eights));
                let sum = |two| _mm_cvtsi128_si32(_mm_add_epi64(two, _mm_unpackhi_epi64(two, two))) - 16 * 128;
                [sum(first), sum(second)]
            }
        }

        #[inline(always)]
        unsafe fn six_bit_scales(p: *const u8, q: *const u8) -> [Self::F; 2] {
            // SAFETY: the caller vouches for sixteen bytes at both; each store fills what is loaded after it.
            unsafe {
                // As words of 128 bits, one block in each: d and m, then a, b, c. See the drawing in formats/q4_k.rs.
                let heads = _mm256_set_m128i(_mm_loadu_si128(q.cast()), _mm_loadu_si128(p.cast()));
                // a, a, b, b: low six bits as they are, high two bits of others. c has four bits of those each, twice.
                let aabb = _mm256_srlv_epi32(
                    _mm256_shuffle_epi32::<0b10_10_01_01>(heads),
                    _mm256_setr_epi32(0, 2, 0, 2, 0, 2, 0, 2),
                );
                let c = _mm256_srlv_epi32(
                    _mm256_shuffle_epi32::<0b11_11_11_11>(heads),
                    _mm256_setr_epi32(0, 0, 0, 4, 0, 0, 0, 4),
                );
                let top = _mm256_set1_epi64x(0x3030_3030_3F3F_3F3F);
                let low = _mm256_set1_epi64x(0x0F0F_0F0F_0000_0000);
                let both = _mm256_or_si256(_mm256_and_si256(aabb, top), _mm256_and_si256(c, low));
                // Scales of both blocks, then minima; and d eight times for each block, and −m.
                let mut integers = [0i8; 32];
                _mm256_storeu_si256(integers.as_mut_ptr().cast(), _mm256_permute4x64_epi64::<0b11_01_10_00>(both));
                let (mut d, mut m) = ([0u8; 32], [0u8; 32]);
                let minus = _mm256_xor_si256(heads, _mm256_set1_epi16(i16::MIN));
                _mm256_storeu_si256(d.as_mut_ptr().cast(), _mm256_shuffle_epi8(heads, _mm256_set1_epi16(0x0100)));
                _mm256_storeu_si256(m.as_mut_ptr().cast(), _mm256_shuffle_epi8(minus, _mm256_set1_epi16(0x0302)));
                [
                    Self::mul(Self::load_f16(d.as_ptr()), Self::load_i8(integers.as_ptr())),
                    Self::mul(Self::load_f16(m.as_ptr()), Self::load_i8(integers.as_ptr().add(16))),
                ]
            }
        }

        #[inline(always)]
        unsafe fn prefetch(p: *const u8) {
            // SAFETY: a prefetch of any address is harmless.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(p.cast()) }
        }

        #[inline(always)]
        unsafe fn prefetch_early(p: *const u8) {
            // SAFETY: as above.
            unsafe { _mm_prefetch::<_MM_HINT_T1>(p.cast()) }
        }
    };
}
pub(super) use small_in_avx2;
