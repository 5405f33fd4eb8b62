//! What becomes of a character that no token is.

use super::vocab::{Kind, Strings, byte_token};

/// Writes it as bytes where there are tokens for them, as the unknown token otherwise, and not at all where there is none:
/// dropping text in silence is no way out.
#[derive(Clone, Debug, Default)]
pub(super) struct Fallback {
    /// The tokens that write single bytes.
    pub(super) bytes: Option<Box<[Option<u32>; 256]>>,
    /// The token for what nothing writes.
    pub(super) unknown: Option<u32>,
    /// One unknown token for a run of them.
    pub(super) fuse: bool,
}

/// The text that cannot be written, for a message.
#[derive(Debug, PartialEq)]
pub(super) struct Unwritable(pub(super) String);

impl Fallback {
    /// Appends the ids for `text`. Takes whether the text just before became unknown, and returns it for this one.
    pub(super) fn write(&self, text: &[u8], after_unknown: bool, out: &mut Vec<u32>) -> Result<bool, Unwritable> {
        if let Some(ids) = &self.bytes
            && text.iter().all(|&b| ids[b as usize].is_some())
        {
            out.extend(text.iter().filter_map(|&b| ids[b as usize]));
            return Ok(false);
        }
        let Some(unknown) = self.unknown else {
            return Err(Unwritable(match std::str::from_utf8(text) {
                Ok(text) => format!("{text:?}"),
                Err(_) => format!("the byte 0x{}", text.iter().map(|b| format!("{b:02X}")).collect::<String>()),
            }));
        };
        if !(after_unknown && self.fuse) {
            out.push(unknown);
        }
        Ok(true)
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
