//! The fast operations of a decoder on the CPU: the same bits at every [`Level`], for every count of threads, in every batch.
//!
//! # How to use it
//!
//! A [`Machine`] is a level, a pool of threads and the scratch memory; make one and keep it. Every operation takes it by
//! shared reference (it locks its own scratch, so operations of one machine run one after the other), takes slices, and
//! writes into slices of the caller. After the first call of a size no operation allocates.
//!
//! ```
//! use lucid_kernels::{cpu::{self, Machine}, formats::Format, level::Level, threads::default_threads};
//! let machine = Machine::new(Level::detect()?, default_threads());
//! let (w, x, mut y) = ([1f32; 6 * 4].map(f32::to_le_bytes).concat(), [1.0; 2 * 4], [0.0; 2 * 6]);
//! cpu::matmul(&machine, Format::F32, &w, &x, 4, &mut y, cpu::Activations::Rounded);
//! assert_eq!(y, [4.0; 12]);
//! # Ok::<(), lucid_kernels::level::LevelError>(())
//! ```
//!
//! | operation | in | out |
//! |---|---|---|
//! | [`embed`] | table bytes of any format, tokens | rows |
//! | [`matmul`] | weight bytes of any format, rows | rows |
//! | [`matmul_gated`] | the same, rows of gates | in place |
//! | [`add`], [`add_bias`] | rows | in place |
//! | [`rms_norm`], [`layer_norm`] | rows | rows |
//! | [`add_rms_norm`] | residual in place, rows to add | normed rows |
//! | [`rope`] | rows of q and rows of k, positions | in place, pairs in halves |
//! | [`CacheLayout::store`], [`attention`] | a cache of bytes in f32, f16 or q8_0 | rows |
//! | [`silu_mul`], [`gelu_mul`], [`softmax`] | rows | in place |
//! | [`argmax`] | a row | an index |
//!
//! Matrices are row-major, rows lie without gaps; weights and vectors of a file are bytes at any alignment. A slice whose size
//! does not fit the others panics: that is a mistake of the caller, never of a file.
//!
//! # The contract
//!
//! Each operation's file defines the order of its roundings as a fixed sequence of IEEE operations in sixteen lanes; nothing
//! in it depends on how many rows there are, or where a row stands among them. So: a row's result has one right answer to the
//! bit. A NaN is a NaN (which one is undefined, save that [`matmul`] writes only `0x7FC00000`); the sign of a zero that
//! [`matmul`] writes is always plus.

mod add;
mod attention;
mod buffer;
mod embed;
mod gate;
mod kv;
mod matmul;
mod norm;
mod partial;
mod rope;
mod softmax;

pub use add::{add, add_bias};
pub use attention::{Cache, Place, attention};
pub use embed::{argmax, embed};
pub use gate::{gelu_mul, silu_mul};
pub use kv::{CacheLayout, CacheType};
pub use matmul::{Activations, matmul, matmul_gated};
pub use norm::{add_rms_norm, layer_norm, rms_norm};
pub use rope::rope;
pub use softmax::softmax;

use crate::{level::Level, threads::Pool};
use buffer::Buffer;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What operations run on: instructions, threads, and scratch memory that is kept from call to call.
pub struct Machine {
    /// Which instructions kernels use.
    pub level: Level,
    /// The threads.
    pub pool: Pool,
    /// Bytes ahead of their use that weights are asked for, where they are read in the order in which they lie; 0 if never.
    pub(crate) ahead: usize,
    scratch: Mutex<Scratch>,
}

/// Memory that operations reuse.
struct Scratch {
    /// One per operation at work: activations in the form that kernels read, sines, and the like.
    shared: Buffer,
    /// One per thread: unpacked weights, scores.
    threads: Vec<Buffer>,
}

impl Machine {
    /// A machine with this many threads, the caller's included.
    pub fn new(level: Level, threads: usize) -> Machine {
        let pool = Pool::new(threads);
        let scratch = Scratch { shared: Buffer::new(), threads: (0..pool.threads()).map(|_| Buffer::new()).collect() };
        Machine { level, pool, ahead: ahead(), scratch: Mutex::new(scratch) }
    }

    fn scratch(&self) -> MutexGuard<'_, Scratch> {
        // A panic in a kernel leaves numbers behind, which nobody reads again.
        self.scratch.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Calls `task` with ranges that cover `0..n`, each a multiple of `unit` long (the last may end early), and about `grain`.
    fn in_ranges(&self, n: usize, unit: usize, grain: usize, task: &(dyn Fn(std::ops::Range<usize>, usize) + Sync)) {
        let step = grain.div_ceil(unit).max(1) * unit;
        self.pool.run(n.div_ceil(step), &|piece, thread| task(piece * step..n.min((piece + 1) * step), thread));
    }
}

/// [`Machine::ahead`]. An Intel processor (Cascade Lake) reads faster when it is asked 4 KB ahead; one of AMD's (Zen 4), whose
/// own prefetcher needs no help, becomes a tenth to a quarter slower. Others are asked, too, and have not been measured.
fn ahead() -> usize {
    #[cfg(target_arch = "x86_64")]
    {
        let vendor = std::arch::x86_64::__cpuid(0);
        if [vendor.ebx, vendor.edx, vendor.ecx] == [*b"Auth", *b"enti", *b"cAMD"].map(u32::from_le_bytes) {
            return 0;
        }
    }
    4096
}

/// A slice that pieces of one run write disjoint parts of.
struct Parts<T>(*mut T, usize);

// SAFETY: a pointer to plain numbers; `part` puts the duty to keep parts disjoint on its caller.
unsafe impl<T: Send> Sync for Parts<T> {}

impl<T> Parts<T> {
    fn new(slice: &mut [T]) -> Parts<T> {
        Parts(slice.as_mut_ptr(), slice.len())
    }

    /// The elements of a range.
    ///
    /// # Safety
    /// The slice this was made of is still mutably borrowed, and no other part that overlaps this one is alive.
    #[allow(clippy::mut_from_ref)] // that is the point
    unsafe fn part(&self, range: std::ops::Range<usize>) -> &mut [T] {
        assert!(range.start <= range.end && range.end <= self.1);
        // SAFETY: within the slice by the assertion, unaliased by the caller's word.
        unsafe { std::slice::from_raw_parts_mut(self.0.add(range.start), range.len()) }
    }
}

#[cfg(test)]
mod conformance;
#[cfg(test)]
mod tests;
