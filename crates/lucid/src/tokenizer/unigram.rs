//! Unigram: of all ways to write a text as tokens, the most probable.
//!
//! The score of a token is the logarithm of its probability. The best way to reach a place is a best way to reach the
//! place where its last token begins, and that token: one walk over the text finds it (Viterbi's algorithm).

use super::{
    fallback::{Fallback, Unwritable},
    trie::Trie,
};

/// A vocabulary whose tokens have probabilities.
#[derive(Debug)]
pub(super) struct Unigram {
    /// The tokens that text may become.
    pub(super) trie: Trie,
    /// By id.
    pub(super) scores: Vec<f64>,
    /// For a character that no token is.
    pub(super) unknown_score: f64,
    pub(super) fallback: Fallback,
    pub(super) sums: Sums,
}

/// How the sum of scores is kept, which decides between close ways through long texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sums {
    F64,
    /// SentencePiece's own.
    F32,
}

/// How far below the least probable token an unknown character is.
pub(super) const UNKNOWN_PENALTY: f32 = 10.0;

/// The best way to reach a place.
#[derive(Clone, Copy)]
struct Way {
    score: f64,
    /// Where its last token begins.
    from: usize,
    /// `None` for a character that no token is.
    token: Option<u32>,
}

impl Unigram {
    /// Appends the ids of a piece of text.
    pub(super) fn encode(&self, text: &str, out: &mut Vec<u32>) -> Result<(), Unwritable> {
        let mut ways: Vec<Option<Way>> = vec![None; text.len() + 1];
        ways[0] = Some(Way { score: 0.0, from: 0, token: None });
        for (from, c) in text.char_indices() {
            let Some(Way { score: here, .. }) = ways[from] else { continue };
            let mut consider = |end: usize, score: f64, token: Option<u32>| {
                let score = match self.sums {
                    Sums::F64 => here + score,
                    Sums::F32 => f64::from(here as f32 + score as f32),
                };
                if ways[end].is_none_or(|way| score > way.score) {
                    ways[end] = Some(Way { score, from, token });
                }
            };
            let mut alone = false;
            for (len, id) in self.trie.prefixes(&text.as_bytes()[from..]) {
                alone |= len == c.len_utf8();
                consider(from + len, self.scores[id as usize], Some(id));
            }
            if !alone {
                consider(from + c.len_utf8(), self.unknown_score, None);
            }
        }
        let mut tokens = Vec::new();
        let mut end = text.len();
        while end > 0 {
            let Some(Way { from, token, .. }) = ways[end] else { break };
            tokens.push((from..end, token));
            end = from;
        }
        let mut after_unknown = false;
        for (span, token) in tokens.into_iter().rev() {
            after_unknown = match token {
                Some(id) => {
                    out.push(id);
                    false
                }
                None => self.fallback.write(text[span].as_bytes(), after_unknown, out)?,
            };
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(tokens: &[(&str, f64)], fallback: Fallback) -> Unigram {
        Unigram {
            trie: Trie::new(tokens.iter().zip(0..).map(|((text, _), id)| (text.as_bytes(), id)).collect()),
            scores: tokens.iter().map(|(_, score)| *score).collect(),
            unknown_score: -20.0,
            fallback,
            sums: Sums::F64,
        }
    }

    fn ids(unigram: &Unigram, text: &str) -> Vec<u32> {
        let mut out = Vec::new();
        unigram.encode(text, &mut out).unwrap();
        out
    }

    #[test]
    fn the_most_probable_way_wins_and_the_first_of_equals() {
        let tokens = [("a", -1.0), ("b", -1.0), ("ab", -1.5), ("ba", -1.9), ("bab", -4.0)];
        let unigram = of(&tokens, Fallback::default());
        assert_eq!(ids(&unigram, "abab"), [2, 2]);
        assert_eq!(ids(&unigram, "aba"), [2, 0]); // -2.5, against -2.9
        assert!(ids(&unigram, "").is_empty());
        let equal = of(&[("a", -1.0), ("aa", -2.0)], Fallback::default());
        assert_eq!(ids(&equal, "aa"), [1]); // reached first: from the beginning
    }

    #[test]
    fn unknown_characters_are_fused_or_not() {
        let tokens = [("<unk>", 0.0), ("a", -1.0)];
        let mut unigram = of(&tokens, Fallback { unknown: Some(0), fuse: true, ..Fallback::default() });
        assert_eq!(ids(&unigram, "aéüa"), [1, 0, 1]);
        unigram.fallback.fuse = false;
        assert_eq!(ids(&unigram, "aéüa"), [1, 0, 0, 1]);
        unigram.fallback.unknown = None;
        assert_eq!(unigram.encode("aé", &mut Vec::new()), Err(Unwritable("\"é\"".into())));
    }

    #[test]
    fn sums_are_rounded_as_they_are_kept() {
        // Above 2^24, f32 knows even numbers only: -1 and -0.5 vanish there, and -1.2 counts as 2.
        let tokens = [("a", -16777216.0), ("b", -1.0), ("c", -0.5), ("bc", f64::from(-1.2f32))];
        let mut unigram = of(&tokens, Fallback::default());
        assert_eq!(ids(&unigram, "abc"), [0, 3]);
        unigram.sums = Sums::F32;
        assert_eq!(ids(&unigram, "abc"), [0, 1, 2]);
    }
}
