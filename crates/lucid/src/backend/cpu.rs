//! The CPU, at speed: the operations of `lucid_kernels::cpu`, whose bits do not depend on instructions, threads or batch.
//!
//! What stands here is how its memory looks. A buffer comes from a shelf and returns to it when it is dropped, so a token like
//! the one before it allocates nothing. A loaded matrix is the mapped bytes; a cache holds the bytes that the kernels lay out.

use super::{
    Backend, Heads, Matrix, Place, Rotation, Rows, Stored, SupportsDType, Vector,
    reference::{Numbers, zeros},
};
use crate::{Error, ErrorKind, Result, tensor::Packed};
use bytemuck::{Pod, Zeroable, cast_slice, cast_slice_mut};
use lucid_kernels::{
    cpu::{self, Activations, CacheLayout, CacheType, Machine},
    level::Level,
    threads::default_threads,
};
use std::{
    ops::{Deref, DerefMut, Range},
    sync::{Arc, Mutex, PoisonError},
};

/// How the CPU computes. The default is what is fastest.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Threads; the physical cores that this process may use unless told.
    pub threads: Option<usize>,
    /// What the cache stores.
    pub kv: CacheType,
    /// Whether activations stay f32 where they meet quantised weights, rather than being rounded to eight bits.
    pub exact: bool,
}

impl Default for Options {
    fn default() -> Self {
        Options { threads: None, kv: CacheType::F16, exact: false }
    }
}

/// The CPU's threads and instructions.
pub struct Cpu {
    /// What operations run on; the probes of `lucid_kernels::probe` measure it.
    pub machine: Machine,
    options: Options,
    shelf: Arc<Shelf>,
    /// Positions of the step's rows, as `rope` wants them.
    positions: Mutex<Vec<u32>>,
}

/// A line of the processor's cache. Memory of whole lines begins at one, so that vectors of 64 bytes are lines where rows are
/// whole lines, and not the ends of two.
#[derive(Clone, Copy, Default, Pod, Zeroable)]
#[repr(C, align(64))]
struct Line([f32; 16]);

/// Buffers that nobody uses at the moment.
#[derive(Default)]
struct Shelf(Mutex<Vec<Vec<Line>>>);

/// Values of a tensor; the memory returns to its backend when dropped.
pub struct Buffer {
    lines: Vec<Line>,
    len: usize,
    shelf: Arc<Shelf>,
}

impl Deref for Buffer {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        &cast_slice(&self.lines)[..self.len]
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut cast_slice_mut(&mut self.lines)[..self.len]
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        lock(&self.shelf.0).push(std::mem::take(&mut self.lines));
    }
}

/// What one layer caches: for each sequence the keys, and the values, as the layout has them.
pub struct Kv {
    layout: CacheLayout,
    /// Bytes per sequence, of keys and as many of values.
    bytes: usize,
    keys: Vec<Line>,
    values: Vec<Line>,
}

impl Kv {
    /// The bytes of a sequence.
    fn of(&self, sequence: usize) -> Range<usize> {
        sequence * self.bytes..(sequence + 1) * self.bytes
    }
}

/// A lock, whether or not somebody panicked while holding it: what these protect is never left half-written.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Cpu {
    /// The CPU at the best level it has, or at the one that `LUCID_LEVEL` names.
    pub fn new(options: Options) -> Result<Cpu> {
        let level = Level::detect().map_err(|e| Error::new(ErrorKind::Request, e.to_string()))?;
        Ok(Cpu::at(level, options))
    }

    /// The CPU at a level.
    pub fn at(level: Level, options: Options) -> Cpu {
        let machine = Machine::new(level, options.threads.unwrap_or_else(default_threads));
        Cpu { machine, options, shelf: Arc::default(), positions: Mutex::default() }
    }

    /// One line about how it computes.
    pub fn describe(&self) -> String {
        let threads = self.machine.pool.threads();
        format!(
            "cpu: {}, {threads} thread{}, {} cache{}",
            self.machine.level.name(),
            if threads == 1 { "" } else { "s" },
            self.options.kv.name(),
            if self.options.exact { ", exact activations" } else { "" }
        )
    }

    /// How activations meet quantised weights.
    fn activations(&self) -> Activations {
        if self.options.exact { Activations::Exact } else { Activations::Rounded }
    }

    /// A buffer of so many values, of which nothing is known: the smallest on the shelf that has room.
    fn buffer(&self, len: usize) -> Buffer {
        let n = len.div_ceil(16);
        let mut shelf = lock(&self.shelf.0);
        let fits = |i: &usize| shelf[*i].capacity() >= n;
        let mut lines = match (0..shelf.len()).filter(fits).min_by_key(|&i| shelf[i].capacity()) {
            Some(i) => shelf.swap_remove(i),
            None => Vec::with_capacity(n),
        };
        lines.resize(n, Line::default());
        Buffer { lines, len, shelf: self.shelf.clone() }
    }
}

impl SupportsDType<f32> for Cpu {
    type Storage = Buffer;
    type Loaded<'a> = Numbers<'a, f32>;

    fn load<'a>(&self, stored: Stored<'a>) -> Result<Numbers<'a, f32>> {
        Ok(Numbers::load(stored))
    }
}

impl SupportsDType<Packed> for Cpu {
    type Storage = Vec<u8>;
    type Loaded<'a> = Stored<'a>;

    fn load<'a>(&self, stored: Stored<'a>) -> Result<Stored<'a>> {
        Ok(stored)
    }
}

impl<'a> Rows<'a, Cpu> {
    fn values(self) -> &'a [f32] {
        &self.data[self.offset..self.offset + self.rows * self.width]
    }
}

impl Backend for Cpu {
    type Kv = Kv;

    fn name(&self) -> &'static str {
        "cpu"
    }

    fn rounding(&self) -> f32 {
        // Half a step of 127, of the largest value of a block; half a unit of an f16.
        let activations = if self.options.exact { 2f32.powi(-24) } else { 0.5 / 127.0 };
        let cache = match self.options.kv {
            CacheType::F32 => 2f32.powi(-24),
            CacheType::F16 => 2f32.powi(-11),
            CacheType::Q8_0 => 0.5 / 127.0,
        };
        activations.max(cache)
    }

    fn upload(&self, values: &[f32]) -> Result<Buffer> {
        let mut buffer = self.buffer(values.len());
        buffer.copy_from_slice(values);
        Ok(buffer)
    }

    fn read(&self, x: Rows<'_, Self>, into: &mut [f32]) -> Result<()> {
        into.copy_from_slice(x.values());
        Ok(())
    }

    fn select(&self, x: Rows<'_, Self>, rows: &[usize]) -> Result<Buffer> {
        let mut y = self.buffer(rows.len() * x.width);
        for (row, y) in rows.iter().zip(y.chunks_exact_mut(x.width)) {
            y.copy_from_slice(&x.values()[row * x.width..][..x.width]);
        }
        Ok(y)
    }

    fn kv(&self, heads: Heads, sequences: usize, capacity: usize) -> Result<Kv> {
        let layout = CacheLayout { kind: self.options.kv, heads: heads.kv, dim: heads.dim };
        let bytes = layout.bytes(capacity);
        let lines = (bytes * sequences).div_ceil(size_of::<Line>());
        Ok(Kv { layout, bytes, keys: zeros(lines)?, values: zeros(lines)? })
    }

    fn append(&self, kv: &mut Kv, places: &[Place], k: Rows<'_, Self>, v: Rows<'_, Self>) -> Result<()> {
        let rows = k.values().chunks_exact(k.width).zip(v.values().chunks_exact(v.width));
        for (place, (key, value)) in places.iter().zip(rows) {
            let bytes = kv.of(place.sequence);
            let keys = &mut cast_slice_mut(&mut kv.keys)[bytes.clone()];
            let values = &mut cast_slice_mut(&mut kv.values)[bytes];
            kv.layout.store(place.position, key, value, keys, values);
        }
        Ok(())
    }

    fn embed(&self, table: &Matrix<'_, Self>, tokens: &[u32], width: usize) -> Result<Buffer> {
        let mut y = self.buffer(tokens.len() * width);
        cpu::embed(&self.machine, table.format, table.bytes, tokens, width, &mut y);
        Ok(y)
    }

    fn matmul(&self, w: &Matrix<'_, Self>, x: Rows<'_, Self>, n_out: usize) -> Result<Buffer> {
        let mut y = self.buffer(x.rows * n_out);
        cpu::matmul(&self.machine, w.format, w.bytes, x.values(), x.width, &mut y, self.activations());
        Ok(y)
    }

    fn matmul_gated(&self, w: &Matrix<'_, Self>, x: Rows<'_, Self>, mut gate: Buffer, _: usize) -> Result<Buffer> {
        cpu::matmul_gated(&self.machine, w.format, w.bytes, x.values(), x.width, &mut gate, self.activations());
        Ok(gate)
    }

    fn add(&self, mut x: Buffer, y: Rows<'_, Self>) -> Result<Buffer> {
        cpu::add(&self.machine, &mut x, y.values());
        Ok(x)
    }

    fn add_bias(&self, mut x: Buffer, bias: &Vector<'_, Self>) -> Result<Buffer> {
        cpu::add_bias(&self.machine, &mut x, bias.bytes());
        Ok(x)
    }

    fn rms_norm(&self, x: Rows<'_, Self>, gain: &Vector<'_, Self>, eps: f32) -> Result<Buffer> {
        let mut y = self.buffer(x.rows * x.width);
        cpu::rms_norm(&self.machine, x.values(), gain.bytes(), eps, &mut y);
        Ok(y)
    }

    fn add_rms_norm(
        &self,
        mut x: Buffer,
        y: Rows<'_, Self>,
        gain: &Vector<'_, Self>,
        eps: f32,
    ) -> Result<(Buffer, Buffer)> {
        let mut h = self.buffer(y.rows * y.width);
        cpu::add_rms_norm(&self.machine, &mut x, y.values(), gain.bytes(), eps, &mut h);
        Ok((x, h))
    }

    fn layer_norm(
        &self,
        x: Rows<'_, Self>,
        gain: &Vector<'_, Self>,
        bias: &Vector<'_, Self>,
        eps: f32,
    ) -> Result<Buffer> {
        let mut y = self.buffer(x.rows * x.width);
        cpu::layer_norm(&self.machine, x.values(), gain.bytes(), bias.bytes(), eps, &mut y);
        Ok(y)
    }

    fn softmax(&self, x: Rows<'_, Self>) -> Result<Buffer> {
        let mut y = self.upload(x.values())?;
        cpu::softmax(&self.machine, &mut y, x.width.max(1));
        Ok(y)
    }

    fn rope(&self, x: Rows<'_, Self>, places: &[Place], head_dim: usize, rotation: &Rotation) -> Result<Buffer> {
        let mut y = self.upload(x.values())?;
        cpu::rope(&self.machine, &mut y, &mut [], &self.positions(places), head_dim, rotation);
        Ok(y)
    }

    fn rope_both(
        &self,
        mut q: Buffer,
        mut k: Buffer,
        places: &[Place],
        heads: Heads,
        rotation: &Rotation,
    ) -> Result<(Buffer, Buffer)> {
        let positions = self.positions(places);
        cpu::rope(&self.machine, &mut q, &mut k, &positions, heads.dim, rotation);
        Ok((q, k))
    }

    fn attention(&self, q: Rows<'_, Self>, kv: &Kv, places: &[Place], heads: Heads, scale: f32) -> Result<Buffer> {
        let mut y = self.buffer(q.rows * q.width);
        let cache = |sequence: usize| {
            let bytes = kv.of(sequence);
            cpu::Cache { keys: &cast_slice(&kv.keys)[bytes.clone()], values: &cast_slice(&kv.values)[bytes] }
        };
        cpu::attention(&self.machine, q.values(), places, &cache, kv.layout, heads, scale, &mut y);
        Ok(y)
    }

    fn silu_mul(&self, mut gate: Buffer, up: Rows<'_, Self>) -> Result<Buffer> {
        cpu::silu_mul(&self.machine, &mut gate, up.values());
        Ok(gate)
    }

    fn gelu_mul(&self, mut gate: Buffer, up: Rows<'_, Self>) -> Result<Buffer> {
        cpu::gelu_mul(&self.machine, &mut gate, up.values());
        Ok(gate)
    }
}

impl Cpu {
    /// The positions of these places, in memory that is kept.
    fn positions(&self, places: &[Place]) -> std::sync::MutexGuard<'_, Vec<u32>> {
        let mut positions = lock(&self.positions);
        positions.clear();
        positions.extend(places.iter().map(|p| p.position as u32));
        positions
    }
}
