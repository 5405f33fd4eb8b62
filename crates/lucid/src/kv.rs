//! The KV cache: the keys and values of every token so far, so that a token is computed once.
//!
//! It holds one sequence or several that are computed together; each has room for `capacity` tokens, allocated when they
//! begin. How a backend lays them out is its own matter. To the model every row of a step has a [`Place`]:
//!
//! ```text
//! step: 3 rows of sequence 0, 1 of sequence 2               lens before: [7, 0, 4]
//! places: (0, 7) (0, 8) (0, 9) (2, 4)                       after the step: [10, 0, 5]
//! ```
//!
//! **Invariants**
//! - A step writes its rows behind the ends of its sequences in every layer and then advances them once, so a step that fails
//!   half-way leaves the sequences as they were.
//! - What is appended is what is read; truncating and appending again gives the same bits.
//! - The rotation is fixed with the capacity, before the first token: how a prompt is cut into steps cannot change it.
//! - A step of rows that were seen before allocates nothing.

use crate::{
    Error, ErrorKind, Result,
    backend::{Backend, Heads, Place, Rotation, Rows},
};
use std::ops::Range;

/// The next tokens of one sequence in a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Which sequence.
    pub sequence: usize,
    /// How many tokens.
    pub tokens: usize,
}

/// The cached keys and values of one or several sequences for a contiguous range of layers.
pub struct Cache<B: Backend> {
    /// How heads turn in these sequences.
    pub rotation: Rotation,
    /// The model's heads.
    pub heads: Heads,
    /// Tokens that each sequence has room for.
    pub capacity: usize,
    first_layer: usize,
    layers: Vec<B::Kv>,
    lens: Vec<usize>,
    /// Where the rows of the step under way belong.
    places: Vec<Place>,
    /// The last row of each of its spans.
    lasts: Vec<usize>,
}

impl<B: Backend> Cache<B> {
    /// An empty cache for these layers with room for `capacity` tokens in each of `sequences`.
    pub fn new(
        backend: &B,
        layers: Range<usize>,
        heads: Heads,
        sequences: usize,
        capacity: usize,
        rotation: Rotation,
    ) -> Result<Self> {
        let values = [heads.kv, heads.dim, sequences, 8].iter().try_fold(capacity, |n, &m| n.checked_mul(m));
        if u32::try_from(capacity).is_err() || values.is_none() {
            let what = format!("a context of {capacity} tokens cannot be addressed; use a shorter one");
            return Err(Error::new(ErrorKind::Request, what));
        }
        let first_layer = layers.start;
        let layers = layers.map(|_| backend.kv(heads, sequences, capacity)).collect::<Result<Vec<_>>>()?;
        let (lens, lasts) = (vec![0; sequences], Vec::with_capacity(sequences));
        Ok(Cache { rotation, heads, capacity, first_layer, layers, lens, places: Vec::new(), lasts })
    }

    /// How many sequences it holds.
    pub fn sequences(&self) -> usize {
        self.lens.len()
    }

    /// Tokens of a sequence so far.
    pub fn len(&self, sequence: usize) -> usize {
        self.lens[sequence]
    }

    /// Gives the rows of the next step their places: those of each span follow its sequence. An error, which changes nothing,
    /// when a sequence does not exist, comes twice, or has no room.
    pub fn plan(&mut self, spans: &[Span]) -> Result<()> {
        for (i, Span { sequence, tokens }) in spans.iter().enumerate() {
            let Some(&len) = self.lens.get(*sequence) else {
                let what = format!("sequence {sequence} does not exist: the cache holds {}", self.lens.len());
                return Err(Error::new(ErrorKind::Request, what));
            };
            if spans[..i].iter().any(|earlier| earlier.sequence == *sequence) {
                let what = format!("sequence {sequence} comes twice in one step");
                return Err(Error::new(ErrorKind::Request, what));
            }
            if *tokens == 0 {
                return Err(Error::new(ErrorKind::Request, "no tokens were given: at least one is needed"));
            }
            if *tokens > self.capacity - len {
                let what = format!(
                    "{tokens} more tokens do not fit: the context has room for {} and holds {len}",
                    self.capacity
                );
                return Err(Error::new(ErrorKind::Request, what));
            }
        }
        self.places.clear();
        self.lasts.clear();
        for Span { sequence, tokens } in spans {
            let len = self.lens[*sequence];
            self.places.extend((len..len + tokens).map(|position| Place { sequence: *sequence, position }));
            self.lasts.push(self.places.len() - 1);
        }
        Ok(())
    }

    /// Where the rows of the step under way belong.
    pub fn places(&self) -> &[Place] {
        &self.places
    }

    /// The last row of each span of the step under way.
    pub fn lasts(&self) -> &[usize] {
        &self.lasts
    }

    /// Writes this step's rows of layer `il` to their places.
    pub(crate) fn write(&mut self, backend: &B, il: usize, k: Rows<'_, B>, v: Rows<'_, B>) -> Result<()> {
        let width = self.heads.kv * self.heads.dim;
        if (k.rows, k.width, v.rows, v.width) != (self.places.len(), width, k.rows, k.width) {
            let what =
                format!("cannot cache {} rows of {} values as {} rows of {width}", k.rows, k.width, self.places.len());
            return Err(Error::new(ErrorKind::Shape, what));
        }
        let layer = self.index(il)?;
        backend.append(&mut self.layers[layer], &self.places, k, v)
    }

    /// Counts the step's tokens, whose rows every layer has written.
    pub fn advance(&mut self) {
        for place in self.places.drain(..) {
            self.lens[place.sequence] = place.position + 1;
        }
    }

    /// Forgets every token of a sequence from position `len` on.
    pub fn truncate(&mut self, sequence: usize, len: usize) {
        self.lens[sequence] = self.lens[sequence].min(len);
    }

    /// The keys and values of layer `il`.
    pub fn layer(&self, il: usize) -> Result<&B::Kv> {
        Ok(&self.layers[self.index(il)?])
    }

    fn index(&self, il: usize) -> Result<usize> {
        il.checked_sub(self.first_layer).filter(|&i| i < self.layers.len()).ok_or_else(|| {
            let range = self.first_layer..self.first_layer + self.layers.len();
            Error::new(ErrorKind::Shape, format!("layer {il} is not among the cached layers {range:?}"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::{Pairs, Reference};

    const HEADS: Heads = Heads { q: 1, kv: 1, dim: 3 };

    fn rotation() -> Rotation {
        Rotation { pairs: Pairs::Halves, freqs: vec![], scale: 1.0 }
    }

    fn cache() -> Cache<Reference> {
        Cache::new(&Reference, 2..4, HEADS, 2, 4, rotation()).unwrap()
    }

    fn rows(data: &Vec<f32>) -> Rows<'_, Reference> {
        Rows { data, offset: 0, rows: data.len() / 3, width: 3 }
    }

    fn span(sequence: usize, tokens: usize) -> Span {
        Span { sequence, tokens }
    }

    #[test]
    fn what_is_appended_is_what_is_read() {
        let mut cache = cache();
        for t in 0..4 {
            cache.plan(&[span(1, 1)]).unwrap();
            assert_eq!((cache.len(1), cache.places()), (t, &[Place { sequence: 1, position: t }][..]));
            let (k, v) = (vec![t as f32; 3], vec![-(t as f32); 3]);
            for il in 2..4 {
                cache.write(&Reference, il, rows(&k), rows(&v)).unwrap();
            }
            cache.advance();
        }
        assert_eq!((cache.len(0), cache.len(1)), (0, 4), "each sequence has its own length");
        for t in 0..4 {
            let (k, v) = cache.layer(3).unwrap().at(Place { sequence: 1, position: t });
            assert_eq!((k, v), (&[t as f32; 3][..], &[-(t as f32); 3][..]));
        }
        assert_eq!(
            cache.layer(3).unwrap().at(Place { sequence: 0, position: 3 }).0,
            [0.0; 3],
            "the other is untouched"
        );
    }

    #[test]
    fn a_step_of_several_sequences_has_a_place_for_every_row() {
        let mut cache = cache();
        cache.plan(&[span(0, 2)]).unwrap();
        cache.advance();
        cache.plan(&[span(1, 3), span(0, 1)]).unwrap();
        let places: Vec<_> = cache.places().iter().map(|p| (p.sequence, p.position)).collect();
        assert_eq!((places, cache.lasts()), (vec![(1, 0), (1, 1), (1, 2), (0, 2)], &[2, 3][..]));
        cache.advance();
        assert_eq!((cache.len(0), cache.len(1)), (3, 3));
    }

    #[test]
    fn overflow_a_foreign_layer_or_sequence_and_an_impossible_context_are_errors() {
        let mut cache = cache();
        cache.plan(&[span(0, 3)]).unwrap();
        cache.advance();
        let refused = |cache: &mut Cache<Reference>, spans: &[Span]| cache.plan(spans).err().unwrap().to_string();
        let room = "2 more tokens do not fit: the context has room for 4 and holds 3";
        assert_eq!(refused(&mut cache, &[span(0, 2)]), room);
        assert_eq!(refused(&mut cache, &[span(2, 1)]), "sequence 2 does not exist: the cache holds 2");
        assert_eq!(refused(&mut cache, &[span(1, 1), span(1, 1)]), "sequence 1 comes twice in one step");
        assert_eq!(refused(&mut cache, &[span(1, 0)]), "no tokens were given: at least one is needed");
        assert_eq!((cache.len(0), cache.len(1)), (3, 0), "a refused step changes nothing");
        let two = vec![0.0; 6];
        let error = cache.write(&Reference, 2, rows(&two), rows(&two)).err().unwrap();
        assert_eq!(error.to_string(), "cannot cache 2 rows of 3 values as 0 rows of 3");
        assert!(cache.layer(1).is_err() && cache.layer(4).is_err());
        assert!(Cache::new(&Reference, 0..1, HEADS, usize::MAX, 2, rotation()).is_err());
        assert!(Cache::new(&Reference, 0..1, HEADS, 1, usize::MAX, rotation()).is_err());
        let wide = Heads { dim: 1 << 20, ..HEADS };
        assert!(Cache::new(&Reference, 0..1, wide, 1, u32::MAX as usize, rotation()).is_err());
    }

    #[test]
    fn truncating_forgets_the_end_only() {
        let mut cache = cache();
        cache.plan(&[span(0, 3)]).unwrap();
        cache.write(&Reference, 2, rows(&vec![1.0; 9]), rows(&vec![2.0; 9])).unwrap();
        cache.advance();
        cache.truncate(0, 7);
        assert_eq!(cache.len(0), 3);
        cache.truncate(0, 1);
        assert_eq!((cache.len(0), cache.layer(2).unwrap().at(Place { sequence: 0, position: 0 }).0[0]), (1, 1.0));
    }
}
