//! Walking a JSON file whose values are distrusted: every step knows its name for the message.

use crate::{Error, ErrorKind, Result};
use serde_json::Value;
use std::{fmt::Display, path::Path};

/// A JSON file of at most this size is read. The largest vocabularies have some 40 MB.
const MAX_BYTES: u64 = 256 << 20;

/// Reads and parses a file.
pub(super) fn open(path: &Path) -> Result<Value> {
    parse(path, &read(path)?)
}

/// Parses the bytes of the file at `path`.
pub(super) fn parse(path: &Path, bytes: &[u8]) -> Result<Value> {
    let wrong = |e| Error::file(ErrorKind::Structure, path, format_args!("is not valid JSON: {e}"));
    serde_json::from_slice(bytes).map_err(wrong)
}

/// The bytes of a file that holds a vocabulary.
pub(super) fn read(path: &Path) -> Result<Vec<u8>> {
    let meta = std::fs::metadata(path).map_err(|e| Error::io(path, "cannot open", e))?;
    if !meta.is_file() || meta.len() > MAX_BYTES {
        let what = format_args!("is no file of at most {} MB, and so no vocabulary", MAX_BYTES >> 20);
        return Err(Error::file(ErrorKind::Structure, path, what));
    }
    std::fs::read(path).map_err(|e| Error::io(path, "cannot read", e))
}

/// A value in a JSON file, and where it is.
#[derive(Clone, Debug)]
pub(super) struct At<'j> {
    pub(super) path: &'j Path,
    pub(super) name: String,
    pub(super) value: &'j Value,
}

impl<'j> At<'j> {
    pub(super) fn root(path: &'j Path, value: &'j Value) -> At<'j> {
        At { path, name: String::new(), value }
    }

    /// The member `key`, if it is there and not null.
    pub(super) fn find(&self, key: &str) -> Option<At<'j>> {
        let value = self.value.get(key).filter(|v| !v.is_null())?;
        let dot = if self.name.is_empty() { "" } else { "." };
        Some(At { path: self.path, name: format!("{}{dot}{key}", self.name), value })
    }

    /// The member `key`.
    pub(super) fn get(&self, key: &str) -> Result<At<'j>> {
        self.find(key).ok_or_else(|| self.wrong(format_args!("has no {key:?}")))
    }

    /// The elements of a list.
    pub(super) fn list(&self) -> Result<impl ExactSizeIterator<Item = At<'j>> + use<'j>> {
        let list = self.value.as_array().ok_or_else(|| self.wrong("is no list"))?;
        let (path, name) = (self.path, self.name.clone());
        Ok(list.iter().enumerate().map(move |(i, value)| At { path, name: format!("{name}[{i}]"), value }))
    }

    pub(super) fn str(&self) -> Result<&'j str> {
        self.value.as_str().ok_or_else(|| self.wrong("is no string"))
    }

    pub(super) fn u32(&self) -> Result<u32> {
        self.value.as_u64().and_then(|n| u32::try_from(n).ok()).ok_or_else(|| self.wrong("is no id or size"))
    }

    pub(super) fn f64(&self) -> Result<f64> {
        self.value.as_f64().ok_or_else(|| self.wrong("is no number"))
    }

    /// The boolean `key`, or `default` where there is none.
    pub(super) fn flag(&self, key: &str, default: bool) -> Result<bool> {
        match self.find(key) {
            None => Ok(default),
            Some(at) => at.value.as_bool().ok_or_else(|| at.wrong("is neither true nor false")),
        }
    }

    /// The string `key`, or an empty one.
    pub(super) fn text(&self, key: &str) -> Result<&'j str> {
        self.find(key).map_or(Ok(""), |at| at.str())
    }

    /// What `type` says it is.
    pub(super) fn kind(&self) -> Result<&'j str> {
        self.get("type")?.str()
    }

    fn error(&self, kind: ErrorKind, what: impl Display) -> Error {
        match self.name.is_empty() {
            true => Error::file(kind, self.path, what),
            false => Error::file(kind, self.path, format_args!("{} {what}", self.name)),
        }
    }

    pub(super) fn wrong(&self, what: impl Display) -> Error {
        self.error(ErrorKind::Value, what)
    }

    pub(super) fn unsupported(&self, what: impl Display) -> Error {
        self.error(ErrorKind::Unsupported, what)
    }
}
