//! Merging neighbours, the best pair first: what BPE, SentencePiece's BPE and tiktoken have in common.
//!
//! A piece of text begins as one symbol per character (or byte). Of all neighbours that may merge, the pair of the lowest
//! rank does, the leftmost where ranks are equal, until none is left. The three kinds differ only in where ranks come
//! from: a list of merges, the scores of the tokens that pairs merge into, or the tokens' numbers.

use super::{
    fallback::{Fallback, Unwritable},
    queue::{Queue, Ranked},
    vocab::SPACE,
};
use std::{collections::HashMap, ops::Range};

/// A token id; from the number of tokens on, a text that merges on but is no token itself.
type Symbol = u32;

/// A character that no token and no merge knows.
const UNKNOWN: Symbol = u32::MAX;

/// A vocabulary that is built by merging.
#[derive(Debug)]
pub(super) struct Bpe {
    /// How many tokens there are.
    tokens: u32,
    symbols: HashMap<Box<[u8]>, Symbol>,
    /// How many symbols there are.
    count: u32,
    /// What two neighbours merge into, and how early.
    pairs: HashMap<(Symbol, Symbol), Merge>,
    /// The symbol of each byte, where text is encoded by bytes and not by characters.
    bytes: Option<Box<[Symbol; 256]>>,
    /// No merge reaches from the end of one word to the "▁" that begins the next: words can be encoded one by one.
    words: bool,
    rules: Rules,
}

/// What vocabularies of this kind differ in.
#[derive(Clone, Debug, Default)]
pub(super) struct Rules {
    /// Pieces that are a token as a whole are that token, whatever the merges say.
    pub(super) whole_pieces: bool,
    /// For characters that no token is.
    pub(super) fallback: Fallback,
    /// Written before every character of a piece but the first.
    pub(super) inner_prefix: String,
    /// Written after the last character of a piece.
    pub(super) end_suffix: String,
}

#[derive(Clone, Copy, Debug)]
struct Merge {
    rank: u32,
    into: Symbol,
}

/// Memory that is used again from word to word.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    /// One for every character; a merged symbol keeps the place of its first, and the other is gone.
    places: Vec<Place>,
    queue: Queue<Candidate>,
    /// The pair that was looked up last, and what it merges into: in a run of one character it is always the same.
    looked_up: Option<((Symbol, Symbol), Option<Merge>)>,
    /// What is left of a word, its beginning last.
    todo: Vec<(Symbol, Range<usize>)>,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    symbol: Symbol,
    /// The places of its neighbours; `NONE` at the ends.
    before: u32,
    after: u32,
    /// Where it begins in the text.
    start: usize,
}

/// Neighbours that may merge: ordered by rank, then place. It is outdated once `left` or `right` is no longer there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Candidate {
    rank: u32,
    at: u32,
    left: Symbol,
    right: Symbol,
    into: Symbol,
}

impl Ranked for Candidate {
    fn rank(&self) -> u32 {
        self.rank
    }
}

const NONE: u32 = u32::MAX;

impl Bpe {
    /// A vocabulary of `tokens` ids that has no merges yet. `texts` are those that text may become.
    pub(super) fn new<'t>(tokens: u32, texts: impl Iterator<Item = (u32, &'t [u8])>, rules: Rules) -> Bpe {
        let mut symbols = HashMap::with_capacity(tokens as usize);
        for (id, text) in texts.filter(|(_, text)| !text.is_empty()) {
            symbols.entry(text.into()).or_insert(id);
        }
        Bpe { tokens, symbols, count: tokens, pairs: HashMap::new(), bytes: None, words: false, rules }
    }

    /// The same, encoding text by bytes.
    pub(super) fn by_bytes(mut self) -> Bpe {
        self.bytes = Some(Box::new(std::array::from_fn(|byte| self.symbol(&[byte as u8]))));
        self
    }

    /// The id of the token that is `text`.
    pub(super) fn token(&self, text: &[u8]) -> Option<u32> {
        self.symbols.get(text).copied().filter(|&s| s < self.tokens)
    }

    /// The symbol that is `text`: a new one when no token is.
    fn symbol(&mut self, text: &[u8]) -> Symbol {
        if let Some(&symbol) = self.symbols.get(text) {
            return symbol;
        }
        let symbol = self.count;
        self.count += 1;
        self.symbols.insert(text.into(), symbol);
        symbol
    }

    /// `left` and `right` merge; of two merges of a pair the first counts. Returns whether the result is a token.
    pub(super) fn merge(&mut self, rank: u32, left: &[u8], right: &[u8]) -> bool {
        let inner = right.strip_prefix(self.rules.inner_prefix.as_bytes()).unwrap_or(right);
        let into = self.symbol(&[left, inner].concat());
        let pair = (self.symbol(left), self.symbol(right));
        self.pairs.entry(pair).or_insert(Merge { rank, into });
        into < self.tokens
    }

    /// Every two symbols merge that together are one of `texts`; each comes with a rank. A text that is no token leads on to
    /// longer ones, and is taken apart again where it does not.
    pub(super) fn merge_into(&mut self, texts: &[(&[u8], u32)]) {
        for (text, _) in texts {
            self.symbol(text);
        }
        for &(text, rank) in texts {
            let into = self.symbol(text);
            let mut cut = self.first_len(text);
            while cut < text.len() {
                let (left, right) = text.split_at(cut);
                if let (Some(left), Some(right)) = (self.part(left), self.part(right)) {
                    self.pairs.insert((left, right), Merge { rank, into });
                }
                cut += self.first_len(right);
            }
        }
    }

    /// The symbol that is `text`, if there can be one: every single character may become one.
    fn part(&mut self, text: &[u8]) -> Option<Symbol> {
        match self.first_len(text) == text.len() {
            true => Some(self.symbol(text)),
            false => self.symbols.get(text).copied(),
        }
    }

    /// The length of the first character of `text`, or of its first byte.
    fn first_len(&self, text: &[u8]) -> usize {
        if self.bytes.is_some() {
            return 1;
        }
        let is_inside = |b: &&u8| **b & 0xc0 == 0x80;
        1 + text.iter().skip(1).take_while(is_inside).count()
    }

    /// To be called when all merges are there.
    pub(super) fn finish(mut self) -> Bpe {
        let space = SPACE.encode_utf8(&mut [0; 4]).to_owned();
        let space = space.as_bytes();
        let mut texts: Vec<&[u8]> = vec![&[]; self.count as usize];
        for (text, &symbol) in &self.symbols {
            texts[symbol as usize] = text;
        }
        let reaches_over = |left: Symbol, right: Symbol| {
            !texts[left as usize].ends_with(space) && texts[right as usize].starts_with(space)
        };
        self.words = self.bytes.is_none()
            && !self.rules.whole_pieces
            && self.rules.inner_prefix.is_empty()
            && self.rules.end_suffix.is_empty()
            && self.token(space).is_some()
            && !self.pairs.keys().any(|&(left, right)| reaches_over(left, right));
        self
    }

    /// The part of `piece` that can be encoded by itself: its first word, or all of it.
    pub(super) fn first_part<'p>(&self, piece: &'p str) -> &'p str {
        if self.words { first_word(piece) } else { piece }
    }

    /// Appends the ids of a piece of text.
    pub(super) fn encode(&self, word: &str, scratch: &mut Scratch, out: &mut Vec<u32>) -> Result<(), Unwritable> {
        if self.rules.whole_pieces
            && let Some(id) = self.token(word.as_bytes())
        {
            out.push(id);
            return Ok(());
        }
        let mut after_unknown = false;
        self.merge_up(word, 0..word.len(), UNKNOWN, scratch);
        while let Some((symbol, span)) = scratch.todo.pop() {
            let text = &word.as_bytes()[span.clone()];
            if symbol < self.tokens {
                out.push(symbol);
                after_unknown = false;
            } else if self.first_len(text) < text.len() {
                self.merge_up(word, span, symbol, scratch);
            } else {
                let written = self.rules.fallback.write(text, after_unknown, out);
                after_unknown = written.inspect_err(|_| scratch.todo.clear())?;
            }
        }
        Ok(())
    }

    /// Merges the part `span` of the word, into anything but `never`, and puts what results on the list of things to do.
    fn merge_up(&self, word: &str, span: Range<usize>, never: Symbol, scratch: &mut Scratch) {
        self.place(&word[span.clone()], &mut scratch.places);
        scratch.queue.begin(scratch.places.len());
        scratch.looked_up = None;
        for at in 1..scratch.places.len() {
            self.propose(scratch, at as u32 - 1, at as u32, never);
        }
        while let Some(candidate) = scratch.queue.pop() {
            let places = &mut scratch.places;
            let at = candidate.at;
            let Place { symbol: left, before, after: gone, .. } = places[at as usize];
            if gone == NONE || left != candidate.left || places[gone as usize].symbol != candidate.right {
                continue; // merged with something else meanwhile
            }
            let after = places[gone as usize].after;
            places[gone as usize].symbol = UNKNOWN;
            places[at as usize].symbol = candidate.into;
            places[at as usize].after = after;
            if after != NONE {
                places[after as usize].before = at;
                self.propose(scratch, at, after, never);
            }
            if before != NONE {
                self.propose(scratch, before, at, never);
            }
        }
        let Scratch { places, todo, .. } = scratch;
        let first = todo.len();
        let mut at = 0;
        while let Some(&Place { symbol, after, start, .. }) = places.get(at as usize) {
            let end = places.get(after as usize).map_or(span.len(), |next| next.start);
            todo.push((symbol, span.start + start..span.start + end));
            at = after;
        }
        todo[first..].reverse();
    }

    /// One place for each character of `text`, or for each byte.
    fn place(&self, text: &str, places: &mut Vec<Place>) {
        places.clear();
        let place = |start: usize, symbol: Symbol, places: &mut Vec<Place>| {
            let at = places.len() as u32;
            places.push(Place { symbol, before: at.wrapping_sub(1), after: at + 1, start });
        };
        if let Some(bytes) = &self.bytes {
            for (start, byte) in text.bytes().enumerate() {
                place(start, bytes[byte as usize], places);
            }
        } else {
            let mut written = String::new();
            for (start, c) in text.char_indices() {
                let end = start + c.len_utf8();
                written.clear();
                if start > 0 {
                    written.push_str(&self.rules.inner_prefix);
                }
                written.push(c);
                if end == text.len() {
                    written.push_str(&self.rules.end_suffix);
                }
                place(start, self.symbols.get(written.as_bytes()).copied().unwrap_or(UNKNOWN), places);
            }
        }
        if let Some(last) = places.last_mut() {
            last.after = NONE;
        }
    }

    /// Notes that the neighbours at `at` and `next` may merge, if they may.
    fn propose(&self, scratch: &mut Scratch, at: u32, next: u32, never: Symbol) {
        let (left, right) = (scratch.places[at as usize].symbol, scratch.places[next as usize].symbol);
        let merge = match scratch.looked_up {
            Some((pair, merge)) if pair == (left, right) => merge,
            _ => self.pairs.get(&(left, right)).copied(),
        };
        scratch.looked_up = Some(((left, right), merge));
        if let Some(Merge { rank, into }) = merge
            && into != never
        {
            scratch.queue.push(Candidate { rank, at, left, right, into });
        }
    }
}

/// The text up to the first "▁" that follows something else.
fn first_word(text: &str) -> &str {
    let mut in_word = false;
    for (at, c) in text.char_indices() {
        match c {
            SPACE if in_word => return &text[..at],
            SPACE => {}
            _ => in_word = true,
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(bpe: &Bpe, text: &str) -> Vec<u32> {
        let (mut out, mut rest) = (Vec::new(), text);
        while !rest.is_empty() {
            let part = bpe.first_part(rest);
            bpe.encode(part, &mut Scratch::default(), &mut out).unwrap();
            rest = &rest[part.len()..];
        }
        out
    }

    /// A vocabulary of these texts, by number.
    fn of(texts: &[&str], rules: Rules) -> Bpe {
        Bpe::new(texts.len() as u32, (0..).zip(texts.iter().map(|t| t.as_bytes())), rules)
    }

    #[test]
    fn the_earliest_merge_goes_first_and_the_leftmost_of_equals() {
        let mut bpe = of(&["a", "b", "ab", "ba", "aba"], Rules::default());
        bpe.merge(0, b"b", b"a");
        bpe.merge(1, b"a", b"b");
        bpe.merge(2, b"a", b"ba");
        let bpe = bpe.finish();
        assert_eq!(ids(&bpe, "abab"), [4, 1]); // ba, then a+ba
        assert_eq!(ids(&bpe, "aabb"), [0, 2, 1]);

        let mut bpe = of(&["a", "aa"], Rules::default());
        bpe.merge_into(&[(b"aa", 0)]);
        assert_eq!(ids(&bpe.finish(), "aaaaa"), [1, 1, 0]);
    }

    #[test]
    fn texts_that_are_no_tokens_lead_on_and_come_apart() {
        // "ab" and "cd" are no tokens, "abc" is
        let mut bpe = of(&["a", "b", "c", "d", "abc"], Rules::default());
        assert!(!bpe.merge(0, b"a", b"b"));
        assert!(!bpe.merge(1, b"c", b"d"));
        assert!(bpe.merge(2, b"ab", b"c"));
        let bpe = bpe.finish();
        assert_eq!(ids(&bpe, "abc"), [4]);
        assert_eq!(ids(&bpe, "abcd"), [0, 1, 2, 3]); // cd came before abc
    }

    #[test]
    fn what_no_token_is_falls_back_to_bytes_then_to_unknown() {
        let byte_tokens = |ids: &[(u8, u32)]| {
            let mut tokens = Box::new([None; 256]);
            ids.iter().for_each(|&(byte, id)| tokens[byte as usize] = Some(id));
            Some(tokens)
        };
        let fallback = |fuse| Fallback { bytes: byte_tokens(&[(0xc3, 2), (0xa4, 3)]), unknown: Some(0), fuse };
        let rules = |fuse| Rules { fallback: fallback(fuse), ..Rules::default() };
        let texts = ["<unk>", "a", "<0xC3>", "<0xA4>"];
        let bpe = Bpe::new(4, [(1, texts[1].as_bytes())].into_iter(), rules(true)).finish();
        assert_eq!(ids(&bpe, "aäa"), [1, 2, 3, 1]);
        assert_eq!(ids(&bpe, "aöüa"), [1, 0, 1]);
        let each = Bpe::new(4, [(1, texts[1].as_bytes())].into_iter(), rules(false)).finish();
        assert_eq!(ids(&each, "öü"), [0, 0]);

        let none = of(&["a"], Rules::default()).finish();
        let mut scratch = Scratch::default();
        assert_eq!(none.encode("aö", &mut scratch, &mut Vec::new()), Err(Unwritable("\"ö\"".into())));
        assert_eq!(none.encode("a", &mut scratch, &mut Vec::new()), Ok(()));
        let bytes = of(&["a"], Rules::default()).by_bytes().finish();
        assert_eq!(bytes.encode("b", &mut scratch, &mut Vec::new()), Err(Unwritable("\"b\"".into())));
    }

    #[test]
    fn words_are_encoded_one_by_one_only_where_no_merge_joins_them() {
        let mut apart = of(&["▁", "a", "▁a", "▁▁"], Rules::default());
        apart.merge_into(&[("▁a".as_bytes(), 0), ("▁▁".as_bytes(), 1)]);
        let apart = apart.finish();
        assert!(apart.words);
        assert_eq!(ids(&apart, "▁a▁▁a▁a"), [2, 0, 2, 2]);

        let mut joined = of(&["▁", "a", "a▁"], Rules::default());
        joined.merge_into(&[("a▁".as_bytes(), 0)]);
        let joined = joined.finish();
        assert!(!joined.words);
        assert_eq!(ids(&joined, "▁a▁a"), [0, 2, 1]);
        assert_eq!(first_word("▁▁ab▁c"), "▁▁ab");
    }

    #[test]
    fn prefixes_and_suffixes_mark_the_place_in_a_word() {
        let mut bpe = of(
            &["a", "b", "##a", "##b</w>", "a</w>", "ab</w>"],
            Rules { inner_prefix: "##".into(), end_suffix: "</w>".into(), ..Rules::default() },
        );
        bpe.merge(0, b"a", b"##b</w>");
        let bpe = bpe.finish();
        assert_eq!(ids(&bpe, "ab"), [5]);
        assert_eq!(ids(&bpe, "aab"), [0, 2, 3]);
    }
}
