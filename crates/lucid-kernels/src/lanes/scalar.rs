//! The lanes in plain loops: the definition of each operation, and the level that runs everywhere.

use super::{Codes, Lanes, Order};
use crate::formats::f16_to_f32;

/// Sixteen lanes as arrays.
#[derive(Clone, Copy)]
pub(crate) struct Scalar;

#[inline(always)]
fn map2(a: [f32; 16], b: [f32; 16], f: impl Fn(f32, f32) -> f32) -> [f32; 16] {
    std::array::from_fn(|i| f(a[i], b[i]))
}

/// Reads a value of any type at any alignment.
#[inline(always)]
unsafe fn read<T>(p: *const u8) -> T {
    // SAFETY: the caller's pointer holds the value; `T` is an array of plain numbers here, which any bytes are.
    unsafe { p.cast::<T>().read_unaligned() }
}

// SAFETY of the reads and writes below: the trait's contract, sixteen values behind each pointer.
impl Lanes for Scalar {
    type F = [f32; 16];
    type I = [i32; 16];
    type B = [u8; 64];

    #[inline(always)]
    unsafe fn load(p: *const f32) -> [f32; 16] {
        // SAFETY: the trait's contract.
        unsafe { read(p.cast()) }
    }

    #[inline(always)]
    unsafe fn store(p: *mut f32, x: [f32; 16]) {
        // SAFETY: the trait's contract.
        unsafe { p.cast::<[f32; 16]>().write_unaligned(x) }
    }

    #[inline(always)]
    unsafe fn splat(x: f32) -> [f32; 16] {
        [x; 16]
    }

    #[inline(always)]
    unsafe fn add(a: [f32; 16], b: [f32; 16]) -> [f32; 16] {
        map2(a, b, |a, b| a + b)
    }

    #[inline(always)]
    unsafe fn sub(a: [f32; 16], b: [f32; 16]) -> [f32; 16] {
        map2(a, b, |a, b| a - b)
    }

    #[inline(always)]
    unsafe fn mul(a: [f32; 16], b: [f32; 16]) -> [f32; 16] {
        map2(a, b, |a, b| a * b)
    }

    #[inline(always)]
    unsafe fn div(a: [f32; 16], b: [f32; 16]) -> [f32; 16] {
        map2(a, b, |a, b| a / b)
    }

    #[inline(always)]
    unsafe fn fma(a: [f32; 16], b: [f32; 16], c: [f32; 16]) -> [f32; 16] {
        std::array::from_fn(|i| a[i].mul_add(b[i], c[i]))
    }

    #[inline(always)]
    unsafe fn round(a: [f32; 16]) -> [f32; 16] {
        a.map(f32::round_ties_even)
    }

    #[inline(always)]
    unsafe fn if_greater(a: [f32; 16], b: [f32; 16], x: [f32; 16], y: [f32; 16]) -> [f32; 16] {
        std::array::from_fn(|i| if a[i] > b[i] { x[i] } else { y[i] })
    }

    #[inline(always)]
    unsafe fn canonical(a: [f32; 16]) -> [f32; 16] {
        a.map(|a| if a.is_nan() { f32::from_bits(0x7FC0_0000) } else { a })
    }

    #[inline(always)]
    unsafe fn exp2_whole(n: [f32; 16]) -> [f32; 16] {
        n.map(|n| f32::from_bits(((n as i32).wrapping_add(127) as u32) << 23))
    }

    #[inline(always)]
    unsafe fn load_f16(p: *const u8) -> [f32; 16] {
        // SAFETY: the trait's contract.
        unsafe { read::<[u16; 16]>(p) }.map(f16_to_f32)
    }

    #[inline(always)]
    unsafe fn load_bf16(p: *const u8) -> [f32; 16] {
        // SAFETY: the trait's contract.
        unsafe { read::<[u16; 16]>(p) }.map(|bits| f32::from_bits(u32::from(bits) << 16))
    }

    #[inline(always)]
    unsafe fn load_i8(p: *const i8) -> [f32; 16] {
        // SAFETY: the trait's contract.
        unsafe { read::<[i8; 16]>(p.cast()) }.map(f32::from)
    }

    #[inline(always)]
    unsafe fn from_i8(words: [u64; 2]) -> [f32; 16] {
        std::array::from_fn(|i| f32::from((words[i / 8] >> (i % 8 * 8)) as i8))
    }

    #[inline(always)]
    unsafe fn store_i8(p: *mut i8, x: [f32; 16]) {
        // SAFETY: the trait's contract.
        unsafe { p.cast::<[i8; 16]>().write_unaligned(x.map(|x| x as i8)) }
    }

    #[inline(always)]
    unsafe fn f16(bits: u16) -> f32 {
        f16_to_f32(bits)
    }

    #[inline(always)]
    unsafe fn largest_of_32(p: *const f32) -> u32 {
        // SAFETY: the caller vouches for 32 values.
        let x = unsafe { read::<[u32; 32]>(p.cast()) };
        x.iter().fold(0, |max, bits| max.max(bits & 0x7FFF_FFFF))
    }

    #[inline(always)]
    unsafe fn load_i32(p: *const i32) -> [i32; 16] {
        // SAFETY: the trait's contract.
        unsafe { read(p.cast()) }
    }

    #[inline(always)]
    unsafe fn splat_i32(x: i32) -> [i32; 16] {
        [x; 16]
    }

    #[inline(always)]
    unsafe fn add_i32(a: [i32; 16], b: [i32; 16]) -> [i32; 16] {
        std::array::from_fn(|i| a[i].wrapping_add(b[i]))
    }

    #[inline(always)]
    unsafe fn to_f32(a: [i32; 16]) -> [f32; 16] {
        a.map(|a| a as f32)
    }

    #[inline(always)]
    unsafe fn gather_f16(p: *const u8, stride: usize) -> [f32; 16] {
        // SAFETY: the caller vouches for the sixteen.
        std::array::from_fn(|i| f16_to_f32(u16::from_le_bytes(unsafe { read(p.add(i * stride)) })))
    }

    #[inline(always)]
    unsafe fn halves(a: f32, b: f32) -> [f32; 16] {
        std::array::from_fn(|i| if i < 8 { a } else { b })
    }

    #[inline(always)]
    unsafe fn load_bytes(p: *const u8) -> [u8; 64] {
        // SAFETY: the caller vouches for 64 bytes.
        unsafe { read(p) }
    }

    #[inline(always)]
    unsafe fn store_bytes(p: *mut u8, b: [u8; 64]) {
        // SAFETY: the caller vouches for 64 bytes.
        unsafe { p.cast::<[u8; 64]>().write_unaligned(b) }
    }

    #[inline(always)]
    unsafe fn splat_bytes(p: *const i8) -> [u8; 64] {
        // SAFETY: the caller vouches for four bytes.
        let four = unsafe { read::<[u8; 4]>(p.cast()) };
        std::array::from_fn(|i| four[i % 4])
    }

    #[inline(always)]
    unsafe fn splat_byte(c: u8) -> [u8; 64] {
        [c; 64]
    }

    #[inline(always)]
    unsafe fn two(p: *const u8, q: *const u8) -> [u8; 64] {
        // SAFETY: the caller vouches for 32 bytes at both.
        let both = unsafe { [read::<[u8; 32]>(p), read(q)] };
        std::array::from_fn(|i| both[i / 32][i % 32])
    }

    #[inline(always)]
    unsafe fn nibbles(p: *const u8, q: *const u8) -> [u8; 64] {
        // SAFETY: the caller vouches for sixteen bytes at both.
        let both = unsafe { [read::<[u8; 16]>(p), read(q)] };
        std::array::from_fn(|i| (both[i / 32][i % 16] >> (i % 32 / 16 * 4)) & 15)
    }

    #[inline(always)]
    unsafe fn twice(p: *const u8, n: u32, mask: u8) -> [u8; 64] {
        // SAFETY: the caller vouches for 32 bytes.
        let x = unsafe { read::<[u8; 32]>(p) };
        std::array::from_fn(|i| (x[i % 32] >> (i as u32 / 32 * n)) & mask)
    }

    #[inline(always)]
    unsafe fn shift_and(a: [u8; 64], n: u32, mask: u8) -> [u8; 64] {
        a.map(|a| (a >> n) & mask)
    }

    #[inline(always)]
    unsafe fn shift_left_and(a: [u8; 64], n: u32, mask: u8) -> [u8; 64] {
        a.map(|a| (a << n) & mask)
    }

    #[inline(always)]
    unsafe fn or(a: [u8; 64], b: [u8; 64]) -> [u8; 64] {
        std::array::from_fn(|i| a[i] | b[i])
    }

    #[inline(always)]
    unsafe fn xor(a: [u8; 64], b: [u8; 64]) -> [u8; 64] {
        std::array::from_fn(|i| a[i] ^ b[i])
    }

    #[inline(always)]
    unsafe fn add_bytes(a: [u8; 64], b: [u8; 64]) -> [u8; 64] {
        std::array::from_fn(|i| a[i].wrapping_add(b[i]))
    }

    #[inline(always)]
    unsafe fn spread(bits: u64) -> [u8; 64] {
        std::array::from_fn(|i| 0u8.wrapping_sub((bits >> i) as u8 & 1))
    }

    #[inline(always)]
    unsafe fn lookup(table: &[u8; 16], a: [u8; 64]) -> [u8; 64] {
        a.map(|a| table[usize::from(a & 15)])
    }

    #[inline(always)]
    unsafe fn sums_of_sixteen(p: *const i8) -> [i32; 2] {
        // SAFETY: the caller vouches for 32 bytes.
        let q = unsafe { read::<[[i8; 16]; 2]>(p.cast()) };
        q.map(|half| half.iter().map(|&q| i32::from(q)).sum())
    }

    const ACROSS: bool = false;
    const VECTORS: usize = 1;
    const ROWS: usize = 2;
    const HELD: bool = false;
    const LOWERS: bool = false;

    #[inline(always)]
    unsafe fn dot(acc: [i32; 16], u: [u8; 64], x: [u8; 64], _: Codes) -> [i32; 16] {
        std::array::from_fn(|lane| {
            (4 * lane..4 * lane + 4).fold(acc[lane], |sum, i| sum + i32::from(u[i]) * i32::from(x[i] as i8))
        })
    }

    #[inline(always)]
    unsafe fn mix(v: [[u8; 64]; 8], _: Order) -> [[u8; 64]; 8] {
        v
    }

    #[inline(always)]
    unsafe fn dot_mixed(
        [first, second]: [[i32; 16]; 2],
        u: [[u8; 64]; 8],
        x: *const i8,
        _: Codes,
        _: Order,
    ) -> [[i32; 16]; 2] {
        // SAFETY: the caller vouches for 512 bytes.
        let x = unsafe { read::<[[i8; 16]; 32]>(x.cast()) };
        let half = |i: usize| -> i32 {
            let u = u[i / 4][i % 4 * 16..][..16].iter();
            u.zip(x[i]).map(|(&u, x)| i32::from(u) * i32::from(x)).sum()
        };
        [
            std::array::from_fn(|block| first[block] + half(2 * block)),
            std::array::from_fn(|block| second[block] + half(2 * block + 1)),
        ]
    }

    #[inline(always)]
    unsafe fn evens_and_odds(a: [f32; 16], b: [f32; 16]) -> [[f32; 16]; 2] {
        let at = |i: usize| if i < 16 { a[i] } else { b[i - 16] };
        [std::array::from_fn(|i| at(2 * i)), std::array::from_fn(|i| at(2 * i + 1))]
    }

    #[inline(always)]
    unsafe fn transpose(v: [[f32; 16]; 16]) -> [[f32; 16]; 16] {
        std::array::from_fn(|i| std::array::from_fn(|j| v[j][i]))
    }

    #[inline(always)]
    unsafe fn prefetch(_: *const u8) {}

    #[inline(always)]
    unsafe fn prefetch_early(_: *const u8) {}
}
