//! The chain called `decoder`, applied to every token once and for all.

use super::super::{
    Kind,
    decode::{Strip, cleaned},
    json::At,
    vocab::{byte_level, byte_token},
};
use crate::Result;

/// What makes of a token's text what it writes.
#[derive(Debug, Default)]
pub(super) struct Decoder {
    steps: Vec<Step>,
}

#[derive(Debug)]
enum Step {
    /// Characters stand for bytes.
    ByteLevel,
    /// `<0x0A>` stands for a byte.
    ByteTokens,
    Replace(String, String),
    /// A space before everything that does not continue a word.
    Words {
        inner: String,
        clean: bool,
    },
}

/// Reads the chain; without one, tokens are words. `strip` becomes what decoding has to drop beside the spaces that encoding
/// adds.
pub(super) fn read(at: Option<At<'_>>, strip: &mut Strip) -> Result<Decoder> {
    let mut decoder = Decoder::default();
    match at {
        Some(at) => decoder.add(&at, strip)?,
        None => {
            decoder.steps.push(Step::Words { inner: String::new(), clean: false });
            *strip = Strip::Words;
        }
    }
    Ok(decoder)
}

impl Decoder {
    fn add(&mut self, at: &At<'_>, strip: &mut Strip) -> Result<()> {
        match at.kind()? {
            "Sequence" => {
                for step in at.get("decoders")?.list()? {
                    self.add(&step, strip)?;
                }
            }
            "ByteLevel" => self.steps.push(Step::ByteLevel),
            "ByteFallback" => self.steps.push(Step::ByteTokens),
            "Fuse" => {} // tokens are bytes, and fused anyway
            "Metaspace" => {
                let space = at.find("replacement").map_or(Ok("▁"), |at| at.str())?;
                self.steps.push(Step::Replace(space.to_owned(), " ".into()));
            }
            "Replace" => {
                let pattern = at.get("pattern")?;
                let from = pattern.find("String").ok_or_else(|| pattern.unsupported("is no String"))?;
                self.steps.push(Step::Replace(from.str()?.to_owned(), at.get("content")?.str()?.to_owned()));
            }
            "Strip" => {
                let count = |key| at.find(key).map_or(Ok(0), |at| at.u32());
                match (at.text("content")?, count("start")?, count("stop")?) {
                    (_, 0, 0) => {}
                    (" ", 1, 0) if *strip == Strip::None => *strip = Strip::First,
                    (" ", 1, 0) => {}
                    _ => return Err(at.unsupported("strips something else than one space at the start")),
                }
            }
            "WordPiece" => {
                let inner = at.find("prefix").map_or(Ok("##"), |at| at.str())?.to_owned();
                self.steps.push(Step::Words { inner, clean: at.flag("cleanup", true)? });
                *strip = Strip::Words;
            }
            "BPEDecoder" => {
                let suffix = at.find("suffix").map_or(Ok("</w>"), |at| at.str())?;
                self.steps.push(Step::Replace(suffix.to_owned(), " ".into()));
                *strip = Strip::Last;
            }
            other => return Err(at.unsupported(format_args!("is a {other:?}, which is not supported"))),
        }
        Ok(())
    }

    /// The bytes that a token writes.
    pub(super) fn written(&self, text: &[u8], kind: Kind) -> Vec<u8> {
        let is_text = matches!(kind, Kind::Normal | Kind::Unused | Kind::Byte);
        let mut bytes = text.to_vec();
        for step in &self.steps {
            match step {
                Step::ByteLevel if is_text => bytes = byte_level::bytes_of(&bytes).unwrap_or(bytes),
                Step::ByteTokens if is_text => bytes = byte_token(&bytes).map_or(bytes, |byte| vec![byte]),
                Step::Replace(from, to) if is_text => {
                    bytes = match std::str::from_utf8(&bytes) {
                        Ok(text) if !from.is_empty() => text.replace(from, to).into_bytes(),
                        _ => bytes,
                    }
                }
                Step::Words { inner, clean } => {
                    bytes = match bytes.strip_prefix(inner.as_bytes()) {
                        Some(rest) if !inner.is_empty() => rest.to_vec(),
                        _ => [b" ", &bytes[..]].concat(),
                    };
                    if *clean {
                        bytes = cleaned(bytes);
                    }
                }
                _ => {}
            }
        }
        bytes
    }
}
