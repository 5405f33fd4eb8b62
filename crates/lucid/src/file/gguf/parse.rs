//! From the bytes of one file to tables of names and ranges, with every number checked before it is used.

use super::{
    Type, Value,
    metadata::{Entry, Slot},
    quoted, structure,
    value::next_string,
};
use crate::{Error, ErrorKind, Result};
use lucid_kernels::formats::Format;
use std::{
    fmt,
    ops::{Range, RangeInclusive},
    path::Path,
};

/// What a file without `general.alignment` is aligned to.
pub(super) const DEFAULT_ALIGNMENT: usize = 32;
/// The smallest alignment, by the format's description; the largest, a huge page: more only makes holes.
const ALIGNMENTS: RangeInclusive<u32> = 8..=2 << 20;
/// The same for people.
pub(super) const ALIGNMENT_RULE: &str = "it must be a u32 that is a power of two from 8 to 2097152";
/// The longest key, by the format's description.
const LONGEST_KEY: usize = 65_535;
/// The longest tensor name, by the format's description.
const LONGEST_NAME: usize = 64;
/// The most dimensions of a tensor.
const MAX_RANK: usize = 4;
/// Far more than any model has (about a hundred keys, and fifty thousand tensors), and small enough that the tables of a
/// hostile file stay small.
pub(super) const MOST_KEYS: u64 = 1 << 16;
pub(super) const MOST_TENSORS: u64 = 1 << 17;
/// The most bytes of strings and bools, which are looked at one by one: several times the largest vocabulary with its merges,
/// and little enough that refusing a hostile file touches little memory.
const MOST_TEXT: usize = 40 << 20;
/// A name of one letter, a type, and one byte.
const SMALLEST_KEY: u64 = 8 + 1 + 4 + 1;
/// A name of one letter, a rank of 0, a type, and an offset.
const SMALLEST_TENSOR: u64 = 8 + 1 + 4 + 4 + 8;

/// What the bytes before the data say.
pub(super) struct Header {
    pub(super) version: u32,
    pub(super) alignment: usize,
    pub(super) entries: Vec<Entry>,
    pub(super) tensors: Vec<Tensor>,
    pub(super) unused: usize,
}

/// One tensor: where it lies, in which part of the model.
#[derive(Debug)]
pub(super) struct Tensor {
    pub(super) name: Box<str>,
    pub(super) format: Format,
    pub(super) part: usize,
    pub(super) bytes: Range<usize>,
    rank: usize,
    sizes: [usize; MAX_RANK],
}

impl Tensor {
    /// Outermost first.
    pub(super) fn shape(&self) -> &[usize] {
        &self.sizes[..self.rank]
    }
}

/// Reads the header of the file `bytes`, and checks that the data it promises is there.
pub(super) fn header(path: &Path, bytes: &[u8]) -> Result<Header> {
    let mut at = Cursor { path, bytes, at: 0, text: 0 };
    let version = at.version()?;
    let tensor_count = at.u64(format_args!("the tensor count"))?;
    let key_count = at.u64(format_args!("the key count"))?;
    at.check_count(tensor_count, MOST_TENSORS, SMALLEST_TENSOR, "tensors")?;
    at.check_count(key_count, MOST_KEYS, SMALLEST_KEY, "metadata keys")?;

    let entries = (0..key_count).map(|i| at.entry(i)).collect::<Result<Vec<_>>>()?;
    let alignment = alignment(path, bytes, &entries)?;

    let raw = (0..tensor_count).map(|i| at.tensor(i)).collect::<Result<Vec<_>>>()?;
    let data = at.at.next_multiple_of(alignment);
    let (tensors, unused) = place(path, bytes.len(), data, alignment, raw)?;
    Ok(Header { version, alignment, entries, tensors, unused })
}

/// The value of `general.alignment`, which the data section begins at a multiple of.
fn alignment(path: &Path, bytes: &[u8], entries: &[Entry]) -> Result<usize> {
    let Some(entry) = entries.iter().find(|e| &bytes[e.key.clone()] == b"general.alignment") else {
        return Ok(DEFAULT_ALIGNMENT);
    };
    match entry.value {
        Slot::Scalar(Value::U32(n)) if alignment_allowed(n) => Ok(n as usize),
        Slot::Scalar(v) => Err(structure(path, format_args!("general.alignment is {v}; {ALIGNMENT_RULE}"))),
        _ => Err(structure(path, format_args!("general.alignment is no number; {ALIGNMENT_RULE}"))),
    }
}

/// Whether tensors may be aligned to `n` bytes.
pub(super) fn alignment_allowed(n: u32) -> bool {
    n.is_power_of_two() && ALIGNMENTS.contains(&n)
}

/// Turns offsets into ranges of the file, each tensor after the one before it. Also the number of bytes of the data
/// section that are neither a tensor's nor padding.
fn place(
    path: &Path,
    file: usize,
    data: usize,
    alignment: usize,
    raw: Vec<(Tensor, u64)>,
) -> Result<(Vec<Tensor>, usize)> {
    if data > file && !raw.is_empty() {
        let what = format_args!("the file ends at byte {file}, before its data section at byte {data}");
        return Err(structure(path, what));
    }
    let available = file.saturating_sub(data); // without tensors, the padding before the data may be left out
    let mut tensors: Vec<Tensor> = Vec::with_capacity(raw.len());
    let (mut end, mut unused) = (0, 0);
    for (mut tensor, offset) in raw {
        let len = tensor.bytes.len();
        let fault = |what: fmt::Arguments<'_>| {
            structure(path, format_args!("tensor {} at offset {offset} {what}", quoted(&tensor.name)))
        };
        if !offset.is_multiple_of(alignment as u64) {
            return Err(fault(format_args!("is not aligned to {alignment} bytes")));
        }
        let Some(start) = usize::try_from(offset).ok().filter(|s| s.checked_add(len).is_some_and(|e| e <= available))
        else {
            return Err(fault(format_args!(
                "has {len} bytes and reaches past the end of the data, which is {available} bytes long"
            )));
        };
        if let Some(previous) = tensors.last().filter(|_| start < end) {
            let previous_start = previous.bytes.start - data;
            let how = if start + len <= previous_start { "lies before" } else { "overlaps" };
            let name = quoted(&previous.name);
            return Err(fault(format_args!(
                "{how} tensor {name} of bytes {previous_start} to {end}; offsets must rise"
            )));
        }
        unused += start.saturating_sub(end.next_multiple_of(alignment));
        end = start + len;
        tensor.bytes = data + start..data + end;
        tensors.push(tensor);
    }
    unused += available.saturating_sub(end.next_multiple_of(alignment));
    Ok((tensors, unused))
}

/// Why `name` cannot name a tensor.
pub(super) fn name_fault(name: &str) -> Option<String> {
    match name.len() {
        0 => Some("is empty".into()),
        n if n > LONGEST_NAME => Some(format!("is {n} bytes long; at most {LONGEST_NAME} are allowed")),
        _ => None,
    }
}

/// Why `key` cannot be a metadata key.
pub(super) fn key_fault(key: &str) -> Option<String> {
    match key.len() {
        0 => Some("is empty".into()),
        n if n > LONGEST_KEY => Some(format!("is {n} bytes long; at most {LONGEST_KEY} are allowed")),
        _ => None,
    }
}

/// The bytes of a tensor of this shape (outermost first), or why there can be no such tensor.
pub(super) fn tensor_bytes(format: Format, shape: &[usize]) -> std::result::Result<usize, String> {
    if shape.len() > MAX_RANK {
        return Err(format!("has {} dimensions; at most {MAX_RANK} are allowed", shape.len()));
    }
    // The reference reader counts elements in an i64, so more would be a file that only some can read.
    let mut elements = 1i64;
    for &size in shape {
        if size == 0 {
            return Err(format!("has a dimension of 0 in its shape {shape:?}"));
        }
        elements = i64::try_from(size)
            .ok()
            .and_then(|size| elements.checked_mul(size))
            .ok_or_else(|| format!("has more elements than can be counted in its shape {shape:?}"))?;
    }
    let (row, rows) = match shape.split_last() {
        Some((&row, outer)) => (row, outer.iter().product::<usize>()), // at most `elements`: cannot overflow
        None => (1, 1),
    };
    if !row.is_multiple_of(format.block_len()) {
        let (name, block) = (format.name(), format.block_len());
        return Err(format!("has rows of {row} values, no multiple of the {block} in a block of {name}"));
    }
    format
        .row_bytes(row)
        .and_then(|n| n.checked_mul(rows))
        .ok_or_else(|| format!("has more bytes than can be counted in its shape {shape:?}"))
}

/// A place in the header. What is read is named, so that a file that ends too early says inside what.
struct Cursor<'f> {
    path: &'f Path,
    bytes: &'f [u8],
    at: usize,
    /// Bytes of strings and bools so far.
    text: usize,
}

impl<'f> Cursor<'f> {
    fn take(&mut self, n: usize, what: fmt::Arguments<'_>) -> Result<&'f [u8]> {
        let taken = self.rest().get(..n).ok_or_else(|| self.ended(what))?;
        self.at += n;
        Ok(taken)
    }

    fn rest(&self) -> &'f [u8] {
        &self.bytes[self.at..]
    }

    fn ended(&self, what: fmt::Arguments<'_>) -> Error {
        structure(self.path, format_args!("the file ends at byte {}, inside {what}", self.bytes.len()))
    }

    /// A fault of what lies at byte `at`.
    fn fault(&self, at: usize, what: impl fmt::Display) -> Error {
        structure(self.path, format_args!("{what} (at byte {at})"))
    }

    fn u32(&mut self, what: fmt::Arguments<'_>) -> Result<u32> {
        let bytes = self.take(4, what)?;
        Ok(bytes.first_chunk().map_or(0, |b| u32::from_le_bytes(*b)))
    }

    fn u64(&mut self, what: fmt::Arguments<'_>) -> Result<u64> {
        let bytes = self.take(8, what)?;
        Ok(bytes.first_chunk().map_or(0, |b| u64::from_le_bytes(*b)))
    }

    /// A length (u64) and as many bytes, none of them beyond the file.
    fn string_bytes(&mut self, what: fmt::Arguments<'_>) -> Result<&'f [u8]> {
        let at = self.at;
        let len = self.u64(what)?;
        let left = self.rest().len();
        match usize::try_from(len).ok().filter(|&n| n <= left) {
            Some(len) => {
                self.count_text(len, what)?;
                self.take(len, what)
            }
            None => Err(self.fault(at, format_args!("{what} is {len} bytes long, but only {left} are left"))),
        }
    }

    /// Counts bytes that are about to be looked at.
    fn count_text(&mut self, len: usize, what: fmt::Arguments<'_>) -> Result<()> {
        self.text = self.text.saturating_add(len);
        if self.text > MOST_TEXT {
            let at = self.at;
            return Err(
                self.fault(at, format_args!("with {what} the metadata holds more than {} MB of text", MOST_TEXT >> 20))
            );
        }
        Ok(())
    }

    /// The same, and valid UTF-8.
    fn string(&mut self, what: fmt::Arguments<'_>) -> Result<&'f str> {
        let at = self.at;
        let bytes = self.string_bytes(what)?;
        std::str::from_utf8(bytes)
            .map_err(|e| self.fault(at + 8 + e.valid_up_to(), format_args!("{what} is not valid UTF-8")).because(e))
    }

    /// The magic and the version: everything that is not a GGUF file of version 2 or 3 ends here, with what it may be.
    fn version(&mut self) -> Result<u32> {
        let magic = self.bytes.first_chunk::<4>().copied();
        let not_gguf = |what: fmt::Arguments<'_>| structure(self.path, format_args!("not a GGUF file: {what}"));
        match magic.as_ref() {
            _ if self.bytes.is_empty() => return Err(not_gguf(format_args!("it is empty"))),
            Some(b"GGUF") => {}
            Some(b"lmgg" | b"tjgg" | b"fmgg" | b"algg") => {
                return Err(not_gguf(format_args!("it has the older GGML format; convert the original model again")));
            }
            Some(b"vers") if self.bytes.starts_with(b"version https://git-lfs") => {
                return Err(not_gguf(format_args!("it is a Git LFS pointer; download the file it stands for")));
            }
            _ => {
                let start = self.bytes[..self.bytes.len().min(4)].escape_ascii();
                return Err(not_gguf(format_args!("it begins with \"{start}\" instead of \"GGUF\"")));
            }
        }
        self.at = 4;
        let version = self.u32(format_args!("the version"))?;
        let unsupported = |what: fmt::Arguments<'_>| Error::file(ErrorKind::Unsupported, self.path, what);
        match version {
            2 | 3 => Ok(version),
            1 => Err(unsupported(format_args!(
                "GGUF version 1 is not supported; convert it again from the original model, \
                 with llama.cpp's convert_hf_to_gguf.py for example"
            ))),
            0 => Err(self.fault(4, "GGUF version 0 does not exist")),
            v if v & 0xffff == 0 => Err(unsupported(format_args!(
                "this is a big-endian GGUF file (version bytes {v:#010x}); only little-endian files are supported"
            ))),
            v => Err(unsupported(format_args!("GGUF version {v} is not supported; versions 2 and 3 are"))),
        }
    }

    /// Refuses a count of things that the rest of the file cannot hold.
    fn check_count(&self, count: u64, most: u64, smallest: u64, what: &str) -> Result<()> {
        let left = self.rest().len() as u64;
        if count > left / smallest {
            return Err(structure(
                self.path,
                format_args!("the header promises {count} {what}, but only {left} bytes follow"),
            ));
        }
        if count > most {
            return Err(structure(self.path, format_args!("the file has {count} {what}; at most {most} are allowed")));
        }
        Ok(())
    }

    /// The `i`-th key and its value.
    fn entry(&mut self, i: u64) -> Result<Entry> {
        let at = self.at;
        let key = self.string(format_args!("the name of metadata key {i}"))?;
        if let Some(fault) = key_fault(key) {
            return Err(self.fault(at, format_args!("the name of metadata key {i} {fault}")));
        }
        let (name, key) = (quoted(key), self.at - key.len()..self.at);
        let ty = self.ty(format_args!("metadata key {name}"))?;
        let value = match ty {
            Type::String => {
                let len = self.string(format_args!("metadata key {name}"))?.len();
                Slot::String(self.at - len..self.at)
            }
            Type::Array => self.array(&name)?,
            scalar => self.scalar(&name, scalar)?,
        };
        Ok(Entry { key, value })
    }

    fn ty(&mut self, what: fmt::Arguments<'_>) -> Result<Type> {
        let at = self.at;
        let id = self.u32(what)?;
        Type::from_id(id)
            .ok_or_else(|| self.fault(at, format_args!("{what} has the unknown type {id}; GGUF has types 0 to 12")))
    }

    fn scalar(&mut self, name: &str, ty: Type) -> Result<Slot> {
        let at = self.at;
        let bytes = self.take(ty.size().unwrap_or(0), format_args!("metadata key {name}"))?;
        if ty == Type::Bool && bytes[0] > 1 {
            let what = format_args!("metadata key {name} is a bool of value {}; expected 0 or 1", bytes[0]);
            return Err(self.fault(at, what));
        }
        Ok(Slot::Scalar(Value::scalar(ty, bytes).unwrap_or(Value::U8(0))))
    }

    fn array(&mut self, name: &str) -> Result<Slot> {
        let at = self.at;
        let what = format_args!("metadata key {name}");
        let element = self.ty(what)?;
        let count = self.u64(what)?;
        let left = self.rest().len();
        if element == Type::Array {
            return Err(self.fault(at, format_args!("{what} is an array of arrays, which no model uses")));
        }
        // A string takes at least the 8 bytes of its length.
        let size = element.size().unwrap_or(8);
        let Some(len) = usize::try_from(count).ok().filter(|&n| n <= left / size) else {
            let what = format_args!("{what} is an array of {count} {}, but only {left} bytes are left", element.name());
            return Err(self.fault(at, what));
        };
        let start = self.at;
        match element {
            Type::String => {
                self.count_text(8 * len, what)?;
                let mut rest = self.rest();
                for i in 0..len {
                    match next_string(&mut rest) {
                        Some(string) => self.count_text(string.len(), what)?,
                        None => {
                            let at = self.bytes.len() - rest.len();
                            let what = format_args!("string {i} of {what} reaches past the end of the file");
                            return Err(self.fault(at, what));
                        }
                    }
                }
                self.at = self.bytes.len() - rest.len();
            }
            _ => {
                let bytes = self.take(len * size, what)?;
                if element == Type::Bool {
                    self.count_text(len, what)?;
                }
                if element == Type::Bool
                    && let Some(i) = bytes.iter().position(|&b| b > 1)
                {
                    let what = format_args!("bool {i} of {what} has the value {}; expected 0 or 1", bytes[i]);
                    return Err(self.fault(start + i, what));
                }
            }
        }
        Ok(Slot::Array { element, len, bytes: start..self.at })
    }

    /// The `i`-th tensor, its range still counted from 0, and its offset.
    fn tensor(&mut self, i: u64) -> Result<(Tensor, u64)> {
        let at = self.at;
        let name = self.string(format_args!("the name of tensor {i}"))?;
        if let Some(fault) = name_fault(name) {
            return Err(self.fault(at, format_args!("the name of tensor {i} {fault}")));
        }
        let quoted = quoted(name);
        let what = format_args!("tensor {quoted}");
        let at = self.at;
        let rank = self.u32(what)?;
        let Some(rank) = usize::try_from(rank).ok().filter(|&n| n <= MAX_RANK) else {
            return Err(self.fault(at, format_args!("{what} has {rank} dimensions; at most {MAX_RANK} are allowed")));
        };
        let mut sizes = [1; MAX_RANK];
        for i in (0..rank).rev() {
            let at = self.at;
            let size = self.u64(what)?;
            sizes[i] = i64::try_from(size)
                .ok()
                .and_then(|n| usize::try_from(n).ok())
                .ok_or_else(|| self.fault(at, format_args!("{what} has a dimension of {}", size as i64)))?;
        }
        let at = self.at;
        let id = self.u32(what)?;
        let format = Format::from_id(id).ok_or_else(|| match Format::removed_name(id) {
            Some(name) => self.fault(
                at,
                format_args!("{what} has type {name} ({id}), which was removed from GGUF; convert the model again"),
            ),
            None => self.fault(at, format_args!("{what} has the unknown type {id}")),
        })?;
        let len =
            tensor_bytes(format, &sizes[..rank]).map_err(|fault| self.fault(at, format_args!("{what} {fault}")))?;
        let offset = self.u64(what)?;
        Ok((Tensor { name: name.into(), format, part: 0, bytes: 0..len, rank, sizes }, offset))
    }
}
