//! Whatever holds a vocabulary: told apart by content, and in a folder by the names that everybody uses.

use super::{Tokenizer, hf, json, sentencepiece, tiktoken};
use crate::{
    Error, ErrorKind, Result,
    file::{Magic, gguf::Gguf},
};
use std::path::{Path, PathBuf};

/// The files that a folder may hold, the one that says most first. `merges.txt` comes with `vocab.json`.
const NAMES: [&str; 4] = ["tokenizer.json", "tokenizer.model", "vocab.json", "encoder.json"];
/// What merges are called beside `vocab.json` or `encoder.json`.
const MERGES: [&str; 2] = ["merges.txt", "vocab.bpe"];

/// Opens a file, or the vocabulary in a folder.
pub(super) fn open(path: &Path) -> Result<Tokenizer> {
    if path.is_dir() {
        return open(&in_folder(path)?);
    }
    if let Magic::Gguf = Magic::of(path)? {
        return Tokenizer::from_gguf(&Gguf::open(path)?);
    }
    if let Magic::Safetensors = Magic::of(path)? {
        return open(&in_folder(path.parent().unwrap_or(Path::new("")))?);
    }
    from_bytes(path, &json::read(path)?)
}

/// What `bytes`, the file at `path`, hold.
pub(super) fn from_bytes(path: &Path, bytes: &[u8]) -> Result<Tokenizer> {
    if bytes.starts_with(b"GGUF") {
        return Tokenizer::from_gguf(&Gguf::parse(path, bytes.to_vec())?);
    }
    match bytes.iter().find(|b| !b.is_ascii_whitespace()) {
        Some(b'{') => open_json(path, bytes),
        _ if sentencepiece::is_like(bytes) => sentencepiece::read(path, bytes),
        _ if tiktoken::is_like(bytes) => tiktoken::read_ranks(path, bytes),
        _ => {
            let what = "holds no vocabulary: it is no GGUF file, tokenizer.json, SentencePiece model or tiktoken file";
            Err(Error::file(ErrorKind::Structure, path, what))
        }
    }
}

/// `tokenizer.json`, or `vocab.json` with merges beside it.
fn open_json(path: &Path, bytes: &[u8]) -> Result<Tokenizer> {
    let value = json::parse(path, bytes)?;
    if value.get("model").is_some_and(|model| model.is_object()) {
        return hf::read(path, &value);
    }
    let folder = path.parent().unwrap_or(Path::new(""));
    match MERGES.iter().map(|name| folder.join(name)).find(|path| path.is_file()) {
        Some(merges) => tiktoken::read_merges(path, &value, &merges),
        None => {
            let what = "is no tokenizer.json, and no vocab.json either, which has a merges.txt beside it";
            Err(Error::file(ErrorKind::Structure, path, what))
        }
    }
}

/// The file that holds the vocabulary of a folder: one of the usual names, or else the only GGUF file.
fn in_folder(folder: &Path) -> Result<PathBuf> {
    if let Some(path) = NAMES.iter().map(|name| folder.join(name)).find(|path| path.is_file()) {
        return Ok(path);
    }
    let entries = std::fs::read_dir(folder).map_err(|e| Error::io(folder, "cannot read", e))?;
    let mut found: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|end| end == "gguf" || end == "tiktoken"))
        .collect();
    found.sort();
    match found.len() {
        1 => Ok(found.swap_remove(0)),
        0 => Err(Error::file(
            ErrorKind::Structure,
            folder,
            format_args!("this folder holds no vocabulary ({})", NAMES.join(", ")),
        )),
        n => Err(Error::file(
            ErrorKind::Structure,
            folder,
            format_args!("this folder holds {n} vocabularies; name one of them"),
        )),
    }
}
