//! DRY ("don't repeat yourself"): tokens that would continue a repetition become less likely, the longer the more.
//!
//! ```text
//! the last n tokens:   a b c c b c y a b c
//! ends with:                         a b c   which occurred before: then came c, so a further c would repeat 3 + 1
//!                                        c   occurred, then came b                                           1 + 1
//!                                      b c   occurred, then came y                                           2 + 1
//!
//! l ← l − multiplier · base^(length − allowed)     for the longest such length, where it is at least `allowed`
//! ```
//!
//! A sequence breaker ends what may be matched: a repetition is looked for only behind the last one, and a token that is
//! one by itself is never penalised.

use super::{Candidates, math::pow};
use crate::{Error, ErrorKind, Result};
use std::collections::{HashMap, VecDeque};

/// A breaker has at most this many bytes.
const LONGEST_BREAKER: usize = 40;

/// Sequence breakers as tokens: by first token, what must follow it.
#[derive(Clone, Debug, Default)]
pub struct Breakers {
    tails: HashMap<u32, Vec<Vec<u32>>>,
}

impl Breakers {
    /// Breakers that are sequences of tokens.
    pub fn from_tokens(sequences: impl IntoIterator<Item = Vec<u32>>) -> Breakers {
        let mut breakers = Breakers::default();
        for sequence in sequences {
            if let Some((&head, tail)) = sequence.split_first() {
                breakers.add(head, tail.to_vec());
            }
        }
        breakers
    }

    /// Breakers that are strings. `texts` are the bytes of every token by id, `tokenize` turns bytes into tokens.
    ///
    /// A token that contains a breaker is one. A token that ends with the beginning of a breaker is one when the tokens of
    /// the rest follow: of `"::"`, the token `x:` with the tail `:`.
    pub fn new<T: AsRef<[u8]>>(
        strings: &[impl AsRef<str>],
        texts: impl IntoIterator<Item = T>,
        tokenize: impl Fn(&[u8]) -> Vec<u32>,
    ) -> Result<Breakers> {
        for s in strings.iter().map(AsRef::as_ref) {
            if s.is_empty() || s.len() > LONGEST_BREAKER {
                let what = format!("the DRY sequence breaker {s:?} must have from 1 to {LONGEST_BREAKER} bytes");
                return Err(Error::new(ErrorKind::Request, what));
            }
        }
        let mut breakers = Breakers::default();
        for (text, id) in texts.into_iter().zip(0..) {
            let text = text.as_ref();
            for breaker in strings.iter().map(|s| s.as_ref().as_bytes()) {
                if text.windows(breaker.len()).any(|part| part == breaker) {
                    breakers.add(id, Vec::new());
                    continue;
                }
                for n in 1..breaker.len() {
                    if text.ends_with(&breaker[..n]) {
                        breakers.add(id, tokenize(&breaker[n..]));
                    }
                }
            }
        }
        Ok(breakers)
    }

    fn add(&mut self, head: u32, tail: Vec<u32>) {
        let tails = self.tails.entry(head).or_default();
        if !tails.contains(&tail) {
            tails.push(tail);
        }
    }

    /// Whether the token is a breaker by itself.
    fn is_one(&self, token: u32) -> bool {
        self.tails.get(&token).is_some_and(|tails| tails.iter().any(Vec::is_empty))
    }

    /// How many tokens stand behind the last breaker, whose first token is the nearest to the end; `last(i)` is the token
    /// `i` before the end, of `n`.
    fn behind(&self, n: usize, last: impl Fn(usize) -> u32) -> usize {
        if self.tails.is_empty() {
            return n;
        }
        let longest = |i: usize| {
            let tails = self.tails.get(&last(i))?;
            let follows = |tail: &&Vec<u32>| tail.len() <= i && (0..tail.len()).all(|k| tail[k] == last(i - 1 - k));
            tails.iter().filter(follows).map(Vec::len).max()
        };
        (0..n).find_map(|i| longest(i).map(|tail| i - tail)).unwrap_or(n)
    }
}

/// The penalty and the tokens it looks back on.
#[derive(Clone, Debug)]
pub struct Dry {
    multiplier: f32,
    base: f32,
    allowed: usize,
    window: usize,
    breakers: Breakers,
    recent: VecDeque<u32>,
    /// `common[k]`: how long the end of the text equals what ends `k` tokens before it.
    common: Vec<usize>,
    /// By token: the longest repetition that it would continue.
    longest: HashMap<u32, usize>,
}

impl Dry {
    /// The penalty over the last `window` tokens. A multiplier of 0, or a base below 1, turns it off.
    pub fn new(multiplier: f32, base: f32, allowed: usize, window: usize, breakers: Breakers) -> Dry {
        let window = if multiplier == 0.0 || base < 1.0 { 0 } else { window };
        Dry {
            multiplier,
            base,
            allowed,
            window,
            breakers,
            recent: VecDeque::with_capacity(window),
            common: Vec::new(),
            longest: HashMap::new(),
        }
    }

    /// Whether it does nothing.
    pub fn off(&self) -> bool {
        self.window == 0
    }

    /// A token joined the text.
    pub fn accept(&mut self, token: u32) {
        if self.off() {
            return;
        }
        if self.recent.len() == self.window {
            self.recent.pop_front();
        }
        self.recent.push_back(token);
    }

    /// Penalises.
    pub fn apply(&mut self, c: &mut Candidates) {
        self.find_repetitions();
        if self.longest.is_empty() {
            return;
        }
        for c in &mut c.items {
            if let Some(length) = self.longest.get(&c.id) {
                let penalty = self.multiplier as f64 * pow(self.base as f64, (length - self.allowed) as f64);
                c.set_logit(|l| l - penalty);
            }
        }
        c.sorted = false;
    }

    fn find_repetitions(&mut self) {
        self.longest.clear();
        let n = self.recent.len();
        if self.off() || n <= self.allowed {
            return;
        }
        let last = |i: usize| self.recent[n - 1 - i];
        let limit = self.breakers.behind(n, last);
        if limit < self.allowed {
            return;
        }
        common_ends(&mut self.common, n, last);
        for k in 1..n {
            // what ends k before the end was followed by the token k - 1 before the end
            let (length, next) = (self.common[k].min(limit), last(k - 1));
            if length >= self.allowed && !self.breakers.is_one(next) {
                let longest = self.longest.entry(next).or_default();
                *longest = length.max(*longest);
            }
        }
    }
}

/// For every k from 1: the length of the longest common beginning of the sequence and of what remains of it from `k` (the
/// Z function). Linear: `left..right` is the match that reaches furthest, and inside it the answer is known, at least up to
/// `right`, because the same tokens stood at the beginning.
fn common_ends(common: &mut Vec<usize>, n: usize, at: impl Fn(usize) -> u32) {
    common.clear();
    common.resize(n, 0);
    let (mut left, mut right) = (0, 0);
    for k in 1..n {
        let mut length = if k < right { common[k - left].min(right - k) } else { 0 };
        while k + length < n && at(length) == at(k + length) {
            length += 1;
        }
        common[k] = length;
        if k + length > right {
            (left, right) = (k, k + length);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repetitions(text: &[u32], allowed: usize, breakers: &[&[u32]]) -> Vec<(u32, usize)> {
        let breakers = Breakers::from_tokens(breakers.iter().map(|b| b.to_vec()));
        let mut dry = Dry::new(1.0, 2.0, allowed, 100, breakers);
        text.iter().for_each(|&t| dry.accept(t));
        dry.find_repetitions();
        let mut found: Vec<_> = dry.longest.into_iter().collect();
        found.sort_unstable();
        found
    }

    const A: u32 = 0;
    const B: u32 = 1;
    const C: u32 = 2;
    const Y: u32 = 24;
    const TEXT: [u32; 10] = [A, B, C, C, B, C, Y, A, B, C];

    #[test]
    fn the_example_above() {
        assert_eq!(repetitions(&TEXT, 1, &[]), [(B, 1), (C, 3), (Y, 2)]);
        assert_eq!(repetitions(&TEXT, 2, &[]), [(C, 3), (Y, 2)]);
        assert_eq!(repetitions(&TEXT, 4, &[]), []);
    }

    #[test]
    fn breakers_end_a_match() {
        assert_eq!(repetitions(&TEXT, 1, &[&[A]]), [(B, 1), (C, 2), (Y, 2)], "only b c stands behind the last a");
        assert_eq!(repetitions(&TEXT, 1, &[&[A, B]]), [(B, 1), (C, 1), (Y, 1)]);
        assert_eq!(repetitions(&TEXT, 1, &[&[A, B], &[A]]), [(B, 1), (C, 1), (Y, 1)], "the longest counts");
        assert_eq!(repetitions(&TEXT, 1, &[&[A, B, C]]), [], "nothing stands behind it");
        assert_eq!(repetitions(&TEXT, 1, &[&[Y]]), [(B, 1), (C, 3)], "y itself is free");
        assert_eq!(repetitions(&TEXT, 1, &[&[Y, Y], &[9]]), repetitions(&TEXT, 1, &[]));
    }

    #[test]
    fn common_ends_are_what_the_definition_says() {
        // every text of 9 tokens from an alphabet of 3
        for code in 0..3u32.pow(9) {
            let text: Vec<u32> = (0..9).map(|i| code / 3u32.pow(i) % 3).collect();
            let mut common = Vec::new();
            common_ends(&mut common, 9, |i| text[i]);
            for k in 1..9 {
                let plain = (0..9 - k).take_while(|&i| text[i] == text[k + i]).count();
                assert_eq!(common[k], plain, "{text:?} from {k}");
            }
        }
    }

    #[test]
    fn strings_become_tokens() {
        let texts = ["a", "\n", ":", "x:", "::", "y", "\u{fffd}"];
        let tokenize = |rest: &[u8]| rest.iter().map(|&b| if b == b':' { 2 } else { 9 }).collect();
        let b = Breakers::new(&["\n", "::"], texts, tokenize).unwrap();
        let mut heads: Vec<_> = b.tails.iter().map(|(h, t)| (*h, t.clone())).collect();
        heads.sort_unstable();
        let whole = vec![vec![]];
        assert_eq!(heads, [(1, whole.clone()), (2, vec![vec![2]]), (3, vec![vec![2]]), (4, whole)]);
        let bad = |s: &str| Breakers::new(&[s], texts, tokenize).unwrap_err().to_string();
        assert!(bad("").contains("from 1 to 40 bytes"));
        assert!(bad(&"x".repeat(41)).contains("from 1 to 40 bytes"));
    }

    #[test]
    fn long_repetitions_stay_finite_and_the_window_forgets() {
        let mut dry = Dry::new(3.0, 3.0, 1, 1000, Breakers::default());
        (0..1000).for_each(|_| dry.accept(0));
        let mut c = Candidates::new(&[0.0, 1.0]).unwrap();
        dry.apply(&mut c);
        assert_eq!(c.items[0].logit, f32::MIN);
        assert_eq!(c.items[1].logit, 1.0);
        let mut dry = Dry::new(1.0, 2.0, 1, 3, Breakers::default());
        [5, 6, 7, 8, 5].into_iter().for_each(|t| dry.accept(t));
        dry.find_repetitions();
        assert!(dry.longest.is_empty(), "the first 5 is out of sight");
        assert!(
            Dry::new(0.0, 2.0, 1, 3, Breakers::default()).off() && Dry::new(1.0, 0.5, 1, 3, Breakers::default()).off()
        );
    }
}
