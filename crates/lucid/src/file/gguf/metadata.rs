//! The keys of a file, in order, and their values by type.

use super::{Array, Bytes, FromValue, Type, Value, quoted, sorted_by, structure};
use crate::{Error, ErrorKind, Result};
use std::{
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
};

/// The metadata of a file: keys in the order in which they are written, values where they lie.
///
/// A key that is absent is `None` from [`get`](Metadata::get) and [`find`](Metadata::find); the functions named after
/// types require it.
#[derive(Clone, Debug)]
pub struct Metadata {
    path: PathBuf,
    bytes: Arc<Bytes>,
    entries: Vec<Entry>,
    /// Indices into `entries`, by key.
    by_key: Vec<u32>,
}

/// One key and its value. The name stays in the file too: it may be 64 KiB long.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) key: Range<usize>,
    pub(super) value: Slot,
}

/// A value as it is kept: scalars themselves, the rest as a range of the file.
#[derive(Clone, Debug)]
pub(super) enum Slot {
    Scalar(Value<'static>),
    String(Range<usize>),
    Array { element: Type, len: usize, bytes: Range<usize> },
}

impl Metadata {
    /// The keys found in `bytes`, none of which may appear twice.
    pub(super) fn new(path: &Path, bytes: Arc<Bytes>, entries: Vec<Entry>) -> Result<Metadata> {
        let by_key = sorted_by(entries.len(), |i| &bytes[entries[i].key.clone()]).map_err(|[_, again]| {
            let key = quoted(text(&bytes, &entries[again].key));
            structure(path, format_args!("metadata key {key} appears twice"))
        })?;
        Ok(Metadata { path: path.to_owned(), bytes, entries, by_key })
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Keys and values in the order of the file.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, Value<'_>)> {
        self.entries.iter().map(|e| (text(&self.bytes, &e.key), self.value(e)))
    }

    /// The value of `key`.
    pub fn get(&self, key: &str) -> Option<Value<'_>> {
        let name = |i: u32| &self.bytes[self.entries[i as usize].key.clone()];
        let at = self.by_key.binary_search_by(|&i| name(i).cmp(key.as_bytes())).ok()?;
        Some(self.value(&self.entries[self.by_key[at] as usize]))
    }

    fn value(&self, entry: &Entry) -> Value<'_> {
        match &entry.value {
            Slot::Scalar(value) => *value,
            Slot::String(range) => Value::String(text(&self.bytes, range)),
            Slot::Array { element, len, bytes } => {
                Value::Array(Array { element: *element, len: *len, bytes: &self.bytes[bytes.clone()] })
            }
        }
    }

    /// The value of `key` as a `T`: `None` when the key is absent, an error when the value is no `T`.
    pub fn find<'f, T: FromValue<'f>>(&'f self, key: &str) -> Result<Option<T>> {
        let Some(value) = self.get(key) else { return Ok(None) };
        T::from_value(value).map(Some).ok_or_else(|| self.mismatch(key, value, T::EXPECTED))
    }

    /// The value of `key` as a `T`.
    fn require<'f, T: FromValue<'f>>(&'f self, key: &str) -> Result<T> {
        self.find(key)?.ok_or_else(|| {
            let what = format_args!("metadata key {} is missing; expected {}", quoted(key), T::EXPECTED);
            Error::file(ErrorKind::Value, &self.path, what)
        })
    }

    fn mismatch(&self, key: &str, value: Value<'_>, expected: &str) -> Error {
        let what = format_args!("metadata key {} is {value}; expected {expected}", quoted(key));
        Error::file(ErrorKind::Value, &self.path, what)
    }

    /// An integer of any width that fits.
    pub fn u32(&self, key: &str) -> Result<u32> {
        self.require(key)
    }

    /// An integer of any width that fits.
    pub fn u64(&self, key: &str) -> Result<u64> {
        self.require(key)
    }

    /// A size: a non-negative integer of any width.
    pub fn usize(&self, key: &str) -> Result<usize> {
        self.require(key)
    }

    /// A float; an f64 is rounded.
    pub fn f32(&self, key: &str) -> Result<f32> {
        self.require(key)
    }

    /// A bool.
    pub fn bool(&self, key: &str) -> Result<bool> {
        self.require(key)
    }

    /// A string.
    pub fn string(&self, key: &str) -> Result<&str> {
        self.require(key)
    }

    /// An array of any type.
    pub fn array(&self, key: &str) -> Result<Array<'_>> {
        self.require(key)
    }

    /// An array of strings, as bytes: tokens need not be UTF-8.
    pub fn strings(&self, key: &str) -> Result<impl ExactSizeIterator<Item = &[u8]>> {
        self.elements(key, "an array of strings", Array::as_bytes)
    }

    /// An array of floats; f64 is rounded.
    pub fn f32s(&self, key: &str) -> Result<impl ExactSizeIterator<Item = f32>> {
        self.elements(key, "an array of floats", Array::as_f32s)
    }

    /// An array of integers of any width, all of which fit.
    pub fn u32s(&self, key: &str) -> Result<impl ExactSizeIterator<Item = u32>> {
        self.elements(key, "an array of integers from 0 to 2^32 - 1", Array::as_u32s)
    }

    /// An array of integers of any width, all of which fit.
    pub fn i32s(&self, key: &str) -> Result<impl ExactSizeIterator<Item = i32>> {
        self.elements(key, "an array of integers of 32 bits", Array::as_i32s)
    }

    fn elements<'f, I>(&'f self, key: &str, expected: &str, read: impl Fn(Array<'f>) -> Option<I>) -> Result<I> {
        let array = self.array(key)?;
        read(array).ok_or_else(|| self.mismatch(key, Value::Array(array), expected))
    }
}

/// Text of the file. It was checked to be UTF-8 when the file was opened, and is empty only if that was rewritten since.
fn text<'f>(bytes: &'f Bytes, range: &Range<usize>) -> &'f str {
    std::str::from_utf8(&bytes[range.clone()]).unwrap_or_default()
}
