//! What a vocabulary is made of: texts by id, and how each is used.

/// Many short byte strings, end to end.
#[derive(Clone, Debug, Default)]
pub(super) struct Strings {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Strings {
    pub(super) fn push(&mut self, text: &[u8]) {
        self.bytes.extend_from_slice(text);
        self.ends.push(self.bytes.len());
    }

    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(super) fn get(&self, at: usize) -> Option<&[u8]> {
        let end = *self.ends.get(at)?;
        let start = at.checked_sub(1).map_or(0, |before| self.ends[before]);
        Some(&self.bytes[start..end])
    }

    pub(super) fn iter(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        (0..self.len()).map(|i| self.get(i).unwrap_or_default())
    }
}

/// What a token is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A piece of text that the tokenizer may choose.
    Normal,
    /// Stands for text that the vocabulary cannot write.
    Unknown,
    /// Structure rather than text: begins and ends sequences, marks turns. Found in text only when asked.
    Control,
    /// A piece of text that is always one token, wherever it stands.
    UserDefined,
    /// Reserved: decodes, and is never chosen.
    Unused,
    /// One byte.
    Byte,
}

impl Kind {
    /// The number that GGUF and SentencePiece write for it.
    pub(super) fn from_number(number: i32) -> Option<Kind> {
        Some(match number {
            1 => Kind::Normal,
            2 => Kind::Unknown,
            3 => Kind::Control,
            4 => Kind::UserDefined,
            5 => Kind::Unused,
            6 => Kind::Byte,
            _ => return None,
        })
    }
}

/// The space of SentencePiece, "▁": spaces are letters there, and this is how they are written.
pub(super) const SPACE: char = '\u{2581}';

/// The byte that a token called `<0xE2>` stands for.
pub(super) fn byte_token(text: &[u8]) -> Option<u8> {
    match text {
        [b'<', b'0', b'x', high, low, b'>'] => {
            let digit = |c: u8| (c as char).to_digit(16);
            Some((digit(*high)? << 4 | digit(*low)?) as u8)
        }
        _ => None,
    }
}

/// The characters that byte-level vocabularies write bytes as: a printable Latin-1 character stands for itself, the rest
/// are numbered from U+0100 in order, so that a space is "Ġ" and a line feed "Ċ".
pub(super) mod byte_level {
    const fn is_itself(byte: u8) -> bool {
        matches!(byte, 0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff)
    }

    /// How many bytes are not themselves.
    const OTHERS: usize = 68;

    /// The bytes that are not themselves, in order.
    const OTHER: [u8; OTHERS] = {
        let mut others = [0; OTHERS];
        let (mut count, mut byte) = (0, 0);
        while byte < 256 {
            if !is_itself(byte as u8) {
                others[count] = byte as u8;
                count += 1;
            }
            byte += 1;
        }
        others
    };

    /// The character for `byte`.
    pub(in super::super) fn char_of(byte: u8) -> char {
        match OTHER.binary_search(&byte) {
            Ok(rank) => char::from_u32(0x100 + rank as u32).unwrap_or_default(),
            Err(_) => byte as char,
        }
    }

    /// The byte that `c` stands for.
    fn byte_of(c: char) -> Option<u8> {
        match usize::try_from(u32::from(c)).ok()? {
            code @ 0..=0xff => Some(code as u8).filter(|&b| is_itself(b)),
            code => OTHER.get(code - 0x100).copied(),
        }
    }

    /// The bytes that `text` stands for. `None` when some character stands for none.
    pub(in super::super) fn bytes_of(text: &[u8]) -> Option<Vec<u8>> {
        std::str::from_utf8(text).ok()?.chars().map(byte_of).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_and_their_characters_are_one_to_one() {
        let all: Vec<u8> = (0..=255).collect();
        let text: String = all.iter().map(|&b| byte_level::char_of(b)).collect();
        assert_eq!(byte_level::bytes_of(text.as_bytes()).unwrap(), all);
        assert_eq!((byte_level::char_of(b' '), byte_level::char_of(b'\n')), ('Ġ', 'Ċ'));
        assert_eq!((byte_level::char_of(0xad), byte_level::char_of(0)), ('\u{143}', '\u{100}'));
        assert_eq!(byte_level::bytes_of("a b".as_bytes()), None);
        assert_eq!(byte_level::bytes_of("\u{144}".as_bytes()), None);
    }

    #[test]
    fn byte_tokens_are_read_strictly() {
        assert_eq!(byte_token(b"<0x0A>"), Some(10));
        assert_eq!(byte_token(b"<0xfF>"), Some(255));
        for text in ["<0x0G>", "<0xA>", "0x0A", "<0x+1>"] {
            assert_eq!(byte_token(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn strings_keep_their_bounds() {
        let mut strings = Strings::default();
        for text in ["", "ab", "", "c"] {
            strings.push(text.as_bytes());
        }
        assert_eq!(strings.iter().collect::<Vec<_>>(), [&b""[..], b"ab", b"", b"c"]);
        assert_eq!(strings.get(4), None);
    }
}
