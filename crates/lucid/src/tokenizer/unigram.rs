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
    /// SentencePiece's own: in 32 bits, and counted from zero again where a sum is further from it than [`FAR`]. So sums are
    /// never so large that a token vanishes in them. (That is its version 0.2.3; 0.2.0 does not begin again.)
    F32,
}

/// How far below the least probable token an unknown character is.
pub(super) const UNKNOWN_PENALTY: f32 = 10.0;

/// Beyond this, sums in 32 bits begin again.
const FAR: f64 = 100_000.0;

/// The best way to reach a place.
#[derive(Clone, Copy)]
struct Way {
    score: f64,
    /// The length of its last token; 0 where there is no way yet, and where the walk begins.
    len: u32,
    /// [`UNKNOWN`] for a character that no token is.
    token: u32,
}

const UNKNOWN: u32 = u32::MAX;

impl Way {
    const fn none(score: f64) -> Way {
        Way { score, len: 0, token: UNKNOWN }
    }
}

/// What one walk carries along.
struct Walk<'o> {
    /// Beginning with the last place that every way leads through. None leads further than `reached`, counted from there.
    ways: Vec<Way>,
    reached: usize,
    /// A way that is being followed back: where its tokens end.
    path: Vec<(usize, Way)>,
    after_unknown: bool,
    out: &'o mut Vec<u32>,
}

impl Unigram {
    /// Appends the ids of a piece of text.
    pub(super) fn encode(&self, text: &str, out: &mut Vec<u32>) -> Result<(), Unwritable> {
        match self.sums {
            Sums::F64 => self.walk(text, out, f64::INFINITY, |sum| sum),
            // the sum of two f32, rounded to f64 and then to f32, is what it is when rounded once
            Sums::F32 => self.walk(text, out, FAR, |sum| f64::from(sum as f32)),
        }
    }

    fn walk(&self, text: &str, out: &mut Vec<u32>, far: f64, round: impl Fn(f64) -> f64) -> Result<(), Unwritable> {
        let mut walk = Walk { ways: vec![Way::none(0.0)], reached: 0, path: Vec::new(), after_unknown: false, out };
        let longest = self.trie.depth.max(char::MAX_LEN_UTF8).min(text.len());
        let mut start = 0; // the place of ways[0]
        for (at, c) in text.char_indices() {
            if at - start == walk.reached && at > start {
                // no token reaches beyond: whatever follows, what came before is settled
                self.settle(&text[start..at], &mut walk)?;
                start = at;
            }
            let place = at - start;
            if walk.ways.len() <= place + longest {
                walk.ways.resize(place + 2 * longest + 512, Way::none(0.0));
            }
            let mut here = walk.ways[place].score;
            if here.abs() > far {
                walk.ways[place..].iter_mut().for_each(|way| way.score = round(way.score - here));
                here = 0.0;
            }
            let ahead = &mut walk.ways[place..=place + longest];
            let mut consider = |len: usize, score: f64, token: u32| {
                let score = round(here + score);
                if ahead[len].len == 0 || score > ahead[len].score {
                    ahead[len] = Way { score, len: len as u32, token };
                }
            };
            let (mut alone, mut furthest) = (false, c.len_utf8());
            for (len, id) in self.trie.prefixes(&text.as_bytes()[at..]) {
                alone |= len == c.len_utf8();
                furthest = furthest.max(len);
                consider(len, self.scores[id as usize], id);
            }
            if !alone {
                consider(c.len_utf8(), self.unknown_score, UNKNOWN);
            }
            walk.reached = walk.reached.max(place + furthest);
        }
        self.settle(&text[start..], &mut walk)
    }

    /// Writes the tokens of the best way through `text`, and begins anew at its end.
    fn settle(&self, text: &str, walk: &mut Walk) -> Result<(), Unwritable> {
        let mut end = text.len();
        while walk.ways[end].len > 0 {
            walk.path.push((end, walk.ways[end]));
            end -= walk.ways[end].len as usize;
        }
        while let Some((end, Way { len, token, .. })) = walk.path.pop() {
            walk.after_unknown = match token {
                UNKNOWN => {
                    let unknown = &text.as_bytes()[end - len as usize..end];
                    self.fallback.write(unknown, walk.after_unknown, walk.out)?
                }
                id => {
                    walk.out.push(id);
                    false
                }
            };
        }
        let score = walk.ways[text.len()].score;
        walk.ways[..=text.len()].fill(Way::none(0.0));
        walk.ways[0].score = score;
        walk.reached = 0;
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
        // Beyond 65,536, f32 has steps of 1/128: two times -0.003 vanish there, and -0.005 counts as a whole step.
        let tokens = [("a", -65_536.0), ("b", -0.003), ("c", -0.003), ("bc", -0.005)];
        let mut unigram = of(&tokens, Fallback::default());
        assert_eq!(ids(&unigram, "abc"), [0, 3]);
        unigram.sums = Sums::F32;
        assert_eq!(ids(&unigram, "abc"), [0, 1, 2]);
    }

    #[test]
    fn sums_in_32_bits_begin_again_where_they_are_large() {
        // After nine of "x" the sum is -90,000. The tenth goes beyond the limit, and where the next token begins, it is 0
        // again: so -0.001 counts, which would vanish in -100,000.01 (f32 knows steps of 1/128 there).
        let tokens = [("x", -10_000.001), ("a", -1.0), ("b", -1.0), ("ab", -1.999)];
        let mut unigram = of(&tokens, Fallback::default());
        unigram.sums = Sums::F32;
        let x = "x".repeat(10);
        assert_eq!(ids(&unigram, &format!("{x}ab"))[10..], [3]);
        // a step short of it, the way of one token and that of two come to the same sum, and the first to be found stays
        assert_eq!(ids(&unigram, &format!("{}ab", &x[..9]))[9..], [3]);
        let tokens = [("x", -10_000.001), ("a", -1.0), ("b", -1.0), ("ab", -2.001)];
        let mut unigram = of(&tokens, Fallback::default());
        unigram.sums = Sums::F32;
        assert_eq!(ids(&unigram, &format!("{x}ab"))[10..], [1, 2]);
        assert_eq!(ids(&unigram, &format!("{}ab", &x[..9]))[9..], [3]);
    }

    /// Tokens may overlap in any way, and whole texts be settled early or late: beside all ways written out.
    #[test]
    fn no_way_is_better_than_the_one_that_is_found() {
        let tokens = [
            ("a", -2.0),
            ("ab", -2.5),
            ("abc", -5.25),
            ("b", -3.0),
            ("bc", -1.0),
            ("c", -2.0),
            ("ca", -4.5),
            ("d", -1.0),
        ];
        let unigram = of(&tokens, Fallback::default());
        fn best(tokens: &[(&str, f64)], text: &str) -> f64 {
            let ways = tokens.iter().filter_map(|(t, score)| Some(score + best(tokens, text.strip_prefix(t)?)));
            if text.is_empty() { 0.0 } else { ways.fold(f64::NEG_INFINITY, f64::max) }
        }
        for n in 0..4u32.pow(7) {
            let text: String = (0..7).map(|i| char::from(b"abcd"[(n >> (2 * i) & 3) as usize])).collect();
            let found: f64 = ids(&unigram, &text).iter().map(|&id| tokens[id as usize].1).sum();
            assert_eq!(found, best(&tokens, &text), "{text}"); // sums of quarters are exact
        }
    }
}
