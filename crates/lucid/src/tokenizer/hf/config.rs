//! What stands in the small files beside a vocabulary: which tokens are special, and which of them end a turn.

use super::{
    super::{
        Special,
        added::Added,
        json,
        json::At,
        vocab::{Kind, Strings},
    },
    Tokens, added_token,
};
use crate::Result;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// `tokenizer_config.json` and `generation_config.json` (or `config.json`), where they are there.
#[derive(Debug, Default)]
pub(in super::super) struct Config {
    tokenizer: Option<(PathBuf, Value)>,
    generation: Option<(PathBuf, Value)>,
    pub(in super::super) warnings: Vec<String>,
}

impl Config {
    /// The files in the folder of `path`.
    pub(in super::super) fn beside(path: &Path) -> Result<Config> {
        let folder = path.parent().unwrap_or(Path::new(""));
        let open = |names: &[&str]| -> Result<Option<(PathBuf, Value)>> {
            let Some(path) = names.iter().map(|name| folder.join(name)).find(|path| path.is_file()) else {
                return Ok(None);
            };
            let value = json::open(&path)?;
            Ok(Some((path, value)))
        };
        Ok(Config {
            tokenizer: open(&["tokenizer_config.json"])?,
            generation: open(&["generation_config.json", "config.json"])?,
            warnings: Vec::new(),
        })
    }

    /// `tokenizer_config.json`.
    pub(in super::super) fn root(&self) -> Option<At<'_>> {
        self.tokenizer.as_ref().map(|(path, value)| At::root(path, value))
    }

    /// What the config calls `key`: a string, or an object with a string as its content.
    pub(in super::super) fn named(&self, key: &str) -> Option<&str> {
        let (_, value) = self.tokenizer.as_ref()?;
        let value = value.get(key)?;
        value.as_str().or_else(|| value.get("content")?.as_str())
    }

    /// The special tokens that the files name.
    pub(in super::super) fn special(&self, texts: &Strings, kinds: &[Kind]) -> Special {
        let id = |key: &str| {
            let named = self.named(key)?.as_bytes();
            // an added token before an ordinary one of the same text
            let with = |ordinary: bool| {
                (0..)
                    .zip(texts.iter())
                    .zip(kinds)
                    .find(|((_, text), kind)| *text == named && (**kind == Kind::Normal) == ordinary)
            };
            with(false).or_else(|| with(true)).map(|((id, _), _)| id)
        };
        let eos = self.generation.as_ref().and_then(|(_, value)| value.get("eos_token_id"));
        // one id, or a list of them
        let eos = eos.map_or(&[][..], |value| value.as_array().map_or(std::slice::from_ref(value), |list| &list[..]));
        let stop = eos.iter().filter_map(Value::as_u64).filter(|&id| (id as usize) < texts.len());
        Special {
            bos: id("bos_token"),
            eos: id("eos_token"),
            unknown: id("unk_token"),
            separator: id("sep_token"),
            padding: id("pad_token"),
            mask: id("mask_token"),
            stop: stop.map(|id| id as u32).collect(),
            ..Special::default()
        }
    }

    /// The added tokens that `tokenizer_config.json` lists, as `tokenizer.json` would; see [`added_token`].
    pub(in super::super) fn added_tokens(&self, tokens: &mut Tokens) -> Result<Vec<Added>> {
        let Some(list) = self.root().and_then(|root| root.find("added_tokens_decoder")) else { return Ok(Vec::new()) };
        let Some(map) = list.value.as_object() else { return Err(list.wrong("is no object")) };
        let mut added = Vec::new();
        for key in map.keys() {
            let id = key.parse().map_err(|_| list.wrong(format_args!("has the key {key:?}, which is no id")))?;
            added.push(added_token(&list.get(key)?, id, tokens, map.len())?.0);
        }
        Ok(added)
    }

    /// `add_bos_token` and `add_eos_token` decide what stands around text, where they are there; what the file puts before
    /// the text is its BOS where no config names one.
    pub(in super::super) fn override_around(
        &self,
        special: &mut Special,
        prefix: &mut Vec<u32>,
        suffix: &mut Vec<u32>,
    ) {
        if self.tokenizer.is_none() {
            special.bos = special.bos.or(prefix.first().copied());
        }
        let wanted = |key: &str| self.tokenizer.as_ref()?.1.get(key)?.as_bool();
        for (key, id, around, at_start) in
            [("add_bos_token", special.bos, prefix, true), ("add_eos_token", special.eos, suffix, false)]
        {
            let Some(id) = id else { continue };
            match wanted(key) {
                Some(false) => around.retain(|&other| other != id),
                Some(true) if !around.contains(&id) => around.insert(if at_start { 0 } else { around.len() }, id),
                _ => {}
            }
        }
    }
}
