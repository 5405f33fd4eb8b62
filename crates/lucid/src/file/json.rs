//! A JSON file whose values are distrusted: every getter names the file and the key when the value is not what it must be.

use crate::{Error, ErrorKind, Result};
use serde_json::Value;
use std::{
    fmt::Display,
    path::{Path, PathBuf},
};

/// A JSON file of at most this size is read. Real ones have a few KB.
const MAX_BYTES: u64 = 16 << 20;

/// A parsed JSON file whose root is an object.
#[derive(Debug)]
pub struct Json {
    /// Where it was read.
    pub path: PathBuf,
    value: Value,
}

/// An object within a JSON file.
#[derive(Clone, Copy, Debug)]
pub struct Object<'j> {
    path: &'j Path,
    /// The key that leads here; empty at the root.
    name: &'j str,
    members: Option<&'j serde_json::Map<String, Value>>,
}

impl Json {
    /// Reads and parses a file. Its root must be an object.
    pub fn open(path: &Path) -> Result<Json> {
        let meta = std::fs::metadata(path).map_err(|e| Error::io(path, "cannot open", e))?;
        if !meta.is_file() || meta.len() > MAX_BYTES {
            let what = format!("is no JSON file of at most {} MB", MAX_BYTES >> 20);
            return Err(Error::file(ErrorKind::Structure, path, what));
        }
        let text = std::fs::read(path).map_err(|e| Error::io(path, "cannot read", e))?;
        Json::parse(path, &text)
    }

    /// Parses bytes; `path` is for messages.
    pub fn parse(path: &Path, text: &[u8]) -> Result<Json> {
        let wrong = |what: String| Error::file(ErrorKind::Structure, path, what);
        let value: Value = serde_json::from_slice(text).map_err(|e| wrong(format!("is not valid JSON: {e}")))?;
        if !value.is_object() {
            return Err(wrong("must hold a JSON object".into()));
        }
        Ok(Json { path: path.to_owned(), value })
    }

    /// The members of the outermost object, in order.
    pub fn members(&self) -> impl Iterator<Item = (&String, &Value)> {
        self.value.as_object().into_iter().flatten()
    }

    /// The outermost object.
    pub fn root(&self) -> Object<'_> {
        Object { path: &self.path, name: "", members: self.value.as_object() }
    }
}

impl<'j> Object<'j> {
    fn get(&self, key: &str) -> Option<&'j Value> {
        self.members?.get(key).filter(|v| !v.is_null())
    }

    /// An object without members, in whose place `name` could have been.
    pub fn empty(&self, name: &'j str) -> Object<'j> {
        Object { path: self.path, name, members: None }
    }

    /// Whether the key is there and not null.
    pub fn has(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    /// The key's value contradicts something: the error that says so.
    pub fn wrong(&self, key: &str, what: impl Display) -> Error {
        self.error(ErrorKind::Value, key, what)
    }

    /// The key's value is valid and not supported: the error that says so.
    pub fn unsupported(&self, key: &str, what: impl Display) -> Error {
        self.error(ErrorKind::Unsupported, key, what)
    }

    fn error(&self, kind: ErrorKind, key: &str, what: impl Display) -> Error {
        let dot = if self.name.is_empty() { "" } else { "." };
        Error::file(kind, self.path, format!("{}{dot}{key}: {what}", self.name))
    }

    /// A count or size, if the key is there: a whole number that fits in 32 bits.
    pub fn optional_size(&self, key: &str) -> Result<Option<usize>> {
        let Some(value) = self.get(key) else { return Ok(None) };
        match value.as_u64().filter(|&n| u32::try_from(n).is_ok()) {
            Some(n) => Ok(Some(n as usize)),
            None => Err(self.wrong(key, format!("{} is no size", short(value)))),
        }
    }

    /// A count or size that must be there.
    pub fn size(&self, key: &str) -> Result<usize> {
        self.optional_size(key)?.ok_or_else(|| self.wrong(key, "is missing"))
    }

    /// A number, if the key is there.
    pub fn float(&self, key: &str) -> Result<Option<f64>> {
        let Some(value) = self.get(key) else { return Ok(None) };
        value.as_f64().map(Some).ok_or_else(|| self.wrong(key, format!("{} is no number", short(value))))
    }

    /// A string, if the key is there.
    pub fn string(&self, key: &str) -> Result<Option<&'j str>> {
        let Some(value) = self.get(key) else { return Ok(None) };
        value.as_str().map(Some).ok_or_else(|| self.wrong(key, format!("{} is no string", short(value))))
    }

    /// A boolean, if the key is there.
    pub fn bool(&self, key: &str) -> Result<Option<bool>> {
        let Some(value) = self.get(key) else { return Ok(None) };
        value.as_bool().map(Some).ok_or_else(|| self.wrong(key, format!("{} is neither true nor false", short(value))))
    }

    /// An object, if the key is there.
    pub fn object<'k: 'j>(&self, key: &'k str) -> Result<Option<Object<'j>>> {
        let Some(value) = self.get(key) else { return Ok(None) };
        match value.as_object() {
            Some(members) => Ok(Some(Object { path: self.path, name: key, members: Some(members) })),
            None => Err(self.wrong(key, format!("{} is no object", short(value)))),
        }
    }

    /// The first string of a list, if the key is there and the list is not empty.
    pub fn first_string(&self, key: &str) -> Result<Option<&'j str>> {
        let Some(value) = self.get(key) else { return Ok(None) };
        match value.as_array() {
            Some(list) => Ok(list.first().and_then(Value::as_str)),
            None => Err(self.wrong(key, format!("{} is no list", short(value)))),
        }
    }
}

/// The value's text, shortened for a message.
fn short(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(40) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(text: &str) -> Result<Json> {
        Json::parse(Path::new("config.json"), text.as_bytes())
    }

    #[test]
    fn getters_name_file_and_key() {
        let j = json(r#"{"n": -1, "big": 4294967296, "s": 3, "o": {"f": "x"}, "null": null, "list": [{}]}"#).unwrap();
        let root = j.root();
        let message = |e: Error| e.to_string();
        assert_eq!(message(root.size("n").unwrap_err()), "config.json: n: -1 is no size");
        assert_eq!(message(root.size("big").unwrap_err()), "config.json: big: 4294967296 is no size");
        assert_eq!(message(root.size("absent").unwrap_err()), "config.json: absent: is missing");
        assert_eq!(message(root.string("s").unwrap_err()), "config.json: s: 3 is no string");
        let inner = root.object("o").unwrap().unwrap();
        assert_eq!(message(inner.float("f").unwrap_err()), "config.json: o.f: \"x\" is no number");
        assert!(root.object("null").unwrap().is_none());
        assert_eq!(root.first_string("list").unwrap(), None);
    }

    #[test]
    fn what_is_no_object_is_refused() {
        assert!(json("[]").unwrap_err().to_string().contains("must hold a JSON object"));
        assert!(json("{\"a\":").unwrap_err().to_string().contains("not valid JSON"));
        let deep = "[".repeat(50_000);
        assert!(json(&format!("{{\"a\": {deep}")).unwrap_err().to_string().contains("recursion"));
    }
}
