//! The model that a command works on: the file, and everything in it that text needs.

use crate::{
    hub,
    output::{say, warn, watched},
};
use anyhow::Context;
use lucid::{
    Result,
    chat::Template,
    file::{Container, ModelFile},
    generate,
    sample::Params,
    tokenizer::Tokenizer,
};
use std::path::Path;

/// The context length unless the user asks for more, or the model has less.
const DEFAULT_CONTEXT: usize = 8192;

/// The demonstration model, which the program brings along.
static BUILT_IN: &[u8] = include_bytes!("../../../models/tiny/tiny.gguf");
/// What it is called where a file would be named.
const BUILT_IN_NAME: &str = "built-in:tiny";

/// Opens the model that the user named, or the one built into the program.
pub(crate) fn open(model: Option<&Path>) -> anyhow::Result<ModelFile> {
    let Some(name) = model else {
        if watched() {
            say("note: no model is named: this is the built-in one, a little storyteller");
        }
        return Ok(ModelFile::from_bytes(Path::new(BUILT_IN_NAME), BUILT_IN)?);
    };
    let path = hub::local(name)?;
    if !path.exists() {
        let what = "a model is a .gguf file, a folder with config.json and safetensors, or hf:owner/repo";
        anyhow::bail!("{}: there is no such file or folder; {what}", path.display());
    }
    Ok(ModelFile::open(&path)?)
}

/// Whatever holds the vocabulary that the user named, a model or less, or the built-in model's.
pub(crate) fn vocabulary(model: Option<&Path>) -> anyhow::Result<Tokenizer> {
    let tokenizer = match model {
        Some(name) => Tokenizer::open(&hub::local(name)?)?,
        None => tokenizer_of(&open(None)?)?,
    };
    tokenizer.warnings.iter().for_each(|warning| warn(warning));
    Ok(tokenizer)
}

fn tokenizer_of(file: &ModelFile) -> Result<Tokenizer> {
    match &file.container {
        Container::Gguf(gguf) => Tokenizer::from_gguf(gguf),
        Container::HuggingFace { .. } | Container::Npy { .. } => Tokenizer::open(&file.path),
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
        let tokenizer = tokenizer_of(file).context("this model has no vocabulary that Lucid can use")?;
        for warning in &tokenizer.warnings {
            warn(warning);
        }
        Ok(Words { stop_ids: generate::stop_ids(file, &tokenizer)?, tokenizer })
    }
}

/// The ids that end a text. With --ignore-eos none does, and none of them may be drawn.
pub(crate) fn stop_ids(words: &Words, params: &mut Params, ignore: bool) -> Vec<u32> {
    if ignore {
        params.logit_bias.extend(words.stop_ids.iter().map(|&id| (id, f32::NEG_INFINITY)));
        return Vec::new();
    }
    words.stop_ids.clone()
}

/// The model's own chat template, if it has one.
pub(crate) fn own_template(file: &ModelFile) -> Result<Option<Template>> {
    match &file.container {
        Container::Gguf(gguf) => Template::from_gguf(gguf),
        Container::HuggingFace { .. } | Container::Npy { .. } => Template::find(&file.path),
    }
}

/// Whether the model was made for conversations: it has a template, be it one that Lucid cannot read.
pub(crate) fn has_template(file: &ModelFile) -> bool {
    !matches!(own_template(file), Ok(None))
}

/// The template that conversations go through: of the user's file, the model's own, or that of its family, with a word
/// about it.
pub(crate) fn template(file: &ModelFile, tokenizer: &Tokenizer, user: Option<&Path>) -> anyhow::Result<Template> {
    if let Some(path) = user {
        let mut template = Template::read(path)?;
        for (name, id) in [("bos_token", tokenizer.special.bos), ("eos_token", tokenizer.special.eos)] {
            if let Some(text) = id.and_then(|id| tokenizer.text(id)) {
                template.set_token(name, &String::from_utf8_lossy(text));
            }
        }
        return Ok(template);
    }
    if let Some(template) = own_template(file)? {
        return Ok(template);
    }
    let name = file.path.file_name().unwrap_or(file.path.as_os_str()).to_string_lossy();
    match Template::guess(tokenizer, &name)? {
        Some(template) => {
            template.guessed.iter().for_each(|why| say(&format!("note: {why}")));
            Ok(template)
        }
        None => anyhow::bail!(
            "{}: this model has no chat template: it continues texts (lucid run), or give it one with --template FILE",
            file.path.display()
        ),
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
