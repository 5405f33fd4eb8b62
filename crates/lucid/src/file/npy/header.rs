//! The header of an array.
//!
//! ```text
//! byte  0           6       8         10                                                      10 + n
//!      ├───────────┼───────┼─────────┼───────────────────────────────────────────────────────┼────────┤
//!      │ 93 "NUMPY"│ 1   0 │ n: u16  │ {'descr': '<f4', 'fortran_order': False, 'shape': (3,), } … \n │ values
//!      └───────────┴───────┴─────────┴───────────────────────────────────────────────────────┴────────┘
//! ```
//!
//! Versions 2 and 3 have four bytes for n; 3 allows names beyond Latin-1 in structured types, which are not read here.
//! The text is a Python dict, blanks and a line end at its end so that the values begin at a multiple of 64.

use crate::{
    Error, ErrorKind, Result,
    file::{quoted, shown},
};
use lucid_kernels::formats::Format;

/// The longest header text: an array of the most dimensions needs a fortieth of it.
pub(super) const MAX_HEADER: usize = 1 << 16;

/// As many dimensions as numpy allows.
const MAX_DIMS: usize = 64;

/// Element types: descr as numpy writes it, bytes per element, and the format of the rows where Lucid knows one.
///
/// b, i, u, f, c: boolean, signed, unsigned, float, complex; then the size. `<` is little-endian, `|` has no order.
const DTYPES: &[(&str, usize, Option<Format>)] = &[
    ("<f4", 4, Some(Format::F32)),
    ("<f2", 2, Some(Format::F16)),
    ("<f8", 8, Some(Format::F64)),
    ("<i8", 8, Some(Format::I64)),
    ("<i4", 4, Some(Format::I32)),
    ("<i2", 2, Some(Format::I16)),
    ("|i1", 1, Some(Format::I8)),
    ("|u1", 1, None),
    ("<u2", 2, None),
    ("<u4", 4, None),
    ("<u8", 8, None),
    ("|b1", 1, None),
    ("<c8", 8, None),
    ("<c16", 16, None),
];

/// What the header of an array says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// The element type as numpy writes it: `<f4`.
    pub descr: &'static str,
    /// The format of the rows, where Lucid knows one.
    pub format: Option<Format>,
    /// The dimensions, outermost first.
    pub shape: Vec<usize>,
    /// The byte at which the values begin.
    pub start: usize,
    /// How many bytes they take: all that follow.
    pub size: usize,
}

impl Header {
    /// Reads the header of a whole file.
    pub fn parse(file: &[u8]) -> Result<Header> {
        Header::parse_start(file, file.len())
    }

    /// Reads the header of a file of `len` bytes, which begins with `file`.
    pub(super) fn parse_start(file: &[u8], len: usize) -> Result<Header> {
        let Some(rest) = file.strip_prefix(b"\x93NUMPY") else { return refuse("it does not begin like a .npy file") };
        let (length, digits) = match *rest {
            [1, 0, a, b, ..] => (u16::from_le_bytes([a, b]) as usize, 2),
            [2 | 3, 0, a, b, c, d, ..] => (u32::from_le_bytes([a, b, c, d]) as usize, 4),
            [1..=3, 0, ..] | [] | [_] => return refuse("it ends within its header"),
            [major, minor, ..] => return unsupported(format!("version {major}.{minor} of the .npy format")),
        };
        if length > MAX_HEADER {
            return unsupported(format!("a header of {length} bytes; the limit is {MAX_HEADER}"));
        }
        let start = 8 + digits + length;
        let Some(text) = file.get(8 + digits..start) else { return refuse("it ends within its header") };

        let mut text = Text { text, at: 0 };
        let (descr, fortran_order, shape) = text.dict()?;
        let Some(&(descr, bytes, format)) = DTYPES.iter().find(|(known, ..)| same_type(known, descr)) else {
            let big = if descr.starts_with('>') { "big-endian values" } else { "the element type" };
            return unsupported(format!("{big} {}", quoted(descr)));
        };
        if fortran_order && shape.len() > 1 {
            return unsupported("an array in Fortran order: save numpy.ascontiguousarray(x) instead");
        }
        let values = shape.iter().try_fold(1usize, |n, &dim| n.checked_mul(dim));
        let Some(size) = values.and_then(|n| n.checked_mul(bytes)) else {
            return refuse(format!("{descr} of shape {} does not fit the address space", shown(&shape)));
        };
        let there = len - start;
        if there < size {
            let shape = shown(&shape);
            return refuse(format!("{descr} of shape {shape} takes {size} bytes, but {there} follow the header"));
        }
        if there > size {
            return unsupported(format!("more than one array in a file; {} bytes follow the first", there - size));
        }
        Ok(Header { descr, format, shape, start, size })
    }

    /// The header text of a new array, from the magic to the first value, and the size of its values in bytes.
    pub(super) fn encode(descr: &str, shape: &[usize]) -> Result<(Vec<u8>, usize)> {
        let Some((_, bytes, _)) = DTYPES.iter().find(|(known, ..)| *known == descr) else {
            return unsupported(format!("writing the element type {}", quoted(descr)));
        };
        let values = shape.iter().try_fold(1usize, |n, &dim| n.checked_mul(dim));
        let Some(size) = values.and_then(|n| n.checked_mul(*bytes)).filter(|_| shape.len() <= MAX_DIMS) else {
            return Err(Error::new(ErrorKind::Shape, format!("no array can have the shape {}", shown(shape))));
        };
        let dims: Vec<String> = shape.iter().map(usize::to_string).collect();
        let comma = if shape.len() == 1 { "," } else { "" };
        let mut text =
            format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({}{comma}), }}", dims.join(", "));
        let start = (10 + text.len() + 1).next_multiple_of(64);
        text.extend(std::iter::repeat_n(' ', start - 10 - text.len() - 1));
        text.push('\n');
        Ok(([b"\x93NUMPY\x01\x00", &(text.len() as u16).to_le_bytes()[..], text.as_bytes()].concat(), size))
    }
}

/// Whether `descr` means the type `known`: numpy reads `f4`, `=f4` and `<f4` alike, and `>u1` has no order to swap.
fn same_type(known: &str, descr: &str) -> bool {
    let bare = descr.trim_start_matches(['<', '|', '=']);
    let bare = if known.starts_with('|') { bare.trim_start_matches('>') } else { bare };
    bare == &known[1..] && descr.len() <= bare.len() + 1
}

pub(super) fn refuse<T>(why: impl Into<String>) -> Result<T> {
    Err(Error::new(ErrorKind::Structure, why))
}

pub(super) fn unsupported<T>(what: impl Into<String>) -> Result<T> {
    Err(Error::new(ErrorKind::Unsupported, format!("not supported: {}", what.into())))
}

/// The Python dict, read just as far as numpy's writers go.
struct Text<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Text<'a> {
    /// `{'descr': …, 'fortran_order': …, 'shape': …}`: these three keys, each once, in any order.
    fn dict(&mut self) -> Result<(&'a str, bool, Vec<usize>)> {
        let (mut descr, mut fortran_order, mut shape) = (None, None, None);
        self.sign(b'{')?;
        while !self.take(b'}') {
            let key = self.string()?;
            self.sign(b':')?;
            let repeated = match key {
                "descr" => descr.replace(self.descr()?).is_some(),
                "fortran_order" => fortran_order.replace(self.boolean()?).is_some(),
                "shape" => shape.replace(self.tuple()?).is_some(),
                _ => return refuse(format!("the header has an unknown key {}", quoted(key))),
            };
            if repeated {
                return refuse(format!("the header says {key} twice"));
            }
            if !self.take(b',') {
                self.sign(b'}')?;
                break;
            }
        }
        self.blanks();
        if self.at < self.text.len() {
            return self.fail("nothing more");
        }
        match (descr, fortran_order, shape) {
            (Some(descr), Some(fortran_order), Some(shape)) => Ok((descr, fortran_order, shape)),
            _ => refuse("the header lacks descr, fortran_order or shape"),
        }
    }

    fn blanks(&mut self) {
        while matches!(self.text.get(self.at), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    /// Steps over `sign`, if that is what comes next.
    fn take(&mut self, sign: u8) -> bool {
        self.blanks();
        let found = self.text.get(self.at) == Some(&sign);
        self.at += usize::from(found);
        found
    }

    fn sign(&mut self, sign: u8) -> Result<()> {
        if self.take(sign) { Ok(()) } else { self.fail(&format!("{:?}", sign as char)) }
    }

    fn fail<T>(&self, expected: &str) -> Result<T> {
        let found = match self.text.get(self.at) {
            Some(&b) => format!("{:?}", b as char),
            None => "its end".to_string(),
        };
        refuse(format!("at byte {} of the header text, {expected} should stand where {found} stands", self.at))
    }

    /// A string in either quotes. Nothing that belongs here needs an escape.
    fn string(&mut self) -> Result<&'a str> {
        self.blanks();
        let rest = &self.text[self.at..];
        let Some(&quote @ (b'\'' | b'"')) = rest.first() else { return self.fail("a string") };
        let end = rest[1..].iter().position(|&b| b == quote || b == b'\\' || !(b' '..0x7f).contains(&b));
        match end.map(|end| (rest[1 + end], std::str::from_utf8(&rest[1..1 + end]))) {
            Some((b, Ok(string))) if b == quote => {
                self.at += string.len() + 2;
                Ok(string)
            }
            _ => self.fail("a plain string"),
        }
    }

    fn descr(&mut self) -> Result<&'a str> {
        self.blanks();
        match self.text.get(self.at) {
            Some(b'[' | b'(') => unsupported("an array of records"),
            _ => self.string(),
        }
    }

    fn boolean(&mut self) -> Result<bool> {
        self.blanks();
        for (word, value) in [("True", true), ("False", false)] {
            if self.text[self.at..].starts_with(word.as_bytes()) {
                self.at += word.len();
                return Ok(value);
            }
        }
        self.fail("True or False")
    }

    /// `()`, `(3,)`, `(3, 4)`; `(3)` is a number in Python, and no shape.
    fn tuple(&mut self) -> Result<Vec<usize>> {
        let mut shape = Vec::new();
        self.sign(b'(')?;
        while !self.take(b')') {
            if shape.len() == MAX_DIMS {
                return unsupported(format!("more than {MAX_DIMS} dimensions"));
            }
            shape.push(self.size()?);
            let comma = self.take(b',');
            if !comma && shape.len() == 1 {
                return self.fail("a comma");
            }
            if !comma {
                self.sign(b')')?;
                break;
            }
        }
        Ok(shape)
    }

    fn size(&mut self) -> Result<usize> {
        self.blanks();
        let rest = &self.text[self.at..];
        let digits = &rest[..rest.iter().take_while(|b| b.is_ascii_digit()).count()];
        let long = usize::from(rest.get(digits.len()) == Some(&b'L')); // Python 2 wrote 3L
        match std::str::from_utf8(digits).ok().and_then(|n| n.parse().ok()) {
            Some(n) => {
                self.at += digits.len() + long;
                Ok(n)
            }
            None => self.fail("an unsigned 64-bit integer"),
        }
    }
}
