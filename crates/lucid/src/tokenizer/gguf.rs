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

use super::{
    Finder, Model, Normal, Special, Step, Strip, Tokenizer,
    added::Added,
    bpe::{Bpe, Rules},
    pre::{Alphabet, Pre},
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
            return Ok(File { path, metadata, model, texts: Strings::default(), kinds: Vec::new(), warnings: Vec::new() });
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

    /// SentencePiece BPE: the score of a token says how early pairs merge into it.
    fn sentencepiece(mut self) -> Result<Tokenizer> {
        let special = self.special(Special { bos: Some(1), eos: Some(2), unknown: Some(0), ..Special::default() })?;
        let scores = self.scores()?;
        let tokens = self.texts.len() as u32;
        let rules = Rules {
            byte_tokens: byte_tokens(&self.texts, &self.kinds),
            unknown: special.unknown,
            fuse_unknown: true,
            ..Rules::default()
        };
        let chosen = |id: usize| matches!(self.kinds[id], Kind::Normal | Kind::UserDefined);
        let texts = (0..tokens).zip(self.texts.iter()).filter(|(id, _)| chosen(*id as usize));
        let mut bpe = Bpe::new(tokens, texts, rules);
        let ranks = ranks_of_scores(&scores);
        let mut merged = Vec::new();
        for (id, text) in self.texts.iter().enumerate() {
            if matches!(self.kinds[id], Kind::Normal | Kind::Unused | Kind::UserDefined) && std::str::from_utf8(text).is_ok() {
                if text.len() > LONGEST_MERGED {
                    continue;
                }
                merged.push((text, ranks[id]));
            }
        }
        bpe.merge_into(&merged);
        let long = (0..self.texts.len()).find(|&id| {
            chosen(id) && self.texts.get(id).is_some_and(|text| text.len() > LONGEST_MERGED)
                && self.kinds[id] == Kind::Normal
        });
        if let Some(id) = long {
            self.warnings.push(format!("token {id} is longer than {LONGEST_MERGED} bytes and is never chosen"));
        }
        let prefix_space = self.flag("add_space_prefix", true)?;
        let mut normal = Vec::new();
        if prefix_space {
            normal.push(Normal::Prepend(" ".into()));
        }
        normal.push(Normal::replace(" ", SPACE).map_err(|what| wrong(self.path, what))?);
        let around = (self.flag("add_bos_token", true)?, self.flag("add_eos_token", false)?);
        let strip = if prefix_space { Strip::AfterTokens } else { Strip::None };
        self.finish(special, around, strip, normal, Vec::new(), Model::Bpe(bpe.finish()), Alphabet::Spaced)
    }

    /// BPE with a list of merges, over bytes or over characters.
    fn bpe(mut self) -> Result<Tokenizer> {
        let special = self.special(Special::default())?;
        let pre = self.pre()?;
        let tokens = self.texts.len() as u32;
        let by_bytes = pre.alphabet == Alphabet::Bytes;
        // From here on, texts of a vocabulary over bytes are those bytes.
        let own = |text: &[u8]| match by_bytes {
            true => byte_level::bytes_of(text),
            false => Some(text.to_vec()),
        };
        let chosen = |id: &u32| matches!(self.kinds[*id as usize], Kind::Normal | Kind::UserDefined);
        let texts: Vec<(u32, Vec<u8>)> =
            (0..tokens).filter(chosen).filter_map(|id| Some((id, own(self.texts.get(id as usize)?)?))).collect();
        let rules = Rules {
            whole_pieces: pre.whole_words,
            byte_tokens: if by_bytes { None } else { byte_tokens(&self.texts, &self.kinds) },
            unknown: special.unknown,
            ..Rules::default()
        };
        let mut bpe = Bpe::new(tokens, texts.iter().map(|(id, text)| (*id, &text[..])), rules);
        if by_bytes {
            bpe = bpe.by_bytes();
        }
        if self.metadata.get(MERGES).is_none() && self.metadata.find(PRE)? == Some("kimi-k2") {
            // the tokens are numbered by how early they were made
            let texts: Vec<_> = texts.iter().filter(|(_, t)| t.len() <= LONGEST_MERGED).map(|(id, t)| (&t[..], *id)).collect();
            bpe.merge_into(&texts);
        } else {
            self.merges(&mut bpe, own)?;
        }
        let steps = pre.steps().map_err(|what| wrong(self.path, what))?;
        let mut normal = Vec::new();
        if pre.alphabet == Alphabet::Spaced {
            normal.push(Normal::replace(" ", SPACE).map_err(|what| wrong(self.path, what))?);
        }
        let around = (self.flag("add_bos_token", pre.bos)?, self.flag("add_eos_token", false)?);
        self.finish(special, around, Strip::None, normal, steps, Model::Bpe(bpe.finish()), pre.alphabet)
    }

    /// The pre-tokenizer that the file names, or the default one and a warning.
    fn pre(&mut self) -> Result<Pre> {
        let name = match self.model {
            "gemma4" => Some("gemma4"),
            _ => self.metadata.find::<&str>(PRE)?,
        };
        if let Some(pre) = name.and_then(Pre::named) {
            return Ok(pre);
        }
        let why = match name {
            Some(name) => format!("the pre-tokenizer {} is not known", shown(name.as_bytes())),
            None => format!("the file names no pre-tokenizer (metadata key {PRE:?})"),
        };
        self.warnings.push(format!("{why}; text is cut like \"default\", and ids may differ from those the model learned"));
        Pre::named("default").ok_or_else(|| wrong(self.path, why))
    }

    /// Adds the merges of the file.
    fn merges(&mut self, bpe: &mut Bpe, own: impl Fn(&[u8]) -> Option<Vec<u8>>) -> Result<()> {
        let (mut lost, mut first_lost) = (0, None);
        for (rank, text) in (0..).zip(self.metadata.strings(MERGES)?) {
            // the left part may itself begin with a space
            let space = text.iter().skip(1).position(|&b| b == b' ').map(|at| at + 1);
            let Some((left, right)) = space.map(|at| (&text[..at], &text[at + 1..])).filter(|(_, r)| !r.is_empty()) else {
                let what = format_args!("has entry {rank}, {}, which is no pair", shown(text));
                return Err(self.wrong(MERGES, what));
            };
            let known = match (own(left), own(right)) {
                (Some(left), Some(right)) => bpe.merge(rank, &left, &right),
                _ => false,
            };
            if !known {
                lost += 1;
                first_lost.get_or_insert(text);
            }
        }
        if let Some(text) = first_lost {
            let what = format!("{lost} merges make no token of the vocabulary, the first of them {}", shown(text));
            self.warnings.push(what);
        }
        Ok(())
    }

    /// What is left is the same for all kinds. `around` says whether BOS and EOS are put around text.
    #[allow(clippy::too_many_arguments)]
    fn finish(
        mut self,
        mut special: Special,
        around: (bool, bool),
        strip: Strip,
        normal: Vec<Normal>,
        steps: Vec<Step>,
        model: Model,
        alphabet: Alphabet,
    ) -> Result<Tokenizer> {
        special.recognise(&self.texts, &mut self.kinds);
        self.tell_duplicates();
        let around_ids = |wanted: bool, id: Option<u32>, name: &str| match (wanted, id) {
            (false, _) => Ok(Vec::new()),
            (true, Some(id)) => Ok(vec![id]),
            (true, None) => {
                let what = format_args!("is true, but the file names no {name} token");
                Err(self.wrong(&format!("tokenizer.ggml.add_{name}_token"), what))
            }
        };
        let prefix = around_ids(around.0, special.bos, "bos")?;
        let suffix = around_ids(around.1, special.eos, "eos")?;
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
            prefix,
            suffix,
        })
    }

    /// The bytes that a token writes.
    fn written(&self, id: usize, text: &[u8], alphabet: Alphabet) -> Result<Vec<u8>> {
        Ok(match (self.kinds[id], alphabet) {
            (Kind::Byte, _) => match byte_token(text) {
                Some(byte) => vec![byte],
                None => return Err(self.wrong(TYPES, format_args!("says that token {id}, {}, is a byte", shown(text)))),
            },
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
        let keeps = |id: u32| [special.bos, special.unknown].contains(&Some(id)) || self.texts.get(id as usize) == Some(b"<|endoftext|>");
        let mut tokens = Vec::new();
        for (id, text) in (0..).zip(self.texts.iter()) {
            let kind = self.kinds[id as usize];
            if !matches!(kind, Kind::Control | Kind::Unknown | Kind::UserDefined) {
                continue;
            }
            if text.len() > LONGEST_FOUND {
                let what = format_args!("token {id} is longer than the {LONGEST_FOUND} bytes that are looked for in text");
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

/// The tokens that write one byte each. `None` when there are none.
pub(super) fn byte_tokens(texts: &Strings, kinds: &[Kind]) -> Option<Box<[Option<u32>; 256]>> {
    let mut ids = Box::new([None; 256]);
    for (id, text) in (0..).zip(texts.iter()) {
        if kinds[id as usize] == Kind::Byte
            && let Some(byte) = byte_token(text)
        {
            ids[byte as usize].get_or_insert(id);
        }
    }
    ids.iter().any(Option::is_some).then_some(ids)
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
