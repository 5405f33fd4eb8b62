//! Files built byte by byte: every fault by itself in a file that is otherwise valid.

mod hostile;
mod splits;
mod values;
mod writing;

use super::{Gguf, Type};
use crate::{Error, Result};
use std::path::{Path, PathBuf};

/// The bytes of a file, appended one field at a time.
struct Bytes(Vec<u8>);

impl Bytes {
    /// The fixed part of a file of version 3.
    fn header(tensors: u64, keys: u64) -> Bytes {
        Bytes(b"GGUF".to_vec()).u32(3).u64(tensors).u64(keys)
    }

    fn bytes(mut self, bytes: &[u8]) -> Bytes {
        self.0.extend(bytes);
        self
    }

    fn u32(self, v: u32) -> Bytes {
        self.bytes(&v.to_le_bytes())
    }

    fn u64(self, v: u64) -> Bytes {
        self.bytes(&v.to_le_bytes())
    }

    fn string(self, v: impl AsRef<[u8]>) -> Bytes {
        self.u64(v.as_ref().len() as u64).bytes(v.as_ref())
    }

    /// A key and the type of its value, which must follow.
    fn key(self, name: &str, ty: Type) -> Bytes {
        self.string(name).u32(ty as u32)
    }

    /// A key of type array with its element type and length; the values must follow.
    fn array(self, name: &str, element: Type, len: u64) -> Bytes {
        self.key(name, Type::Array).u32(element as u32).u64(len)
    }

    /// A tensor's entry; sizes as they lie in the file, innermost first.
    fn tensor(self, name: &str, sizes: &[u64], ty: u32, offset: u64) -> Bytes {
        let entry = self.string(name).u32(sizes.len() as u32);
        sizes.iter().fold(entry, |b, &n| b.u64(n)).u32(ty).u64(offset)
    }

    /// Zeros up to a multiple of `alignment`.
    fn pad(mut self, alignment: usize) -> Bytes {
        self.0.resize(self.0.len().next_multiple_of(alignment), 0);
        self
    }

    /// `n` bytes of data that say where they lie: 0, 1, 2 …
    fn data(self, n: usize) -> Bytes {
        self.bytes(&(0..n).map(|i| i as u8).collect::<Vec<u8>>())
    }

    fn read(self) -> Result<Gguf> {
        Gguf::parse(Path::new("test.gguf"), self.0)
    }
}

/// The error of a file that must be refused.
fn refused(result: Result<Gguf>, case: &str) -> Error {
    match result {
        Ok(_) => panic!("{case}: accepted"),
        Err(e) => e,
    }
}

/// An empty folder for one test.
fn folder(test: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("lucid-gguf-{}-{test}", std::process::id()));
    let _ = std::fs::remove_dir_all(&path);
    std::fs::create_dir_all(&path).unwrap();
    path
}
