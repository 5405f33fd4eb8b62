//! A reader of JSON text that stores nothing: strings are checked where they lie, and decoded only by who keeps them.
//!
//! A header may be 100 MB of text from a stranger. A parser that builds values could be made to hold several times
//! that; this one holds a position. What it accepts is what serde_json accepts, nesting limit included.

use crate::{Error, ErrorKind, Result};

/// How deeply arrays and objects may nest: serde_json's limit.
const MAX_DEPTH: usize = 127;

/// A position in a JSON text.
pub(super) struct Cursor<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
}

/// A string as the text spells it: what stands between its quotes, every escape known to be sound.
#[derive(Clone, Copy)]
pub(super) struct Str<'a>(&'a str);

impl<'a> Str<'a> {
    /// The characters that the string means.
    pub(super) fn chars(self) -> impl Iterator<Item = char> + 'a {
        let mut rest = self.0;
        std::iter::from_fn(move || {
            let first = rest.chars().next()?;
            let (c, spelled) = if first == '\\' { unescape(rest)? } else { (first, first.len_utf8()) };
            rest = &rest[spelled..];
            Some(c)
        })
    }

    /// Whether the string means `other`, however it is spelled.
    pub(super) fn is(self, other: &str) -> bool {
        self.chars().eq(other.chars())
    }

    /// At least as many bytes as its characters take.
    pub(super) fn size(self) -> usize {
        self.0.len()
    }

    /// The start of the string in quotes, for an error.
    pub(super) fn quoted(self) -> String {
        crate::file::quoted(&self.chars().take(80).collect::<String>())
    }
}

/// The character that an escape at the start of `text` means, and the length of the escape.
fn unescape(text: &str) -> Option<(char, usize)> {
    let bytes = text.as_bytes();
    let simple = match *bytes.get(1)? {
        c @ (b'"' | b'\\' | b'/') => c as char,
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'u' => {
            let unit = hex4(bytes.get(2..6)?)?;
            if !(0xD800..0xDC00).contains(&unit) {
                return Some((char::from_u32(unit)?, 6));
            }
            // Beyond U+FFFF a character is spelled as two UTF-16 units: \uD83D\uDE00.
            let low = bytes.get(6..8).filter(|b| *b == b"\\u").and(hex4(bytes.get(8..12)?))?;
            let low = low.checked_sub(0xDC00).filter(|&low| low < 0x400)?;
            return Some((char::from_u32(0x10000 + ((unit - 0xD800) << 10) + low)?, 12));
        }
        _ => return None,
    };
    Some((simple, 2))
}

fn hex4(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0, |n, &d| Some(n << 4 | (d as char).to_digit(16)?))
}

impl<'a> Cursor<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Cursor { text, at: 0, depth: 0 }
    }

    /// The byte that the next value or sign begins with; `None` at the end.
    #[inline]
    pub(super) fn peek(&mut self) -> Option<u8> {
        loop {
            match self.text.as_bytes().get(self.at) {
                Some(b' ' | b'\t' | b'\n' | b'\r') => self.at += 1,
                other => return other.copied(),
            }
        }
    }

    fn fail<T>(&self, expected: &str) -> Result<T> {
        let found = match self.text[self.at..].chars().next() {
            Some(c) => format!("{c:?}"),
            None => "its end".to_string(),
        };
        Err(Error::new(
            ErrorKind::Structure,
            format!("at byte {} of the JSON text, {expected} should stand where {found} stands", self.at),
        ))
    }

    fn sign(&mut self, sign: u8, name: &str) -> Result<()> {
        if self.peek() != Some(sign) {
            return self.fail(name);
        }
        self.at += 1;
        Ok(())
    }

    /// Reads an object, handing every key to `each`, which reads the value.
    pub(super) fn object(&mut self, mut each: impl FnMut(&mut Self, Str<'a>) -> Result<()>) -> Result<()> {
        self.sequence((b'{', "an object"), (b'}', "a comma or '}'"), |json| {
            let key = json.string()?;
            json.sign(b':', "a colon")?;
            each(json, key)
        })
    }

    /// Reads an array; `each` reads an element.
    pub(super) fn array(&mut self, each: impl FnMut(&mut Self) -> Result<()>) -> Result<()> {
        self.sequence((b'[', "an array"), (b']', "a comma or ']'"), each)
    }

    fn sequence(
        &mut self,
        open: (u8, &str),
        close: (u8, &str),
        mut each: impl FnMut(&mut Self) -> Result<()>,
    ) -> Result<()> {
        self.sign(open.0, open.1)?;
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(Error::new(
                ErrorKind::Structure,
                format!("the JSON text nests deeper than {MAX_DEPTH} levels"),
            ));
        }
        let mut more = self.peek() != Some(close.0);
        while more {
            each(self)?;
            more = self.peek() == Some(b',');
            self.at += usize::from(more);
        }
        self.depth -= 1;
        self.sign(close.0, close.1)
    }

    /// Reads a string.
    pub(super) fn string(&mut self) -> Result<Str<'a>> {
        self.sign(b'"', "a string")?;
        let start = self.at;
        loop {
            match self.text.as_bytes().get(self.at) {
                Some(b'"') => break,
                Some(b'\\') => match unescape(&self.text[self.at..]) {
                    Some((_, spelled)) => self.at += spelled,
                    None => return self.fail("a valid escape"),
                },
                Some(0x20..) => self.at += 1,
                Some(_) | None => return self.fail("the rest of a string"),
            }
        }
        self.at += 1;
        Ok(Str(&self.text[start..self.at - 1]))
    }

    /// Reads a number: `Some` of an unsigned integer, `None` for any other, `1.0` and `-0` included.
    pub(super) fn number(&mut self) -> Result<Option<u64>> {
        if !matches!(self.peek(), Some(b'-' | b'0'..=b'9')) {
            return self.fail("a number");
        }
        let rest = &self.text.as_bytes()[self.at..];
        let of_number = |b: &u8| matches!(b, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E');
        let token = &rest[..rest.iter().position(|b| !of_number(b)).unwrap_or(rest.len())];
        let plain = token.len() < 20 && token.iter().all(u8::is_ascii_digit) && (token[0] != b'0' || token.len() == 1);
        let number = if plain {
            Some(token.iter().fold(0, |n, &d| 10 * n + u64::from(d - b'0'))) // 19 digits are below 2⁶⁴
        } else {
            // serde_json decides what a number is, and which floats are out of range.
            match serde_json::from_slice::<serde_json::Number>(token) {
                Ok(number) => number.as_u64(),
                Err(_) => return self.fail("a valid number"),
            }
        };
        self.at += token.len();
        Ok(number)
    }

    /// Reads an unsigned integer that fits this machine's sizes.
    pub(super) fn size(&mut self) -> Result<usize> {
        let start = self.at;
        match self.number()?.and_then(|n| usize::try_from(n).ok()) {
            Some(n) => Ok(n),
            None => {
                self.at = start;
                self.peek();
                self.fail("an unsigned 64-bit integer")
            }
        }
    }

    /// Reads `null`, `true` or `false`.
    pub(super) fn word(&mut self, word: &str) -> Result<()> {
        self.peek();
        if !self.text[self.at..].starts_with(word) {
            return self.fail(word);
        }
        self.at += word.len();
        Ok(())
    }

    /// Reads any value and forgets it.
    pub(super) fn skip(&mut self) -> Result<()> {
        match self.peek() {
            Some(b'{') => self.object(|json, _| json.skip()),
            Some(b'[') => self.array(Self::skip),
            Some(b'"') => self.string().map(drop),
            Some(b'n') => self.word("null"),
            Some(b't') => self.word("true"),
            Some(b'f') => self.word("false"),
            Some(b'-' | b'0'..=b'9') => self.number().map(drop),
            _ => self.fail("a value"),
        }
    }

    /// Nothing but blanks may follow.
    pub(super) fn end(&mut self) -> Result<()> {
        match self.peek() {
            None => Ok(()),
            Some(_) => self.fail("nothing more"),
        }
    }
}
