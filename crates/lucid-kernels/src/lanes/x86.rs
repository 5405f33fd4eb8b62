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
        unsafe fn prefetch(p: *const u8) {
            // SAFETY: a prefetch of any address is harmless.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(p.cast()) }
        }
    };
}
pub(super) use small_in_avx2;
