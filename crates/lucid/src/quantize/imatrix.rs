//! Importance matrices: how strongly each column of a matrix is used, measured on a text.
//!
//! For every matrix, the mean square of each value that it was multiplied with. An encoder that has to choose where to be
//! wrong weighs the error of a column by it. Programs that measure it write one of two formats:
//!
//! ```text
//! GGUF     tensors NAME.in_sum2 (sums of squares, columns × matrices) and NAME.counts (1 × matrices),
//!          keys imatrix.datasets, imatrix.chunk_count, imatrix.chunk_size
//!
//! legacy   entries i32
//!  .dat    each: length i32, name, calls i32, values i32, f32 × values (the sum over the calls of the means)
//!          and sometimes at the end: chunks i32, length i32, name of the text
//! ```

use std::{
    collections::BTreeMap,
    fs::File,
    io::{BufReader, Read},
    path::{Path, PathBuf},
};

use super::{Assigned, Plan, Role};
use crate::{
    error::{Error, ErrorKind, Result},
    file::{TensorInfo, gguf::Gguf},
};
use lucid_kernels::formats::Format;

/// An importance matrix: a weight for every column, by tensor.
#[derive(Clone, Debug)]
pub struct Imatrix {
    /// The file it was read from.
    pub path: PathBuf,
    /// The texts it was measured on.
    pub datasets: Vec<String>,
    /// How many stretches of them; 0 when the file does not say.
    pub chunks: u32,
    entries: BTreeMap<String, Vec<f32>>,
}

impl Imatrix {
    /// Reads the file at `path`, GGUF or legacy.
    ///
    /// # Errors
    /// It is neither, holds no entry, or holds a value that is no mean square: negative or not finite.
    pub fn read(path: &Path) -> Result<Imatrix> {
        let mut magic = Vec::new();
        let file = File::open(path).map_err(|e| Error::io(path, "cannot open", e))?;
        file.take(4).read_to_end(&mut magic).map_err(|e| Error::io(path, "cannot read", e))?;
        let imatrix = if magic == b"GGUF" { from_gguf(path)? } else { from_legacy(path)? };
        if imatrix.entries.is_empty() {
            return Err(Error::file(ErrorKind::Value, path, "this is no importance matrix, or one without an entry"));
        }
        for (name, values) in &imatrix.entries {
            if let Some(i) = values.iter().position(|v| !v.is_finite() || *v < 0.0) {
                let what = format!("entry {name}: value {i} is {}, which is no mean square", values[i]);
                return Err(Error::file(ErrorKind::Value, path, what));
            }
        }
        Ok(imatrix)
    }

    /// How many tensors have an entry.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether none has.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The weights for the columns of a tensor, one set after the other where it stacks several matrices. `None` when
    /// there is no entry for it, or it is not encoded in blocks.
    ///
    /// # Errors
    /// The entry is not as long as the columns.
    pub fn columns(&self, tensor: &Assigned) -> Result<Option<&[f32]>> {
        let Some(values) = self.entries.get(&tensor.name).filter(|_| tensor.weighs()) else { return Ok(None) };
        let expected = tensor.row() * tensor.matrices();
        if values.len() == expected {
            return Ok(Some(values));
        }
        // The embedding is a table: what some programs measure there is not its columns.
        if Role::of(&tensor.name) == Role::Embedding {
            return Ok(None);
        }
        let what = format!(
            "its entry for tensor {} has {} values where the tensor has {expected} columns: it is of another model",
            tensor.name,
            values.len()
        );
        Err(Error::file(ErrorKind::Shape, &self.path, what))
    }

    /// The tensors that the plan encodes in blocks and that have no entry here.
    pub fn missing<'p>(&self, plan: &'p Plan) -> Vec<&'p str> {
        let unweighed = |t: &&Assigned| t.weighs() && matches!(self.columns(t), Ok(None));
        plan.tensors.iter().filter(unweighed).map(|t| &*t.name).collect()
    }
}

/// An entry's weights are the sums over the counts; an expert that was never chosen weighs its columns equally.
fn from_gguf(path: &Path) -> Result<Imatrix> {
    let gguf = Gguf::open(path)?;
    let fault = |name: &str, what: &str| Error::file(ErrorKind::Value, path, format!("entry {name}: {what}"));
    let mut entries = BTreeMap::new();
    for sums in gguf.tensors() {
        let Some(name) = sums.name.strip_suffix(".in_sum2") else { continue };
        let Some(counts) = gguf.tensor(&format!("{name}.counts")) else {
            return Err(fault(name, "there are sums of squares, and no counts"));
        };
        let (Some(mut values), Some(counts)) = (floats(&sums), floats(&counts)) else {
            return Err(fault(name, "sums and counts must be F32"));
        };
        if counts.is_empty() || values.is_empty() || !values.len().is_multiple_of(counts.len()) {
            return Err(fault(name, "there are not as many sums for every count"));
        }
        if let Some(count) = counts.iter().find(|c| !c.is_finite() || **c < 0.0) {
            return Err(fault(name, &format!("a count is {count}")));
        }
        let columns = values.len() / counts.len();
        for (values, count) in values.chunks_mut(columns).zip(counts) {
            let count = count.round();
            values.iter_mut().for_each(|v| *v = if count > 0.0 { *v / count } else { 1.0 });
        }
        entries.insert(name.to_owned(), values);
    }
    let datasets = match gguf.metadata.get("imatrix.datasets") {
        Some(_) => {
            gguf.metadata.strings("imatrix.datasets")?.map(|s| String::from_utf8_lossy(s).into_owned()).collect()
        }
        None => Vec::new(),
    };
    let chunks = gguf.metadata.find("imatrix.chunk_count")?.unwrap_or(0);
    Ok(Imatrix { path: path.to_owned(), datasets, chunks, entries })
}

/// The values of a tensor of F32.
fn floats(tensor: &TensorInfo) -> Option<Vec<f32>> {
    let float = |b: &[u8]| f32::from_le_bytes([b[0], b[1], b[2], b[3]]);
    (tensor.format == Some(Format::F32)).then(|| tensor.bytes.chunks_exact(4).map(float).collect())
}

fn from_legacy(path: &Path) -> Result<Imatrix> {
    let io = |e| Error::io(path, "cannot read", e);
    let file = File::open(path).map_err(io)?;
    let left = file.metadata().map_err(io)?.len();
    let mut reader = Legacy { path, left, file: BufReader::new(file) };
    let mut entries = BTreeMap::new();
    for _ in 0..reader.length(1)? {
        // Every length is checked against what is left of the file before room is made for it.
        let length = reader.length(1)?;
        let name = reader.string(length)?;
        let calls = reader.length(0)?;
        let length = reader.length(1)?;
        let bytes = reader.bytes(length.saturating_mul(4))?;
        let value = |b: &[u8]| f32::from_le_bytes([b[0], b[1], b[2], b[3]]) / calls.max(1) as f32;
        entries.insert(name, bytes.chunks_exact(4).map(value).collect());
    }
    let chunks = if reader.left > 0 { reader.length(0)? } else { 0 };
    let datasets = match reader.left {
        0 => Vec::new(),
        _ => {
            let length = reader.length(0)?;
            vec![reader.string(length)?]
        }
    };
    Ok(Imatrix { path: path.to_owned(), datasets, chunks: chunks as u32, entries })
}

/// A legacy file, and how much of it is left.
struct Legacy<'a> {
    path: &'a Path,
    left: u64,
    file: BufReader<File>,
}

impl Legacy<'_> {
    fn bytes(&mut self, n: u64) -> Result<Vec<u8>> {
        if n > self.left {
            return Err(self.foreign());
        }
        let mut bytes = vec![0; n as usize];
        self.file.read_exact(&mut bytes).map_err(|e| Error::io(self.path, "cannot read", e))?;
        self.left -= n;
        Ok(bytes)
    }

    /// An i32 that counts something, and is not less than `least`.
    fn length(&mut self, least: u64) -> Result<u64> {
        let bytes = self.bytes(4)?;
        let n = i32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        u64::try_from(n).ok().filter(|&n| n >= least).ok_or_else(|| self.foreign())
    }

    fn string(&mut self, length: u64) -> Result<String> {
        let bytes = self.bytes(length)?;
        // Some writers count a final zero.
        String::from_utf8(bytes).map(|s| s.trim_end_matches('\0').to_owned()).map_err(|_| self.foreign())
    }

    fn foreign(&self) -> Error {
        Error::file(
            ErrorKind::Structure,
            self.path,
            "this is no importance matrix, neither GGUF nor legacy .dat, or it is cut short",
        )
    }
}
