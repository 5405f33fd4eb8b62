//! Writing GGUF version 3, in one file or several: the header from a [`Draft`], then the tensors' bytes as they come.

use super::{
    Array, Metadata, Type, Value,
    parse::{self, DEFAULT_ALIGNMENT, MOST_KEYS, MOST_TENSORS},
    quoted, split,
};
use crate::{Error, ErrorKind, Result, file::partial::Partial};
use lucid_kernels::formats::Format;
use std::{
    collections::{HashMap, HashSet},
    fmt,
    path::{Path, PathBuf},
};

/// What a file will hold: its metadata, and the names, shapes and formats of its tensors, in order.
///
/// It refuses what [`Gguf::open`](super::Gguf::open) would refuse, so that what is written can be read.
#[derive(Clone, Debug, Default)]
pub struct Draft {
    /// Keys, and values as the bytes of the file: type, then payload.
    keys: Vec<(String, Vec<u8>)>,
    /// Indices into `keys`.
    by_key: HashMap<String, usize>,
    /// What the tensors' offsets will be a multiple of, if a key says so.
    alignment: Option<usize>,
    tensors: Vec<Planned>,
    names: HashSet<String>,
    /// The most bytes of tensors in one file, if there may be several.
    part_bytes: Option<usize>,
}

/// A tensor to be written.
#[derive(Clone, Debug)]
struct Planned {
    name: String,
    shape: Vec<usize>,
    format: Format,
    bytes: usize,
}

impl Draft {
    /// A file without keys or tensors.
    pub fn new() -> Draft {
        Draft::default()
    }

    /// Gives `key` a value: in place where the key is there already, else after the others. `general.alignment` takes
    /// effect.
    pub fn set(&mut self, key: &str, value: Value<'_>) -> Result<()> {
        if key == "general.alignment" {
            self.alignment = match value {
                Value::U32(n) if parse::alignment_allowed(n) => Some(n as usize),
                _ => {
                    return Err(refused(format_args!(
                        "general.alignment cannot be {value}: {}",
                        parse::ALIGNMENT_RULE
                    )));
                }
            };
        }
        self.insert(key, encoded(value))
    }

    /// Gives `key` an array of strings, which may be any bytes.
    pub fn set_strings(&mut self, key: &str, strings: impl IntoIterator<Item = impl AsRef<[u8]>>) -> Result<()> {
        let (mut bytes, mut len) = (Vec::new(), 0);
        for string in strings {
            put_string(&mut bytes, string.as_ref());
            len += 1;
        }
        self.set(key, Value::Array(Array { element: Type::String, len, bytes: &bytes }))
    }

    /// Takes over all the metadata of another file.
    pub fn set_all(&mut self, metadata: &Metadata) -> Result<()> {
        metadata.iter().try_for_each(|(key, value)| self.set(key, value))
    }

    /// Leaves `key` out, if it is there.
    pub fn remove(&mut self, key: &str) {
        if let Some(at) = self.by_key.remove(key) {
            self.keys.remove(at);
            self.by_key.values_mut().filter(|i| **i > at).for_each(|i| *i -= 1);
        }
        if key == "general.alignment" {
            self.alignment = None;
        }
    }

    fn insert(&mut self, key: &str, value: Vec<u8>) -> Result<()> {
        if let Some(fault) = parse::key_fault(key) {
            return Err(refused(format_args!("metadata key {} {fault}", quoted(key))));
        }
        match self.by_key.get(key) {
            Some(&at) => self.keys[at].1 = value,
            None if self.keys.len() as u64 == MOST_KEYS => {
                return Err(refused(format_args!("more than {MOST_KEYS} metadata keys")));
            }
            None => {
                self.by_key.insert(key.to_owned(), self.keys.len());
                self.keys.push((key.to_owned(), value));
            }
        }
        Ok(())
    }

    /// Declares the next tensor. `shape` is outermost first.
    pub fn tensor(&mut self, name: &str, shape: &[usize], format: Format) -> Result<()> {
        let fault = |what: &dyn fmt::Display| refused(format_args!("tensor {} {what}", quoted(name)));
        if let Some(what) = parse::name_fault(name) {
            return Err(fault(&what));
        }
        let bytes = parse::tensor_bytes(format, shape).map_err(|what| fault(&what))?;
        if self.tensors.len() as u64 == MOST_TENSORS {
            return Err(refused(format_args!("more than {MOST_TENSORS} tensors")));
        }
        if !self.names.insert(name.to_owned()) {
            return Err(fault(&"is declared twice"));
        }
        self.tensors.push(Planned { name: name.to_owned(), shape: shape.to_vec(), format, bytes });
        Ok(())
    }

    /// Spreads the tensors over several files, `NAME-00001-of-00003.gguf` and so on, of at most this many bytes of tensors
    /// each, or one tensor where that is larger. If one file does, it keeps its plain name.
    pub fn split(&mut self, part_bytes: usize) {
        self.part_bytes = Some(part_bytes);
    }

    /// What each file will hold: all the metadata in the first, and in all of them which part they are of how many.
    fn parts(&self) -> Result<Vec<Draft>> {
        let most = self.part_bytes.unwrap_or(usize::MAX);
        let mut groups: Vec<&[Planned]> = Vec::new();
        let (mut from, mut bytes) = (0, 0usize);
        for (i, t) in self.tensors.iter().enumerate() {
            if i > from && bytes.saturating_add(t.bytes) > most {
                groups.push(&self.tensors[from..i]);
                (from, bytes) = (i, 0);
            }
            bytes = bytes.saturating_add(t.bytes);
        }
        groups.push(&self.tensors[from..]);
        if groups.len() == 1 {
            return Ok(vec![self.clone()]);
        }
        let Ok(count) = u16::try_from(groups.len()) else {
            return Err(refused(format_args!("{} parts are too many; allow more bytes in each", groups.len())));
        };
        let part = |(no, tensors): (u16, &[Planned])| {
            let mut part = if no == 0 { self.clone() } else { Draft::new() };
            if let (Some(alignment), true) = (self.alignment, no > 0) {
                part.set("general.alignment", Value::U32(alignment as u32))?;
            }
            part.set("split.no", Value::U16(no))?;
            part.set("split.count", Value::U16(count))?;
            part.set("split.tensors.count", Value::I32(self.tensors.len() as i32))?; // at most MOST_TENSORS
            part.tensors = tensors.to_vec();
            Ok(part)
        };
        (0..count).zip(groups).map(part).collect()
    }

    fn alignment(&self) -> usize {
        self.alignment.unwrap_or(DEFAULT_ALIGNMENT)
    }

    /// The bytes of the file before the first tensor's, padding included.
    pub fn header(&self) -> Result<Vec<u8>> {
        let mut out = b"GGUF".to_vec();
        out.extend(3u32.to_le_bytes());
        out.extend((self.tensors.len() as u64).to_le_bytes());
        out.extend((self.keys.len() as u64).to_le_bytes());
        for (key, value) in &self.keys {
            put_string(&mut out, key.as_bytes());
            out.extend(value);
        }
        let mut offset = 0usize;
        for t in &self.tensors {
            put_string(&mut out, t.name.as_bytes());
            out.extend((t.shape.len() as u32).to_le_bytes());
            t.shape.iter().rev().for_each(|&size| out.extend((size as u64).to_le_bytes()));
            out.extend(t.format.id().to_le_bytes());
            out.extend((offset as u64).to_le_bytes());
            offset =
                t.bytes.checked_next_multiple_of(self.alignment()).and_then(|n| offset.checked_add(n)).ok_or_else(
                    || refused(format_args!("tensor {} ends beyond what can be counted", quoted(&t.name))),
                )?;
        }
        out.resize(out.len().next_multiple_of(self.alignment()), 0);
        Ok(out)
    }
}

/// Writes a file tensor by tensor, so that no more than one piece of one tensor need be in memory.
///
/// The bytes go to a file beside the target, `NAME.PID-N.partial`, which takes the target's name in
/// [`finish`](Writer::finish) and is removed when the writer is dropped before: under its own name a file is whole or absent.
#[derive(Debug)]
pub struct Writer {
    path: PathBuf,
    /// The files, and up to which tensor each goes.
    outs: Vec<(Partial, usize)>,
    tensors: Vec<(String, usize)>,
    alignment: usize,
    /// The tensor being written, and how many of its bytes are.
    at: usize,
    written: usize,
}

impl Writer {
    /// Begins the file `path`, or its parts, with the header of `draft`. Existing files are replaced when these are
    /// finished.
    pub fn create(path: &Path, draft: &Draft) -> Result<Writer> {
        let parts = draft.parts()?;
        let (mut outs, mut end) = (Vec::new(), 0);
        for (no, part) in parts.iter().enumerate() {
            let name = match parts.len() {
                1 => path.to_owned(),
                count => split::numbered(path, no as u64, count as u64),
            };
            let header = part.header()?;
            let mut out = Partial::create(&name)?;
            out.write(&header)?;
            end += part.tensors.len();
            outs.push((out, end));
        }
        Ok(Writer {
            path: path.to_owned(),
            outs,
            tensors: draft.tensors.iter().map(|t| (t.name.clone(), t.bytes)).collect(),
            alignment: draft.alignment(),
            at: 0,
            written: 0,
        })
    }

    /// The files that will be there.
    pub fn targets(&self) -> impl Iterator<Item = &Path> {
        self.outs.iter().map(|(out, _)| out.path())
    }

    /// Appends bytes of the tensor `name`, which must be the next that is not complete: all of them, or in pieces.
    pub fn write(&mut self, name: &str, bytes: &[u8]) -> Result<()> {
        let mismatch = |what: fmt::Arguments<'_>| Err(Error::file(ErrorKind::Shape, &self.path, what));
        let Some((next, len)) = self.tensors.get(self.at) else {
            return mismatch(format_args!("tensor {} is written after the last", quoted(name)));
        };
        if next != name {
            return mismatch(format_args!("tensor {} is written when {} is next", quoted(name), quoted(next)));
        }
        if bytes.len() > len - self.written {
            let got = self.written + bytes.len();
            return mismatch(format_args!("tensor {} has {len} bytes, and {got} are written", quoted(name)));
        }
        let len = *len;
        let part = self.outs.partition_point(|(_, end)| *end <= self.at);
        let out = &mut self.outs[part].0;
        out.write(bytes)?;
        self.written += bytes.len();
        if self.written == len {
            // The alignment divides the size of the header, so that padding each tensor keeps all of them aligned.
            out.write(&vec![0; len.next_multiple_of(self.alignment) - len])?;
            (self.at, self.written) = (self.at + 1, 0);
        }
        Ok(())
    }

    /// Completes the files and gives them their names. Every tensor must have been written.
    pub fn finish(self) -> Result<()> {
        if let Some((name, len)) = self.tensors.get(self.at) {
            let what = format_args!("tensor {} has {len} bytes, and {} are written", quoted(name), self.written);
            return Err(Error::file(ErrorKind::Shape, &self.path, what));
        }
        self.outs.into_iter().try_for_each(|(out, _)| out.finish())
    }
}

/// A value as it lies in a file: type, then payload.
fn encoded(value: Value<'_>) -> Vec<u8> {
    let mut out = (value.ty() as u32).to_le_bytes().to_vec();
    match value {
        Value::U8(v) => out.push(v),
        Value::I8(v) => out.extend(v.to_le_bytes()),
        Value::U16(v) => out.extend(v.to_le_bytes()),
        Value::I16(v) => out.extend(v.to_le_bytes()),
        Value::U32(v) => out.extend(v.to_le_bytes()),
        Value::I32(v) => out.extend(v.to_le_bytes()),
        Value::F32(v) => out.extend(v.to_le_bytes()),
        Value::Bool(v) => out.push(v.into()),
        Value::String(v) => put_string(&mut out, v.as_bytes()),
        Value::Array(v) => {
            out.extend((v.element as u32).to_le_bytes());
            out.extend((v.len as u64).to_le_bytes());
            out.extend(v.bytes);
        }
        Value::U64(v) => out.extend(v.to_le_bytes()),
        Value::I64(v) => out.extend(v.to_le_bytes()),
        Value::F64(v) => out.extend(v.to_le_bytes()),
    }
    out
}

/// A length (u64) and the bytes.
fn put_string(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend((bytes.len() as u64).to_le_bytes());
    out.extend(bytes);
}

/// Something that no GGUF file may hold.
fn refused(what: impl fmt::Display) -> Error {
    Error::new(ErrorKind::Structure, format!("cannot write as GGUF: {what}"))
}
