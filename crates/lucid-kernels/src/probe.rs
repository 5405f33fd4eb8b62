//! What the machine can do at most: the floors against which speed is stated, measured in the same run.

use crate::{
    cpu::Machine,
    lanes::{self, Codes, Kernel, Lanes},
};
use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Instant,
};

/// 10⁹ bytes a second of reading `bytes` once with all threads; give it several times the last cache.
pub fn read_bandwidth(m: &Machine, bytes: &[u8]) -> f64 {
    const PIECE: usize = 1 << 20;
    let sum = AtomicU64::new(0);
    let begun = Instant::now();
    m.pool.run(bytes.len() / PIECE, &|piece, _| {
        let read = lanes::run(m.level, Read { bytes: &bytes[piece * PIECE..(piece + 1) * PIECE], ahead: m.ahead });
        sum.fetch_add(read.to_bits().into(), Relaxed);
    });
    let elapsed = begun.elapsed().as_secs_f64();
    std::hint::black_box(sum);
    (bytes.len() / PIECE * PIECE) as f64 / elapsed / 1e9
}

const STEPS: usize = 100_000;

/// Operations that each thread does in [`int8_peak`].
pub const INT8_PEAK_OPS: f64 = (STEPS * CHAINS * 128) as f64;

/// 10⁹ operations (a product and an addition count as two) a second of dot products of bytes, from registers, with all
/// threads.
pub fn int8_peak(m: &Machine) -> f64 {
    let threads = m.pool.threads();
    let begun = Instant::now();
    m.pool.run(threads, &|_, _| {
        std::hint::black_box(lanes::run(m.level, Dots(STEPS)));
    });
    let elapsed = begun.elapsed().as_secs_f64();
    threads as f64 * INT8_PEAK_OPS / elapsed / 1e9
}

/// The same for fused multiply-adds of f32.
pub fn f32_peak(m: &Machine) -> f64 {
    let threads = m.pool.threads();
    let begun = Instant::now();
    m.pool.run(threads, &|_, _| {
        std::hint::black_box(lanes::run(m.level, Fmas(STEPS)));
    });
    let elapsed = begun.elapsed().as_secs_f64();
    (threads * STEPS * CHAINS * 32) as f64 / elapsed / 1e9
}

/// Independent chains, enough to hide an instruction's latency.
const CHAINS: usize = 12;

struct Read<'a> {
    bytes: &'a [u8],
    /// Bytes from what is read to what is asked for meanwhile; 0 asks for nothing.
    ahead: usize,
}

impl Kernel for Read<'_> {
    type Out = f32;

    #[inline(always)]
    unsafe fn at<L: Lanes>(self) -> f32 {
        // SAFETY: chunks of 256 bytes; the level is the caller's.
        unsafe {
            let mut sums = [L::splat_i32(0); 4];
            for chunk in self.bytes.chunks_exact(256) {
                if self.ahead > 0 {
                    for line in (0..256).step_by(64) {
                        L::prefetch(chunk.as_ptr().wrapping_add(self.ahead + line));
                    }
                }
                for (i, sum) in sums.iter_mut().enumerate() {
                    *sum = L::add_i32(*sum, L::load_i32(chunk.as_ptr().add(64 * i).cast()));
                }
            }
            let sum = L::add_i32(L::add_i32(sums[0], sums[1]), L::add_i32(sums[2], sums[3]));
            lanes::sum_in_order::<L>(L::to_f32(sum))
        }
    }
}

struct Dots(usize);

impl Kernel for Dots {
    type Out = f32;

    #[inline(always)]
    unsafe fn at<L: Lanes>(self) -> f32 {
        let bytes: [u8; 64] = std::hint::black_box([1; 64]);
        // SAFETY: 64 bytes; the level is the caller's.
        unsafe {
            let (u, x) = (L::load_bytes(bytes.as_ptr()), L::splat_bytes(bytes.as_ptr().cast()));
            let mut acc = [L::splat_i32(0); CHAINS];
            for _ in 0..self.0 {
                for acc in &mut acc {
                    *acc = L::dot(*acc, u, x, Codes::Small); // in as few bits as a level likes: nobody reads them
                }
            }
            let sum = acc.into_iter().fold(L::splat_i32(0), |a, b| L::add_i32(a, b));
            lanes::sum_in_order::<L>(L::to_f32(sum))
        }
    }
}

struct Fmas(usize);

impl Kernel for Fmas {
    type Out = f32;

    #[inline(always)]
    unsafe fn at<L: Lanes>(self) -> f32 {
        let (a, b) = std::hint::black_box((1.0, 0.5));
        // SAFETY: the level is the caller's.
        unsafe {
            let (a, b) = (L::splat(a), L::splat(b));
            let mut acc = [L::splat(0.0); CHAINS];
            for _ in 0..self.0 {
                for acc in &mut acc {
                    *acc = L::fma(a, *acc, b);
                }
            }
            let sum = acc.into_iter().fold(L::splat(0.0), |a, b| L::add(a, b));
            lanes::sum_in_order::<L>(sum)
        }
    }
}
