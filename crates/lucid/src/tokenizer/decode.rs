//! From ids to bytes, at once or as they come.

use super::{Kind, Tokenizer};
use crate::Result;

/// Which spaces encoding puts before text, and decoding takes away again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Strip {
    None,
    /// One at the very beginning.
    First,
    /// One at the beginning, and one after every token that is found in the text as it is.
    AfterTokens,
    /// One at the beginning, and one after every control token.
    AfterControl,
    /// One at the very beginning, which decoding itself put there, before any token.
    Words,
    /// One at the very end, likewise.
    Last,
}

/// Whether the first piece loses its space.
fn strips_first(strip: Strip) -> bool {
    !matches!(strip, Strip::None | Strip::Last)
}

/// All of `ids`.
pub(super) fn decode(tokenizer: &Tokenizer, ids: &[u32]) -> Result<Vec<u8>> {
    let ids = ids.strip_prefix(&tokenizer.prefix[..]).unwrap_or(ids);
    let ids = ids.strip_suffix(&tokenizer.suffix[..]).unwrap_or(ids);
    let mut strips = strips_first(tokenizer.strip);
    let mut out = Vec::new();
    for &id in ids {
        out.extend_from_slice(tokenizer.piece(id, &mut strips)?);
    }
    if tokenizer.strip == Strip::Last && out.last() == Some(&b' ') {
        out.pop();
    }
    Ok(out)
}

impl Tokenizer {
    /// The bytes of `id`, without the space that encoding would have put there when `strips`; updates that for the next.
    fn piece(&self, id: u32, strips: &mut bool) -> Result<&[u8]> {
        let Some(bytes) = self.token_bytes(id) else {
            return Err(self.request(format!("token {id} is outside the vocabulary of {}", self.vocab_size())));
        };
        let is_text = match self.kinds[id as usize] {
            Kind::Control | Kind::Unknown => false,
            // found in the text before the space was put there, or after
            Kind::UserDefined => self.strip == Strip::AfterControl,
            Kind::Normal | Kind::Unused | Kind::Byte => true,
        };
        let strips_now = *strips && (is_text || self.strip == Strip::Words);
        *strips = match self.strip {
            Strip::AfterTokens => !is_text,
            Strip::AfterControl => matches!(self.kinds[id as usize], Kind::Control | Kind::Unknown),
            Strip::None | Strip::First | Strip::Words | Strip::Last => false,
        };
        Ok(if strips_now { bytes.strip_prefix(b" ").unwrap_or(bytes) } else { bytes })
    }
}

/// Ids that come one at a time become text in whole characters: what is half a character waits for the rest.
#[derive(Clone, Debug)]
pub struct Decoder {
    /// The bytes of a character that is not whole yet.
    waiting: Vec<u8>,
    strips: bool,
    /// How much of what is put before a text has been seen, while nothing else has.
    prefix: Option<usize>,
}

impl Decoder {
    /// For ids that begin a text.
    pub fn new(tokenizer: &Tokenizer) -> Decoder {
        Decoder { waiting: Vec::new(), strips: strips_first(tokenizer.strip), prefix: Some(0) }
    }

    /// For ids that go on after `prompt`: the space before a word that continues a sentence is text, the one that begins
    /// an answer is not.
    pub fn after(tokenizer: &Tokenizer, prompt: &[u32]) -> Result<Decoder> {
        let mut decoder = Decoder::new(tokenizer);
        if let Some(&last) = prompt.last() {
            decoder.prefix = None;
            decoder.strips &= prompt == tokenizer.prefix;
            if !decoder.strips {
                tokenizer.piece(last, &mut decoder.strips)?;
            }
        }
        Ok(decoder)
    }

    /// The whole characters that `id` completes, often none. Bytes that are part of none are U+FFFD.
    pub fn push(&mut self, tokenizer: &Tokenizer, id: u32) -> Result<String> {
        if let Some(seen) = self.prefix {
            if tokenizer.prefix.get(seen) == Some(&id) {
                self.prefix = Some(seen + 1);
                return Ok(String::new());
            }
            self.prefix = None;
            self.half_prefix(tokenizer, seen);
        }
        self.waiting.extend_from_slice(tokenizer.piece(id, &mut self.strips)?);
        let mut whole = whole_len(&self.waiting);
        if tokenizer.strip == Strip::Last && self.waiting[..whole].ends_with(b" ") {
            whole -= 1; // the last one is dropped, and this may be it
        }
        let text = String::from_utf8_lossy(&self.waiting[..whole]).into_owned();
        self.waiting.drain(..whole);
        Ok(text)
    }

    /// What is put before a text writes nothing, but the beginning of it alone is text like any other.
    fn half_prefix(&mut self, tokenizer: &Tokenizer, seen: usize) {
        if seen < tokenizer.prefix.len() {
            for &id in &tokenizer.prefix[..seen] {
                self.waiting.extend_from_slice(tokenizer.piece(id, &mut self.strips).unwrap_or_default());
            }
        }
    }

    /// What is left when no more ids come: nothing, or U+FFFD for a character that never became whole.
    pub fn finish(mut self, tokenizer: &Tokenizer) -> String {
        if let Some(seen) = self.prefix {
            self.half_prefix(tokenizer, seen);
        }
        let waiting = match tokenizer.strip {
            Strip::Last => self.waiting.strip_suffix(b" ").unwrap_or(&self.waiting),
            _ => &self.waiting,
        };
        String::from_utf8_lossy(waiting).into_owned()
    }
}

/// The length of `bytes` without a character at the end that more bytes could complete.
fn whole_len(bytes: &[u8]) -> usize {
    let mut done = 0;
    for chunk in bytes.utf8_chunks() {
        let end = done + chunk.valid().len();
        // The last chunk is incomplete when it could still become a character: it is no error yet.
        if end + chunk.invalid().len() == bytes.len() && could_go_on(chunk.invalid()) {
            return end;
        }
        done = end + chunk.invalid().len();
    }
    bytes.len()
}

/// Whether `bytes` are the beginning of some character and not all of it.
fn could_go_on(bytes: &[u8]) -> bool {
    !bytes.is_empty() && std::str::from_utf8(bytes).is_err_and(|e| e.error_len().is_none())
}

/// No space before what ends a sentence, nor in contractions.
pub(super) fn cleaned(bytes: Vec<u8>) -> Vec<u8> {
    const SHORTER: [(&str, &str); 11] = [
        (" .", "."),
        (" ?", "?"),
        (" !", "!"),
        (" ,", ","),
        (" ' ", "'"),
        (" n't", "n't"),
        (" 'm", "'m"),
        (" do not", " don't"),
        (" 's", "'s"),
        (" 've", "'ve"),
        (" 're", "'re"),
    ];
    let Ok(text) = String::from_utf8(bytes) else { return Vec::new() };
    SHORTER.iter().fold(text, |text, (from, to)| text.replace(from, to)).into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_a_character_is_not_whole() {
        assert_eq!(whole_len("aé".as_bytes()), 3);
        assert_eq!(whole_len(&"aé".as_bytes()[..2]), 1);
        assert_eq!(whole_len(&"🦙".as_bytes()[..3]), 0);
        assert_eq!(whole_len(b"\xff"), 1);
        assert_eq!(whole_len(b"\xe2\x28"), 2);
        assert_eq!(whole_len(b"\xf0\x9f\xff\xf0\x9f"), 3);
        assert_eq!(whole_len(b""), 0);
    }
}
