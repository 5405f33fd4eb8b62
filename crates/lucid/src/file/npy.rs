//! numpy's files: an array in an .npy file, several in an .npz archive, or a model as a folder of .npy files.
//!
//! This is the door between Lucid and Python: `numpy.load` reads what is written here, and what `numpy.save`, `savez` and
//! `savez_compressed` write is read here. Arrays are little-endian and in C order (the last dimension innermost);
//! everything else that numpy can store is refused by name.

mod header;
mod npz;
mod write;

use super::TensorInfo;
use crate::{Error, ErrorKind, Result};
use lucid_kernels::map::Map;
use std::{
    fs,
    path::{Path, PathBuf},
};

pub use header::Header;
pub use npz::{Archive, Npz, write_npz};
pub use write::{Array, Scalar, Writer, write, write_f32};

/// One .npy file, mapped.
#[derive(Debug)]
pub struct Npy {
    /// Where it lies.
    pub path: PathBuf,
    /// What it holds.
    pub header: Header,
    name: String,
    map: Map,
}

impl Npy {
    /// Maps the file at `path` and checks that its header and its length agree.
    pub fn open(path: &Path) -> Result<Self> {
        let map = Map::open(path).map_err(|e| Error::io(path, "cannot open", e))?;
        let header = Header::parse(&map).map_err(|e| Error::file(e.kind(), path, e))?;
        let Some(name) = path.file_stem().and_then(|s| s.to_str()) else {
            return Err(Error::file(ErrorKind::Unsupported, path, "its name is not UTF-8"));
        };
        Ok(Npy { path: path.to_path_buf(), header, name: name.to_string(), map })
    }

    /// The array, named like the file without its ending.
    pub fn tensor(&self) -> TensorInfo<'_> {
        info(&self.name, &self.header, &self.map)
    }
}

/// The array of this header and this whole file.
fn info<'f>(name: &'f str, header: &'f Header, file: &'f [u8]) -> TensorInfo<'f> {
    let Header { descr, format, ref shape, start, .. } = *header;
    TensorInfo { name, shape, type_name: descr, format, bytes: &file[start..] }
}

/// A folder of `<tensor name>.npy` files, mapped.
#[derive(Debug)]
pub struct NpyFolder {
    /// Where it lies.
    pub path: PathBuf,
    /// Its files, sorted by tensor name.
    pub files: Vec<Npy>,
}

impl NpyFolder {
    /// Maps every .npy file in the folder; other files are none of its business.
    pub fn open(dir: &Path) -> Result<Self> {
        let mut files = Vec::new();
        for entry in fs::read_dir(dir).map_err(|e| Error::io(dir, "cannot list", e))? {
            let path = entry.map_err(|e| Error::io(dir, "cannot list", e))?.path();
            if path.extension().is_some_and(|e| e == "npy") {
                files.push(Npy::open(&path)?);
            }
        }
        if files.is_empty() {
            return Err(Error::file(ErrorKind::Io, dir, "no .npy file is in this folder"));
        }
        files.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(NpyFolder { path: dir.to_path_buf(), files })
    }

    /// The arrays, sorted by name.
    pub fn tensors(&self) -> impl Iterator<Item = TensorInfo<'_>> {
        self.files.iter().map(Npy::tensor)
    }

    /// The array of this name.
    pub fn tensor(&self, name: &str) -> Option<TensorInfo<'_>> {
        let i = self.files.binary_search_by(|f| f.name.as_str().cmp(name)).ok()?;
        Some(self.files[i].tensor())
    }
}
