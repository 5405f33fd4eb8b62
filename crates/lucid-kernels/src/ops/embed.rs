//! Embedding: `y[t] = table[token_t]`, the row of a matrix that belongs to each token.
//!
//! Exact: a row is decoded from its format and copied.

use crate::formats::Format;

/// Writes the decoded row of each token to `y`, rows of `n_embd` values.
///
/// # Panics
/// If a token has no row: callers check tokens against the vocabulary.
pub fn embed(format: Format, table: &[u8], tokens: &[u32], n_embd: usize, y: &mut [f32]) {
    let row_bytes = format.row_bytes(n_embd).expect("rows are whole blocks");
    for (&token, y) in tokens.iter().zip(y.chunks_exact_mut(n_embd)) {
        let at = token as usize * row_bytes;
        format.decode(&table[at..at + row_bytes], y);
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;

    #[test]
    fn picks_rows_in_order_and_repeats() {
        let table = noise(3, 5 * 4);
        let mut y = vec![0.0; 3 * 4];
        embed(Format::F32, &bytes(&table), &[4, 0, 4], 4, &mut y);
        assert_eq!(y[..4], table[16..]);
        assert_eq!(y[4..8], table[..4]);
        assert_eq!(y[8..], table[16..]);
    }
}
