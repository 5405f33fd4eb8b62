//! Cutting text into the pieces that are encoded on their own: what a file calls its pre-tokenizer.

use super::{
    pattern::{Fuel, OutOfFuel, Pattern},
    vocab::byte_level,
};
use std::{borrow::Cow, ops::Range};

/// One step of a pre-tokenizer. Each works on every piece that the step before left.
#[derive(Debug)]
pub(super) enum Step {
    /// Cuts around the matches of a pattern.
    Pattern { pattern: Pattern, behavior: Behavior, invert: bool },
    /// Cuts the runs of digits that the pattern finds into groups of three, counted from the right.
    DigitGroups { runs: Pattern, isolate: bool },
    /// Puts a space before every piece that has none.
    SpacePrefix,
    /// Writes bytes as characters.
    ByteLevel,
    /// Writes spaces as another character, and begins pieces with it.
    Metaspace { space: char, prepend: Prepend, split: bool },
}

/// What becomes of a match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Behavior {
    /// A piece of its own.
    Isolated,
    /// Dropped.
    Removed,
    /// Part of the piece before it.
    MergedWithPrevious,
    /// Part of the piece after it.
    MergedWithNext,
    /// Neighbouring matches are one piece.
    Contiguous,
}

/// Which pieces begin with a space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Prepend {
    Always,
    /// Only the one at the very start of the text.
    First,
    Never,
}

impl Step {
    /// Matches become pieces of their own.
    pub(super) fn isolate(pattern: &str) -> Result<Step, String> {
        Ok(match pattern {
            // Both look ahead to the end of the run from every digit; counting once gives the same cuts.
            r"(?=(\d{3})+(?!\d))" => Step::DigitGroups { runs: Pattern::new(r"\d++")?, isolate: false },
            r"\d{1,3}(?=(?:\d{3})*\b)" => Step::DigitGroups { runs: Pattern::new(r"\d++\b")?, isolate: true },
            _ => Step::Pattern { pattern: Pattern::new(pattern)?, behavior: Behavior::Isolated, invert: false },
        })
    }
}

/// What counts as punctuation where a file says just that.
pub(super) const PUNCTUATION: &str = r"[!-/:-@\[-`{-~\p{P}]";

/// BERT's pre-tokenizer: words without the space between them, and punctuation.
pub(super) fn bert() -> Result<Vec<Step>, String> {
    let spaces = Step::Pattern { pattern: Pattern::new(r"\s")?, behavior: Behavior::Removed, invert: false };
    Ok(vec![spaces, Step::isolate(PUNCTUATION)?])
}

/// Pieces of a text, which the steps may have rewritten.
#[derive(Debug)]
pub(super) struct Pieces<'t> {
    pub(super) text: Cow<'t, str>,
    pub(super) ranges: Vec<Range<usize>>,
}

/// Cuts `text`; `first` says that it is the beginning of all text.
pub(super) fn split<'t>(
    steps: &[Step],
    text: Cow<'t, str>,
    first: bool,
    fuel: &mut Fuel,
) -> Result<Pieces<'t>, OutOfFuel> {
    let whole = 0..text.len();
    let mut pieces = Pieces { text, ranges: vec![whole] };
    for step in steps {
        let ranges = std::mem::take(&mut pieces.ranges);
        match step {
            Step::Pattern { pattern, behavior, invert } => {
                for range in ranges {
                    cut(pattern, *behavior, *invert, &pieces.text, range, fuel, &mut pieces.ranges)?;
                }
            }
            Step::DigitGroups { runs, isolate } => {
                for range in ranges {
                    cut_digits(runs, *isolate, &pieces.text, range, fuel, &mut pieces.ranges)?;
                }
            }
            Step::SpacePrefix => {
                pieces.rewrite(ranges, |_, piece, out| {
                    if !piece.starts_with(' ') {
                        out.push(' ');
                    }
                    out.push_str(piece);
                });
            }
            Step::ByteLevel => {
                pieces.rewrite(ranges, |_, piece, out| out.extend(piece.bytes().map(byte_level::char_of)));
            }
            Step::Metaspace { space, prepend, split } => {
                pieces.rewrite(ranges, |start, piece, out| {
                    let wanted = match prepend {
                        Prepend::Always => true,
                        Prepend::First => first && start == 0,
                        Prepend::Never => false,
                    };
                    if wanted && !piece.starts_with([' ', *space]) {
                        out.push(*space);
                    }
                    out.extend(piece.chars().map(|c| if c == ' ' { *space } else { c }));
                });
                if *split {
                    let whole = std::mem::take(&mut pieces.ranges);
                    for range in whole {
                        cut_before(*space, &pieces.text, range, &mut pieces.ranges);
                    }
                }
            }
        }
        pieces.ranges.retain(|r| !r.is_empty());
    }
    Ok(pieces)
}

impl Pieces<'_> {
    /// Writes every piece anew: where it starts, what it is, and where to write it.
    fn rewrite(&mut self, ranges: Vec<Range<usize>>, write: impl Fn(usize, &str, &mut String)) {
        let mut out = String::with_capacity(self.text.len() + ranges.len());
        for range in ranges {
            let start = out.len();
            write(range.start, &self.text[range.clone()], &mut out);
            self.ranges.push(start..out.len());
        }
        self.text = Cow::Owned(out);
    }
}

/// Cuts `range` of the text around the matches of `pattern`, which sees nothing outside of it.
fn cut(
    pattern: &Pattern,
    behavior: Behavior,
    invert: bool,
    text: &str,
    range: Range<usize>,
    fuel: &mut Fuel,
    out: &mut Vec<Range<usize>>,
) -> Result<(), OutOfFuel> {
    let base = range.start;
    let text = &text[range];
    let mut pieces = Vec::new(); // and whether each is a match
    let mut add = |from: usize, to: usize, matched: bool| pieces.push((base + from..base + to, matched != invert));
    let (mut done, mut from) = (0, 0); // cut so far; where to search
    while let Some(found) = pattern.find(text, from, fuel)? {
        if done < found.start {
            add(done, found.start, false);
        }
        add(found.start, found.end, true);
        (done, from) = (found.end, found.end);
        if found.is_empty() {
            match text[from..].chars().next() {
                Some(c) => from += c.len_utf8(),
                None => break,
            }
        }
    }
    if done < text.len() {
        add(done, text.len(), false);
    }
    match behavior {
        Behavior::Isolated => out.extend(pieces.into_iter().map(|(piece, _)| piece)),
        Behavior::Removed => out.extend(pieces.into_iter().filter(|(_, matched)| !matched).map(|(piece, _)| piece)),
        Behavior::Contiguous => out.extend(joined(pieces.into_iter(), |matched, last| matched == last)),
        Behavior::MergedWithPrevious => out.extend(joined(pieces.into_iter(), |matched, last| matched && !last)),
        Behavior::MergedWithNext => {
            let backwards = joined(pieces.into_iter().rev(), |matched, last| matched && !last);
            out.extend(backwards.into_iter().rev());
        }
    }
    Ok(())
}

/// Joins a piece to its neighbour before it where `joins` says so, from whether each is a match.
fn joined(pieces: impl Iterator<Item = (Range<usize>, bool)>, joins: impl Fn(bool, bool) -> bool) -> Vec<Range<usize>> {
    let mut out: Vec<Range<usize>> = Vec::new();
    let mut last_matched = false;
    for (piece, matched) in pieces {
        match out.last_mut() {
            Some(last) if joins(matched, last_matched) => *last = last.start.min(piece.start)..last.end.max(piece.end),
            _ => out.push(piece),
        }
        last_matched = matched;
    }
    out
}

/// Cuts each run of digits into groups of three from its right end. A rest of one or two stays with the text before the
/// run unless groups are isolated.
fn cut_digits(
    runs: &Pattern,
    isolate: bool,
    text: &str,
    range: Range<usize>,
    fuel: &mut Fuel,
    out: &mut Vec<Range<usize>>,
) -> Result<(), OutOfFuel> {
    let base = range.start;
    let text = &text[range];
    let (mut done, mut from) = (0, 0);
    while let Some(run) = runs.find(text, from, fuel)? {
        let digits = &text[run.clone()];
        let count = digits.chars().count();
        for (i, (at, _)) in digits.char_indices().enumerate() {
            if (count - i).is_multiple_of(3) || (isolate && i == 0) {
                out.push(base + done..base + run.start + at);
                done = run.start + at;
            }
        }
        if isolate {
            out.push(base + done..base + run.end);
            done = run.end;
        }
        from = run.end;
    }
    out.push(base + done..base + text.len());
    Ok(())
}

/// Cuts before every `space`.
fn cut_before(space: char, text: &str, range: Range<usize>, out: &mut Vec<Range<usize>>) {
    let mut start = range.start;
    for (at, _) in text[range.clone()].match_indices(space) {
        out.push(start..range.start + at);
        start = range.start + at;
    }
    out.push(start..range.end);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(steps: &[Step], text: &str, first: bool) -> Vec<String> {
        let pieces = split(steps, text.into(), first, &mut Fuel::for_text(text.len())).unwrap();
        pieces.ranges.iter().map(|r| pieces.text[r.clone()].to_owned()).collect()
    }

    #[test]
    fn behaviors() {
        let with = |behavior, invert, text: &str| {
            pieces(&[Step::Pattern { pattern: Pattern::new("-").unwrap(), behavior, invert }], text, true)
        };
        assert_eq!(
            with(Behavior::Isolated, false, "the-final--countdown"),
            ["the", "-", "final", "-", "-", "countdown"]
        );
        assert_eq!(with(Behavior::Removed, false, "the-final--countdown"), ["the", "final", "countdown"]);
        assert_eq!(
            with(Behavior::MergedWithPrevious, false, "the-final--countdown"),
            ["the-", "final-", "-", "countdown"]
        );
        assert_eq!(with(Behavior::MergedWithNext, false, "the-final--countdown"), ["the", "-final", "-", "-countdown"]);
        assert_eq!(with(Behavior::Contiguous, false, "the-final--countdown"), ["the", "-", "final", "--", "countdown"]);
        assert_eq!(with(Behavior::Removed, true, "the-final--countdown"), ["-", "-", "-"]);
        assert_eq!(with(Behavior::MergedWithNext, false, "-a-"), ["-a", "-"]);
        assert_eq!(with(Behavior::MergedWithPrevious, false, "-a-"), ["-", "a-"]);
        assert!(with(Behavior::Isolated, false, "").is_empty());
    }

    #[test]
    fn digits_are_grouped_from_the_right() {
        let loose = [Step::isolate(r"(?=(\d{3})+(?!\d))").unwrap()];
        assert_eq!(pieces(&loose, "12345", true), ["12", "345"]);
        assert_eq!(pieces(&loose, "ab123456c1", true), ["ab", "123", "456c1"]);
        let isolated = [Step::isolate(r"\d{1,3}(?=(?:\d{3})*\b)").unwrap()];
        assert_eq!(pieces(&isolated, "x 1234567, 12a", true), ["x ", "1", "234", "567", ", 12a"]);
        let arabic = "١٢٣٤";
        assert_eq!(pieces(&isolated, arabic, true), ["١", "٢٣٤"]);
    }

    #[test]
    fn spaces_are_put_before_pieces() {
        let metaspace = |prepend| [Step::Metaspace { space: '▁', prepend, split: true }];
        assert_eq!(pieces(&metaspace(Prepend::Always), "a  b", false), ["▁a", "▁", "▁b"]);
        assert_eq!(pieces(&metaspace(Prepend::First), "a", false), ["a"]);
        assert_eq!(pieces(&metaspace(Prepend::First), "a", true), ["▁a"]);
        assert_eq!(pieces(&metaspace(Prepend::Never), " a", true), ["▁a"]);
        assert_eq!(pieces(&[Step::SpacePrefix], "a", true), [" a"]);
        assert_eq!(pieces(&[Step::SpacePrefix], " a", true), [" a"]);
    }
}
