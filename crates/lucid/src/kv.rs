//! The KV cache of one sequence: the keys and values of every token so far, so that a token is computed once.
//!
//! It is allocated when the sequence begins and never grows. Row `t` of a layer's buffer is the token at position `t`:
//!
//! ```text
//!            0        1        2        len        capacity
//! k[layer] ├────────┼────────┼────────┼╌╌╌╌╌╌╌╌┤        one row = kv_heads · head_dim values,
//! v[layer] ├────────┼────────┼────────┼╌╌╌╌╌╌╌╌┤        keys already rotated
//! ```
//!
//! **Invariants**
//! - A step writes its rows behind `len` in every layer and then advances `len` once, so a step that fails half-way leaves
//!   the sequence as it was.
//! - What is appended is what is read; truncating and appending again gives the same bits.
//! - The rotation is fixed with the capacity, before the first token: how a prompt is cut into steps cannot change it.

use crate::{
    Error, ErrorKind, Result,
    backend::{Backend, Buf, Rotation, Rows},
};
use std::ops::Range;

/// The cached keys and values of one sequence for a contiguous range of layers.
pub struct Cache<B: Backend> {
    /// How heads turn in this sequence.
    pub rotation: Rotation,
    /// Values per row: `kv_heads · head_dim`.
    pub width: usize,
    /// Tokens it has room for.
    pub capacity: usize,
    len: usize,
    first_layer: usize,
    k: Vec<Buf<B>>,
    v: Vec<Buf<B>>,
}

impl<B: Backend> Cache<B> {
    /// An empty cache for these layers with room for `capacity` tokens.
    pub fn new(backend: &B, layers: Range<usize>, width: usize, capacity: usize, rotation: Rotation) -> Result<Self> {
        let size = width.checked_mul(capacity).filter(|_| u32::try_from(capacity).is_ok()).ok_or_else(|| {
            Error::new(
                ErrorKind::Request,
                format!("a context of {capacity} tokens cannot be addressed; use a shorter one"),
            )
        })?;
        let buffers = || layers.clone().map(|_| backend.zeros(size)).collect::<Result<Vec<_>>>();
        Ok(Cache { rotation, width, capacity, len: 0, first_layer: layers.start, k: buffers()?, v: buffers()? })
    }

    /// Tokens in the sequence so far.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether the sequence has no token yet.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The positions of the next `n` tokens. An error when they do not fit.
    pub fn positions(&self, n: usize) -> Result<Vec<u32>> {
        if n > self.capacity - self.len {
            let what = format!(
                "{n} more tokens do not fit: the context has room for {} and holds {}",
                self.capacity, self.len
            );
            return Err(Error::new(ErrorKind::Request, what));
        }
        Ok((self.len..self.len + n).map(|p| p as u32).collect()) // capacity fits in u32
    }

    /// Writes the next rows of layer `il` behind the sequence.
    pub(crate) fn write(&mut self, backend: &B, il: usize, k: Rows<'_, B>, v: Rows<'_, B>) -> Result<()> {
        self.positions(k.rows)?;
        if k.width != self.width {
            let what = format!("cannot cache rows of {} values in rows of {}", k.width, self.width);
            return Err(Error::new(ErrorKind::Shape, what));
        }
        let at = self.len * self.width;
        let layer = self.index(il)?;
        backend.write(&mut self.k[layer], at, k)?;
        backend.write(&mut self.v[layer], at, v)
    }

    /// Counts `n` tokens whose rows every layer has written.
    pub fn advance(&mut self, n: usize) -> Result<()> {
        self.positions(n)?;
        self.len += n;
        Ok(())
    }

    /// Forgets every token from position `len` on.
    pub fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    /// The keys and values of layer `il`.
    pub fn layer(&self, il: usize) -> Result<(&Buf<B>, &Buf<B>)> {
        let layer = self.index(il)?;
        Ok((&self.k[layer], &self.v[layer]))
    }

    fn index(&self, il: usize) -> Result<usize> {
        il.checked_sub(self.first_layer).filter(|&i| i < self.k.len()).ok_or_else(|| {
            let range = self.first_layer..self.first_layer + self.k.len();
            Error::new(ErrorKind::Shape, format!("layer {il} is not among the cached layers {range:?}"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::{Pairs, Reference};

    fn cache() -> Cache<Reference> {
        let rotation = Rotation { pairs: Pairs::Halves, freqs: vec![], scale: 1.0 };
        Cache::new(&Reference, 2..4, 3, 4, rotation).unwrap()
    }

    fn rows(data: &Vec<f32>) -> Rows<'_, Reference> {
        Rows { data, offset: 0, rows: data.len() / 3, width: 3 }
    }

    #[test]
    fn what_is_appended_is_what_is_read() {
        let mut cache = cache();
        for t in 0..4 {
            assert_eq!((cache.len(), cache.positions(1).unwrap()), (t, vec![t as u32]));
            let (k, v) = (vec![t as f32; 3], vec![-(t as f32); 3]);
            for il in 2..4 {
                cache.write(&Reference, il, rows(&k), rows(&v)).unwrap();
            }
            cache.advance(1).unwrap();
        }
        let (k, v) = cache.layer(3).unwrap();
        assert_eq!(k[3..9], [1., 1., 1., 2., 2., 2.]);
        assert_eq!(v[9..], [-3., -3., -3.]);
    }

    #[test]
    fn overflow_a_foreign_layer_and_an_impossible_context_are_errors() {
        let mut cache = cache();
        cache.advance(3).unwrap();
        let two = vec![0.0; 6];
        let error = cache.write(&Reference, 2, rows(&two), rows(&two)).err().unwrap();
        assert_eq!(error.to_string(), "2 more tokens do not fit: the context has room for 4 and holds 3");
        assert!(cache.advance(2).is_err() && cache.len() == 3, "a refused step changes nothing");
        assert!(cache.layer(1).is_err() && cache.layer(4).is_err());
        let rotation = cache.rotation.clone();
        assert!(Cache::new(&Reference, 0..1, usize::MAX, 2, rotation.clone()).is_err());
        assert!(Cache::new(&Reference, 0..1, 1 << 20, u32::MAX as usize, rotation).is_err());
    }

    #[test]
    fn truncating_forgets_the_end_only() {
        let mut cache = cache();
        cache.write(&Reference, 2, rows(&vec![1.0; 9]), rows(&vec![2.0; 9])).unwrap();
        cache.advance(3).unwrap();
        cache.truncate(7);
        assert_eq!(cache.len(), 3);
        cache.truncate(1);
        assert_eq!((cache.len(), cache.layer(2).unwrap().0[0]), (1, 1.0));
    }
}
