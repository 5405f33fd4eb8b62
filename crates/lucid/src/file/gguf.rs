//! GGUF: metadata and tensors in one file, read by mapping it.
//!
//! ```text
//! ┌──────────────────────────────────────────────────────────────────────────────┐
//! │ "GGUF"   version u32   tensor count u64   key count u64                        │
//! │ keys:    name   type u32   value                      name: length u64, UTF-8  │
//! │ tensors: name   rank u32   sizes u64 × rank   type u32   offset u64            │
//! │ padding to general.alignment (32 when absent)                                  │
//! │ data:    the tensors' bytes, each at its offset from here, a multiple of it    │
//! └──────────────────────────────────────────────────────────────────────────────┘
//! ```
//!
//! Everything is little-endian and nothing before the data is aligned. Sizes are stored innermost first; here, as
//! everywhere in Lucid, shapes are outermost first. Versions 2 and 3 have the same layout.
//!
//! A file is distrusted: a count is compared with the bytes that are left before anything is reserved for it, every sum
//! and product is checked, and what [`Gguf::open`] returns has unique names and tensors that lie in the file, in order,
//! without overlap. Arrays and strings stay where they lie ([`Array`]), so that opening allocates two small tables and nothing else.
//!
//! Where readers differ, this one accepts holes between tensors and bytes after the last (see [`Part::unused`]), rank 0
//! (one value), and tensor names up to the 64 bytes of the format's description; it refuses tensors out of order and
//! arrays of arrays, as llama.cpp does, and an alignment that is no power of two from 8 to 2 MiB.

mod metadata;
mod parse;
mod split;
mod value;
mod write;

#[cfg(test)]
mod tests;

pub use metadata::Metadata;
pub use value::{Array, FromValue, Type, Value};
pub use write::{Draft, Writer};

use super::TensorInfo;
use crate::{Error, ErrorKind, Result};
use lucid_kernels::map::Map;
use parse::Tensor;
use std::{
    borrow::Cow,
    fmt,
    ops::{Deref, Range},
    path::{Path, PathBuf},
    sync::Arc,
};

/// A GGUF file, or the files that one model was split into.
#[derive(Debug)]
pub struct Gguf {
    /// The file, or the first part of a split one.
    pub path: PathBuf,
    /// The version of the format: 2 or 3.
    pub version: u32,
    /// What tensor offsets are a multiple of.
    pub alignment: usize,
    /// The keys of the file; of the first part when split, which holds all that matter.
    pub metadata: Metadata,
    /// The files: one, or the parts of a split model in order.
    pub parts: Vec<Part>,
    tensors: Vec<Tensor>,
    /// Indices into `tensors`, by name.
    by_name: Vec<u32>,
}

/// One file of a model.
#[derive(Debug)]
pub struct Part {
    /// Where it lies.
    pub path: PathBuf,
    /// Bytes of its data section that are neither a tensor's nor padding. Harmless, and no common writer leaves any.
    pub unused: usize,
    bytes: Arc<Bytes>,
}

/// The bytes of a file: mapped, or held in memory (an embedded model, a test).
enum Bytes {
    Mapped(Map),
    Held(Cow<'static, [u8]>),
}

impl Gguf {
    /// Maps the file at `path` and reads its header. For one part of a split model, whichever, opens all of them.
    pub fn open(path: &Path) -> Result<Gguf> {
        split::open(path)
    }

    /// Reads a whole file from memory: the embedded model as a static slice, anything else as a `Vec`. `path` is for
    /// messages only, so a part of a split model is refused.
    pub fn parse(path: &Path, bytes: impl Into<Cow<'static, [u8]>>) -> Result<Gguf> {
        let gguf = Gguf::read(path, Bytes::Held(bytes.into()))?;
        let (no, count) = split::position(&gguf)?;
        if count > 1 {
            let what = format!("is part {} of {count} of a split model, and cannot be read without the others", no + 1);
            return Err(Error::file(ErrorKind::Unsupported, path, what));
        }
        Ok(gguf)
    }

    /// One file by itself, part of a split model or not.
    fn read(path: &Path, bytes: Bytes) -> Result<Gguf> {
        let header = parse::header(path, &bytes)?;
        let bytes = Arc::new(bytes);
        let mut gguf = Gguf {
            path: path.to_owned(),
            version: header.version,
            alignment: header.alignment,
            metadata: Metadata::new(path, bytes.clone(), header.entries)?,
            parts: vec![Part { path: path.to_owned(), unused: header.unused, bytes }],
            tensors: header.tensors,
            by_name: Vec::new(),
        };
        gguf.index()?;
        Ok(gguf)
    }

    /// Sorts the names, and refuses one that appears twice.
    fn index(&mut self) -> Result<()> {
        let tensors = &self.tensors;
        self.by_name = sorted_by(tensors.len(), |i| tensors[i].name.as_bytes()).map_err(|[first, again]| {
            let [first, again] = [&tensors[first], &tensors[again]];
            let name = quoted(&again.name);
            let path = &self.parts[again.part].path;
            match first.part == again.part {
                true => structure(path, format_args!("tensor {name} appears twice")),
                false => {
                    let other = self.parts[first.part].path.display();
                    structure(path, format_args!("tensor {name} also appears in {other}"))
                }
            }
        })?;
        Ok(())
    }

    /// The tensors in the order of the file.
    pub fn tensors(&self) -> impl ExactSizeIterator<Item = TensorInfo<'_>> {
        self.tensors.iter().map(|t| self.info(t))
    }

    /// The tensor called `name`.
    pub fn tensor(&self, name: &str) -> Option<TensorInfo<'_>> {
        let at = self.by_name.binary_search_by(|&i| (*self.tensors[i as usize].name).cmp(name)).ok()?;
        Some(self.info(&self.tensors[self.by_name[at] as usize]))
    }

    /// Where the bytes of the tensor called `name` lie, for a program that reads them rather than mapping them: the file,
    /// and the range in it.
    pub fn place(&self, name: &str) -> Option<(&Path, Range<usize>)> {
        let at = self.by_name.binary_search_by(|&i| (*self.tensors[i as usize].name).cmp(name)).ok()?;
        let tensor = &self.tensors[self.by_name[at] as usize];
        Some((&self.parts[tensor.part].path, tensor.bytes.clone()))
    }

    fn info<'f>(&'f self, t: &'f Tensor) -> TensorInfo<'f> {
        TensorInfo {
            name: &t.name,
            shape: t.shape(),
            type_name: t.format.name(),
            format: Some(t.format),
            bytes: &self.parts[t.part].bytes[t.bytes.clone()],
        }
    }
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Bytes::Mapped(map) => map,
            Bytes::Held(bytes) => bytes,
        }
    }
}

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.len())
    }
}

/// The indices `0..n` in the order of their names, or the first two that share one.
fn sorted_by<'n>(n: usize, name: impl Fn(usize) -> &'n [u8]) -> std::result::Result<Vec<u32>, [usize; 2]> {
    let mut order: Vec<u32> = (0..n as u32).collect();
    order.sort_unstable_by_key(|&i| (name(i as usize), i));
    match order.windows(2).find(|w| name(w[0] as usize) == name(w[1] as usize)) {
        Some(w) => Err([w[0] as usize, w[1] as usize]),
        None => Ok(order),
    }
}

/// The file breaks the rules of GGUF.
fn structure(path: &Path, what: impl fmt::Display) -> Error {
    Error::file(ErrorKind::Structure, path, what)
}

/// A name from a file, fit for a message: quoted, escaped, and cut where it goes on for long.
fn quoted(name: &str) -> String {
    const LONGEST: usize = 80;
    match name.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{:?}… ({} bytes)", &name[..end], name.len()),
        None => format!("{name:?}"),
    }
}
