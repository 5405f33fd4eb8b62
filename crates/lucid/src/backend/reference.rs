//! The reference: plain single-threaded loops, f32 values, f64 sums. It is never optimised.
//!
//! Every other backend is tested against this one; this one is bounded by the f64 oracle, operation by operation, where the
//! loops live (`lucid_kernels::ops`). What stands here is only how its memory looks: a buffer is a `Vec`, a loaded matrix is
//! the mapped bytes with their format.

use super::{Backend, Heads, Host, Matrix, Place, Rotation, Rows, Stored, SupportsDType, Vector};
use crate::{
    Error, ErrorKind, Result,
    tensor::{Element, Packed},
};
use lucid_kernels::ops;

/// Plain loops over host memory.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reference;

/// A loaded tensor of numbers: mapped bytes, or values of its own where the file stores another type.
#[derive(Debug)]
pub enum Numbers<'a, T> {
    /// The bytes where they lie, at any alignment.
    Mapped(&'a [u8]),
    /// Converted when loaded: the one exception to "nothing is copied", for norms and biases of a few KB.
    Converted(Vec<T>),
}

impl<'a, T: Element> Numbers<'a, T> {
    /// The tensor where it lies, or converted if it is of another type.
    pub(super) fn load(stored: Stored<'a>) -> Self {
        if stored.format == T::FORMAT {
            return Numbers::Mapped(stored.bytes);
        }
        let mut values = vec![0f32; stored.bytes.len() / stored.format.block_bytes() * stored.format.block_len()];
        stored.format.decode(stored.bytes, &mut values);
        Numbers::Converted(values.into_iter().map(|v| T::from_f64(v as f64)).collect())
    }

    /// The little-endian bytes of the values.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Numbers::Mapped(bytes) => bytes,
            Numbers::Converted(values) => bytemuck::cast_slice(values),
        }
    }
}

impl<T: Element> SupportsDType<T> for Reference {
    type Storage = Vec<T>;
    type Loaded<'a> = Numbers<'a, T>;

    fn load<'a>(&self, stored: Stored<'a>) -> Result<Numbers<'a, T>> {
        Ok(Numbers::load(stored))
    }
}

impl SupportsDType<Packed> for Reference {
    type Storage = Vec<u8>;
    type Loaded<'a> = Stored<'a>;

    fn load<'a>(&self, stored: Stored<'a>) -> Result<Stored<'a>> {
        Ok(stored)
    }
}

impl<T: Element> Host<T> for Reference {
    fn slice(storage: &Vec<T>) -> &[T] {
        storage
    }

    fn from_vec(values: Vec<T>) -> Vec<T> {
        values
    }
}

impl<'a> Rows<'a, Reference> {
    fn values(self) -> &'a [f32] {
        &self.data[self.offset..self.offset + self.rows * self.width]
    }
}

/// The cache of one layer: for every sequence `capacity` rows of keys, and as many of values.
#[derive(Debug)]
pub struct Kv {
    width: usize,
    capacity: usize,
    k: Vec<f32>,
    v: Vec<f32>,
}

impl Kv {
    /// The key and the value at a place.
    pub fn at(&self, place: Place) -> (&[f32], &[f32]) {
        let row = self.row(place);
        (&self.k[row.clone()], &self.v[row])
    }

    fn row(&self, place: Place) -> std::ops::Range<usize> {
        let row = place.sequence * self.capacity + place.position;
        row * self.width..(row + 1) * self.width
    }
}

/// `len` zeros, or an error where they do not fit in memory.
pub(super) fn zeros<T: Clone + Default>(len: usize) -> Result<Vec<T>> {
    let mut buffer = Vec::new();
    buffer.try_reserve_exact(len).map_err(|_| {
        let what = format!("a cache of {} bytes does not fit in memory; use a shorter context", len * size_of::<T>());
        Error::new(ErrorKind::Request, what)
    })?;
    buffer.resize(len, T::default());
    Ok(buffer)
}

impl Backend for Reference {
    type Kv = Kv;

    fn name(&self) -> &'static str {
        "reference"
    }

    fn upload(&self, values: &[f32]) -> Result<Vec<f32>> {
        Ok(values.to_vec())
    }

    fn read(&self, x: Rows<'_, Self>, into: &mut [f32]) -> Result<()> {
        into.copy_from_slice(x.values());
        Ok(())
    }

    fn select(&self, x: Rows<'_, Self>, rows: &[usize]) -> Result<Vec<f32>> {
        Ok(rows.iter().flat_map(|row| &x.values()[row * x.width..][..x.width]).copied().collect())
    }

    fn kv(&self, heads: Heads, sequences: usize, capacity: usize) -> Result<Kv> {
        let width = heads.kv * heads.dim;
        let len = sequences * capacity * width;
        Ok(Kv { width, capacity, k: zeros(len)?, v: zeros(len)? })
    }

    fn append(&self, kv: &mut Kv, places: &[Place], k: Rows<'_, Self>, v: Rows<'_, Self>) -> Result<()> {
        let rows = k.values().chunks_exact(k.width).zip(v.values().chunks_exact(v.width));
        for (&place, (k, v)) in places.iter().zip(rows) {
            let row = kv.row(place);
            kv.k[row.clone()].copy_from_slice(k);
            kv.v[row].copy_from_slice(v);
        }
        Ok(())
    }

    fn embed(&self, table: &Matrix<'_, Self>, tokens: &[u32], width: usize) -> Result<Vec<f32>> {
        let mut y = vec![0.0; tokens.len() * width];
        ops::embed(table.format, table.bytes, tokens, width, &mut y);
        Ok(y)
    }

    fn matmul(&self, w: &Matrix<'_, Self>, x: Rows<'_, Self>, n_out: usize) -> Result<Vec<f32>> {
        let mut y = vec![0.0; x.rows * n_out];
        ops::matmul(w.format, w.bytes, x.values(), x.width, &mut y);
        Ok(y)
    }

    fn add(&self, mut x: Vec<f32>, y: Rows<'_, Self>) -> Result<Vec<f32>> {
        ops::add(&mut x, y.values());
        Ok(x)
    }

    fn add_bias(&self, mut x: Vec<f32>, bias: &Vector<'_, Self>) -> Result<Vec<f32>> {
        ops::add_bias(&mut x, bias.bytes());
        Ok(x)
    }

    fn rms_norm(&self, x: Rows<'_, Self>, gain: &Vector<'_, Self>, eps: f32) -> Result<Vec<f32>> {
        let mut y = vec![0.0; x.rows * x.width];
        ops::rms_norm(x.values(), gain.bytes(), eps, &mut y);
        Ok(y)
    }

    fn layer_norm(
        &self,
        x: Rows<'_, Self>,
        gain: &Vector<'_, Self>,
        bias: &Vector<'_, Self>,
        eps: f32,
    ) -> Result<Vec<f32>> {
        let mut y = vec![0.0; x.rows * x.width];
        ops::layer_norm(x.values(), gain.bytes(), bias.bytes(), eps, &mut y);
        Ok(y)
    }

    fn softmax(&self, x: Rows<'_, Self>) -> Result<Vec<f32>> {
        let mut y = x.values().to_vec();
        ops::softmax(&mut y, x.width.max(1));
        Ok(y)
    }

    fn rope(&self, x: Rows<'_, Self>, places: &[Place], head_dim: usize, rotation: &Rotation) -> Result<Vec<f32>> {
        let positions: Vec<u32> = places.iter().map(|p| p.position as u32).collect();
        let mut y = vec![0.0; x.rows * x.width];
        ops::rope(x.values(), &positions, head_dim, rotation, &mut y);
        Ok(y)
    }

    fn attention(&self, q: Rows<'_, Self>, kv: &Kv, places: &[Place], heads: Heads, scale: f32) -> Result<Vec<f32>> {
        let mut y = vec![0.0; q.rows * q.width];
        for ((q, y), place) in q.values().chunks_exact(q.width).zip(y.chunks_exact_mut(q.width)).zip(places) {
            let first = kv.row(Place { position: 0, ..*place }).start;
            ops::attention(q, &kv.k[first..], &kv.v[first..], &[place.position as u32], heads, scale, y);
        }
        Ok(y)
    }

    fn silu_mul(&self, mut gate: Vec<f32>, up: Rows<'_, Self>) -> Result<Vec<f32>> {
        ops::silu_mul(&mut gate, up.values());
        Ok(gate)
    }

    fn gelu_mul(&self, mut gate: Vec<f32>, up: Rows<'_, Self>) -> Result<Vec<f32>> {
        ops::gelu_mul(&mut gate, up.values());
        Ok(gate)
    }
}
