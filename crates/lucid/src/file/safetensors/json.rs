//! A reader of JSON text that stores nothing: strings are checked where they lie, and decoded only by who keeps them.
//!
//! A header may be 100 MB of text from a stranger. A parser that builds values could be made to hold several times
//! that; this one holds a position, and tells its caller how far it is, who can let go of the pages behind it. What it
//! accepts is what serde_json accepts, nesting limit included.

use crate::{Error, ErrorKind, Result};

/// How often the caller hears how far the reading is, in bytes.
const STRETCH: usize = 1 << 20;

/// How deeply arrays and objects may nest: serde_json's limit.
const MAX_DEPTH: usize = 127;

/// A position in a JSON text.
pub(super) struct Cursor<'a> {
    /// Known to be UTF-8.
    text: &'a [u8],
    at: usize,
    depth: usize,
    /// Told how many bytes have been read, now and then.
    passed: &'a dyn Fn(usize),
    /// Where to tell it next.
    tell: usize,
}

/// A string as the text spells it: what stands between its quotes, UTF-8, every escape known to be sound.
#[derive(Clone, Copy)]
pub(super) struct Str<'a>(&'a [u8]);

impl<'a> Str<'a> {
    /// The characters that the string means.
    pub(super) fn chars(self) -> impl Iterator<Item = char> + 'a {
        let mut rest = self.0;
        std::iter::from_fn(move || {
            let (c, spelled) = if rest.first() == Some(&b'\\') { unescape(rest)? } else { first_char(rest)? };
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

/// The first character of a text that is UTF-8, and its length.
fn first_char(text: &[u8]) -> Option<(char, usize)> {
    let length = match text.first()? {
        0..0xC0 => 1,
        0xC0..0xE0 => 2,
        0xE0..0xF0 => 3,
        0xF0.. => 4,
    };
    let c = std::str::from_utf8(text.get(..length)?).ok()?.chars().next()?;
    Some((c, length))
}

/// The character that an escape at the start of `text` means, and the length of the escape.
fn unescape(bytes: &[u8]) -> Option<(char, usize)> {
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
    /// The start of `text`, which must be UTF-8: the error is the first byte that is none. `passed` is told how many bytes
    /// have been read, every megabyte or so; what lies before is read again only where a string that began there is kept.
    pub(super) fn new(text: &'a [u8], passed: &'a dyn Fn(usize)) -> std::result::Result<Self, usize> {
        let mut valid = 0;
        while valid < text.len() {
            let end = text.len().min(valid + STRETCH);
            match std::str::from_utf8(&text[valid..end]) {
                Ok(_) => valid = end,
                // A character that the end of the stretch cuts begins the next one.
                Err(e) if e.error_len().is_none() && end < text.len() => valid += e.valid_up_to(),
                Err(e) => return Err(valid + e.valid_up_to()),
            }
            passed(valid);
        }
        Ok(Cursor { text, at: 0, depth: 0, passed, tell: STRETCH })
    }

    /// The byte here; `None` at the end.
    #[inline]
    fn byte(&mut self) -> Option<u8> {
        if self.at >= self.tell {
            (self.passed)(self.at);
            self.tell = self.at + STRETCH;
        }
        self.text.get(self.at).copied()
    }

    /// The byte that the next value or sign begins with; `None` at the end.
    #[inline]
    pub(super) fn peek(&mut self) -> Option<u8> {
        loop {
            match self.byte() {
                Some(b' ' | b'\t' | b'\n' | b'\r') => self.at += 1,
                other => return other,
            }
        }
    }

    fn fail<T>(&self, expected: &str) -> Result<T> {
        let found = match first_char(&self.text[self.at..]) {
            Some((c, _)) => format!("{c:?}"),
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
            match self.byte() {
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
        let start = self.at;
        while let Some(b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E') = self.byte() {
            self.at += 1;
        }
        let token = &self.text[start..self.at];
        let plain = token.len() < 20 && token.iter().all(u8::is_ascii_digit) && (token[0] != b'0' || token.len() == 1);
        let number = if plain {
            Some(token.iter().fold(0, |n, &d| 10 * n + u64::from(d - b'0'))) // 19 digits are below 2⁶⁴
        } else {
            // serde_json decides what a number is, and which floats are out of range.
            let short = if token.len() < STRETCH { None } else { Some(shortened(token, start, self.passed)) };
            let token = short.as_ref().map_or(token, |s| s.as_bytes());
            match serde_json::from_slice::<serde_json::Number>(token) {
                Ok(number) => number.as_u64(),
                Err(_) => {
                    self.at = start;
                    return self.fail("a valid number");
                }
            }
        };
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
        if !self.text[self.at..].starts_with(word.as_bytes()) {
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

/// Significant digits that decide whether a decimal number is below the largest f64: that limit has 309 of them.
const DIGITS: usize = 400;

/// A number of few digits in the place of a very long one: as valid, and out of range exactly if that one is. `token` stands
/// at byte `at` of a text whose reading `passed` is told of.
///
/// Digits beyond the first 400 that count are cut off. The limit of the range is an integer of 309 digits, so cutting moves no
/// number across it. What is no number comes back as an empty text, which is none either.
fn shortened(token: &[u8], at: usize, passed: &dyn Fn(usize)) -> String {
    let mut here = 0;
    let mut next = |wanted: fn(u8) -> bool| {
        let byte = token.get(here).copied().filter(|&b| wanted(b))?;
        here += 1;
        if here.is_multiple_of(STRETCH) {
            passed(at + here);
        }
        Some(byte)
    };
    let digit = |b: u8| b.is_ascii_digit();
    let mut text = String::new();
    let mut power = 0i64; // of the last digit kept
    if next(|b| b == b'-').is_some() {
        text.push('-');
    }
    let sign = text.len();
    let (mut whole, mut zero_first) = (0usize, false);
    while let Some(d) = next(digit) {
        zero_first |= whole == 0 && d == b'0';
        whole += 1;
        if text.len() - sign == DIGITS {
            power += 1;
        } else if d != b'0' || text.len() > sign {
            text.push(d as char);
        }
    }
    let mut sound = whole > 0 && !(zero_first && whole > 1);
    if next(|b| b == b'.').is_some() {
        let mut fraction = 0usize;
        while let Some(d) = next(digit) {
            fraction += 1;
            if text.len() - sign < DIGITS {
                power -= 1;
                if d != b'0' || text.len() > sign {
                    text.push(d as char);
                }
            }
        }
        sound &= fraction > 0;
    }
    if next(|b| matches!(b, b'e' | b'E')).is_some() {
        let negative = next(|b| b == b'-').is_some();
        if !negative {
            next(|b| b == b'+');
        }
        let (mut exponent, mut count) = (0i64, 0usize);
        while let Some(d) = next(digit) {
            count += 1;
            exponent = (10 * exponent + i64::from(d - b'0')).min(1 << 40);
        }
        sound &= count > 0;
        power += if negative { -exponent } else { exponent };
    }
    if !sound || here != token.len() {
        return String::new();
    }
    if text.len() == sign {
        return "0.0".into();
    }
    // beyond a million the exact power decides nothing
    format!("{text}e{}", power.clamp(-1_000_000, 1_000_000))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What serde_json says of a number: nothing, or the f64 it is.
    fn said(token: &str) -> Option<f64> {
        serde_json::from_str::<serde_json::Number>(token).ok()?.as_f64()
    }

    #[test]
    fn a_shortened_number_is_as_valid_and_as_large() {
        let limit = "1797693134862315807937289714053034150799341327100378269361737789804449682927647509466490179775872070963\
                     3028641669288791094655554785194040263065748867150582068190890200070838367627385484581771153176447573027\
                     0069855571366959622842914819860834936475292719074168444365510704342711559699508093042880177904174497792";
        assert_eq!((limit.len(), said(limit)), (309, None), "the least integer that rounds to infinity");
        let below = format!("{}1.{}", &limit[..308], "9".repeat(1000));
        let zeros = "0".repeat(1000);
        let cases = [
            "1",
            "-0",
            "0",
            "00",
            "01",
            "-",
            "",
            ".5",
            "5.",
            "1.5",
            "1e5",
            "1e",
            "1e+",
            "1E-3",
            "1.e5",
            "1-2",
            "--1",
            "1e5.5",
            "+1",
            "1e308",
            "1e309",
            "-1e309",
            "1e-400",
            "0e999999999999",
            "1e99999999999999999999",
            "1e-99999999999999999999",
            limit,
            &below,
            &format!("{limit}.{zeros}1"),
            &format!("0.{zeros}1"),
            &format!("0.{zeros}1e1001"),
            &format!("0.{zeros}1e1400"),
            &format!("1{zeros}"),
            &format!("1{zeros}e-1000"),
            &format!("1{zeros}e-700"),
            &format!("123456789{zeros}.5e-990"),
            &format!("0.{}", "3".repeat(2000)),
            &format!("-{}e-1700", "7".repeat(2000)),
            &format!("-{}e-1690", "7".repeat(2000)),
        ];
        for case in cases {
            let short = shortened(case.as_bytes(), 0, &|_| ());
            assert!(short.len() < DIGITS + 20);
            assert_eq!(said(&short), said(case), "{case} as {short}");
        }
    }
}
