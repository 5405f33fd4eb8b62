//! Files without a pre-tokenizer of their own: tiktoken ranks, and `vocab.json` with `merges.txt`.
//!
//! ```text
//! tiktoken:    IQ== 0            the token's bytes in base64, and its rank, which is its id
//! merges.txt:  #version: 0.2     left out by some
//!              Ġ t               left and right, the earliest merge first
//! ```
//!
//! How text is cut stands in neither. The config beside them may name a class of tokenizers that cuts in one way; the
//! number of ranks gives away the best-known vocabularies; what remains is said in a warning.

use super::{
    Finder, Model, Strip, Tokenizer,
    added::Added,
    base64,
    bpe::{Bpe, Rules},
    fallback::Fallback,
    gguf::LONGEST_MERGED,
    hf::{Config, Tokens, byte_level_bpe, id_limit},
    json::{self, At},
    pre::Pre,
    shown,
    vocab::{Kind, Strings, byte_level},
    wrong,
};
use crate::{Error, ErrorKind, Result};
use std::path::Path;

/// The best-known rank files: how many ranks, and the pre-tokenizer they go with.
const RANKS: [(usize, &str); 4] = [(128_000, "llama-bpe"), (100_256, "dbrx"), (151_643, "qwen2"), (199_998, "gpt-4o")];

/// The classes of tokenizers that a config may name, and the pre-tokenizers they go with.
const CLASSES: [(&str, &str); 11] = [
    ("GPT2Tokenizer", "gpt-2"),
    ("RobertaTokenizer", "gpt-2"),
    ("BartTokenizer", "gpt-2"),
    ("CodeGenTokenizer", "gpt-2"),
    ("GPTNeoXTokenizer", "gpt-2"),
    ("Qwen2Tokenizer", "qwen2"),
    ("Qwen3_5Tokenizer", "qwen35"),
    ("BloomTokenizer", "bloom"),
    ("CohereTokenizer", "command-r"),
    ("Starcoder2Tokenizer", "starcoder"),
    ("GPTOssTokenizer", "gpt-4o"),
];

/// Whether `bytes` begin as a rank file does.
pub(super) fn is_like(bytes: &[u8]) -> bool {
    bytes.split(|&b| b == b'\n').next().is_some_and(|line| rank(line).is_some())
}

/// A token's bytes and its rank.
fn rank(line: &[u8]) -> Option<(Vec<u8>, u32)> {
    let (text, rank) = std::str::from_utf8(line).ok()?.trim_end_matches('\r').split_once(' ')?;
    Some((base64::decode(text.as_bytes()).filter(|bytes| !bytes.is_empty())?, rank.parse().ok()?))
}

/// Reads the rank file at `path`, whose `bytes` these are.
pub(super) fn read_ranks(path: &Path, bytes: &[u8]) -> Result<Tokenizer> {
    let config = Config::beside(path)?;
    let mut entries = Vec::new();
    for (no, line) in (1..).zip(bytes.split(|&b| b == b'\n')) {
        if !line.is_empty() {
            let entry =
                rank(line).ok_or_else(|| wrong(path, format_args!("line {no} is no token in base64 and its rank")))?;
            if entry.0.len() > LONGEST_MERGED {
                let what = format_args!("the token in line {no} is longer than {LONGEST_MERGED} bytes");
                return Err(Error::file(ErrorKind::Unsupported, path, what));
            }
            entries.push(entry);
        }
    }
    let count = entries.len();
    let mut tokens = Tokens::default();
    for (bytes, id) in &entries {
        if *id >= id_limit(count) {
            return Err(wrong(path, format_args!("rank {id} is far beyond the {count} tokens")));
        }
        // as in other files of such vocabularies
        let text: String = bytes.iter().map(|&b| byte_level::char_of(b)).collect();
        tokens.set(*id, &text, Kind::Normal);
    }
    let mut warnings = Vec::new();
    let pre = pre(path, &config, RANKS.iter().find(|(n, _)| *n == count).map(|(_, name)| *name), &mut warnings)?;
    let added = match config.added_tokens(&mut tokens)? {
        none if none.is_empty() && count == 128_000 => {
            warnings.push("the file does not name its special tokens; those of Llama 3 are assumed".into());
            llama3_special(&mut tokens)
        }
        added => added,
    };
    // every pair merges that makes a token, the one of the lowest rank first
    let texts = entries.iter().map(|(bytes, id)| (*id, &bytes[..]));
    let rules = Rules { whole_pieces: true, ..Rules::default() };
    let mut bpe = Bpe::new(tokens.texts.len() as u32, texts, rules).by_bytes();
    bpe.merge_into(&entries.iter().map(|(bytes, id)| (&bytes[..], *id)).collect::<Vec<_>>());
    finish(path, config, tokens, added, pre, Model::Bpe(bpe.finish()), warnings)
}

/// Reads the `vocab.json` at `path`, parsed, with the merges at `merges`.
pub(super) fn read_merges(path: &Path, vocab: &serde_json::Value, merges: &Path) -> Result<Tokenizer> {
    let config = Config::beside(path)?;
    let root = At::root(path, vocab);
    let Some(map) = vocab.as_object().filter(|map| !map.is_empty()) else { return Err(root.wrong("lists no token")) };
    let limit = id_limit(map.len());
    let mut tokens = Tokens::default();
    for (text, id) in map {
        let id = id.as_u64().and_then(|id| u32::try_from(id).ok()).filter(|&id| id < limit);
        let id =
            id.ok_or_else(|| root.wrong(format_args!("gives the token {} no sensible id", shown(text.as_bytes()))))?;
        tokens.set(id, text, Kind::Normal);
    }
    let list = String::from_utf8(json::read(merges)?).map_err(|e| wrong(merges, "is not UTF-8").because(e))?;
    let mut pairs = Vec::new();
    for (no, line) in (1..).zip(list.lines()) {
        if line.is_empty() || (no == 1 && line.starts_with("#version")) {
            continue;
        }
        let pair = line.split_once(' ').filter(|(left, right)| !left.is_empty() && !right.is_empty());
        pairs.push(pair.ok_or_else(|| wrong(merges, format_args!("line {no} is no pair of texts")))?);
    }
    let mut warnings = Vec::new();
    let is_llama3 = config.named("bos_token") == Some("<|begin_of_text|>");
    let pre = pre(path, &config, is_llama3.then_some("llama-bpe"), &mut warnings)?;
    let added = config.added_tokens(&mut tokens)?;
    let unknown = config.special(&tokens.strings(), &tokens.kinds).unknown;
    let rules = Rules {
        whole_pieces: pre.whole_words,
        fallback: Fallback { unknown, ..Fallback::default() },
        ..Rules::default()
    };
    let bpe = byte_level_bpe(&tokens, &pairs, rules, true);
    let bpe = bpe.map_err(|(rank, text)| {
        wrong(merges, format_args!("merge {rank}, {}, names no token of {}", shown(text.as_bytes()), path.display()))
    })?;
    finish(path, config, tokens, added, pre, Model::Bpe(bpe), warnings)
}

/// The pre-tokenizer: by the class that the config names, as `known`, or GPT-2's and a warning.
fn pre(path: &Path, config: &Config, known: Option<&str>, warnings: &mut Vec<String>) -> Result<Pre> {
    let class = config.named("tokenizer_class").unwrap_or_default();
    let class = class.strip_suffix("Fast").unwrap_or(class);
    let by_class = CLASSES.iter().find(|(name, _)| *name == class).map(|(_, name)| *name);
    let name = by_class.or(known).unwrap_or_else(|| {
        let file = path.display();
        warnings.push(format!(
            "{file} does not say how text is cut, and its tokenizer class {class:?} is not known; text is cut like \
             \"gpt-2\", and ids may differ from those the model learned"
        ));
        "gpt-2"
    });
    Pre::named(name).ok_or_else(|| wrong(path, format_args!("the pre-tokenizer {name:?} is not known")))
}

/// What is left is the same for both kinds.
fn finish(
    path: &Path,
    config: Config,
    mut tokens: Tokens,
    mut added: Vec<Added>,
    pre: Pre,
    model: Model,
    warnings: Vec<String>,
) -> Result<Tokenizer> {
    let texts = tokens.strings();
    let mut special = config.special(&texts, &tokens.kinds);
    special.recognise(&texts, &mut tokens.kinds);
    let find = |text: &str| texts.iter().position(|t| t == text.as_bytes()).map(|id| id as u32);
    special.bos = special.bos.or_else(|| find("<|begin_of_text|>"));
    special.eos = special.eos.or_else(|| find("<|end_of_text|>")).or_else(|| find("<|endoftext|>"));
    for token in &mut added {
        token.special = tokens.kinds[token.id as usize] != Kind::UserDefined;
    }
    added.extend(super::added::unlisted(&added, &texts, &tokens.kinds));
    let mut prefix: Vec<u32> = special.bos.filter(|_| pre.bos).into_iter().collect();
    let mut suffix = Vec::new();
    config.override_around(&mut special, &mut prefix, &mut suffix);
    let mut written = Strings::default();
    for (text, kind) in texts.iter().zip(&tokens.kinds) {
        written.push(&match kind {
            Kind::Normal | Kind::Unused => byte_level::bytes_of(text).unwrap_or_else(|| text.to_vec()),
            _ => text.to_vec(),
        });
    }
    Ok(Tokenizer {
        path: path.to_owned(),
        special,
        warnings,
        strip: Strip::None,
        added: Finder::new(added),
        normal: Vec::new(),
        inner: Finder::new(Vec::new()),
        steps: pre.steps().map_err(|what| wrong(path, what))?,
        model,
        prefix,
        suffix,
        texts,
        kinds: tokens.kinds,
        written,
    })
}

/// The 256 tokens that Llama 3 puts after its ranks.
fn llama3_special(tokens: &mut Tokens) -> Vec<Added> {
    const NAMED: [(u32, &str); 5] =
        [(0, "begin_of_text"), (1, "end_of_text"), (6, "start_header_id"), (7, "end_header_id"), (9, "eot_id")];
    let first = tokens.texts.len() as u32;
    let mut reserved = 0;
    let mut added = Vec::new();
    for at in 0..256 {
        let text = match NAMED.iter().find(|(place, _)| *place == at) {
            Some((_, name)) => format!("<|{name}|>"),
            None => {
                reserved += 1;
                format!("<|reserved_special_token_{}|>", reserved - 1)
            }
        };
        tokens.set(first + at, &text, Kind::Control);
        added.push(Added::plain(first + at, text.as_bytes(), true));
    }
    added
}
