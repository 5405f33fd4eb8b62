//! The part called `model`: the vocabulary, and the encoder that it is for.

use super::{
    super::{
        Kind, Model,
        bpe::{Bpe, Rules},
        fallback::{Fallback, byte_tokens},
        gguf::LONGEST_MERGED,
        json::At,
        shown,
        trie::Trie,
        unigram::{Sums, UNKNOWN_PENALTY, Unigram},
        vocab::{byte_level, byte_token},
        wordpiece::WordPiece,
    },
    Tokens,
};
use crate::Result;

/// Ids below this are of sensible size for a vocabulary of `count` tokens: there may be holes, but not mostly.
pub(in super::super) fn id_limit(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX).saturating_mul(2).saturating_add(100_000)
}

/// The name of the encoder. Old files leave it out.
fn kind<'j>(at: &At<'j>) -> Result<&'j str> {
    match at.find("type") {
        Some(kind) => kind.str(),
        None if at.find("merges").is_some() => Ok("BPE"),
        None if at.get("vocab")?.value.is_array() => Ok("Unigram"),
        None => Ok("WordPiece"),
    }
}

/// Whether the encoder is one that can read bytes, not only the characters that stand for them.
pub(super) fn can_read_bytes(at: &At<'_>) -> Result<bool> {
    let marks = at.text("continuing_subword_prefix")?.len() + at.text("end_of_word_suffix")?.len();
    Ok(kind(at)? == "BPE" && marks == 0 && !at.flag("byte_fallback", false)?)
}

/// The vocabulary.
pub(super) fn tokens(at: &At<'_>) -> Result<Tokens> {
    let vocab = at.get("vocab")?;
    let mut tokens = Tokens::default();
    if let Some(map) = vocab.value.as_object() {
        let limit = id_limit(map.len());
        for (text, id) in map {
            let wrong = || vocab.wrong(format_args!("gives the token {} the id {id}", shown(text.as_bytes())));
            let id = id.as_u64().and_then(|id| u32::try_from(id).ok()).filter(|&id| id < limit).ok_or_else(wrong)?;
            tokens.set(id, text, Kind::Normal);
        }
    } else {
        // a list of texts and their scores
        for (id, entry) in (0..).zip(vocab.list()?) {
            let mut pair = entry.list()?;
            let text = pair.next().ok_or_else(|| entry.wrong("is empty"))?;
            tokens.set(id, text.str()?, Kind::Normal);
        }
    }
    if tokens.texts.is_empty() {
        return Err(vocab.wrong("lists no token"));
    }
    if at.flag("byte_fallback", false)? {
        for (text, kind) in tokens.texts.iter().zip(&mut tokens.kinds) {
            if byte_token(text).is_some() {
                *kind = Kind::Byte;
            }
        }
    }
    if let Some(unknown) = unknown(at, &tokens)? {
        tokens.kinds[unknown as usize] = Kind::Unknown;
    }
    Ok(tokens)
}

/// The token for unknown text: by its text, or by its id.
fn unknown(at: &At<'_>, tokens: &Tokens) -> Result<Option<u32>> {
    if let Some(id) = at.find("unk_id") {
        return match id.u32()? {
            n if (n as usize) < tokens.texts.len() => Ok(Some(n)),
            n => Err(id.wrong(format_args!("is {n}, but there are {} tokens", tokens.texts.len()))),
        };
    }
    let text = at.text("unk_token")?;
    let id = tokens.texts.iter().position(|t| !text.is_empty() && t == text.as_bytes());
    Ok(id.map(|id| id as u32))
}

/// The encoder. `by_bytes`: the vocabulary writes bytes as characters, and the encoder reads bytes.
pub(super) fn read(at: &At<'_>, tokens: &Tokens, by_bytes: bool) -> Result<Model> {
    match kind(at)? {
        "BPE" => bpe(at, tokens, by_bytes),
        "Unigram" => unigram(at, tokens),
        "WordPiece" => wordpiece(at, tokens),
        "WordLevel" => Ok(Model::WordPiece(WordPiece {
            first: trie(tokens, Some),
            inner: Trie::new(Vec::new()),
            unknown: unknown(at, tokens)?,
            longest: usize::MAX,
        })),
        other => Err(at.unsupported(format_args!("is {other:?}, which is not supported"))),
    }
}

/// The tokens that text may become, as far as `part` is some, by that part of their text.
fn trie<'t>(tokens: &'t Tokens, part: impl Fn(&'t [u8]) -> Option<&'t [u8]>) -> Trie {
    let texts = (0..).zip(&tokens.texts).filter(|(id, _)| tokens.kinds[*id as usize] == Kind::Normal);
    Trie::new(texts.filter_map(|(id, text)| Some((part(text)?, id))).collect())
}

fn fallback(at: &At<'_>, tokens: &Tokens, fuse: bool) -> Result<Fallback> {
    let bytes = match at.flag("byte_fallback", false)? {
        true => byte_tokens(&tokens.strings(), &tokens.kinds),
        false => None,
    };
    Ok(Fallback { bytes, unknown: unknown(at, tokens)?, fuse })
}

fn bpe(at: &At<'_>, tokens: &Tokens, by_bytes: bool) -> Result<Model> {
    if let Some(dropout) = at.find("dropout")
        && dropout.f64()? != 0.0
    {
        return Err(dropout.unsupported("is set: ids would be random"));
    }
    let rules = Rules {
        whole_pieces: at.flag("ignore_merges", false)?,
        fallback: fallback(at, tokens, at.flag("fuse_unk", false)?)?,
        inner_prefix: at.text("continuing_subword_prefix")?.to_owned(),
        end_suffix: at.text("end_of_word_suffix")?.to_owned(),
    };
    let mut merges = Vec::new();
    for entry in at.get("merges")?.list()? {
        // "left right", or ["left", "right"]
        let pair = match entry.value.as_str() {
            Some(text) => text.split_once(' '),
            None => match entry.value.as_array().map(Vec::as_slice) {
                Some([left, right]) => left.as_str().zip(right.as_str()),
                _ => None,
            },
        };
        let is_pair = |(left, right): &(&str, &str)| !left.is_empty() && !right.is_empty();
        merges.push(pair.filter(is_pair).ok_or_else(|| entry.wrong("is no pair of texts"))?);
    }
    let wrong = |rank: usize, text: &str| {
        at.wrong(format_args!("has merge {rank}, {}, which names no token", shown(text.as_bytes())))
    };
    byte_level_bpe(tokens, &merges, rules, by_bytes).map(Model::Bpe).map_err(|(rank, text)| wrong(rank, &text))
}

/// A BPE encoder of these tokens and merges. A merge of what is no token is an error: which one, and its text.
pub(in super::super) fn byte_level_bpe(
    tokens: &Tokens,
    merges: &[(&str, &str)],
    rules: Rules,
    by_bytes: bool,
) -> std::result::Result<Bpe, (usize, String)> {
    let own = |text: &[u8]| if by_bytes { byte_level::bytes_of(text) } else { Some(text.to_vec()) };
    let chosen = |id: &u32| matches!(tokens.kinds[*id as usize], Kind::Normal | Kind::Byte | Kind::UserDefined);
    let ids = (0..tokens.texts.len() as u32).filter(chosen);
    let texts: Vec<(u32, Vec<u8>)> = ids.filter_map(|id| Some((id, own(&tokens.texts[id as usize])?))).collect();
    let mut bpe = Bpe::new(tokens.texts.len() as u32, texts.iter().map(|(id, text)| (*id, &text[..])), rules);
    if by_bytes {
        bpe = bpe.by_bytes();
    }
    for (rank, (left, right)) in merges.iter().enumerate() {
        let known = match (own(left.as_bytes()), own(right.as_bytes())) {
            (Some(left), Some(right)) => bpe.merge(rank as u32, &left, &right),
            _ => false,
        };
        // a control token may be the result of merges, which lead nowhere then
        let is_token = || tokens.texts.iter().any(|t| t.strip_prefix(left.as_bytes()) == Some(right.as_bytes()));
        if !known && !is_token() {
            return Err((rank, format!("{left} {right}")));
        }
    }
    Ok(bpe.finish())
}

fn unigram(at: &At<'_>, tokens: &Tokens) -> Result<Model> {
    let mut scores = Vec::new();
    for entry in at.get("vocab")?.list()? {
        let score = entry.list()?.nth(1).ok_or_else(|| entry.wrong("has no score"))?;
        scores.push(score.f64()?);
        if tokens.texts[scores.len() - 1].len() > LONGEST_MERGED {
            return Err(entry.unsupported(format_args!("is a token of more than {LONGEST_MERGED} bytes")));
        }
    }
    let lowest = scores.iter().copied().fold(f64::INFINITY, f64::min);
    scores.resize(tokens.texts.len(), lowest); // added tokens are never chosen
    Ok(Model::Unigram(Unigram {
        trie: trie(tokens, Some),
        scores,
        unknown_score: lowest - f64::from(UNKNOWN_PENALTY),
        fallback: fallback(at, tokens, true)?,
        sums: Sums::F64,
    }))
}

fn wordpiece(at: &At<'_>, tokens: &Tokens) -> Result<Model> {
    let prefix = at.find("continuing_subword_prefix").map_or(Ok("##"), |at| at.str())?.as_bytes();
    Ok(Model::WordPiece(WordPiece {
        first: trie(tokens, Some),
        inner: trie(tokens, |text| text.strip_prefix(prefix)),
        unknown: unknown(at, tokens)?,
        longest: at.find("max_input_chars_per_word").map_or(Ok(100), |at| at.u32())? as usize,
    }))
}
