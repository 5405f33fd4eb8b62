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
mod bpe;
mod decode;
mod gguf;
mod normal;
mod pattern;
mod pre;
mod set;
mod special;
mod split;
mod trie;
mod vocab;

pub use decode::Decoder;
pub use special::Special;
pub use vocab::Kind;

use crate::{Error, ErrorKind, Result, file};
use added::{Finder, Part};
use bpe::{Bpe, Scratch, Unwritable};
use decode::Strip;
use normal::Normal;
use pattern::{Fuel, OutOfFuel};
use split::Step;
use std::{
    borrow::Cow,
    path::{Path, PathBuf},
};
use vocab::Strings;

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
}

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
        Tokenizer::from_gguf(&file::gguf::Gguf::open(path)?)
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
        let mut out = Vec::new();
        if how.bos {
            out.extend_from_slice(&self.prefix);
        }
        let mut fuel = Fuel::for_text(text.len());
        let mut scratch = Scratch::default();
        let mut first = true;
        for part in self.added.split(text, how.special) {
            match part {
                Part::Token(id) => out.push(id),
                Part::Text(text) => self.encode_part(text, first, how, &mut fuel, &mut scratch, &mut out)?,
            }
            first = false;
        }
        if how.bos {
            out.extend_from_slice(&self.suffix);
        }
        Ok(out)
    }

    /// Text between added tokens; `first` says that it begins the whole.
    fn encode_part(
        &self,
        text: &str,
        first: bool,
        how: Encode,
        fuel: &mut Fuel,
        scratch: &mut Scratch,
        out: &mut Vec<u32>,
    ) -> Result<()> {
        let mut text = Cow::Borrowed(text);
        for step in &self.normal {
            text = step.apply(text, fuel).map_err(|e| self.out_of_fuel(e))?;
        }
        let mut first = first;
        for part in self.inner.split(&text, how.special) {
            match part {
                Part::Token(id) => out.push(id),
                Part::Text(text) => {
                    let pieces =
                        split::split(&self.steps, text.into(), first, fuel).map_err(|e| self.out_of_fuel(e))?;
                    for range in pieces.ranges {
                        let Model::Bpe(bpe) = &self.model;
                        bpe.encode(&pieces.text[range], scratch, out).map_err(|e| self.unwritable(e))?;
                    }
                }
            }
            first = false;
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
