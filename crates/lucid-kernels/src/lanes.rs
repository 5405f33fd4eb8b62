//! Sixteen virtual lanes: one small vector layer under all kernels, so that one source text gives the same bits everywhere.
//!
//! A [`Lanes`] is sixteen f32 and sixteen i32 side by side: one register of AVX-512, two of AVX2, four of NEON, or an array in
//! plain loops. Each operation acts on every lane as IEEE 754 defines it, with one rounding, so it has one right answer; a
//! kernel written over this trait is a fixed sequence of such operations and therefore has one right answer, too. Nothing here
//! may round otherwise (no reciprocal estimates), and sums across lanes go in a fixed order.
//!
//! [`run`] is how a [`Level`] becomes a type: a [`Kernel`] is a function generic over `Lanes`, and is compiled once per level
//! inside a function that enables the level's instructions. Everything below that function is `#[inline(always)]`, because
//! code inherits the instructions of the function into which it is inlined.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "aarch64")]
mod neon;
pub(crate) mod scalar;
#[cfg(target_arch = "x86_64")]
mod x86;

use crate::level::{Isa, Level};

/// The ways in which codes come from memory. For each, a level may mix them in an order of its own.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// Block by block.
    Together,
    /// The two halves of a block share bytes ([`Lanes::nibbles_apart`]).
    Apart,
    /// Two blocks share bytes ([`Lanes::nibbles_in_runs`]).
    Runs,
}

/// How large codes are.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Codes {
    /// Below 16.
    Small,
    /// Below 128.
    Narrow,
    /// Any byte, 128 more than is meant.
    Wide,
}

/// Sixteen lanes of f32 and i32 at one level.
///
/// # Safety
/// Functions read and write through raw pointers, any alignment: the caller vouches for sixteen values behind each unless
/// stated otherwise. The functions of an implementation may only be called where its level's instructions exist.
pub(crate) trait Lanes: Copy + 'static {
    /// Sixteen f32.
    type F: Copy;
    /// Sixteen i32.
    type I: Copy;
    /// 64 bytes.
    type B: Copy;

    /// Sixteen f32 from memory.
    unsafe fn load(p: *const f32) -> Self::F;
    /// Sixteen f32 to memory.
    unsafe fn store(p: *mut f32, x: Self::F);
    /// One value in every lane.
    unsafe fn splat(x: f32) -> Self::F;
    /// `a + b`.
    unsafe fn add(a: Self::F, b: Self::F) -> Self::F;
    /// `a − b`.
    unsafe fn sub(a: Self::F, b: Self::F) -> Self::F;
    /// `a · b`.
    unsafe fn mul(a: Self::F, b: Self::F) -> Self::F;
    /// `a / b`.
    unsafe fn div(a: Self::F, b: Self::F) -> Self::F;
    /// `a · b + c`, rounded once.
    unsafe fn fma(a: Self::F, b: Self::F, c: Self::F) -> Self::F;
    /// The nearest integer, to even where two are as near.
    unsafe fn round(a: Self::F) -> Self::F;
    /// `a > b ? x : y`; false where one is NaN.
    unsafe fn if_greater(a: Self::F, b: Self::F, x: Self::F, y: Self::F) -> Self::F;
    /// `a` is NaN ? the one NaN `0x7FC00000` : `a`.
    unsafe fn canonical(a: Self::F) -> Self::F;
    /// 2ⁿ for lanes of whole numbers n in −126 ..= 127; anything for others.
    unsafe fn exp2_whole(n: Self::F) -> Self::F;

    /// Sixteen f16 from memory, widened.
    unsafe fn load_f16(p: *const u8) -> Self::F;
    /// Sixteen bf16 from memory, widened.
    unsafe fn load_bf16(p: *const u8) -> Self::F;
    /// Sixteen i8 from memory, widened.
    unsafe fn load_i8(p: *const i8) -> Self::F;
    /// Sixteen i8, eight in each word, widened.
    unsafe fn from_i8(words: [u64; 2]) -> Self::F;
    /// Sixteen whole numbers in −128 ..= 127 as bytes.
    unsafe fn store_i8(p: *mut i8, x: Self::F);
    /// One f16, widened.
    unsafe fn f16(bits: u16) -> f32;
    /// Sixteen f16 from memory, `stride` bytes from one to the next, widened. What lies between them may be read, too.
    unsafe fn gather_f16(p: *const u8, stride: usize) -> Self::F;
    /// Eight times a, then eight times b.
    unsafe fn halves(a: f32, b: f32) -> Self::F;
    /// The largest magnitude of 32 values, from memory, as bits: a NaN or an infinity is at least `0x7F800000`.
    unsafe fn largest_of_32(p: *const f32) -> u32;

    /// Sixteen i32 from memory.
    unsafe fn load_i32(p: *const i32) -> Self::I;
    /// One integer in every lane.
    unsafe fn splat_i32(x: i32) -> Self::I;
    /// Integer sum.
    unsafe fn add_i32(a: Self::I, b: Self::I) -> Self::I;
    /// The nearest f32 of an integer.
    unsafe fn to_f32(a: Self::I) -> Self::F;

    /// 64 bytes from memory.
    unsafe fn load_bytes(p: *const u8) -> Self::B;
    /// 64 bytes to memory.
    unsafe fn store_bytes(p: *mut u8, b: Self::B);
    /// Four bytes from memory, sixteen times.
    unsafe fn splat_bytes(p: *const i8) -> Self::B;
    /// One byte 64 times.
    unsafe fn splat_byte(c: u8) -> Self::B;
    /// 32 bytes from one place in memory, then 32 from another.
    unsafe fn two(p: *const u8, q: *const u8) -> Self::B;
    /// The nibbles of sixteen bytes from one place in memory, then of sixteen from another: each time the low ones, then the
    /// high.
    unsafe fn nibbles(p: *const u8, q: *const u8) -> Self::B;
    /// `x & mask` for 32 bytes x from memory, then `(x >> n) & mask`, n below 8.
    unsafe fn twice(p: *const u8, n: u32, mask: u8) -> Self::B;
    /// `(a >> n) & mask` in every byte, n below 8.
    unsafe fn shift_and(a: Self::B, n: u32, mask: u8) -> Self::B;
    /// `(a << n) & mask` in every byte, n below 8.
    unsafe fn shift_left_and(a: Self::B, n: u32, mask: u8) -> Self::B;
    /// `a | b`.
    unsafe fn or(a: Self::B, b: Self::B) -> Self::B;
    /// `a ^ b`.
    unsafe fn xor(a: Self::B, b: Self::B) -> Self::B;
    /// `a + b` in every byte, modulo 256.
    unsafe fn add_bytes(a: Self::B, b: Self::B) -> Self::B;
    /// Byte i is 0xFF where bit i is set, else 0.
    unsafe fn spread(bits: u64) -> Self::B;
    /// Entry `a` of the table for every byte, which is below 16.
    unsafe fn lookup(table: &[u8; 16], a: Self::B) -> Self::B;
    /// Sums of the first and the second sixteen of 32 signed bytes from memory.
    unsafe fn sums_of_sixteen(p: *const i8) -> [i32; 2];

    /// How many vectors of outputs, and how many rows, a micro-kernel of integers holds in registers, with two accumulators
    /// for each pair, one in integers and one in floats. Floats need only the second, and hold twice as many rows.
    const VECTORS: usize;
    /// See [`Lanes::VECTORS`].
    const ROWS: usize;
    /// Whether the codes of a round and the sums of eight rows of activations stay in registers together.
    const HELD: bool;
    /// Whether the instruction for bytes does not take all of them, so that [`Lanes::dot`] takes 128 from
    /// [`Codes::Wide`] on the way.
    const LOWERS: bool;
    /// `begin(start)`, one to eight [`Lanes::dot`], and `end(start)` make `start + Σ u·x`, over four bytes in each lane.
    /// Between them, sums of [`Codes::Small`] may be of 16 bits: 8 · 2 · 15 · 127 fits.
    #[inline(always)]
    unsafe fn begin(start: Self::I, _: Codes) -> Self::I {
        start
    }
    /// One step of a sum: `acc + Σ u·x`, or `acc + Σ (u − 128)·x` of wide codes where [`Lanes::LOWERS`]. u is unsigned, x
    /// signed and not −128.
    unsafe fn dot(acc: Self::I, u: Self::B, x: Self::B, codes: Codes) -> Self::I;
    /// See [`Lanes::begin`].
    #[inline(always)]
    unsafe fn end(_start: Self::I, acc: Self::I, _: Codes) -> Self::I {
        acc
    }
    /// 512 bytes, those of sixteen blocks one after the other, in an order in which [`Lanes::dot_mixed`] takes both of its
    /// sides.
    unsafe fn mix(v: [Self::B; 8], order: Order) -> [Self::B; 8];
    /// Whether lane b of a vector belongs to block b in [`Order::Apart`]: vector k has word k of every block.
    const ACROSS: bool;
    /// The nibbles of sixteen bytes each of sixteen blocks, `stride` bytes from one to the next, mixed as those of blocks
    /// that have the low nibbles in their first half and the high ones in their second.
    #[inline(always)]
    unsafe fn nibbles_apart(p: *const u8, stride: usize) -> [Self::B; 8] {
        // SAFETY: the caller vouches for the bytes.
        unsafe {
            let pairs = each!(8, k => Self::nibbles(p.add(2 * k * stride), p.add((2 * k + 1) * stride)));
            Self::mix(pairs, Order::Apart)
        }
    }
    /// The nibbles of 128 bytes from one place in memory, then of 128 from another, mixed as those of blocks of which each
    /// two share 32 bytes: the first has the low nibbles, the second the high ones.
    #[inline(always)]
    unsafe fn nibbles_in_runs(p: *const u8, q: *const u8) -> [Self::B; 8] {
        // SAFETY: the caller vouches for the bytes.
        unsafe {
            let twos = each!(8, k => Self::twice([p, q][k / 4].add(32 * (k % 4)), 4, 15));
            Self::mix(twos, Order::Runs)
        }
    }
    /// The scales and the minima of two blocks of Q4_K or Q5_K from the sixteen bytes with which they begin: d · scale, and
    /// −m · min.
    #[inline(always)]
    unsafe fn six_bit_scales(p: *const u8, q: *const u8) -> [Self::F; 2] {
        // SAFETY: the caller vouches for sixteen bytes at both.
        unsafe {
            // All sixteen six-bit numbers of a block at once, four in half a word. See the drawing in formats/q4_k.rs.
            let integers = |p: *const u8| {
                let [_, a, b, c] = p.cast::<[u32; 4]>().read_unaligned().map(u32::from_le);
                let scales = [a & 0x3F3F_3F3F, c & 0x0F0F_0F0F | (a >> 2) & 0x3030_3030];
                let mins = [b & 0x3F3F_3F3F, (c >> 4) & 0x0F0F_0F0F | (b >> 2) & 0x3030_3030];
                [scales, mins].map(|[low, high]| u64::from(low) | u64::from(high) << 32)
            };
            let half = |p: *const u8| Self::f16(u16::from_le(p.cast::<u16>().read_unaligned()));
            let ([scales_p, mins_p], [scales_q, mins_q]) = (integers(p), integers(q));
            let d = Self::halves(half(p), half(q));
            let m = Self::halves(-half(p.add(2)), -half(q.add(2)));
            [Self::mul(d, Self::from_i8([scales_p, scales_q])), Self::mul(m, Self::from_i8([mins_p, mins_q]))]
        }
    }
    /// `start + Σ u·x` over the first halves of sixteen blocks, and over their second halves; u, and the 512 bytes x from
    /// memory, are mixed in the same way. Limits as for [`Lanes::dot`].
    unsafe fn dot_mixed(start: [Self::I; 2], u: [Self::B; 8], x: *const i8, codes: Codes, order: Order)
    -> [Self::I; 2];
    /// The same of N rows x, which wait for each other's dot products.
    #[inline(always)]
    unsafe fn dots_mixed<const N: usize>(
        start: [[Self::I; 2]; N],
        u: [Self::B; 8],
        x: [*const i8; N],
        codes: Codes,
        order: Order,
    ) -> [[Self::I; 2]; N] {
        // SAFETY: the caller's word.
        unsafe { each!(N, t => Self::dot_mixed(start[t], u, x[t], codes, order)) }
    }
    /// The 32 values of two vectors, those at even places and those at odd ones.
    unsafe fn evens_and_odds(a: Self::F, b: Self::F) -> [Self::F; 2];
    /// Exchanges rows and columns of sixteen vectors: lane j of result i is lane i of vector j.
    unsafe fn transpose(v: [Self::F; 16]) -> [Self::F; 16];
    /// Asks for the cache line at `p`, which need not exist.
    unsafe fn prefetch(p: *const u8);
    /// The same, but to the second cache, for what is needed later.
    unsafe fn prefetch_early(p: *const u8);
}

/// `each!(N, i => expression)`: the array of the expression for every i in 0..N.
///
/// [`std::array::from_fn`] says the same with a closure, and a closure is a function of its own: one that has none of the
/// level's instructions unless the compiler inlines it. Where it did not, every intrinsic became a call, and packing took
/// ten times as long.
macro_rules! each {
    ($n:expr, $i:ident => $one:expr) => {{
        let mut all = {
            let $i = 0;
            [$one; $n]
        };
        for $i in 1..$n {
            all[$i] = $one;
        }
        all
    }};
}
pub(crate) use each;

/// A kernel: one source text for all levels.
pub(crate) trait Kernel {
    /// What it returns.
    type Out;
    /// The kernel at one level.
    ///
    /// # Safety
    /// Only where the instructions of `L` exist. Implementations are `#[inline(always)]`.
    unsafe fn at<L: Lanes>(self) -> Self::Out;
}

/// A line of the cache on the stack. A function that has one keeps all that it stores there in whole lines: vectors, too, for
/// which it has no register. Else it depends on chance, in each run of the program, whether every one of them straddles two.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
#[repr(align(64))]
struct Line([std::mem::MaybeUninit<u8>; 64]);

/// Makes, for each level, the function that enables its instructions.
macro_rules! entries {
    ($($arch:literal $name:ident: $lanes:ty, $features:literal;)*) => {
        $(
            /// The kernel with these instructions.
            ///
            /// # Safety
            /// Only where they exist.
            #[cfg(target_arch = $arch)]
            #[target_feature(enable = $features)]
            unsafe fn $name<K: Kernel>(kernel: K) -> K::Out {
                // Nothing uses it; that its address might be seen is what puts it on the stack.
                std::hint::black_box(Line([const { std::mem::MaybeUninit::uninit() }; 64]).0.as_ptr());
                // SAFETY: the instructions exist by the caller's word.
                unsafe { kernel.at::<$lanes>() }
            }
        )*
    };
}

entries! {
    "x86_64" run_avx2: avx2::Avx2<false>, "avx2,fma,f16c";
    "x86_64" run_avxvnni: avx2::Avx2<true>, "avx2,fma,f16c,avxvnni";
    "x86_64" run_avx512: avx512::Avx512<false>, "avx2,fma,f16c,avx512f,avx512bw,avx512vl,avx512dq";
    "x86_64" run_avx512vnni: avx512::Avx512<true>, "avx2,fma,f16c,avx512f,avx512bw,avx512vl,avx512dq,avx512vnni";
    "aarch64" run_neon: neon::Neon<0>, "neon";
    "aarch64" run_dotprod: neon::Neon<1>, "neon,dotprod";
    "aarch64" run_i8mm: neon::Neon<2>, "neon,dotprod,i8mm";
}

/// Runs the kernel at the level.
#[inline]
pub(crate) fn run<K: Kernel>(level: Level, kernel: K) -> K::Out {
    // SAFETY: whoever holds a level has the proof that this processor has its instructions.
    unsafe {
        match level.isa() {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512Vnni => run_avx512vnni(kernel),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => run_avx512(kernel),
            #[cfg(target_arch = "x86_64")]
            Isa::AvxVnni => run_avxvnni(kernel),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => run_avx2(kernel),
            #[cfg(target_arch = "aarch64")]
            Isa::I8mm => run_i8mm(kernel),
            #[cfg(target_arch = "aarch64")]
            Isa::DotProd => run_dotprod(kernel),
            #[cfg(target_arch = "aarch64")]
            Isa::Neon => run_neon(kernel),
            _ => kernel.at::<scalar::Scalar>(),
        }
    }
}

/// Vector k of the result has word k of each of sixteen blocks, which come one after the other.
///
/// # Safety
/// As for every function of [`Lanes`].
#[cfg(target_arch = "x86_64")]
#[inline(always)]
unsafe fn words_of_blocks<L: Lanes>(v: [L::B; 8]) -> [L::B; 8] {
    let (mut blocks, mut words) = ([[0u32; 8]; 16], [[0u32; 16]; 8]);
    // SAFETY: two blocks are 64 bytes, and so are a word of each; the level is the caller's.
    unsafe {
        for (two, v) in blocks.chunks_exact_mut(2).zip(v) {
            L::store_bytes(two.as_mut_ptr().cast(), v);
        }
        for (b, block) in blocks.iter().enumerate() {
            for (k, word) in block.iter().enumerate() {
                words[k][b] = *word;
            }
        }
        each!(8, k => L::load_bytes(words[k].as_ptr().cast()))
    }
}

/// Adds the lanes in order: ((0 + x₀) + x₁) + … + x₁₅. The zero makes the sign of a zero lane irrelevant.
///
/// # Safety
/// As for every function of [`Lanes`].
#[inline(always)]
pub(crate) unsafe fn sum_in_order<L: Lanes>(x: L::F) -> f32 {
    let mut lanes = [0f32; 16];
    // SAFETY: the array has sixteen values; the level is the caller's.
    unsafe { L::store(lanes.as_mut_ptr(), x) };
    lanes.iter().fold(0.0, |sum, x| sum + x)
}

/// The largest lane; NaN lanes are left out.
///
/// # Safety
/// As for every function of [`Lanes`].
#[inline(always)]
pub(crate) unsafe fn largest<L: Lanes>(x: L::F) -> f32 {
    let mut lanes = [0f32; 16];
    // SAFETY: the array has sixteen values; the level is the caller's.
    unsafe {
        let least = L::splat(f32::NEG_INFINITY);
        L::store(lanes.as_mut_ptr(), L::if_greater(x, least, x, least));
    }
    for half in [8, 4, 2, 1] {
        for i in 0..half {
            lanes[i] = if lanes[i + half] > lanes[i] { lanes[i + half] } else { lanes[i] };
        }
    }
    lanes[0]
}

/// `eˣ`, within 2 units in the last place for results from 2⁻¹²⁴ to the largest f32; 0 below x = −86, infinite above 88.7.
///
/// With n = round(x · log₂ e) and r = x − n·ln 2 ∈ ±0.35, eˣ = 2ⁿ · eʳ. ln 2 is subtracted in two parts, of which the first
/// has so few bits that n times it is exact; eʳ is its Taylor polynomial of degree 7, off by r⁸/8! < 6·10⁻⁹ of it. The power
/// comes in two factors, 2ⁿ⁻¹ and 2, because 2¹²⁸ is no f32.
///
/// # Safety
/// As for every function of [`Lanes`].
#[inline(always)]
pub(crate) unsafe fn exp<L: Lanes>(x: L::F) -> L::F {
    // SAFETY: operations on registers; the level is the caller's.
    unsafe {
        let top = L::splat(89.0);
        let x = L::if_greater(x, top, top, x);
        let n = L::round(L::mul(x, L::splat(std::f32::consts::LOG2_E)));
        let r = L::fma(n, L::splat(-LN_2_HIGH), x);
        let r = L::fma(n, L::splat(-LN_2_LOW), r);
        let mut p = L::splat(1.0 / 5040.0);
        for c in [1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0] {
            p = L::fma(p, r, L::splat(c));
        }
        let power = L::exp2_whole(L::sub(n, L::splat(1.0)));
        let y = L::mul(L::mul(p, power), L::splat(2.0));
        L::if_greater(L::splat(-86.0), x, L::splat(0.0), y)
    }
}

/// ln 2 to fifteen bits, and the rest of it.
const LN_2_HIGH: f32 = 0.693_145_75; // 0x3F317200
const LN_2_LOW: f32 = 1.428_606_8e-6;

#[cfg(test)]
mod tests {
    use super::*;

    /// Eight steps of a sum, of the same four codes and activations in every lane.
    struct Eight(Codes, [u8; 4], [i8; 4]);

    impl Kernel for Eight {
        type Out = [f32; 16];

        #[inline(always)]
        unsafe fn at<L: Lanes>(self) -> [f32; 16] {
            let Eight(codes, u, x) = self;
            let mut sums = [0.0; 16];
            // SAFETY: four bytes each, and sixteen sums; the level is the caller's.
            unsafe {
                let (u, start) = (L::splat_bytes(u.as_ptr().cast()), start(codes, x));
                let start = L::splat_i32(if codes == Codes::Wide && L::LOWERS { 0 } else { start });
                let mut sum = L::begin(start, codes);
                for _ in 0..8 {
                    sum = L::dot(sum, u, L::splat_bytes(x.as_ptr()), codes);
                }
                L::store(sums.as_mut_ptr(), L::to_f32(L::end(start, sum, codes)));
            }
            sums
        }
    }

    /// What the sum of eight steps starts from: 128 is what wide codes are too much by.
    fn start(codes: Codes, x: [i8; 4]) -> i32 {
        let sum: i32 = x.iter().map(|&x| i32::from(x)).sum();
        -8 * sum * if codes == Codes::Wide { 128 } else { 5 }
    }

    #[test]
    fn sums_of_the_largest_codes_and_activations_are_exact() {
        for level in Level::available() {
            for (codes, most) in [(Codes::Small, 15), (Codes::Narrow, 127), (Codes::Wide, 255)] {
                for u in [[most; 4], [0; 4], [most, 0, most, 1], [most / 2; 4]] {
                    for x in [[127; 4], [-127; 4], [127, -127, 127, -127], [0, 1, -1, 127]] {
                        let products = u.iter().zip(x).map(|(&u, x)| i32::from(u) * i32::from(x));
                        let want = start(codes, x) + 8 * products.sum::<i32>();
                        assert_eq!(run(level, Eight(codes, u, x)), [want as f32; 16], "{level}, {u:?} and {x:?}");
                    }
                }
            }
        }
    }
}
