//! What is done to text before it is cut into pieces: what a file calls its normaliser.

use super::{
    charsmap::Charsmap,
    pattern::{Fuel, OutOfFuel, Pattern},
    set::Set,
    trie::Trie,
    vocab::{SPACE, byte_level},
};
use std::borrow::Cow;
use unicode_normalization::UnicodeNormalization;
use unicode_segmentation::UnicodeSegmentation;

/// One step of a normaliser.
#[derive(Debug)]
pub(super) enum Normal {
    /// Puts a text before every part that is not empty.
    Prepend(String),
    /// Writes something else for what a pattern matches.
    Replace {
        pattern: Pattern,
        with: String,
    },
    Nfc,
    Nfd,
    Nfkc,
    Nfkd,
    Lowercase,
    /// Drops combining marks.
    StripAccents(Set),
    /// Drops white space at the ends.
    Strip {
        left: bool,
        right: bool,
    },
    /// Drops control characters, and writes other white space as spaces.
    Nmt,
    /// SentencePiece's table, applied as the `tokenizers` library does: to a grapheme as a whole where one is short and the
    /// table knows how it begins, to each character otherwise.
    Graphemes(Charsmap),
    SentencePiece(SentencePiece),
    Bert(Bert),
    /// Writes bytes as characters.
    ByteLevel,
}

/// SentencePiece's own normaliser.
#[derive(Debug)]
pub(super) struct SentencePiece {
    pub(super) map: Option<Charsmap>,
    /// Texts that pass unchanged.
    pub(super) kept: Trie,
    /// A space is put before the text, or after it.
    pub(super) add_space: bool,
    pub(super) space_is_suffix: bool,
    /// Spaces at the ends go, and of several one is left.
    pub(super) remove_extra_spaces: bool,
    /// Spaces are written as "▁".
    pub(super) escape: bool,
    /// Which ASCII characters are written as they are, whatever ASCII follows.
    pub(super) plain: Plain,
}

/// A set of ASCII characters.
#[derive(Debug)]
pub(super) struct Plain([bool; 128]);

impl Plain {
    /// Those that begin nothing in either table, or only something that goes on outside of ASCII: an accent, say.
    pub(super) fn of(map: Option<&Charsmap>, kept: &Trie) -> Plain {
        let in_map = |text: &[u8]| map.is_some_and(|map| map.begins_with(text));
        let alone = |c: u8| map.is_some_and(|map| map.longest(char::from(c).encode_utf8(&mut [0; 4])).is_some());
        let is_plain =
            |c: u8| c != b' ' && !alone(c) && !kept.begins_with(c) && (0..128).all(|next| !in_map(&[c, next]));
        Plain(std::array::from_fn(|c| is_plain(c as u8)))
    }

    /// How many characters of `text` are written as they are, before the first that may not be.
    fn run(&self, text: &str) -> usize {
        let bytes = text.as_bytes();
        let is_plain = |at: &usize| {
            self.0.get(bytes[*at] as usize).is_some_and(|&plain| plain) && bytes.get(at + 1).is_none_or(u8::is_ascii)
        };
        (0..bytes.len()).take_while(is_plain).count()
    }
}

/// BERT's own normaliser.
#[derive(Debug)]
pub(super) struct Bert {
    /// Drops control characters, and writes other white space as spaces.
    pub(super) clean: bool,
    /// Puts spaces around Chinese characters.
    pub(super) part_chinese: bool,
    /// Drops accents.
    pub(super) strip_accents: bool,
    pub(super) lowercase: bool,
    pub(super) control: Set,
    pub(super) accents: Set,
}

impl Normal {
    /// Writes `with` for every `text`.
    pub(super) fn replace(text: &str, with: impl Into<String>) -> Result<Normal, String> {
        Ok(Normal::Replace { pattern: Pattern::literal(text)?, with: with.into() })
    }

    /// The text after this step.
    pub(super) fn apply<'t>(&self, text: Cow<'t, str>, fuel: &mut Fuel) -> Result<Cow<'t, str>, OutOfFuel> {
        Ok(match self {
            Normal::Prepend(_) if text.is_empty() => text,
            Normal::Prepend(before) => Cow::Owned(format!("{before}{text}")),
            Normal::Replace { pattern, with } => return replace(text, pattern, with, fuel),
            Normal::Nfc => Cow::Owned(text.nfc().collect()),
            Normal::Nfd => Cow::Owned(text.nfd().collect()),
            Normal::Nfkc => Cow::Owned(text.nfkc().collect()),
            Normal::Nfkd => Cow::Owned(text.nfkd().collect()),
            // character by character: a final sigma is none here
            Normal::Lowercase => Cow::Owned(text.chars().flat_map(char::to_lowercase).collect()),
            Normal::StripAccents(marks) => Cow::Owned(text.chars().filter(|&c| !marks.has(c)).collect()),
            Normal::Strip { left, right } => {
                let stripped = if *left { text.trim_start() } else { &text };
                Cow::Owned(if *right { stripped.trim_end() } else { stripped }.to_owned())
            }
            Normal::Nmt => Cow::Owned(text.chars().filter_map(nmt).collect()),
            Normal::Graphemes(map) => Cow::Owned(by_graphemes(map, &text)),
            Normal::SentencePiece(normaliser) => Cow::Owned(normaliser.apply(&text)),
            Normal::Bert(normaliser) => Cow::Owned(normaliser.apply(&text)),
            Normal::ByteLevel => Cow::Owned(text.bytes().map(byte_level::char_of).collect()),
        })
    }
}

fn replace<'t>(text: Cow<'t, str>, pattern: &Pattern, with: &str, fuel: &mut Fuel) -> Result<Cow<'t, str>, OutOfFuel> {
    let mut out = String::new();
    let (mut done, mut from) = (0, 0);
    while let Some(found) = pattern.find(&text, from, fuel)? {
        out.push_str(&text[done..found.start]);
        out.push_str(with);
        (done, from) = (found.end, found.end);
        if found.is_empty() {
            match text[from..].chars().next() {
                Some(c) => from += c.len_utf8(),
                None => break,
            }
        }
    }
    if done == 0 && out.is_empty() {
        return Ok(text);
    }
    out.push_str(&text[done..]);
    Ok(Cow::Owned(out))
}

/// What the rule set that SentencePiece calls "nmt" makes of a character.
fn nmt(c: char) -> Option<char> {
    match u32::from(c) {
        0x1..=0x8 | 0xb | 0xe..=0x1f | 0x7f | 0x8f | 0x9f => None,
        0x9 | 0xa | 0xc | 0xd | 0x1680 | 0x200b..=0x200f | 0x2028 | 0x2029 | 0x2581 | 0xfeff | 0xfffd => Some(' '),
        _ => Some(c),
    }
}

fn by_graphemes(map: &Charsmap, text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for grapheme in text.graphemes(true) {
        if grapheme.len() < 6
            && let Some(written) = map.shortest(grapheme)
        {
            out.push_str(written);
            continue;
        }
        for c in grapheme.chars() {
            let mut buffer = [0; 4];
            let c = c.encode_utf8(&mut buffer);
            out.push_str(map.shortest(c).unwrap_or(c));
        }
    }
    out
}

impl SentencePiece {
    fn apply(&self, text: &str) -> String {
        let space = if self.escape { SPACE } else { ' ' };
        let mut out = String::with_capacity(text.len() + 3);
        let mut rest = text;
        if self.remove_extra_spaces {
            while let (len, " ") = self.next(rest) {
                rest = &rest[len..];
            }
        }
        if rest.is_empty() {
            return out;
        }
        if self.add_space && !self.space_is_suffix {
            out.push(space);
        }
        let mut after_space = self.remove_extra_spaces;
        while !rest.is_empty() {
            let plain = self.plain.run(rest);
            if plain > 0 {
                out.push_str(&rest[..plain]);
                rest = &rest[plain..];
                after_space = false;
                continue;
            }
            let (len, written) = self.next(rest);
            rest = &rest[len..];
            let written = if after_space { written.trim_start_matches(' ') } else { written };
            if !written.is_empty() {
                out.extend(written.chars().map(|c| if c == ' ' { space } else { c }));
                after_space = self.remove_extra_spaces && written.ends_with(' ');
            }
        }
        if self.remove_extra_spaces {
            out.truncate(out.trim_end_matches(space).len());
        }
        if self.add_space && self.space_is_suffix {
            out.push(space);
        }
        out
    }

    /// What is written for the beginning of `text`, and how much of it that is. Of an empty text: nothing, for nothing.
    fn next<'t>(&'t self, text: &'t str) -> (usize, &'t str) {
        let kept =
            self.kept.prefixes(text.as_bytes()).map(|(len, _)| len).filter(|&len| text.is_char_boundary(len)).last();
        if let Some(len) = kept {
            return (len, &text[..len]);
        }
        if let Some(found) = self.map.as_ref().and_then(|map| map.longest(text)) {
            return found;
        }
        let len = text.chars().next().map_or(0, char::len_utf8);
        (len, &text[..len])
    }
}

impl Bert {
    /// As the models that have no other settings were trained.
    pub(super) fn new(lowercase: bool, strip_accents: bool) -> Result<Bert, String> {
        Ok(Bert {
            clean: true,
            part_chinese: true,
            strip_accents,
            lowercase,
            control: Set::parse(r"[\p{Cc}\p{Cf}\p{Co}]", false)?,
            accents: Set::parse(r"\p{Mn}", false)?,
        })
    }

    fn apply(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        for c in text.chars() {
            let is_space = matches!(c, '\t' | '\n' | '\r') || c.is_whitespace();
            let c = match self.clean {
                true if c == '\0' || c == char::REPLACEMENT_CHARACTER || (!is_space && self.control.has(c)) => continue,
                true if is_space => ' ',
                _ => c,
            };
            if self.part_chinese && is_chinese(c) {
                out.extend([' ', c, ' ']);
            } else {
                out.push(c);
            }
        }
        if self.strip_accents {
            out = out.nfd().filter(|&c| !self.accents.has(c)).collect();
        }
        if self.lowercase {
            out = out.chars().flat_map(char::to_lowercase).collect();
        }
        out
    }
}

/// The blocks of Chinese characters that BERT knows. (Extension E should begin at U+2B820; this is what models learned.)
fn is_chinese(c: char) -> bool {
    matches!(u32::from(c),
        0x3400..=0x4dbf | 0x4e00..=0x9fff | 0xf900..=0xfaff | 0x20000..=0x2a6df | 0x2a700..=0x2b73f
        | 0x2b740..=0x2b81f | 0x2b920..=0x2ceaf | 0x2f800..=0x2fa1f)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokenizer::charsmap;

    /// With a map of "a" and "ab", and "cd" kept as it is: every text of six characters, beside no short way at all.
    #[test]
    fn plain_runs_change_nothing() {
        let with = |remove_extra_spaces, run: bool| {
            let map = Charsmap::new(&charsmap::tests::table()).unwrap();
            let kept = Trie::new(vec![(b"cd", 0)]);
            let plain = if run { Plain::of(map.as_ref(), &kept) } else { Plain([false; 128]) };
            SentencePiece {
                map,
                kept,
                add_space: true,
                space_is_suffix: false,
                remove_extra_spaces,
                escape: true,
                plain,
            }
        };
        let plain = with(true, true).plain.0;
        assert_eq!([b'a', b'b', b'c', b'd', b' '].map(|c| plain[c as usize]), [false, true, false, true, false]);
        for remove in [false, true] {
            let (quick, slow) = (with(remove, true), with(remove, false));
            for n in 0..6u32.pow(6) {
                let text: String =
                    (0..6).map(|i| ['a', 'b', 'c', 'd', ' ', 'é'][(n / 6u32.pow(i) % 6) as usize]).collect();
                assert_eq!(quick.apply(&text), slow.apply(&text), "{text:?}");
            }
        }
    }
}
