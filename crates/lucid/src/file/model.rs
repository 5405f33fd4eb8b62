//! A model on disk, whatever container holds it: its tensors under one set of names, and its configuration.
//!
//! The engine speaks GGUF's tensor names (`blk.0.attn_q.weight`); a Hugging Face folder is asked for its own names by one
//! table. Values are not interpreted here, except for the vocabulary that a GGUF file carries: whoever loads such a file
//! may rely on it, so it is checked even by those who need no tokenizer.

use super::{TensorInfo, gguf::Gguf, gguf::Metadata, json::Json, npy::NpyFolder, safetensors::Shards};
use crate::{Error, ErrorKind, Result};
use std::{
    io::Read,
    path::{Path, PathBuf},
};

/// A model file or folder, open and structurally sound.
#[derive(Debug)]
pub struct ModelFile {
    /// What the user named.
    pub path: PathBuf,
    /// What holds it.
    pub container: Container,
}

/// The containers a model can lie in.
#[derive(Debug)]
pub enum Container {
    /// A GGUF file, or several.
    Gguf(Gguf),
    /// A folder with `config.json` and safetensors.
    HuggingFace {
        /// `config.json`.
        config: Json,
        /// The tensors.
        tensors: Shards,
    },
    /// A folder with `config.json` and one `.npy` file per tensor.
    Npy {
        /// `config.json`.
        config: Json,
        /// The tensors.
        tensors: NpyFolder,
    },
}

/// What the first bytes of a file say it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Magic {
    /// `GGUF`.
    Gguf,
    /// A header length and an opening brace.
    Safetensors,
    /// `\x93NUMPY`.
    Npy,
    /// A zip archive, which .npz is.
    Zip,
    /// None of these; the first bytes, for the message.
    Unknown([u8; 8], usize),
}

impl Magic {
    /// Looks at the first bytes of the file at `path`, and not at its name.
    pub fn of(path: &Path) -> Result<Magic> {
        let fail = |e| Error::io(path, "cannot open", e);
        let meta = std::fs::metadata(path).map_err(fail)?;
        if !meta.is_file() {
            return Err(Error::file(ErrorKind::Io, path, "is no regular file"));
        }
        let mut first = Vec::new();
        std::fs::File::open(path).map_err(fail)?.take(9).read_to_end(&mut first).map_err(fail)?;
        Ok(match first.as_slice() {
            [b'G', b'G', b'U', b'F', ..] => Magic::Gguf,
            [b'P', b'K', 3 | 5, 4 | 6, ..] => Magic::Zip,
            [0x93, b'N', b'U', b'M', b'P', b'Y', ..] => Magic::Npy,
            [_, _, _, _, _, _, _, _, b'{'] => Magic::Safetensors,
            other => {
                let mut bytes = [0; 8];
                let n = other.len().min(8);
                bytes[..n].copy_from_slice(&other[..n]);
                Magic::Unknown(bytes, n)
            }
        })
    }
}

impl ModelFile {
    /// Opens a .gguf file, a folder with `config.json` and safetensors or .npy files, or a .safetensors file that has
    /// `config.json` beside it.
    pub fn open(path: &Path) -> Result<ModelFile> {
        let not_a_model = |what: String| Err(Error::file(ErrorKind::Structure, path, what));
        let container = if path.is_dir() {
            open_folder(path)?
        } else {
            match Magic::of(path)? {
                Magic::Gguf => Container::Gguf(Gguf::open(path)?),
                Magic::Safetensors => {
                    let config = path.parent().unwrap_or(Path::new("")).join("config.json");
                    if !config.is_file() {
                        return not_a_model("a safetensors file needs its config.json beside it to be run".into());
                    }
                    Container::HuggingFace { config: Json::open(&config)?, tensors: Shards::open(path)? }
                }
                Magic::Npy | Magic::Zip => {
                    return not_a_model(
                        "is a numpy file; a model of them is a folder of .npy files with config.json".into(),
                    );
                }
                Magic::Unknown(_, 0) => return not_a_model("is empty".into()),
                Magic::Unknown(bytes, n) => {
                    let first = bytes[..n].escape_ascii();
                    return not_a_model(format!(
                        "is no model: it begins with \"{first}\", not with \"GGUF\" or a safetensors header"
                    ));
                }
            }
        };
        Ok(ModelFile { path: path.to_owned(), container })
    }

    /// A GGUF file that lies in memory, such as one built into the program; `path` is for messages.
    pub fn from_bytes(path: &Path, bytes: &'static [u8]) -> Result<ModelFile> {
        Ok(ModelFile { path: path.to_owned(), container: Container::Gguf(Gguf::parse(path, bytes)?) })
    }

    /// The architecture the file says it is.
    pub fn architecture(&self) -> Result<&str> {
        match &self.container {
            Container::Gguf(gguf) => gguf.metadata.string("general.architecture"),
            Container::HuggingFace { config, .. } | Container::Npy { config, .. } => {
                config.root().string("model_type")?.ok_or_else(|| config.root().wrong("model_type", "is missing"))
            }
        }
    }

    /// The tensor that GGUF would call `name`.
    pub fn tensor(&self, name: &str) -> Option<TensorInfo<'_>> {
        match &self.container {
            Container::Gguf(gguf) => gguf.tensor(name),
            Container::HuggingFace { tensors, .. } => tensors.tensor(&hugging_face_name(name)?),
            Container::Npy { tensors, .. } => tensors.tensor(&hugging_face_name(name)?),
        }
    }

    /// The tensor that GGUF would call `name`, which the model cannot do without.
    pub fn require(&self, name: &str) -> Result<TensorInfo<'_>> {
        self.tensor(name).ok_or_else(|| {
            let own = match &self.container {
                Container::Gguf(_) => name.to_owned(),
                _ => hugging_face_name(name).unwrap_or_else(|| name.to_owned()),
            };
            Error::file(ErrorKind::Value, &self.path, format!("tensor {own} is missing"))
        })
    }

    /// Every tensor under the file's own names.
    pub fn tensors(&self) -> Box<dyn Iterator<Item = TensorInfo<'_>> + '_> {
        match &self.container {
            Container::Gguf(gguf) => Box::new(gguf.tensors()),
            Container::HuggingFace { tensors, .. } => Box::new(tensors.tensors()),
            Container::Npy { tensors, .. } => Box::new(tensors.tensors()),
        }
    }

    /// Everything that is wrong with the vocabulary in the file's metadata. A file without one has no fault.
    pub fn check_vocabulary(&self) -> Vec<Error> {
        match &self.container {
            Container::Gguf(gguf) => check_vocabulary(&self.path, &gguf.metadata),
            _ => Vec::new(), // tokenizer.json is checked by whoever reads it
        }
    }
}

fn open_folder(path: &Path) -> Result<Container> {
    let config = path.join("config.json");
    if !config.is_file() {
        let what = "this folder has no config.json: it is no Hugging Face model (name a .gguf file inside it directly)";
        return Err(Error::file(ErrorKind::Structure, path, what));
    }
    let config = Json::open(&config)?;
    let has = |name: &str| path.join(name).is_file();
    if has("model.safetensors") || has("model.safetensors.index.json") {
        return Ok(Container::HuggingFace { config, tensors: Shards::open(path)? });
    }
    Ok(Container::Npy { config, tensors: NpyFolder::open(path)? })
}

/// The table of names: what Hugging Face calls a tensor that GGUF calls `name`.
fn hugging_face_name(name: &str) -> Option<String> {
    const OUTER: [(&str, &str); 3] =
        [("token_embd", "model.embed_tokens"), ("output_norm", "model.norm"), ("output", "lm_head")];
    const LAYER: [(&str, &str); 9] = [
        ("attn_norm", "input_layernorm"),
        ("attn_q", "self_attn.q_proj"),
        ("attn_k", "self_attn.k_proj"),
        ("attn_v", "self_attn.v_proj"),
        ("attn_output", "self_attn.o_proj"),
        ("ffn_norm", "post_attention_layernorm"),
        ("ffn_gate", "mlp.gate_proj"),
        ("ffn_up", "mlp.up_proj"),
        ("ffn_down", "mlp.down_proj"),
    ];
    let find = |table: &[(&str, &str)], key: &str| table.iter().find(|(k, _)| *k == key).map(|(_, v)| v.to_string());
    let (stem, kind) = name.rsplit_once('.')?;
    match stem.strip_prefix("blk.") {
        None => Some(format!("{}.{kind}", find(&OUTER, stem)?)),
        Some(rest) => {
            let (layer, key) = rest.split_once('.')?;
            Some(format!("model.layers.{layer}.{}.{kind}", find(&LAYER, key)?))
        }
    }
}

fn check_vocabulary(path: &Path, metadata: &Metadata) -> Vec<Error> {
    let mut faults = Vec::new();
    let refuse = |what: String| Error::file(ErrorKind::Value, path, what);
    let tokens = match metadata.strings("tokenizer.ggml.tokens").map(|t| t.len()) {
        Ok(0) => return vec![refuse("metadata key \"tokenizer.ggml.tokens\" lists no token".into())],
        Ok(n) => Some(n),
        Err(_) if metadata.get("tokenizer.ggml.tokens").is_none() => None,
        Err(fault) => return vec![fault],
    };
    // per-token lists must have their type, and one entry for each token
    for key in ["tokenizer.ggml.scores", "tokenizer.ggml.token_type"] {
        if metadata.get(key).is_none() {
            continue;
        }
        let len = if key.ends_with("scores") {
            metadata.f32s(key).map(|v| v.len())
        } else {
            metadata.i32s(key).map(|v| v.len())
        };
        match (len, tokens) {
            (Ok(len), Some(n)) if len == n => {}
            (Ok(len), Some(n)) => faults.push(refuse(format!("metadata key {key:?} has {len} entries for {n} tokens"))),
            (Ok(_), None) => {
                faults.push(refuse(format!("metadata key {key:?} is there, but \"tokenizer.ggml.tokens\" is not")));
            }
            (Err(fault), _) => faults.push(fault),
        }
    }
    for (key, _) in metadata.iter() {
        let fault = match key.strip_prefix("tokenizer.ggml.") {
            Some("merges") => metadata.strings(key).err(),
            Some("model" | "pre") => metadata.string(key).err(),
            Some(name) if name.ends_with("_token_id") => match (metadata.u32(key), tokens) {
                (Ok(id), Some(n)) if id as usize >= n => {
                    Some(refuse(format!("metadata key {key:?} is token {id}, but there are {n} tokens")))
                }
                (id, _) => id.err(),
            },
            Some(name) if name.starts_with("add_") => metadata.bool(key).err(),
            _ => None,
        };
        faults.extend(fault);
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_one_table() {
        assert_eq!(hugging_face_name("token_embd.weight").unwrap(), "model.embed_tokens.weight");
        assert_eq!(hugging_face_name("output.weight").unwrap(), "lm_head.weight");
        assert_eq!(hugging_face_name("blk.12.ffn_down.bias").unwrap(), "model.layers.12.mlp.down_proj.bias");
        assert_eq!(hugging_face_name("rope_freqs.weight"), None);
        assert_eq!(hugging_face_name("blk.x"), None);
    }
}
