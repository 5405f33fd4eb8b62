//! SentencePiece's own file, `tokenizer.model`: a protocol buffer.
//!
//! ```text
//! message:  field field …          field:  key (varint: number << 3 | type)  value
//! types:    0 varint   1 eight bytes   2 length (varint) and that many bytes   5 four bytes
//!
//! 1  piece, again and again:  1 text   2 score (f32)   3 kind
//! 2  training:    3 model kind (1 Unigram, 2 BPE)   24 space as suffix   35 byte fallback   40..43 unk, bos, eos, pad id
//! 3  normaliser:  2 character map   3 add a space   4 remove extra spaces   5 write spaces as "▁"
//! ```

use super::{
    Finder, Model, Normal, Special, Strip, Tokenizer,
    added::Added,
    bpe::{Bpe, Rules},
    charsmap::Charsmap,
    fallback::{Fallback, byte_tokens},
    gguf::{LONGEST_MERGED, ranks_of_scores, with_spaces},
    hf::Config,
    normal::{Plain, SentencePiece},
    shown,
    trie::Trie,
    unigram::{Sums, UNKNOWN_PENALTY, Unigram},
    vocab::{Kind, Strings, byte_token},
    wrong,
};
use crate::{Error, ErrorKind, Result};
use std::path::Path;

/// The fields of a message.
struct Fields<'b>(&'b [u8]);

/// A value of a field.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Value<'b> {
    Varint(u64),
    Bytes(&'b [u8]),
    Fixed32(u32),
    Fixed64,
}

impl<'b> Fields<'b> {
    /// The next field: its number and value. `None` at the end, an error where the bytes make no sense.
    fn next(&mut self) -> std::result::Result<Option<(u64, Value<'b>)>, ()> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let key = self.varint()?;
        let value = match key & 7 {
            0 => Value::Varint(self.varint()?),
            1 => {
                self.take(8)?;
                Value::Fixed64
            }
            2 => {
                let len = self.varint()?;
                Value::Bytes(self.take(usize::try_from(len).map_err(|_| ())?)?)
            }
            5 => {
                let bytes = self.take(4)?;
                Value::Fixed32(u32::from_le_bytes(bytes.try_into().map_err(|_| ())?))
            }
            _ => return Err(()),
        };
        Ok(Some((key >> 3, value)))
    }

    /// Seven bits a byte, the lowest first; the eighth says that more follow.
    fn varint(&mut self) -> std::result::Result<u64, ()> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.take(1)?[0];
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(())
    }

    fn take(&mut self, len: usize) -> std::result::Result<&'b [u8], ()> {
        let (taken, rest) = self.0.split_at_checked(len).ok_or(())?;
        self.0 = rest;
        Ok(taken)
    }
}

/// What the file says, with the defaults of what it leaves out.
struct Contents<'b> {
    texts: Strings,
    scores: Vec<f32>,
    kinds: Vec<Kind>,
    model: u64,
    byte_fallback: bool,
    space_is_suffix: bool,
    /// unk, bos, eos, pad.
    ids: [i64; 4],
    map: &'b [u8],
    add_space: bool,
    remove_extra_spaces: bool,
    escape: bool,
}

/// Whether `bytes` begin as such a file does: with a piece, and that with its text.
pub(super) fn is_like(bytes: &[u8]) -> bool {
    let mut fields = Fields(bytes);
    let Ok(Some((1, Value::Bytes(piece)))) = fields.next() else { return false };
    matches!(Fields(piece).next(), Ok(Some((1, Value::Bytes(_)))))
}

/// Reads the vocabulary in `bytes`, which are the file at `path`.
pub(super) fn read(path: &Path, bytes: &[u8]) -> Result<Tokenizer> {
    let contents = parse(path, bytes)?;
    let config = Config::beside(path)?;
    let unsupported = |what: String| Error::file(ErrorKind::Unsupported, path, what);
    let Contents { texts, scores, .. } = &contents;
    let count = texts.len() as u32;
    let id = |at: usize| u32::try_from(contents.ids[at]).ok().filter(|&id| id < count);
    let named = Special { unknown: id(0), bos: id(1), eos: id(2), padding: id(3), ..Special::default() };
    let mut kinds = contents.kinds.clone();
    let mut special = config.special(texts, &kinds).over(named);
    special.recognise(texts, &mut kinds);

    let of_kind = |kind: Kind| (0..count).filter(|&id| kinds[id as usize] == kind).collect::<Vec<u32>>();
    let (ordinary, user_defined) = (of_kind(Kind::Normal), of_kind(Kind::UserDefined));
    let text = |id: u32| texts.get(id as usize).unwrap_or_default();
    if let Some(id) = (0..count).find(|&id| text(id).len() > LONGEST_MERGED) {
        return Err(unsupported(format!("token {id} is longer than {LONGEST_MERGED} bytes")));
    }
    let fallback = Fallback {
        bytes: if contents.byte_fallback { byte_tokens(texts, &kinds) } else { None },
        unknown: special.unknown,
        fuse: true,
    };
    let with_text = |ids: &[u32]| ids.iter().map(|&id| (text(id), id)).collect::<Vec<_>>();
    let mut inner = Vec::new();
    let model = match contents.model {
        1 => {
            let lowest = ordinary.iter().map(|&id| scores[id as usize]).fold(f32::INFINITY, f32::min);
            // a user-defined piece is always worth taking: the more so, the longer it is
            let score = |id: u32| match kinds[id as usize] {
                Kind::UserDefined => 0.1 * text(id).len().saturating_sub(1) as f64,
                _ => f64::from(scores[id as usize]),
            };
            Model::Unigram(Unigram {
                trie: Trie::new(with_text(&[&ordinary[..], &user_defined].concat())),
                scores: (0..count).map(score).collect(),
                unknown_score: f64::from(lowest - UNKNOWN_PENALTY),
                fallback,
                sums: Sums::F32,
            })
        }
        2 => {
            inner.extend(user_defined.iter().map(|&id| Added::plain(id, text(id), false)));
            let ranks = ranks_of_scores(scores);
            let chosen = [&ordinary[..], &user_defined].concat();
            let merged: Vec<_> =
                chosen.iter().chain(&of_kind(Kind::Unused)).map(|&id| (text(id), ranks[id as usize])).collect();
            let chosen = chosen.iter().map(|&id| (id, text(id)));
            let mut bpe = Bpe::new(count, chosen, Rules { fallback, ..Rules::default() });
            bpe.merge_into(&merged);
            Model::Bpe(bpe.finish())
        }
        kind => return Err(unsupported(format!("its model kind is {kind}; Unigram (1) and BPE (2) are supported"))),
    };
    let map = Charsmap::new(contents.map).map_err(|what| wrong(path, what))?;
    let kept = Trie::new(with_text(&user_defined));
    let normal = vec![Normal::SentencePiece(SentencePiece {
        plain: Plain::of(map.as_ref(), &kept),
        map,
        kept,
        add_space: contents.add_space,
        space_is_suffix: contents.space_is_suffix,
        remove_extra_spaces: contents.remove_extra_spaces,
        escape: contents.escape,
    })];
    let mut written = Strings::default();
    for (text, kind) in texts.iter().zip(&kinds) {
        written.push(&match (kind, byte_token(text)) {
            (Kind::Byte, Some(byte)) => vec![byte],
            (Kind::Control | Kind::Unknown, _) => text.to_vec(),
            _ => with_spaces(text),
        });
    }
    let structure = (0..count).filter(|&id| matches!(kinds[id as usize], Kind::Control | Kind::Unknown));
    let added = structure.map(|id| Added::plain(id, text(id), true)).collect();
    // The file does not say what stands around text; the config beside it may, and BPE models nearly all mean BOS.
    let mut prefix: Vec<u32> = special.bos.filter(|_| contents.model == 2).into_iter().collect();
    let mut suffix = Vec::new();
    config.override_around(&mut special, &mut prefix, &mut suffix);
    Ok(Tokenizer {
        path: path.to_owned(),
        special,
        warnings: Vec::new(),
        strip: match (contents.add_space, contents.space_is_suffix) {
            (false, _) => Strip::None,
            (true, false) => Strip::AfterControl,
            (true, true) => Strip::Last,
        },
        added: Finder::new(added),
        normal,
        inner: Finder::new(inner),
        steps: Vec::new(),
        model,
        prefix,
        suffix,
        texts: contents.texts,
        kinds,
        written,
    })
}

fn parse<'b>(path: &Path, bytes: &'b [u8]) -> Result<Contents<'b>> {
    let damaged = |()| Error::file(ErrorKind::Structure, path, "is no SentencePiece model, or a damaged one");
    let mut contents = Contents {
        texts: Strings::default(),
        scores: Vec::new(),
        kinds: Vec::new(),
        model: 1,
        byte_fallback: false,
        space_is_suffix: false,
        ids: [0, 1, 2, -1],
        map: &[],
        add_space: true,
        remove_extra_spaces: true,
        escape: true,
    };
    let mut message = Fields(bytes);
    while let Some((number, value)) = message.next().map_err(damaged)? {
        let Value::Bytes(inner) = value else { continue };
        let mut fields = Fields(inner);
        if number == 1 {
            let (mut text, mut score, mut kind) = (&[][..], 0f32, 1);
            while let Some(field) = fields.next().map_err(damaged)? {
                match field {
                    (1, Value::Bytes(bytes)) => text = bytes,
                    (2, Value::Fixed32(bits)) => score = f32::from_bits(bits),
                    (3, Value::Varint(number)) => kind = number,
                    _ => {}
                }
            }
            let id = contents.scores.len();
            let name = shown(text);
            if score.is_nan() {
                return Err(wrong(path, format_args!("the score of token {id}, {name}, is not a number")));
            }
            let known = i32::try_from(kind).ok().and_then(Kind::from_number);
            let kind =
                known.ok_or_else(|| wrong(path, format_args!("token {id}, {name}, is of the unknown kind {kind}")))?;
            if kind == Kind::Byte && byte_token(text).is_none() {
                return Err(wrong(path, format_args!("token {id}, {name}, is called a byte and is none")));
            }
            contents.texts.push(text);
            contents.scores.push(score);
            contents.kinds.push(kind);
            continue;
        }
        while let Some(field) = fields.next().map_err(damaged)? {
            match (number, field) {
                (2, (3, Value::Varint(model))) => contents.model = model,
                (2, (24, Value::Varint(flag))) => contents.space_is_suffix = flag != 0,
                (2, (35, Value::Varint(flag))) => contents.byte_fallback = flag != 0,
                (2, (at @ 40..=43, Value::Varint(id))) => contents.ids[at as usize - 40] = id as i64, // two's complement
                (3, (2, Value::Bytes(map))) => contents.map = map,
                (3, (3, Value::Varint(flag))) => contents.add_space = flag != 0,
                (3, (4, Value::Varint(flag))) => contents.remove_extra_spaces = flag != 0,
                (3, (5, Value::Varint(flag))) => contents.escape = flag != 0,
                _ => {}
            }
        }
    }
    if contents.scores.is_empty() {
        return Err(wrong(path, "lists no token"));
    }
    Ok(contents)
}
