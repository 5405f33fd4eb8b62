//! Embedding, `y[t] = table[token_t]`, and its counterpart at the other end, the index of the largest value. Both exact.

use super::{Machine, Parts};
use crate::formats::Format;

/// Writes the decoded row of each token to `y`, rows of `n_embd` values.
///
/// # Panics
/// If a token has no row: callers check tokens against the vocabulary.
pub fn embed(m: &Machine, format: Format, table: &[u8], tokens: &[u32], n_embd: usize, y: &mut [f32]) {
    let row_bytes = format.row_bytes(n_embd).expect("rows are whole blocks");
    assert_eq!(tokens.len() * n_embd, y.len());
    let out = Parts::new(y);
    m.in_ranges(tokens.len(), 1, 4, &|range, _| {
        // SAFETY: ranges are disjoint.
        let y = unsafe { out.part(range.start * n_embd..range.end * n_embd) };
        for (&token, y) in tokens[range].iter().zip(y.chunks_exact_mut(n_embd)) {
            let at = token as usize * row_bytes;
            format.decode(&table[at..at + row_bytes], y);
        }
    });
}

/// The index of the largest value, the first of equals; NaNs are passed over, and a row of nothing else is 0.
pub fn argmax(x: &[f32]) -> usize {
    let mut best = (0, f32::NEG_INFINITY);
    for (i, &x) in x.iter().enumerate() {
        if x > best.1 {
            best = (i, x);
        }
    }
    best.0
}
