//! Who computes: one flat trait of coarse operations over buffers and sizes.
//!
//! A model file never calls a backend: it speaks to [`Ctx`](crate::ops::Ctx), which knows the named shapes, checks them
//! and calls these. A backend knows no model and no names; it sees buffers and sizes.
//!
//! **Invariants**
//! - An operation may be *recorded* rather than run: only [`Backend::read`] waits for results. So no other operation
//!   returns values, and an error may arrive as late as the next read.
//! - Every row of an activation is computed as if it were alone.
//! - A backend never falls back to another one. What it cannot do is an error that says so.

pub mod cpu;
mod reference;

pub use crate::tensor::store::{Host, Stored, SupportsDType};
use crate::{Result, tensor::Packed};
pub use cpu::Cpu;
pub use lucid_kernels::{
    cpu::Place,
    ops::{Heads, Pairs, Rotation},
};
pub use reference::{Numbers, Reference};

/// The backend's buffer of f32.
pub type Buf<B> = <B as SupportsDType<f32>>::Storage;
/// A loaded vector of f32.
pub type Vector<'a, B> = <B as SupportsDType<f32>>::Loaded<'a>;
/// A loaded matrix.
pub type Matrix<'a, B> = <B as SupportsDType<Packed>>::Loaded<'a>;

/// Rows of activations in a buffer: contiguous, row-major.
pub struct Rows<'a, B: SupportsDType<f32>> {
    /// The buffer.
    pub data: &'a Buf<B>,
    /// Where the first row begins in it.
    pub offset: usize,
    /// How many rows.
    pub rows: usize,
    /// Values per row.
    pub width: usize,
}

impl<B: SupportsDType<f32>> Clone for Rows<'_, B> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<B: SupportsDType<f32>> Copy for Rows<'_, B> {}

/// The operations of a decoder. Equations are in `lucid_kernels::ops`, one file each.
///
/// Sizes have been checked when an operation is called. Results are fresh buffers of as many rows as the input has.
pub trait Backend: SupportsDType<f32> + SupportsDType<Packed> {
    /// The keys and values that one layer keeps of several sequences.
    type Kv;

    /// What `--device` calls it.
    fn name(&self) -> &'static str;

    /// The largest relative error that one operation makes by itself, beside what its sums round away.
    fn rounding(&self) -> f32 {
        2f32.powi(-24)
    }

    /// A buffer of these values.
    fn upload(&self, values: &[f32]) -> Result<Buf<Self>>;

    /// Writes the values of these rows into a slice of their size. The only operation that waits.
    fn read(&self, x: Rows<'_, Self>, into: &mut [f32]) -> Result<()>;

    /// Some of the rows, in this order.
    fn select(&self, x: Rows<'_, Self>, rows: &[usize]) -> Result<Buf<Self>>;

    /// Room for the keys and values of so many sequences, each of up to `capacity` tokens.
    fn kv(&self, heads: Heads, sequences: usize, capacity: usize) -> Result<Self::Kv>;

    /// Stores the key and the value of every row at its place.
    fn append(&self, kv: &mut Self::Kv, places: &[Place], k: Rows<'_, Self>, v: Rows<'_, Self>) -> Result<()>;

    /// The rows of `table` (`width` wide) that belong to the tokens.
    fn embed(&self, table: &Matrix<'_, Self>, tokens: &[u32], width: usize) -> Result<Buf<Self>>;

    /// `y = x wᵀ`: every row of `x` against the `n_out` rows of `w`.
    fn matmul(&self, w: &Matrix<'_, Self>, x: Rows<'_, Self>, n_out: usize) -> Result<Buf<Self>>;

    /// `silu(gate) · x wᵀ`, reusing the buffer of `gate`: two operations, of which a backend may do the second as the first's outputs
    /// come.
    fn matmul_gated(
        &self,
        w: &Matrix<'_, Self>,
        x: Rows<'_, Self>,
        gate: Buf<Self>,
        n_out: usize,
    ) -> Result<Buf<Self>> {
        let up = self.matmul(w, x, n_out)?;
        self.silu_mul(gate, Rows { data: &up, offset: 0, rows: x.rows, width: n_out })
    }

    /// `x + y`, reusing the buffer of `x`.
    fn add(&self, x: Buf<Self>, y: Rows<'_, Self>) -> Result<Buf<Self>>;

    /// `x + bias` in every row, reusing the buffer of `x`.
    fn add_bias(&self, x: Buf<Self>, bias: &Vector<'_, Self>) -> Result<Buf<Self>>;

    /// RMSNorm of every row.
    fn rms_norm(&self, x: Rows<'_, Self>, gain: &Vector<'_, Self>, eps: f32) -> Result<Buf<Self>>;

    /// `x + y`, and its RMSNorm: two operations, which a backend may do in one reading of `x`.
    fn add_rms_norm(
        &self,
        x: Buf<Self>,
        y: Rows<'_, Self>,
        gain: &Vector<'_, Self>,
        eps: f32,
    ) -> Result<(Buf<Self>, Buf<Self>)> {
        let x = self.add(x, y)?;
        let h = self.rms_norm(Rows { data: &x, offset: 0, rows: y.rows, width: y.width }, gain, eps)?;
        Ok((x, h))
    }

    /// LayerNorm of every row.
    fn layer_norm(
        &self,
        x: Rows<'_, Self>,
        gain: &Vector<'_, Self>,
        bias: &Vector<'_, Self>,
        eps: f32,
    ) -> Result<Buf<Self>>;

    /// Softmax of every row.
    fn softmax(&self, x: Rows<'_, Self>) -> Result<Buf<Self>>;

    /// Every head of every row turned by its position; the result has its pairs in halves.
    fn rope(&self, x: Rows<'_, Self>, places: &[Place], head_dim: usize, rotation: &Rotation) -> Result<Buf<Self>>;

    /// The queries and the keys of the same tokens turned, reusing their buffers: two operations, which a backend may do with
    /// one table of angles.
    fn rope_both(
        &self,
        q: Buf<Self>,
        k: Buf<Self>,
        places: &[Place],
        heads: Heads,
        rotation: &Rotation,
    ) -> Result<(Buf<Self>, Buf<Self>)> {
        let turned = |x: &Buf<Self>, heads_of: usize| {
            let rows = Rows { data: x, offset: 0, rows: places.len(), width: heads_of * heads.dim };
            self.rope(rows, places, heads.dim, rotation)
        };
        Ok((turned(&q, heads.q)?, turned(&k, heads.kv)?))
    }

    /// Attention from every row of `q` to what `kv` holds of the same sequence, up to the row's own position.
    fn attention(
        &self,
        q: Rows<'_, Self>,
        kv: &Self::Kv,
        places: &[Place],
        heads: Heads,
        scale: f32,
    ) -> Result<Buf<Self>>;

    /// `silu(gate) · up`, reusing the buffer of `gate`.
    fn silu_mul(&self, gate: Buf<Self>, up: Rows<'_, Self>) -> Result<Buf<Self>>;

    /// `gelu(gate) · up`, reusing the buffer of `gate`.
    fn gelu_mul(&self, gate: Buf<Self>, up: Rows<'_, Self>) -> Result<Buf<Self>>;
}
