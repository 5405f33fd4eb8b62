//! The vocabulary in the metadata of a GGUF file.
//!
//! ```text
//! tokenizer.ggml.model       which encoder: llama (SentencePiece BPE), gpt2 (BPE), bert (WordPiece), t5 (Unigram) …
//! tokenizer.ggml.pre         which pre-tokenizer, for BPE: a name in a table, see `pre`
//! tokenizer.ggml.tokens      the text of each id
//! tokenizer.ggml.scores      how early merges into a token happen, or how probable it is
//! tokenizer.ggml.token_type  what each is for, see `Kind`
//! tokenizer.ggml.merges      "left right", the earliest first
//! tokenizer.ggml.*_token_id  the special ones
//! ```

mod models;

use super::{
    Finder, Model, Normal, Special, Step, Strip, Tokenizer,
    added::Added,
    decode::cleaned,
    pre::Alphabet,
    shown,
    vocab::{Kind, SPACE, Strings, byte_level, byte_token},
    wrong,
};
use crate::{Error, ErrorKind, Result, file::gguf::Gguf, file::gguf::Metadata};
use std::path::Path;

/// Tokens that merges are derived for are at most this long; real ones have up to some 200 bytes.
pub(super) const LONGEST_MERGED: usize = 1024;

pub(super) fn read(gguf: &Gguf) -> Result<Tokenizer> {
    let file = File::open(&gguf.path, &gguf.metadata)?;
    match file.model {
        "llama" => file.sentencepiece(),
        "gpt2" | "gemma4" => file.bpe(),
        "bert" => file.wordpiece(),
        "t5" => file.unigram(),
        "none" | "no_vocab" => Err(file.unsupported("says that the file has no vocabulary")),
        other => Err(file.unsupported(format_args!("is {other:?}, which Lucid has no tokenizer for"))),
    }
}

/// What all kinds have in common.
struct File<'f> {
    path: &'f Path,
    metadata: &'f Metadata,
    model: &'f str,
    texts: Strings,
    kinds: Vec<Kind>,
    warnings: Vec<String>,
}

/// What the kinds differ in.
struct Rest {
    special: Special,
    /// What is put around text.
    bos: bool,
    eos: bool,
    separator: bool,
    strip: Strip,
    normal: Vec<Normal>,
    steps: Vec<Step>,
    model: Model,
    alphabet: Alphabet,
}

impl Rest {
    fn new(special: Special, model: Model, alphabet: Alphabet) -> Rest {
        let (normal, steps) = (Vec::new(), Vec::new());
        Rest { special, bos: false, eos: false, separator: false, strip: Strip::None, normal, steps, model, alphabet }
    }
}

const MODEL: &str = "tokenizer.ggml.model";
const TOKENS: &str = "tokenizer.ggml.tokens";
const SCORES: &str = "tokenizer.ggml.scores";
const TYPES: &str = "tokenizer.ggml.token_type";
const MERGES: &str = "tokenizer.ggml.merges";
const PRE: &str = "tokenizer.ggml.pre";

impl<'f> File<'f> {
    fn open(path: &'f Path, metadata: &'f Metadata) -> Result<File<'f>> {
        let model = metadata.string(MODEL)?;
        if matches!(model, "none" | "no_vocab") {
            return Ok(File {
                path,
                metadata,
                model,
                texts: Strings::default(),
                kinds: Vec::new(),
                warnings: Vec::new(),
            });
        }
        let mut texts = Strings::default();
        for text in metadata.strings(TOKENS)? {
            texts.push(text);
        }
        if texts.len() == 0 {
            return Err(wrong(path, format_args!("metadata key {TOKENS:?} lists no token")));
        }
        let mut file = File { path, metadata, model, texts, kinds: Vec::new(), warnings: Vec::new() };
        file.kinds = file.kinds()?;
        Ok(file)
    }

    fn wrong(&self, key: &str, what: impl std::fmt::Display) -> Error {
        wrong(self.path, format_args!("metadata key {key:?} {what}"))
    }

    fn unsupported(&self, what: impl std::fmt::Display) -> Error {
        Error::file(ErrorKind::Unsupported, self.path, format_args!("metadata key {MODEL:?} {what}"))
    }

    /// The kind of every token: as listed, or by its text.
    fn kinds(&self) -> Result<Vec<Kind>> {
        let count = self.texts.len();
        if self.metadata.get(TYPES).is_none() {
            let kind = |text: &[u8]| match self.model {
                "llama" if byte_token(text).is_some() => Kind::Byte,
                _ => Kind::Normal,
            };
            let mut kinds: Vec<Kind> = self.texts.iter().map(kind).collect();
            for key in ["bos", "eos", "unknown"] {
                if let Some(id) = self.id(&format!("tokenizer.ggml.{key}_token_id"))? {
                    kinds[id as usize] = if key == "unknown" { Kind::Unknown } else { Kind::Control };
                }
            }
            return Ok(kinds);
        }
        let numbers = self.metadata.i32s(TYPES)?;
        if numbers.len() != count {
            return Err(self.wrong(TYPES, format_args!("has {} entries for {count} tokens", numbers.len())));
        }
        let kind = |(id, number): (usize, i32)| match number {
            0 => Ok(Kind::Normal), // "undefined"
            _ => Kind::from_number(number)
                .ok_or_else(|| self.wrong(TYPES, format_args!("says {number} of token {id}, which is no kind"))),
        };
        numbers.enumerate().map(kind).collect()
    }

    /// The scores, one for each token.
    fn scores(&self) -> Result<Vec<f32>> {
        let count = self.texts.len();
        if self.metadata.get(SCORES).is_none() {
            return Err(self.wrong(SCORES, "is missing; without it no token comes before another"));
        }
        let scores: Vec<f32> = self.metadata.f32s(SCORES)?.collect();
        if scores.len() != count {
            return Err(self.wrong(SCORES, format_args!("has {} entries for {count} tokens", scores.len())));
        }
        match scores.iter().position(|score| score.is_nan()) {
            Some(id) => Err(self.wrong(SCORES, format_args!("is not a number for token {id}"))),
            None => Ok(scores),
        }
    }

    /// The token that `key` names, if the file has the key.
    fn id(&self, key: &str) -> Result<Option<u32>> {
        let Some(id) = self.metadata.find::<u32>(key)? else { return Ok(None) };
        match (id as usize) < self.texts.len() {
            true => Ok(Some(id)),
            false => Err(self.wrong(key, format_args!("is token {id}, but there are {} tokens", self.texts.len()))),
        }
    }

    fn flag(&self, name: &str, default: bool) -> Result<bool> {
        Ok(self.metadata.find(&format!("tokenizer.ggml.{name}"))?.unwrap_or(default))
    }

    /// The special tokens that the file names; `defaults` where it does not.
    fn special(&self, defaults: Special) -> Result<Special> {
        let id = |name: &str, default: Option<u32>| -> Result<Option<u32>> {
            let default = default.filter(|&id| (id as usize) < self.texts.len());
            Ok(self.id(&format!("tokenizer.ggml.{name}_token_id"))?.or(default))
        };
        Ok(Special {
            bos: id("bos", defaults.bos)?,
            eos: id("eos", defaults.eos)?,
            eot: id("eot", None)?,
            eom: id("eom", None)?,
            unknown: id("unknown", defaults.unknown)?,
            // the first is how files write it, the second what it means
            separator: id("seperator", id("separator", defaults.separator)?)?,
            padding: id("padding", defaults.padding)?,
            mask: id("mask", defaults.mask)?,
            fim_prefix: id("fim_pre", id("prefix", None)?)?,
            fim_suffix: id("fim_suf", id("suffix", None)?)?,
            fim_middle: id("fim_mid", id("middle", None)?)?,
            stop: Vec::new(),
        })
    }

    /// What is left is the same for all kinds.
    fn finish(mut self, rest: Rest) -> Result<Tokenizer> {
        let Rest { mut special, strip, normal, steps, model, alphabet, .. } = rest;
        special.recognise(&self.texts, &mut self.kinds);
        self.tell_duplicates();
        let around = |wanted: bool, id: Option<u32>, name: &str| match (wanted, id) {
            (false, _) => Ok(None),
            (true, Some(id)) => Ok(Some(id)),
            (true, None) => {
                let what = format_args!("is not there, but {name} belongs around every text");
                Err(self.wrong(&format!("tokenizer.ggml.{name}_token_id"), what))
            }
        };
        let prefix = around(rest.bos, special.bos, "bos")?;
        let separator = around(rest.separator, special.separator, "seperator")?;
        let suffix = separator.or(around(rest.eos, special.eos, "eos")?);
        let mut written = Strings::default();
        for (id, text) in self.texts.iter().enumerate() {
            written.push(&self.written(id, text, alphabet)?);
        }
        Ok(Tokenizer {
            path: self.path.to_owned(),
            added: self.finder(&special)?,
            special,
            warnings: self.warnings,
            texts: self.texts,
            kinds: self.kinds,
            written,
            strip,
            normal,
            inner: Finder::new(Vec::new()),
            steps,
            model,
            prefix: prefix.into_iter().collect(),
            suffix: suffix.into_iter().collect(),
        })
    }

    /// The bytes that a token writes.
    fn written(&self, id: usize, text: &[u8], alphabet: Alphabet) -> Result<Vec<u8>> {
        Ok(match (self.kinds[id], alphabet) {
            (Kind::Byte, _) => match byte_token(text) {
                Some(byte) => vec![byte],
                None => return Err(self.wrong(TYPES, format_args!("says that token {id}, {}, is a byte", shown(text)))),
            },
            (_, Alphabet::Words) => word(&with_spaces(text), self.kinds[id]),
            (Kind::Control | Kind::Unknown | Kind::UserDefined, _) | (_, Alphabet::Plain) => text.to_vec(),
            (_, Alphabet::Bytes) => byte_level::bytes_of(text).unwrap_or_else(|| text.to_vec()),
            (_, Alphabet::Spaced) => with_spaces(text),
        })
    }

    /// Finds the tokens that stand for their own text.
    fn finder(&self, special: &Special) -> Result<Finder> {
        // Only Phi-3's own files say that its special tokens take the white space after them.
        let name = self.metadata.find::<&str>("general.name")?.unwrap_or_default().to_lowercase();
        let phi3 = name.contains("phi-3") || name.contains("phi3");
        let keeps = |id: u32| {
            [special.bos, special.unknown].contains(&Some(id)) || self.texts.get(id as usize) == Some(b"<|endoftext|>")
        };
        let mut tokens = Vec::new();
        for (id, text) in (0..).zip(self.texts.iter()) {
            let kind = self.kinds[id as usize];
            if !matches!(kind, Kind::Control | Kind::Unknown | Kind::UserDefined) {
                continue;
            }
            if text.len() > LONGEST_FOUND {
                let what =
                    format_args!("token {id} is longer than the {LONGEST_FOUND} bytes that are looked for in text");
                return Err(Error::file(ErrorKind::Unsupported, self.path, what));
            }
            tokens.push(Added {
                id,
                text: text.to_vec(),
                special: kind != Kind::UserDefined,
                lstrip: false,
                rstrip: phi3 && !keeps(id),
                single_word: false,
            });
        }
        Ok(Finder::new(tokens))
    }

    /// Of two tokens with the same text the first is chosen.
    fn tell_duplicates(&mut self) {
        let mut order: Vec<u32> = (0..self.texts.len() as u32).collect();
        let text = |id: u32| self.texts.get(id as usize).unwrap_or_default();
        order.sort_unstable_by_key(|&id| (text(id), id));
        let twice = order.windows(2).filter(|w| text(w[0]) == text(w[1]));
        if let Some(first) = twice.clone().min_by_key(|w| w[1]) {
            let what = format!(
                "{} tokens have the text of another; the first is token {}, {}, which is never chosen",
                twice.count(),
                first[1],
                shown(text(first[1]))
            );
            self.warnings.push(what);
        }
    }
}

/// Tokens longer than this are not looked for in text: every place of it would have to be compared with all of them.
pub(super) const LONGEST_FOUND: usize = 4096;

/// "▁" read as a space.
pub(super) fn with_spaces(text: &[u8]) -> Vec<u8> {
    match std::str::from_utf8(text) {
        Ok(text) => text.replace(SPACE, " ").into_bytes(),
        Err(_) => text.to_vec(),
    }
}

/// The rank of each token when pairs merge into the highest score first. Equal scores have equal ranks.
pub(super) fn ranks_of_scores(scores: &[f32]) -> Vec<u32> {
    let value = |&id: &usize| scores[id] + 0.0; // -0 is 0
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|a, b| value(b).total_cmp(&value(a)));
    let mut ranks = vec![0; scores.len()];
    for pair in order.windows(2) {
        ranks[pair[1]] = ranks[pair[0]] + u32::from(value(&pair[0]) != value(&pair[1]));
    }
    ranks
}

/// A token among words: a space before it unless it continues one, none before what ends a sentence.
fn word(text: &[u8], kind: Kind) -> Vec<u8> {
    match kind {
        Kind::Control | Kind::Unknown => [b" ", text].concat(),
        _ => cleaned(text.to_vec()),
    }
}
