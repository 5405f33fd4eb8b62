//! The lanes in NEON: four registers each. `DOT` says how four products of bytes are added: by widening (0), with sdot (1), or
//! with usdot of the i8mm extension (2). The compiler has no stable names for those two instructions, so they are assembly.

use super::{Codes, Lanes, Order, each};
use crate::formats::f16_to_f32;
use std::arch::{aarch64::*, asm};

/// Sixteen lanes in four registers. Needs neon; dotprod if `DOT` is 1, i8mm if it is 2.
#[derive(Clone, Copy)]
pub(crate) struct Neon<const DOT: u8>;

type F = [float32x4_t; 4];
type I = [int32x4_t; 4];
type B = [uint8x16_t; 4];

/// The four quarters of an operation.
macro_rules! quarters {
    ($i:ident => $one:expr) => {{
        each!(4, $i => $one)
    }};
}

macro_rules! simple {
    ($($name:ident($a:ident, $b:ident) = $intrinsic:ident;)*) => {
        $(#[inline(always)]
        unsafe fn $name($a: F, $b: F) -> F {
            // SAFETY: the trait's contract: the instructions exist.
            unsafe { quarters!(i => $intrinsic($a[i], $b[i])) }
        })*
    };
}

impl<const DOT: u8> Neon<DOT> {
    /// Sixteen bytes as f32.
    #[inline(always)]
    unsafe fn widen_i8(bytes: int8x16_t) -> F {
        // SAFETY: the trait's contract.
        unsafe {
            let words = [vmovl_s8(vget_low_s8(bytes)), vmovl_high_s8(bytes)];
            quarters!(i => {
                let half = words[i / 2];
                vcvtq_f32_s32(if i % 2 == 0 { vmovl_s16(vget_low_s16(half)) } else { vmovl_high_s16(half) })
            })
        }
    }

    /// `acc + Σ w·x`, both signed.
    #[inline(always)]
    unsafe fn dot_signed(acc: int32x4_t, w: uint8x16_t, x: uint8x16_t) -> int32x4_t {
        // SAFETY: the trait's contract.
        unsafe {
            let (w, x) = (vreinterpretq_s8_u8(w), vreinterpretq_s8_u8(x));
            if DOT == 0 {
                // Products of at most 128 · 127 fit 16 bits; neighbours are added as they are widened, and once more.
                let low = vpaddlq_s16(vmull_s8(vget_low_s8(w), vget_low_s8(x)));
                let high = vpaddlq_s16(vmull_high_s8(w, x));
                return vaddq_s32(acc, vpaddq_s32(low, high));
            }
            let mut acc = acc;
            asm!(
                ".arch_extension dotprod",
                "sdot {acc:v}.4s, {w:v}.16b, {x:v}.16b",
                acc = inout(vreg) acc, w = in(vreg) w, x = in(vreg) x,
                options(pure, nomem, nostack, preserves_flags)
            );
            acc
        }
    }
}

impl<const DOT: u8> Lanes for Neon<DOT> {
    type F = F;
    type I = I;
    type B = B;
    const ACROSS: bool = false;
    const VECTORS: usize = 1;
    const ROWS: usize = 3;
    const HELD: bool = false;
    const LOWERS: bool = DOT < 2;

    simple! {
        add(a, b) = vaddq_f32;
        sub(a, b) = vsubq_f32;
        mul(a, b) = vmulq_f32;
        div(a, b) = vdivq_f32;
    }

    #[inline(always)]
    unsafe fn fma(a: F, b: F, c: F) -> F {
        // SAFETY: the trait's contract.
        unsafe { quarters!(i => vfmaq_f32(c[i], a[i], b[i])) }
    }

    #[inline(always)]
    unsafe fn load(p: *const f32) -> F {
        // SAFETY: the trait's contract.
        unsafe { quarters!(i => vld1q_f32(p.add(4 * i))) }
    }

    #[inline(always)]
    unsafe fn store(p: *mut f32, x: F) {
        for i in 0..4 {
            // SAFETY: the trait's contract.
            unsafe { vst1q_f32(p.add(4 * i), x[i]) }
        }
    }

    #[inline(always)]
    unsafe fn splat(x: f32) -> F {
        // SAFETY: the trait's contract.
        unsafe { [vdupq_n_f32(x); 4] }
    }

    #[inline(always)]
    unsafe fn round(a: F) -> F {
        // SAFETY: the trait's contract.
        unsafe { quarters!(i => vrndnq_f32(a[i])) }
    }

    #[inline(always)]
    unsafe fn if_greater(a: F, b: F, x: F, y: F) -> F {
        // SAFETY: the trait's contract.
        unsafe { quarters!(i => vbslq_f32(vcgtq_f32(a[i], b[i]), x[i], y[i])) }
    }

    #[inline(always)]
    unsafe fn canonical(a: F) -> F {
        // SAFETY: the trait's contract.
        unsafe { quarters!(i => vbslq_f32(vceqq_f32(a[i], a[i]), a[i], vdupq_n_f32(f32::NAN))) }
    }

    #[inline(always)]
    unsafe fn exp2_whole(n: F) -> F {
        // SAFETY: the trait's contract.
        unsafe {
            quarters!(i => {
                let exponent = vaddq_s32(vcvtnq_s32_f32(n[i]), vdupq_n_s32(127));
                vreinterpretq_f32_s32(vshlq_n_s32::<23>(exponent))
            })
        }
    }

    #[inline(always)]
    unsafe fn load_f16(p: *const u8) -> F {
        // SAFETY: the trait's contract.
        unsafe {
            quarters!(i => {
                let halves = vld1_u8(p.add(8 * i));
                let wide: float32x4_t;
                asm!("fcvtl {wide:v}.4s, {halves:v}.4h", wide = lateout(vreg) wide, halves = in(vreg) halves,
                    options(pure, nomem, nostack, preserves_flags));
                wide
            })
        }
    }

    #[inline(always)]
    unsafe fn load_bf16(p: *const u8) -> F {
        // SAFETY: the trait's contract.
        unsafe { quarters!(i => vreinterpretq_f32_u32(vshll_n_u16::<16>(vreinterpret_u16_u8(vld1_u8(p.add(8 * i)))))) }
    }

    #[inline(always)]
    unsafe fn load_i8(p: *const i8) -> F {
        // SAFETY: the trait's contract.
        unsafe { Self::widen_i8(vld1q_s8(p)) }
    }

    #[inline(always)]
    unsafe fn from_i8(words: [u64; 2]) -> F {
        // SAFETY: the trait's contract.
        unsafe { Self::widen_i8(vcombine_s8(vcreate_s8(words[0]), vcreate_s8(words[1]))) }
    }

    #[inline(always)]
    unsafe fn store_i8(p: *mut i8, x: F) {
        // SAFETY: the trait's contract.
        unsafe {
            let words: [int16x4_t; 4] = quarters!(i => vqmovn_s32(vcvtnq_s32_f32(x[i])));
            let (low, high) = (vcombine_s16(words[0], words[1]), vcombine_s16(words[2], words[3]));
            vst1q_s8(p, vcombine_s8(vqmovn_s16(low), vqmovn_s16(high)));
        }
    }

    #[inline(always)]
    unsafe fn f16(bits: u16) -> f32 {
        f16_to_f32(bits)
    }

    #[inline(always)]
    unsafe fn largest_of_32(p: *const f32) -> u32 {
        // SAFETY: the caller vouches for 32 values.
        unsafe {
            let magnitude = vdupq_n_u32(0x7FFF_FFFF);
            let mut largest = vdupq_n_u32(0);
            for i in 0..8 {
                largest = vmaxq_u32(largest, vandq_u32(vld1q_u32(p.add(4 * i).cast()), magnitude));
            }
            vmaxvq_u32(largest)
        }
    }

    #[inline(always)]
    unsafe fn load_i32(p: *const i32) -> I {
        // SAFETY: the trait's contract.
        unsafe { quarters!(i => vld1q_s32(p.add(4 * i))) }
    }

    #[inline(always)]
    unsafe fn splat_i32(x: i32) -> I {
        // SAFETY: the trait's contract.
        unsafe { [vdupq_n_s32(x); 4] }
    }

    #[inline(always)]
    unsafe fn add_i32(a: I, b: I) -> I {
        // SAFETY: the trait's contract.
        unsafe { quarters!(i => vaddq_s32(a[i], b[i])) }
    }

    #[inline(always)]
    unsafe fn to_f32(a: I) -> F {
        // SAFETY: the trait's contract.
        unsafe { quarters!(i => vcvtq_f32_s32(a[i])) }
    }

    #[inline(always)]
    unsafe fn gather_f16(p: *const u8, stride: usize) -> F {
        // SAFETY: the caller vouches for the sixteen.
        unsafe {
            let bits: [u16; 16] = each!(16, i => p.add(i * stride).cast::<u16>().read_unaligned());
            Self::load_f16(bits.as_ptr().cast())
        }
    }

    #[inline(always)]
    unsafe fn halves(a: f32, b: f32) -> F {
        // SAFETY: the trait's contract.
        unsafe { quarters!(i => vdupq_n_f32(if i < 2 { a } else { b })) }
    }

    #[inline(always)]
    unsafe fn load_bytes(p: *const u8) -> B {
        // SAFETY: the caller vouches for 64 bytes.
        unsafe { quarters!(i => vld1q_u8(p.add(16 * i))) }
    }

    #[inline(always)]
    unsafe fn store_bytes(p: *mut u8, b: B) {
        for i in 0..4 {
            // SAFETY: the caller vouches for 64 bytes.
            unsafe { vst1q_u8(p.add(16 * i), b[i]) }
        }
    }

    #[inline(always)]
    unsafe fn splat_bytes(p: *const i8) -> B {
        // SAFETY: the caller vouches for four bytes.
        unsafe { [vreinterpretq_u8_u32(vdupq_n_u32(p.cast::<u32>().read_unaligned())); 4] }
    }

    #[inline(always)]
    unsafe fn splat_byte(c: u8) -> B {
        // SAFETY: the trait's contract.
        unsafe { [vdupq_n_u8(c); 4] }
    }

    #[inline(always)]
    unsafe fn two(p: *const u8, q: *const u8) -> B {
        // SAFETY: the caller vouches for 32 bytes at both.
        unsafe { [vld1q_u8(p), vld1q_u8(p.add(16)), vld1q_u8(q), vld1q_u8(q.add(16))] }
    }

    #[inline(always)]
    unsafe fn nibbles(p: *const u8, q: *const u8) -> B {
        // SAFETY: the caller vouches for sixteen bytes at both.
        unsafe {
            let (a, b, low) = (vld1q_u8(p), vld1q_u8(q), vdupq_n_u8(15));
            [vandq_u8(a, low), vshrq_n_u8::<4>(a), vandq_u8(b, low), vshrq_n_u8::<4>(b)]
        }
    }

    #[inline(always)]
    unsafe fn twice(p: *const u8, n: u32, mask: u8) -> B {
        // SAFETY: the caller vouches for 32 bytes. A shift to the left by a negative number is one to the right.
        unsafe {
            let (x, n, mask) = ([vld1q_u8(p), vld1q_u8(p.add(16))], vdupq_n_s8(-(n as i8)), vdupq_n_u8(mask));
            quarters!(i => vandq_u8(if i < 2 { x[i] } else { vshlq_u8(x[i % 2], n) }, mask))
        }
    }

    #[inline(always)]
    unsafe fn shift_and(a: B, n: u32, mask: u8) -> B {
        // SAFETY: the trait's contract.
        unsafe { quarters!(i => vandq_u8(vshlq_u8(a[i], vdupq_n_s8(-(n as i8))), vdupq_n_u8(mask))) }
    }

    #[inline(always)]
    unsafe fn shift_left_and(a: B, n: u32, mask: u8) -> B {
        // SAFETY: the trait's contract.
        unsafe { quarters!(i => vandq_u8(vshlq_u8(a[i], vdupq_n_s8(n as i8)), vdupq_n_u8(mask))) }
    }

    #[inline(always)]
    unsafe fn or(a: B, b: B) -> B {
        // SAFETY: the trait's contract.
        unsafe { quarters!(i => vorrq_u8(a[i], b[i])) }
    }

    #[inline(always)]
    unsafe fn xor(a: B, b: B) -> B {
        // SAFETY: the trait's contract.
        unsafe { quarters!(i => veorq_u8(a[i], b[i])) }
    }

    #[inline(always)]
    unsafe fn add_bytes(a: B, b: B) -> B {
        // SAFETY: the trait's contract.
        unsafe { quarters!(i => vaddq_u8(a[i], b[i])) }
    }

    #[inline(always)]
    unsafe fn spread(bits: u64) -> B {
        // SAFETY: the trait's contract.
        unsafe {
            let bit = vreinterpretq_u8_u64(vdupq_n_u64(0x8040_2010_0804_0201));
            let byte = |i: usize| vdup_n_u8((bits >> (8 * i)) as u8);
            quarters!(i => vtstq_u8(vcombine_u8(byte(2 * i), byte(2 * i + 1)), bit))
        }
    }

    #[inline(always)]
    unsafe fn lookup(table: &[u8; 16], a: B) -> B {
        // SAFETY: the trait's contract.
        unsafe { quarters!(i => vqtbl1q_u8(vld1q_u8(table.as_ptr()), a[i])) }
    }

    #[inline(always)]
    unsafe fn sums_of_sixteen(p: *const i8) -> [i32; 2] {
        // SAFETY: the caller vouches for 32 bytes.
        unsafe { [vaddlvq_s8(vld1q_s8(p)).into(), vaddlvq_s8(vld1q_s8(p.add(16))).into()] }
    }

    #[inline(always)]
    unsafe fn dot(acc: I, u: B, x: B, codes: Codes) -> I {
        // SAFETY: the trait's contract. Below 128 a code is the same signed; with its top bit turned, u is u − 128.
        unsafe {
            quarters!(i => {
                if DOT < 2 {
                    let u = if codes == Codes::Wide { veorq_u8(u[i], vdupq_n_u8(0x80)) } else { u[i] };
                    Self::dot_signed(acc[i], u, x[i])
                } else {
                    let mut acc = acc[i];
                    asm!(
                        ".arch_extension i8mm",
                        "usdot {acc:v}.4s, {u:v}.16b, {x:v}.16b",
                        acc = inout(vreg) acc, u = in(vreg) u[i], x = in(vreg) x[i],
                        options(pure, nomem, nostack, preserves_flags)
                    );
                    acc
                }
            })
        }
    }

    #[inline(always)]
    unsafe fn mix(v: [B; 8], _: Order) -> [B; 8] {
        v // adding neighbours is one instruction here: the order in memory is as good as any
    }

    #[inline(always)]
    unsafe fn dot_mixed(start: [I; 2], u: [B; 8], x: *const i8, codes: Codes, _: Order) -> [I; 2] {
        // SAFETY: the caller vouches for 512 bytes. Registers 0 and 2 of a vector are the first halves of its two blocks, 1
        // and 3 the second.
        unsafe {
            let v: [I; 8] = each!(8, i => {
                Self::dot(Self::splat_i32(0), u[i], Self::load_bytes(x.add(64 * i).cast()), codes)
            });
            let halves = |i: usize, r: usize| {
                let pair = |v: I| vpaddq_s32(v[r], v[r + 2]);
                vpaddq_s32(pair(v[2 * i]), pair(v[2 * i + 1]))
            };
            let [first, second] = start;
            [quarters!(i => vaddq_s32(first[i], halves(i, 0))), quarters!(i => vaddq_s32(second[i], halves(i, 1)))]
        }
    }

    #[inline(always)]
    unsafe fn evens_and_odds(a: F, b: F) -> [F; 2] {
        // SAFETY: the trait's contract.
        unsafe {
            let all = [a[0], a[1], a[2], a[3], b[0], b[1], b[2], b[3]];
            [
                quarters!(i => vuzp1q_f32(all[2 * i], all[2 * i + 1])),
                quarters!(i => vuzp2q_f32(all[2 * i], all[2 * i + 1])),
            ]
        }
    }

    #[inline(always)]
    unsafe fn transpose(v: [F; 16]) -> [F; 16] {
        let mut y = v;
        for rows in 0..4 {
            for columns in 0..4 {
                // SAFETY: the trait's contract. A square of four by four: neighbours change places by ones, then by twos.
                unsafe {
                    let [a, b, c, d] = [0, 1, 2, 3].map(|i: usize| v[4 * rows + i][columns]);
                    let wide = |x| vreinterpretq_f64_f32(x);
                    let (ab, cd) = ([vtrn1q_f32(a, b), vtrn2q_f32(a, b)], [vtrn1q_f32(c, d), vtrn2q_f32(c, d)]);
                    for i in 0..2 {
                        y[4 * columns + i][rows] = vreinterpretq_f32_f64(vtrn1q_f64(wide(ab[i]), wide(cd[i])));
                        y[4 * columns + i + 2][rows] = vreinterpretq_f32_f64(vtrn2q_f64(wide(ab[i]), wide(cd[i])));
                    }
                }
            }
        }
        y
    }

    #[inline(always)]
    unsafe fn prefetch(p: *const u8) {
        // SAFETY: a prefetch of any address is harmless.
        unsafe { asm!("prfm pldl1keep, [{p}]", p = in(reg) p, options(nostack, readonly, preserves_flags)) }
    }

    #[inline(always)]
    unsafe fn prefetch_early(p: *const u8) {
        // SAFETY: as above.
        unsafe { asm!("prfm pldl2keep, [{p}]", p = in(reg) p, options(nostack, readonly, preserves_flags)) }
    }
}
