//! The typed face of a backend: the same operations with named shapes, checked, and [`Ctx::tap`].
//!
//! What the compiler can check it checks (which axes meet); sizes, which come from files, are checked here, once per
//! operation, and an error names both sides. A model's `forward` is written against these.

use crate::{
    Error, ErrorKind, Result,
    backend::{Backend, Rows},
    kv::Cache,
    probe::Probe,
    tensor::{
        Act, Gain, Readable, Tensor, Weight, describe,
        dim::{Dim, Shape},
    },
};
use std::cell::RefCell;

/// An f32 tensor on `B` that can be read, owned or a view.
pub type In<'a, B, S, D> = Tensor<'a, f32, B, S, D>;

/// The two activations that one operation makes, row by row.
pub type Two<B, T, C, D> = (Act<B, (T, C)>, Act<B, (T, D)>);

/// Where a model computes: a backend, and the probe that watches it, if any.
pub struct Ctx<'c, B> {
    /// Who computes.
    pub backend: &'c B,
    probe: Option<&'c RefCell<Probe>>,
}

impl<'c, B: Backend> Ctx<'c, B> {
    /// A context that only computes.
    pub fn new(backend: &'c B) -> Self {
        Ctx { backend, probe: None }
    }

    /// A context that records every tapped intermediate in `probe`.
    pub fn probed(backend: &'c B, probe: &'c RefCell<Probe>) -> Self {
        Ctx { backend, probe: Some(probe) }
    }

    /// Names an intermediate of layer `il`. Costs nothing unless a probe is watching.
    pub fn tap<S: Readable, D: Shape>(&self, name: &'static str, il: Option<usize>, x: &In<'_, B, S, D>) -> Result<()> {
        match self.probe {
            Some(probe) => {
                let values = self.read(x)?;
                probe.borrow_mut().record(name, il, values, *x.shape.sizes()[..D::RANK].last().unwrap_or(&1));
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// The values in row-major order. The only operation that waits for a device.
    pub fn read<S: Readable, D: Shape>(&self, x: &In<'_, B, S, D>) -> Result<Vec<f32>> {
        let mut values = Vec::new();
        self.read_into(x, &mut values)?;
        Ok(values)
    }

    /// The same, replacing what `into` held.
    pub fn read_into<S: Readable, D: Shape>(&self, x: &In<'_, B, S, D>, into: &mut Vec<f32>) -> Result<()> {
        into.resize(x.shape.len(), 0.0);
        self.backend.read(rows("read", x)?, into)
    }

    /// Some of the rows, in this order.
    pub fn select<S: Readable, T: Dim, E: Dim>(
        &self,
        x: &In<'_, B, S, (T, E)>,
        of: &[usize],
    ) -> Result<Act<B, (T, E)>> {
        if let Some(row) = of.iter().find(|&&row| row >= x.shape.0.size()) {
            return Err(Error::new(ErrorKind::Shape, format!("cannot select row {row} of {}", describe(x.shape))));
        }
        Ok(Tensor { data: self.backend.select(rows("select from", x)?, of)?, shape: (T::new(of.len()), x.shape.1) })
    }

    /// The embedding of each token: row `token` of `table`. A token outside the vocabulary is an error.
    pub fn embed<T: Dim, V: Dim, E: Dim>(&self, table: &Weight<'_, B, V, E>, tokens: &[u32]) -> Result<Act<B, (T, E)>> {
        let (vocab, width) = table.shape;
        if let Some(token) = tokens.iter().find(|&&t| t as usize >= vocab.size()) {
            let what = format!("token {token} is outside the vocabulary of {} tokens", vocab.size());
            return Err(Error::new(ErrorKind::Request, what));
        }
        let data = self.backend.embed(&table.data, tokens, width.size())?;
        Ok(Tensor { data, shape: (T::new(tokens.len()), width) })
    }

    /// `y = x wᵀ`.
    pub fn matmul<S: Readable, T: Dim, O: Dim, I: Dim>(
        &self,
        w: &Weight<'_, B, O, I>,
        x: &In<'_, B, S, (T, I)>,
    ) -> Result<Act<B, (T, O)>> {
        agree("multiply", w.shape.1, x.shape.1, w.shape, x.shape)?;
        let data = self.backend.matmul(&w.data, rows("multiply", x)?, w.shape.0.size())?;
        Ok(Tensor { data, shape: (x.shape.0, w.shape.0) })
    }

    /// `y = x wᵀ + b`, where a model has a bias.
    pub fn linear<S: Readable, T: Dim, O: Dim, I: Dim>(
        &self,
        w: &Weight<'_, B, O, I>,
        bias: &Option<Gain<'_, B, O>>,
        x: &In<'_, B, S, (T, I)>,
    ) -> Result<Act<B, (T, O)>> {
        let y = self.matmul(w, x)?;
        match bias {
            Some(bias) => self.add_bias(y, bias),
            None => Ok(y),
        }
    }

    /// `silu(gate) · (x wᵀ + b)`, where a model has a bias.
    pub fn linear_gated<S: Readable, T: Dim, O: Dim, I: Dim>(
        &self,
        gate: Act<B, (T, O)>,
        w: &Weight<'_, B, O, I>,
        bias: &Option<Gain<'_, B, O>>,
        x: &In<'_, B, S, (T, I)>,
    ) -> Result<Act<B, (T, O)>> {
        if bias.is_some() {
            return self.silu_mul(gate, &self.linear(w, bias, x)?);
        }
        agree("multiply", w.shape.1, x.shape.1, w.shape, x.shape)?;
        agree("gate", gate.shape, (x.shape.0, w.shape.0), gate.shape, (x.shape.0, w.shape.0))?;
        let data = self.backend.matmul_gated(&w.data, rows("multiply", x)?, gate.data, w.shape.0.size())?;
        Ok(Tensor { data, shape: gate.shape })
    }

    /// `x + y`.
    pub fn add<S: Readable, D: Shape>(&self, x: Act<B, D>, y: &In<'_, B, S, D>) -> Result<Act<B, D>> {
        agree("add", x.shape, y.shape, x.shape, y.shape)?;
        Ok(Tensor { data: self.backend.add(x.data, rows("add", y)?)?, shape: x.shape })
    }

    /// `x + bias` in every row.
    pub fn add_bias<T: Dim, E: Dim>(&self, x: Act<B, (T, E)>, bias: &Gain<'_, B, E>) -> Result<Act<B, (T, E)>> {
        agree("add a bias to", bias.shape.0, x.shape.1, bias.shape, x.shape)?;
        Ok(Tensor { data: self.backend.add_bias(x.data, &bias.data)?, shape: x.shape })
    }

    /// RMSNorm of every row.
    pub fn rms_norm<S: Readable, T: Dim, E: Dim>(
        &self,
        x: &In<'_, B, S, (T, E)>,
        gain: &Gain<'_, B, E>,
        eps: f32,
    ) -> Result<Act<B, (T, E)>> {
        agree("normalise", gain.shape.0, x.shape.1, gain.shape, x.shape)?;
        Ok(Tensor { data: self.backend.rms_norm(rows("normalise", x)?, &gain.data, eps)?, shape: x.shape })
    }

    /// `x + y`, and the RMSNorm of that.
    pub fn add_rms_norm<S: Readable, T: Dim, E: Dim>(
        &self,
        x: Act<B, (T, E)>,
        y: &In<'_, B, S, (T, E)>,
        gain: &Gain<'_, B, E>,
        eps: f32,
    ) -> Result<Two<B, T, E, E>> {
        agree("add", x.shape, y.shape, x.shape, y.shape)?;
        agree("normalise", gain.shape.0, x.shape.1, gain.shape, x.shape)?;
        let (sum, normed) = self.backend.add_rms_norm(x.data, rows("add", y)?, &gain.data, eps)?;
        Ok((Tensor { data: sum, shape: x.shape }, Tensor { data: normed, shape: x.shape }))
    }

    /// LayerNorm of every row.
    pub fn layer_norm<S: Readable, T: Dim, E: Dim>(
        &self,
        x: &In<'_, B, S, (T, E)>,
        gain: &Gain<'_, B, E>,
        bias: &Gain<'_, B, E>,
        eps: f32,
    ) -> Result<Act<B, (T, E)>> {
        agree("normalise", gain.shape.0, x.shape.1, gain.shape, x.shape)?;
        agree("normalise", bias.shape.0, x.shape.1, bias.shape, x.shape)?;
        let data = self.backend.layer_norm(rows("normalise", x)?, &gain.data, &bias.data, eps)?;
        Ok(Tensor { data, shape: x.shape })
    }

    /// Softmax of every row.
    pub fn softmax<S: Readable, T: Dim, E: Dim>(&self, x: &In<'_, B, S, (T, E)>) -> Result<Act<B, (T, E)>> {
        Ok(Tensor { data: self.backend.softmax(rows("take the softmax of", x)?)?, shape: x.shape })
    }

    /// Turns every head of the queries and the keys by the position that each row has in its sequence.
    pub fn rope<T: Dim, Q: Dim, K: Dim>(
        &self,
        q: Act<B, (T, Q)>,
        k: Act<B, (T, K)>,
        cache: &Cache<B>,
    ) -> Result<Two<B, T, Q, K>> {
        let Cache { rotation, heads, .. } = cache;
        let rows = cache.places().len();
        let wanted = ((rows, heads.q * heads.dim), (rows, heads.kv * heads.dim));
        let found = ((q.shape.0.size(), q.shape.1.size()), (k.shape.0.size(), k.shape.1.size()));
        if wanted != found || 2 * rotation.freqs.len() > heads.dim {
            let (q, k, turning) = (describe(q.shape), describe(k.shape), 2 * rotation.freqs.len());
            let what = format!("cannot rotate {q} and {k} as {rows} rows of {heads:?}, {turning} of each head turning");
            return Err(Error::new(ErrorKind::Shape, what));
        }
        let (turned_q, turned_k) = self.backend.rope_both(q.data, k.data, cache.places(), *heads, rotation)?;
        Ok((Tensor { data: turned_q, shape: q.shape }, Tensor { data: turned_k, shape: k.shape }))
    }

    /// Stores this step's keys and values in layer `il` of the cache. They count once [`Cache::advance`] is called.
    pub fn append<S: Readable, R: Readable, T: Dim, K: Dim>(
        &self,
        cache: &mut Cache<B>,
        il: usize,
        k: &In<'_, B, S, (T, K)>,
        v: &In<'_, B, R, (T, K)>,
    ) -> Result<()> {
        agree("cache", k.shape, v.shape, k.shape, v.shape)?;
        cache.write(self.backend, il, rows("cache", k)?, rows("cache", v)?)
    }

    /// Causal grouped-query attention of every row of `q` over layer `il` of its sequence, this step's rows included.
    pub fn attention<S: Readable, T: Dim, Q: Dim>(
        &self,
        q: &In<'_, B, S, (T, Q)>,
        cache: &Cache<B>,
        il: usize,
        scale: f32,
    ) -> Result<Act<B, (T, Q)>> {
        let (heads, places) = (cache.heads, cache.places());
        let grouped = heads.kv > 0 && heads.q.is_multiple_of(heads.kv);
        if !grouped || (q.shape.0.size(), q.shape.1.size()) != (places.len(), heads.q * heads.dim) {
            let what = format!("cannot attend from {} as {} rows of {heads:?}", describe(q.shape), places.len());
            return Err(Error::new(ErrorKind::Shape, what));
        }
        let data = self.backend.attention(rows("attend from", q)?, cache.layer(il)?, places, heads, scale)?;
        Ok(Tensor { data, shape: q.shape })
    }

    /// `silu(gate) · up`.
    pub fn silu_mul<S: Readable, D: Shape>(&self, gate: Act<B, D>, up: &In<'_, B, S, D>) -> Result<Act<B, D>> {
        agree("gate", gate.shape, up.shape, gate.shape, up.shape)?;
        Ok(Tensor { data: self.backend.silu_mul(gate.data, rows("gate", up)?)?, shape: gate.shape })
    }

    /// `gelu(gate) · up`.
    pub fn gelu_mul<S: Readable, D: Shape>(&self, gate: Act<B, D>, up: &In<'_, B, S, D>) -> Result<Act<B, D>> {
        agree("gate", gate.shape, up.shape, gate.shape, up.shape)?;
        Ok(Tensor { data: self.backend.gelu_mul(gate.data, rows("gate", up)?)?, shape: gate.shape })
    }
}

/// The two values must be equal, or the error names both shapes.
fn agree<V: PartialEq, D: Shape, E: Shape>(what: &str, a: V, b: V, left: D, right: E) -> Result<()> {
    if a == b {
        return Ok(());
    }
    let what = format!("cannot {what} {} and {}: the sizes differ", describe(left), describe(right));
    Err(Error::new(ErrorKind::Shape, what))
}

/// The tensor as rows of its last axis. A view that skips values within or between rows must be copied first.
fn rows<'s, B: Backend, S: Readable, D: Shape>(what: &str, x: &'s In<'_, B, S, D>) -> Result<Rows<'s, B>> {
    let view = x.view().data;
    let (sizes, width) = (x.shape.sizes(), *x.shape.sizes()[..D::RANK].last().unwrap_or(&1));
    // an axis of one entry has no neighbours, so its stride does not matter
    let contiguous = (0..3).all(|i| sizes[i] <= 1 || view.strides[i] == x.shape.strides()[i]);
    if !contiguous {
        let what = format!("cannot {what} a view of {} with gaps: copy it with to_owned first", describe(x.shape));
        return Err(Error::new(ErrorKind::Shape, what));
    }
    Ok(Rows { data: view.storage, offset: view.offset, rows: x.shape.len() / width.max(1), width })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        backend::{Reference, Stored, SupportsDType},
        tensor::{Load, Packed},
    };
    use lucid_kernels::formats::Format;

    crate::dims! { Tok, Embd, Ff }

    fn weight(bytes: &[u8], out: usize, inner: usize) -> Weight<'_, Reference, Ff, Embd> {
        let data = SupportsDType::<Packed>::load(&Reference, Stored { format: Format::F32, bytes }).unwrap();
        Tensor { data, shape: (Ff(out), Embd(inner)) }
    }

    #[test]
    fn sizes_that_differ_are_named() {
        let cx = Ctx::new(&Reference);
        let w = weight(&[0; 24], 3, 2);
        let x = Act::<Reference, _>::from_vec((Tok(1), Embd(4)), vec![0.0; 4]).unwrap();
        let error = cx.matmul(&w, &x).err().unwrap();
        assert_eq!(error.to_string(), "cannot multiply (Ff 3, Embd 2) and (Tok 1, Embd 4): the sizes differ");
        let error = cx.embed::<Tok, _, _>(&w, &[0, 3]).err().unwrap();
        assert_eq!(error.to_string(), "token 3 is outside the vocabulary of 3 tokens");
    }

    #[test]
    fn a_slice_of_tokens_multiplies_without_a_copy_and_one_with_gaps_says_so() {
        let cx = Ctx::new(&Reference);
        let bytes: Vec<u8> = (0..6).flat_map(|i| (i as f32).to_le_bytes()).collect();
        let w = weight(&bytes, 3, 2);
        let x = Act::<Reference, _>::from_vec((Tok(2), Embd(2)), vec![9., 9., 1., 2.]).unwrap();
        assert_eq!(cx.matmul(&w, &x.slice::<0>(1..2).unwrap()).unwrap().values(), [2., 8., 14.]);
        let wide = Act::<Reference, _>::from_vec((Tok(2), Embd(3)), vec![0.0; 6]).unwrap();
        let error = cx.matmul(&w, &wide.slice::<1>(0..2).unwrap()).err().unwrap();
        assert!(error.to_string().contains("copy it with to_owned first"), "{error}");
    }

    #[test]
    fn gains_of_another_type_become_f32_of_their_own() {
        let half: Vec<u8> = [1.5f32, -2.0].iter().flat_map(|&v| half::f16::from_f32(v).to_le_bytes()).collect();
        let data = SupportsDType::<f32>::load(&Reference, Stored { format: Format::F16, bytes: &half }).unwrap();
        let gain = Tensor::<f32, Reference, Load, _> { data, shape: (Embd(2),) };
        let x = Act::<Reference, _>::from_vec((Tok(1), Embd(2)), vec![0.0; 2]).unwrap();
        assert_eq!(Ctx::new(&Reference).add_bias(x, &gain).unwrap().values(), [1.5, -2.0]);
    }

    #[test]
    fn what_no_llama_needs_works_on_tensors_too() {
        let cx = Ctx::new(&Reference);
        let row = || Act::<Reference, _>::from_vec((Tok(1), Embd(2)), vec![1.0, 3.0]).unwrap();
        let ones: Vec<u8> = [1.0f32; 2].iter().flat_map(|v| v.to_le_bytes()).collect();
        let gain = |bytes| {
            let data = SupportsDType::<f32>::load(&Reference, Stored { format: Format::F32, bytes }).unwrap();
            Tensor::<f32, Reference, Load, _> { data, shape: (Embd(2),) }
        };
        // mean 2, variance 1: normalised to −1 and 1, then shifted by the bias of 1
        assert_eq!(cx.layer_norm(&row(), &gain(&ones), &gain(&ones), 0.0).unwrap().values(), [0.0, 2.0]);
        let p = cx.softmax(&row()).unwrap();
        assert_eq!(p.values()[1], (1.0 / (1.0 + (-2f64).exp())) as f32);
        let gated = cx.gelu_mul(row(), &row()).unwrap();
        assert_eq!(gated.values()[0], lucid_kernels::oracle::gelu(1.0) as f32);
        let wide = Tensor::<f32, Reference, Load, _> { data: gain(&ones).data, shape: (Embd(3),) };
        assert!(cx.rms_norm(&row(), &wide, 0.0).is_err());
    }
}
