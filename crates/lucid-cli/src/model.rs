//! The model that a command works on: the file, and everything in it that text needs.

use crate::{
    hub,
    output::{say, warn},
};
use anyhow::Context;
use lucid::{
    file::{Container, ModelFile},
    generate::stop_ids,
    tokenizer::Tokenizer,
};
use std::path::Path;

/// The context length unless the user asks for more, or the model has less.
const DEFAULT_CONTEXT: usize = 8192;

/// Opens the model that the user named, or the one built into the program.
pub(crate) fn open(model: Option<&Path>) -> anyhow::Result<ModelFile> {
    match model {
        Some(path) => Ok(ModelFile::open(&hub::local(path)?)?),
        None => anyhow::bail!("name a model: a .gguf file, or a folder with config.json and safetensors"),
    }
}

/// What stands between a model and text.
pub(crate) struct Words {
    /// Text to ids and back.
    pub tokenizer: Tokenizer,
    /// The ids that end a text.
    pub stop_ids: Vec<u32>,
}

impl Words {
    /// Reads the vocabulary of `file`, and says what is odd about it.
    pub fn of(file: &ModelFile) -> anyhow::Result<Words> {
        let tokenizer = match &file.container {
            Container::Gguf(gguf) => Tokenizer::from_gguf(gguf),
            Container::HuggingFace { .. } | Container::Npy { .. } => Tokenizer::open(&file.path),
        };
        let tokenizer = tokenizer.context("this model has no vocabulary that Lucid can use")?;
        for warning in &tokenizer.warnings {
            warn(warning);
        }
        Ok(Words { stop_ids: stop_ids(file, &tokenizer)?, tokenizer })
    }
}

/// How many tokens the context shall hold. `own` is the model's length, `asked` the user's.
pub(crate) fn context(own: usize, asked: Option<usize>) -> usize {
    match asked {
        Some(n) if n > own => {
            say(&format!("note: a context of {n} tokens is more than the {own} that the model was made for"));
            n
        }
        Some(n) => n,
        None if own > DEFAULT_CONTEXT => {
            say(&format!("note: the context holds {DEFAULT_CONTEXT} tokens; the model could use {own}: --ctx {own}"));
            DEFAULT_CONTEXT
        }
        None => own,
    }
}
