//! Regular expressions as tokenizers use them: alternatives of repeated character classes, with lookaheads.
//!
//! `\s+(?!\S)` stands in nearly every pre-tokenizer, and no engine that knows lookaheads promises linear time or survives
//! three megabytes of spaces. These patterns need little else, so a small matcher does: the classes are parsed by
//! `regex_syntax`, which knows Unicode, and become bit sets; the rest becomes a list of [`Op`]s, run with an explicit
//! stack of places to go back to. Every step burns fuel, so a hostile pattern ends in an error and not in a hang.
//!
//! The dialect is the one that `tokenizer.json` is written in (Oniguruma's): `$` is the end of a line, possessive `?+`,
//! `*+` and `++` give nothing back, and a construct that is not known here is refused by name.

mod parse;
#[cfg(test)]
mod tests;

use super::set::Set;
use std::ops::Range;

/// A compiled pattern.
#[derive(Debug)]
pub(super) struct Pattern {
    ops: Vec<Op>,
    sets: Vec<Set>,
    /// The class of the unbounded run that the pattern begins with, when there is no other way to begin. Where no match
    /// begins at the start of such a run, none begins inside it: the longer run would have been a match too.
    leading_run: Option<usize>,
}

/// What the matcher does next.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Op {
    /// As many characters of one class as there are, from `min` to `max`; gives them back one by one unless possessive.
    Run { set: usize, min: u32, max: u32, possessive: bool },
    /// Goes on at `first`, and at `second` when that fails.
    Fork { first: usize, second: usize },
    /// Goes on elsewhere.
    Jump(usize),
    /// Tries the operations that follow, up to their `Accept`, without moving; then goes on at `end`.
    Look { negative: bool, end: usize },
    /// Takes the first way through the operations that follow, up to their `Accept`, for good; then goes on at `end`.
    Atomic { end: usize },
    /// Holds or fails, without moving.
    Assert(Assert),
    /// The end of the pattern, or of a lookahead.
    Accept,
}

/// A condition on a place between two characters.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Assert {
    TextStart,
    TextEnd,
    LineStart,
    LineEnd,
    /// One side is in the class (of word characters), the other is not; or the opposite.
    Boundary {
        word: usize,
        negative: bool,
    },
}

/// A place to go back to.
enum Frame {
    At {
        op: usize,
        at: usize,
    },
    /// A run that can be one character shorter, down to `low`.
    Shorter {
        op: usize,
        low: usize,
        at: usize,
    },
}

/// Steps that a search may still take.
pub(super) struct Fuel(u64);

/// The steps ran out: the pattern backtracks without end on this text.
#[derive(Debug, PartialEq)]
pub(super) struct OutOfFuel;

impl Fuel {
    /// Enough for every honest pattern on `len` bytes of text, which needs a few steps for each; seconds at most.
    pub(super) fn for_text(len: usize) -> Fuel {
        Fuel(10_000_000 + 512 * len as u64)
    }

    fn burn(&mut self, steps: usize) -> Result<(), OutOfFuel> {
        self.0 = self.0.checked_sub(steps as u64).ok_or(OutOfFuel)?;
        Ok(())
    }
}

impl Pattern {
    /// Compiles `source`, or says what in it is not supported.
    pub(super) fn new(source: &str) -> Result<Pattern, String> {
        parse::compile(source)
    }

    /// The pattern that matches exactly `text`.
    pub(super) fn literal(text: &str) -> Result<Pattern, String> {
        let escape = |c: char| c.is_ascii_punctuation().then_some('\\').into_iter().chain([c]);
        Pattern::new(&text.chars().flat_map(escape).collect::<String>())
    }

    /// The leftmost match at or after `from`.
    pub(super) fn find(&self, text: &str, from: usize, fuel: &mut Fuel) -> Result<Option<Range<usize>>, OutOfFuel> {
        let mut stack = Vec::new();
        let mut start = from;
        loop {
            if let Some(end) = self.run(0, text, start, &mut stack, fuel)? {
                return Ok(Some(start..end));
            }
            // Without this, `\s+$` on a thousand spaces and a letter looks at half a million of them.
            if let Some(set) = self.leading_run {
                let (end, _, count) = self.longest_run(set, 0, u32::MAX, text, start);
                fuel.burn(count as usize)?;
                start = end;
            }
            match text[start..].chars().next() {
                Some(c) => start += c.len_utf8(),
                None => return Ok(None),
            }
        }
    }

    /// Runs from operation `op` at byte `at` of the text; where `Accept` was reached, if it was.
    fn run(
        &self,
        mut op: usize,
        text: &str,
        mut at: usize,
        stack: &mut Vec<Frame>,
        fuel: &mut Fuel,
    ) -> Result<Option<usize>, OutOfFuel> {
        let base = stack.len();
        loop {
            fuel.burn(1)?;
            let holds = match self.ops[op] {
                Op::Accept => {
                    stack.truncate(base);
                    return Ok(Some(at));
                }
                Op::Run { set, min, max, possessive } => {
                    let (end, low, count) = self.longest_run(set, min, max, text, at);
                    fuel.burn(count as usize)?;
                    if count >= min && end > low && !possessive {
                        stack.push(Frame::Shorter { op: op + 1, low, at: end });
                    }
                    at = end;
                    op += 1;
                    count >= min
                }
                Op::Fork { first, second } => {
                    stack.push(Frame::At { op: second, at });
                    op = first;
                    true
                }
                Op::Jump(to) => {
                    op = to;
                    true
                }
                Op::Look { negative, end } => {
                    let found = self.run(op + 1, text, at, stack, fuel)?.is_some();
                    op = end;
                    found != negative
                }
                Op::Atomic { end } => match self.run(op + 1, text, at, stack, fuel)? {
                    Some(reached) => {
                        (op, at) = (end, reached);
                        true
                    }
                    None => false,
                },
                Op::Assert(assert) => {
                    op += 1;
                    self.asserted(assert, text, at)
                }
            };
            if holds {
                continue;
            }
            if stack.len() == base {
                return Ok(None);
            }
            match stack.pop() {
                Some(Frame::At { op: o, at: a }) => (op, at) = (o, a),
                Some(Frame::Shorter { op: o, low, at: end }) => {
                    let shorter = text[..end].char_indices().next_back().map_or(low, |(i, _)| i);
                    if shorter > low {
                        stack.push(Frame::Shorter { op: o, low, at: shorter });
                    }
                    (op, at) = (o, shorter);
                }
                None => return Ok(None),
            }
        }
    }

    /// Where the longest run of the class ends, where its first `min` characters end, and how many characters it has.
    fn longest_run(&self, set: usize, min: u32, max: u32, text: &str, from: usize) -> (usize, usize, u32) {
        let set = &self.sets[set];
        let bytes = text.as_bytes();
        let (mut at, mut low, mut count) = (from, from, 0);
        while count < max {
            let Some(&byte) = bytes.get(at) else { break };
            let len = if byte < 0x80 {
                if !set.has_ascii(byte) {
                    break;
                }
                1
            } else {
                match text[at..].chars().next() {
                    Some(c) if set.has(c) => c.len_utf8(),
                    _ => break,
                }
            };
            at += len;
            count += 1;
            if count <= min {
                low = at;
            }
        }
        (at, low, count)
    }

    fn asserted(&self, assert: Assert, text: &str, at: usize) -> bool {
        let before = || text[..at].chars().next_back();
        let after = || text[at..].chars().next();
        match assert {
            Assert::TextStart => at == 0,
            Assert::TextEnd => at == text.len(),
            Assert::LineStart => before().is_none_or(|c| c == '\n'),
            Assert::LineEnd => after().is_none_or(|c| c == '\n'),
            Assert::Boundary { word, negative } => {
                let is_word = |c: Option<char>| c.is_some_and(|c| self.sets[word].has(c));
                (is_word(before()) != is_word(after())) != negative
            }
        }
    }
}
