//! What the x86 levels share: 32 codes in one register of AVX2.

/// The functions of [`Lanes`](super::Lanes) on codes, and a few on single values.
macro_rules! codes_in_avx2 {
    () => {
        #[inline(always)]
        unsafe fn f16(bits: u16) -> f32 {
            // SAFETY: the trait's contract.
            unsafe { _mm_cvtss_f32(_mm_cvtph_ps(_mm_cvtsi32_si128(bits.into()))) }
        }

        #[inline(always)]
        unsafe fn load_codes(p: *const u8) -> __m256i {
            // SAFETY: the caller vouches for 32 bytes.
            unsafe { _mm256_loadu_si256(p.cast()) }
        }

        #[inline(always)]
        unsafe fn store_codes(p: *mut u8, c: __m256i) {
            // SAFETY: the caller vouches for 32 bytes.
            unsafe { _mm256_storeu_si256(p.cast(), c) }
        }

        #[inline(always)]
        unsafe fn nibbles(p: *const u8) -> __m256i {
            // SAFETY: the caller vouches for sixteen bytes.
            unsafe {
                let bytes = _mm_loadu_si128(p.cast());
                let both = _mm256_set_m128i(_mm_srli_epi16::<4>(bytes), bytes);
                _mm256_and_si256(both, _mm256_set1_epi8(15))
            }
        }

        #[inline(always)]
        unsafe fn splat_code(c: u8) -> __m256i {
            // SAFETY: the trait's contract.
            unsafe { _mm256_set1_epi8(c as i8) }
        }

        #[inline(always)]
        unsafe fn shift_and(a: __m256i, n: u32, mask: u8) -> __m256i {
            // SAFETY: the trait's contract. Bits that come over from the neighbour byte are above 8 − n; the mask cuts them off,
            // being within the 8 − n bits that a byte shifted right can have.
            unsafe {
                let shifted = _mm256_srl_epi16(a, _mm_cvtsi32_si128(n as i32));
                _mm256_and_si256(shifted, _mm256_set1_epi8((mask & (0xFF >> n)) as i8))
            }
        }

        #[inline(always)]
        unsafe fn shift_left_and(a: __m256i, n: u32, mask: u8) -> __m256i {
            // SAFETY: as above, for the n lowest bits.
            unsafe {
                let shifted = _mm256_sll_epi16(a, _mm_cvtsi32_si128(n as i32));
                _mm256_and_si256(shifted, _mm256_set1_epi8((mask & (0xFF << n)) as i8))
            }
        }

        #[inline(always)]
        unsafe fn or(a: __m256i, b: __m256i) -> __m256i {
            // SAFETY: the trait's contract.
            unsafe { _mm256_or_si256(a, b) }
        }

        #[inline(always)]
        unsafe fn xor(a: __m256i, b: __m256i) -> __m256i {
            // SAFETY: the trait's contract.
            unsafe { _mm256_xor_si256(a, b) }
        }

        #[inline(always)]
        unsafe fn add_codes(a: __m256i, b: __m256i) -> __m256i {
            // SAFETY: the trait's contract.
            unsafe { _mm256_add_epi8(a, b) }
        }

        #[inline(always)]
        unsafe fn spread(bits: u32) -> __m256i {
            // SAFETY: the trait's contract.
            unsafe {
                // Byte i of the word eight times each, then its bit i mod 8.
                let places = _mm256_setr_epi64x(0, 0x0101010101010101, 0x0202020202020202, 0x0303030303030303);
                let bytes = _mm256_shuffle_epi8(_mm256_set1_epi32(bits as i32), places);
                let bit = _mm256_set1_epi64x(0x8040201008040201u64 as i64);
                _mm256_cmpeq_epi8(_mm256_and_si256(bytes, bit), bit)
            }
        }

        #[inline(always)]
        unsafe fn lookup(table: &[u8; 16], a: __m256i) -> __m256i {
            // SAFETY: the trait's contract.
            unsafe { _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(_mm_loadu_si128(table.as_ptr().cast())), a) }
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
        unsafe fn prefetch(p: *const u8) {
            // SAFETY: a prefetch of any address is harmless.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(p.cast()) }
        }
    };
}
pub(super) use codes_in_avx2;
