//! WordPiece: the longest token that a word begins with, then the longest that goes on, to its end.

use super::{
    fallback::{Fallback, Unwritable},
    trie::Trie,
};

/// A vocabulary of words and of what continues them.
#[derive(Debug)]
pub(super) struct WordPiece {
    /// Tokens that begin words.
    pub(super) first: Trie,
    /// Tokens that continue them, without the prefix that marks them.
    pub(super) inner: Trie,
    /// For a word that cannot be written to its end, and for one longer than `longest` characters.
    pub(super) unknown: Option<u32>,
    pub(super) longest: usize,
}

impl WordPiece {
    /// Appends the ids of a word.
    pub(super) fn encode(&self, word: &str, out: &mut Vec<u32>) -> Result<(), Unwritable> {
        let before = out.len();
        let mut at = 0;
        let mut fits = word.chars().count() <= self.longest;
        while fits && at < word.len() {
            let trie = if at == 0 { &self.first } else { &self.inner };
            // a token that is not UTF-8 may end within a character
            let ends_well = |&(len, _): &(usize, u32)| word.is_char_boundary(at + len);
            match trie.prefixes(&word.as_bytes()[at..]).filter(ends_well).last() {
                Some((len, id)) => {
                    out.push(id);
                    at += len;
                }
                None => fits = false,
            }
        }
        if !fits {
            out.truncate(before);
            Fallback { unknown: self.unknown, ..Fallback::default() }.write(word.as_bytes(), false, out)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn greedy_and_all_or_nothing() {
        let mut pieces = WordPiece {
            first: Trie::new(vec![(b"un", 1), (b"a", 2), (b"able", 3)]),
            inner: Trie::new(vec![(b"a", 4), (b"able", 5), (b"ff", 6)]),
            unknown: Some(0),
            longest: 8,
        };
        let ids = |pieces: &WordPiece, word| {
            let mut out = vec![9];
            pieces.encode(word, &mut out).map(|()| out[1..].to_vec())
        };
        assert_eq!(ids(&pieces, "unaffa"), Ok(vec![1, 4, 6, 4]));
        assert_eq!(ids(&pieces, "able"), Ok(vec![3]));
        assert_eq!(ids(&pieces, "unab"), Ok(vec![0])); // "a" fits, "b" does not
        assert_eq!(ids(&pieces, "unaffableable"), Ok(vec![0])); // too long
        pieces.unknown = None;
        assert!(ids(&pieces, "x").is_err());
    }
}
