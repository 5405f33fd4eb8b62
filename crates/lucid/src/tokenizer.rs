//! From text to token ids and back.
//!
//! ```text
//!  "Hello <|eot|>"   added tokens are found     "Hello "           <|eot|>
//!                    normalised                 "▁Hello▁"             │
//!                    cut into pieces            "▁Hello" "▁"          │
//!                    encoded, piece by piece    [15043]  [29871]   [32007]
//! ```
//!
//! Every vocabulary is this one chain: which steps stand in it, and which of the four encoders ends it, is what the
//! containers say ([`Tokenizer::open`], [`Tokenizer::from_gguf`]). Backwards there is no chain: every id has its bytes.
//!
//! The encoders are Lucid's own and not the `tokenizers` crate's, which was measured first: it needs 2 to 5 seconds for
//! 3 MB on one thread, panics on a damaged character map, drops text that its vocabulary cannot write, and decodes to
//! strings, where half a character cannot be told from a wrong one.

mod added;
mod base64;
mod bpe;
mod charsmap;
mod decode;
mod fallback;
mod gguf;
mod hf;
mod json;
mod normal;
mod open;
mod pattern;
mod pre;
mod queue;
mod sentencepiece;
mod set;
mod special;
mod split;
mod tiktoken;
mod trie;
mod unigram;
mod vocab;
mod wordpiece;

pub use decode::Decoder;
pub use special::Special;
pub use vocab::Kind;

use crate::{Error, ErrorKind, Result, file};
use added::{Finder, Part};
use bpe::{Bpe, Scratch};
use decode::Strip;
use fallback::Unwritable;
use normal::Normal;
use pattern::{Fuel, OutOfFuel};
use split::Step;
use std::{
    borrow::Cow,
    collections::HashMap,
    ops::Range,
    path::{Path, PathBuf},
};
use unigram::Unigram;
use vocab::Strings;
use wordpiece::WordPiece;

/// A vocabulary and everything that text goes through to become its ids.
#[derive(Debug)]
pub struct Tokenizer {
    /// Where it was read.
    pub path: PathBuf,
    /// The tokens that mean something to the engine.
    pub special: Special,
    /// What is odd about the file, or had to be assumed: each a sentence for the user.
    pub warnings: Vec<String>,
    /// What the file calls each token.
    texts: Strings,
    kinds: Vec<Kind>,
    /// The bytes that each token writes.
    written: Strings,
    /// Which spaces encoding adds and decoding drops.
    strip: Strip,
    /// Found in the text as it is.
    added: Finder,
    normal: Vec<Normal>,
    /// Found in the normalised text.
    inner: Finder,
    steps: Vec<Step>,
    model: Model,
    /// Put around the text.
    prefix: Vec<u32>,
    suffix: Vec<u32>,
}

/// What encodes a piece of text.
#[derive(Debug)]
enum Model {
    Bpe(Bpe),
    Unigram(Unigram),
    WordPiece(WordPiece),
}

/// What one call of `encode` carries along.
struct Session {
    how: Encode,
    fuel: Fuel,
    scratch: Scratch,
    /// Pieces seen before: where their ids are in `known_ids`.
    known: HashMap<Box<str>, Range<usize>>,
    known_ids: Vec<u32>,
    out: Vec<u32>,
}

/// Pieces up to this length are remembered, up to this many: the common ones come early.
const KNOWN_LEN: usize = 48;
const KNOWN_COUNT: usize = 1 << 16;

/// How to encode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Encode {
    /// Put around the text what the model's own tokenizer does: usually BOS before it.
    pub bos: bool,
    /// Find special tokens in the text. Never for text from outside, which could then end its own turn.
    pub special: bool,
}

impl Default for Encode {
    fn default() -> Self {
        Encode { bos: true, special: false }
    }
}

/// Text of at most this many bytes is encoded in one go.
const MAX_TEXT: usize = 1 << 30;

impl Tokenizer {
    /// The vocabulary in a GGUF file's metadata.
    pub fn from_gguf(gguf: &file::gguf::Gguf) -> Result<Tokenizer> {
        gguf::read(gguf)
    }

    /// Whatever holds a vocabulary.
    pub fn open(path: &Path) -> Result<Tokenizer> {
        open::open(path)
    }

    /// The same for a file whose bytes are at hand. What belongs beside it, such as `tokenizer_config.json`, is looked for
    /// beside `path`.
    pub fn parse(path: &Path, bytes: &[u8]) -> Result<Tokenizer> {
        open::from_bytes(path, bytes)
    }

    /// How many ids there are.
    pub fn vocab_size(&self) -> usize {
        self.texts.len()
    }

    /// What the file calls a token, unchanged: "▁Hello", "Ġthe", "<0x0A>". Not every file has valid UTF-8 here.
    pub fn text(&self, id: u32) -> Option<&[u8]> {
        self.texts.get(id as usize)
    }

    /// What a token is for.
    pub fn kind(&self, id: u32) -> Option<Kind> {
        self.kinds.get(id as usize).copied()
    }

    /// The bytes that a token writes: " Hello", " the", "\n". Control tokens write their own text.
    pub fn token_bytes(&self, id: u32) -> Option<&[u8]> {
        self.written.get(id as usize)
    }

    /// The ids of `text`.
    pub fn encode(&self, text: &str, how: Encode) -> Result<Vec<u32>> {
        if text.len() > MAX_TEXT {
            return Err(self.request(format!("a text of {} bytes is too long to encode at once", text.len())));
        }
        let mut session = Session {
            how,
            fuel: Fuel::for_text(text.len()),
            scratch: Scratch::default(),
            known: HashMap::new(),
            known_ids: Vec::new(),
            out: Vec::new(),
        };
        if how.bos {
            session.out.extend_from_slice(&self.prefix);
        }
        let mut first = true;
        for part in self.added.split(text, how.special) {
            match part {
                Part::Token(id) => session.out.push(id),
                Part::Text(text) => self.encode_text(text, first, &mut session)?,
            }
            first = false;
        }
        if how.bos {
            session.out.extend_from_slice(&self.suffix);
        }
        Ok(session.out)
    }

    /// Text between added tokens; `first` says that it begins the whole.
    fn encode_text(&self, text: &str, mut first: bool, session: &mut Session) -> Result<()> {
        let mut text = Cow::Borrowed(text);
        for step in &self.normal {
            text = step.apply(text, &mut session.fuel).map_err(|e| self.out_of_fuel(e))?;
        }
        for part in self.inner.split(&text, session.how.special) {
            match part {
                Part::Token(id) => session.out.push(id),
                Part::Text(text) => {
                    let pieces = split::split(&self.steps, text.into(), first, &mut session.fuel);
                    let pieces = pieces.map_err(|e| self.out_of_fuel(e))?;
                    for range in pieces.ranges {
                        self.encode_piece(&pieces.text[range], session).map_err(|e| self.unwritable(e))?;
                    }
                }
            }
            first = false;
        }
        Ok(())
    }

    fn encode_piece(&self, piece: &str, session: &mut Session) -> std::result::Result<(), Unwritable> {
        let Session { scratch, known, known_ids, out, .. } = session;
        let mut rest = piece;
        while !rest.is_empty() {
            let part = match &self.model {
                Model::Bpe(bpe) => bpe.first_part(rest),
                Model::Unigram(_) | Model::WordPiece(_) => rest,
            };
            rest = &rest[part.len()..];
            if let Some(ids) = known.get(part) {
                out.extend_from_slice(&known_ids[ids.clone()]);
                continue;
            }
            let before = out.len();
            match &self.model {
                Model::Bpe(bpe) => bpe.encode(part, scratch, out)?,
                Model::Unigram(unigram) => unigram.encode(part, out)?,
                Model::WordPiece(wordpiece) => wordpiece.encode(part, out)?,
            }
            if part.len() <= KNOWN_LEN && known.len() < KNOWN_COUNT {
                let start = known_ids.len();
                known_ids.extend_from_slice(&out[before..]);
                known.insert(part.into(), start..known_ids.len());
            }
        }
        Ok(())
    }

    /// The bytes that `ids` write. What encoding puts around a text, such as BOS before it, writes nothing.
    pub fn decode(&self, ids: &[u32]) -> Result<Vec<u8>> {
        decode::decode(self, ids)
    }

    fn request(&self, what: impl std::fmt::Display) -> Error {
        Error::file(ErrorKind::Request, &self.path, what)
    }

    fn out_of_fuel(&self, _: OutOfFuel) -> Error {
        self.request("a pattern of its pre-tokenizer backtracks without end on this text")
    }

    fn unwritable(&self, Unwritable(what): Unwritable) -> Error {
        self.request(format!("the vocabulary has no token that writes {what}, and none for unknown text"))
    }
}

/// A value in the file at `path` is wrong.
fn wrong(path: &Path, what: impl std::fmt::Display) -> Error {
    Error::file(ErrorKind::Value, path, what)
}

/// A token's text for a message: escaped, a long one cut.
fn shown(text: &[u8]) -> String {
    file::quoted(&String::from_utf8_lossy(text))
}
