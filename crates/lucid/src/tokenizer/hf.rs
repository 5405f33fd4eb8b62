//! `tokenizer.json`, with what `tokenizer_config.json` and `generation_config.json` beside it add.
//!
//! ```text
//! added_tokens     found in the text, or in the normalised text
//! normalizer       )
//! pre_tokenizer    ) chains of named steps; one that is not known here is refused by name
//! model            the encoder and its vocabulary
//! post_processor   what is put around the text
//! decoder          how the text of a token becomes what it writes
//! ```

mod config;
mod decoder;
mod model;
mod normalizer;
mod pre_tokenizer;

pub(super) use config::Config;
pub(super) use model::{byte_level_bpe, id_limit};

use super::{
    Kind, Tokenizer,
    added::{Added, Finder, unlisted},
    decode::Strip,
    gguf::LONGEST_FOUND,
    json::At,
    normal::Normal,
    pattern::Fuel,
    split::{Prepend, Step},
    vocab::Strings,
};
use crate::Result;
use serde_json::Value;
use std::{borrow::Cow, path::Path};

/// The tokens of a vocabulary by id; ids that no token has are unused and empty.
#[derive(Debug, Default)]
pub(super) struct Tokens {
    pub(super) texts: Vec<Vec<u8>>,
    pub(super) kinds: Vec<Kind>,
}

impl Tokens {
    /// Gives `id` a text and a kind. The caller has checked that the id is of sensible size.
    pub(super) fn set(&mut self, id: u32, text: &str, kind: Kind) {
        let id = id as usize;
        if id >= self.texts.len() {
            self.texts.resize(id + 1, Vec::new());
            self.kinds.resize(id + 1, Kind::Unused);
        }
        self.texts[id] = text.into();
        self.kinds[id] = kind;
    }

    pub(super) fn strings(&self) -> Strings {
        let mut strings = Strings::default();
        self.texts.iter().for_each(|text| strings.push(text));
        strings
    }
}

/// Reads the `tokenizer.json` at `path`, parsed.
pub(super) fn read(path: &Path, value: &Value) -> Result<Tokenizer> {
    let root = At::root(path, value);
    let config = Config::beside(path)?;

    let mut tokens = model::tokens(&root.get("model")?)?;
    let unknown = tokens.kinds.iter().position(|kind| *kind == Kind::Unknown).map(|id| id as u32);
    let added = added_tokens(&root, &mut tokens)?;
    let texts = tokens.strings();
    let mut special = config.special(&texts, &tokens.kinds);
    special.unknown = special.unknown.or(unknown);
    special.recognise(&texts, &mut tokens.kinds);

    let mut normal = Vec::new();
    if let Some(at) = root.find("normalizer") {
        normalizer::read(&at, &mut normal)?;
    }
    let mut steps = Vec::new();
    if let Some(at) = root.find("pre_tokenizer") {
        pre_tokenizer::read(&at, &mut steps)?;
    }
    // Where writing bytes as characters is the last thing that happens to text, the encoder reads the bytes instead.
    let writes_bytes = |step: &Step| matches!(step, Step::ByteLevel);
    let once = steps.iter().filter(|step| writes_bytes(step)).count() == 1;
    let by_bytes = once && steps.last().is_some_and(writes_bytes) && model::can_read_bytes(&root.get("model")?)?;
    if by_bytes {
        steps.pop();
    }
    let model = model::read(&root.get("model")?, &tokens, by_bytes)?;
    let (mut prefix, mut suffix) = (Vec::new(), Vec::new());
    if let Some(at) = root.find("post_processor") {
        around(&at, tokens.texts.len(), &mut prefix, &mut suffix)?;
    }
    config.override_around(&mut special, &mut prefix, &mut suffix);

    let mut strip = added_space(&normal, &steps);
    let decoder = decoder::read(root.find("decoder"), &mut strip)?;
    let mut written = Strings::default();
    for (text, kind) in texts.iter().zip(&tokens.kinds) {
        written.push(&decoder.written(text, *kind));
    }
    let (raw, normalized): (Vec<_>, Vec<_>) = added.into_iter().partition(|(_, normalized)| !normalized);
    let kinds = &tokens.kinds;
    let as_known = |mut token: Added| {
        token.special = kinds[token.id as usize] != Kind::UserDefined;
        token
    };
    let mut raw: Vec<Added> = raw.into_iter().map(|(token, _)| as_known(token)).collect();
    let inner: Vec<Added> = normalized.into_iter().map(|(token, _)| normalised(as_known(token), &normal)).collect();
    raw.extend(unlisted(&[&raw[..], &inner].concat(), &texts, kinds));
    Ok(Tokenizer {
        path: path.to_owned(),
        special,
        warnings: config.warnings,
        texts,
        added: Finder::new(raw),
        inner: Finder::new(inner),
        kinds: tokens.kinds,
        written,
        strip,
        normal,
        steps,
        model,
        prefix,
        suffix,
    })
}

/// The added tokens, and whether each is looked for in the normalised text.
fn added_tokens(root: &At<'_>, tokens: &mut Tokens) -> Result<Vec<(Added, bool)>> {
    let Some(list) = root.find("added_tokens") else { return Ok(Vec::new()) };
    let count = list.list()?.len();
    let mut added = Vec::new();
    for at in list.list()? {
        added.push(added_token(&at, at.get("id")?.u32()?, tokens, count)?);
    }
    Ok(added)
}

/// One of `count` added tokens, whose text and kind `tokens` takes over; and whether it is looked for in normalised text.
fn added_token(at: &At<'_>, id: u32, tokens: &mut Tokens, count: usize) -> Result<(Added, bool)> {
    let content = at.get("content")?;
    let text = content.str()?;
    if id >= id_limit(tokens.texts.len() + count) {
        return Err(at.wrong(format_args!("has the id {id}, far beyond the {} tokens", tokens.texts.len())));
    }
    if text.len() > LONGEST_FOUND {
        return Err(content.unsupported(format_args!("is longer than {LONGEST_FOUND} bytes")));
    }
    let special = at.flag("special", false)?;
    tokens.set(id, text, if special { Kind::Control } else { Kind::UserDefined });
    let token = Added {
        id,
        text: text.into(),
        special,
        lstrip: at.flag("lstrip", false)?,
        rstrip: at.flag("rstrip", false)?,
        single_word: at.flag("single_word", false)?,
    };
    Ok((token, at.flag("normalized", !special)?))
}

/// A token as it stands in normalised text.
fn normalised(mut token: Added, normal: &[Normal]) -> Added {
    let mut text: Cow<str> = Cow::Owned(String::from_utf8_lossy(&token.text).into_owned());
    let mut fuel = Fuel::for_text(text.len());
    for step in normal {
        match step.apply(text.clone(), &mut fuel) {
            Ok(done) => text = done,
            Err(_) => break,
        }
    }
    token.text = text.into_owned().into_bytes();
    token
}

/// Reads what a post-processor puts around one text.
fn around(at: &At<'_>, tokens: usize, prefix: &mut Vec<u32>, suffix: &mut Vec<u32>) -> Result<()> {
    let known = |id: &At<'_>| match id.u32()? {
        n if (n as usize) < tokens => Ok(n),
        n => Err(id.wrong(format_args!("is {n}, but there are {tokens} tokens"))),
    };
    match at.kind()? {
        "ByteLevel" => {}
        "Sequence" => {
            for step in at.get("processors")?.list()? {
                around(&step, tokens, prefix, suffix)?;
            }
        }
        "BertProcessing" | "RobertaProcessing" => {
            for (key, to) in [("cls", prefix), ("sep", suffix)] {
                // ["[CLS]", 101]
                let pair = at.get(key)?;
                let id = pair.list()?.nth(1).ok_or_else(|| pair.wrong("is no token and its id"))?;
                to.push(known(&id)?);
            }
        }
        "TemplateProcessing" => {
            let mut before_text = true;
            for piece in at.get("single")?.list()? {
                if piece.find("Sequence").is_some() {
                    before_text = false;
                    continue;
                }
                let name = piece.get("SpecialToken")?.get("id")?;
                let ids = at.get("special_tokens")?.get(name.str()?)?.get("ids")?;
                for id in ids.list()? {
                    if before_text { &mut *prefix } else { &mut *suffix }.push(known(&id)?);
                }
            }
        }
        other => return Err(at.unsupported(format_args!("is a {other:?}, which is not supported"))),
    }
    Ok(())
}

/// The space that these steps put before text, and decoding has to drop.
fn added_space(normal: &[Normal], steps: &[Step]) -> Strip {
    let prepends = |step: &Normal| matches!(step, Normal::Prepend(space) if [" ", "▁"].contains(&&**space));
    if normal.iter().any(prepends) {
        return Strip::AfterTokens;
    }
    for step in steps {
        match step {
            Step::SpacePrefix | Step::Metaspace { prepend: Prepend::Always, .. } => return Strip::AfterTokens,
            Step::Metaspace { prepend: Prepend::First, .. } => return Strip::First,
            _ => {}
        }
    }
    Strip::None
}
