//! Models split over several files, `NAME-00001-of-00003.gguf` and so on.
//!
//! Each part is a GGUF file with its own tensors. The first holds the metadata; all say in `split.no` (from 0) and
//! `split.count` which part they are of how many, and in `split.tensors.count` how many tensors all of them hold.

use super::{Bytes, Gguf, structure};
use crate::{Error, Result};
use lucid_kernels::map::Map;
use std::path::{Path, PathBuf};

/// Opens the file at `path`, and the other parts of the model if it is one of several.
pub(super) fn open(path: &Path) -> Result<Gguf> {
    let mut model = open_one(path)?;
    let (no, count) = position(&model)?;
    if count == 1 {
        return Ok(model);
    }
    check_name(path, no, count)?;
    if no != 0 {
        let first = sibling(path, 0, count);
        model = Map::open(&first)
            .map_err(|e| Error::io(&first, &format!("cannot open the first of {count} parts"), e))
            .and_then(|map| Gguf::read(&first, Bytes::Mapped(map)))?;
        check_position(&model, 0, count)?;
    }
    let expected = integer(&model, "split.tensors.count")?
        .ok_or_else(|| structure(&model.path, "split.count is given, but split.tensors.count is missing"))?;
    for no in 1..count {
        let path = sibling(path, no, count);
        let map = Map::open(&path)
            .map_err(|e| Error::io(&path, &format!("cannot open part {} of {count} of the model", no + 1), e))?;
        let mut part = Gguf::read(&path, Bytes::Mapped(map))?;
        check_position(&part, no, count)?;
        part.tensors.iter_mut().for_each(|t| t.part = model.parts.len());
        model.tensors.append(&mut part.tensors);
        model.parts.append(&mut part.parts);
    }
    let found = model.tensors.len();
    if found as u64 != expected {
        let what = format_args!("split.tensors.count promises {expected} tensors; the {count} parts hold {found}");
        return Err(structure(&model.path, what));
    }
    model.index()?;
    Ok(model)
}

fn open_one(path: &Path) -> Result<Gguf> {
    let map = Map::open(path).map_err(|e| Error::io(path, "cannot open", e))?;
    Gguf::read(path, Bytes::Mapped(map))
}

/// Which part a file is, from 0, and of how many. A file that was never split, or merged again, is part 0 of 1.
pub(super) fn position(file: &Gguf) -> Result<(u64, u64)> {
    let no = integer(file, "split.no")?.unwrap_or(0);
    let count = integer(file, "split.count")?.unwrap_or(1).max(1);
    if no >= count {
        return Err(structure(
            &file.path,
            format_args!("split.no is {no}, but counts from 0 and split.count is {count}"),
        ));
    }
    Ok((no, count))
}

/// The value of a `split.` key, absent or a non-negative integer.
fn integer(file: &Gguf, key: &str) -> Result<Option<u64>> {
    let Some(value) = file.metadata.get(key) else { return Ok(None) };
    match value.integer().and_then(|n| u64::try_from(n).ok()) {
        Some(n) => Ok(Some(n)),
        None => Err(structure(&file.path, format_args!("{key} is {value}; expected a non-negative integer"))),
    }
}

fn check_position(file: &Gguf, no: u64, count: u64) -> Result<()> {
    let (found, of) = position(file)?;
    if (found, of) != (no, count) {
        let (found, no) = (found + 1, no + 1);
        let what = format_args!("the metadata says part {found} of {of}, the name of the file part {no} of {count}");
        return Err(structure(&file.path, what));
    }
    Ok(())
}

/// The parts are found by name, so the name must say what the metadata says.
fn check_name(path: &Path, no: u64, count: u64) -> Result<()> {
    let name = path.file_name().map(|n| n.to_string_lossy()).unwrap_or_default();
    let suffix = suffix(no, count);
    if !name.ends_with(&suffix) {
        let what = format_args!(
            "this is part {} of {count} of a split model, but its name does not end in {suffix}, \
             so that the other parts cannot be found",
            no + 1
        );
        return Err(structure(path, what));
    }
    Ok(())
}

/// How the name of part `no` (from 0) ends.
fn suffix(no: u64, count: u64) -> String {
    format!("-{:05}-of-{count:05}.gguf", no + 1)
}

/// The file of part `no` of a model whose whole would be called `path`.
pub(super) fn numbered(path: &Path, no: u64, count: u64) -> PathBuf {
    let name = path.file_name().map(|n| n.to_string_lossy()).unwrap_or_default();
    path.with_file_name(format!("{}{}", name.strip_suffix(".gguf").unwrap_or(&name), suffix(no, count)))
}

/// The file of part `no`, beside the part at `path`; all suffixes of one count are equally long.
fn sibling(path: &Path, no: u64, count: u64) -> PathBuf {
    let suffix = suffix(no, count);
    let name = path.file_name().map(|n| n.to_string_lossy()).unwrap_or_default();
    let stem = name.get(..name.len().saturating_sub(suffix.len())).unwrap_or_default();
    path.with_file_name(format!("{stem}{suffix}"))
}
