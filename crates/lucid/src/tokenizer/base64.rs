//! Base64, in which tiktoken files write tokens and `tokenizer.json` a character map.

/// The bytes that `text` writes, padded or not. `None` when it is no base64.
pub(super) fn decode(text: &[u8]) -> Option<Vec<u8>> {
    let digits = text.strip_suffix(b"==").or(text.strip_suffix(b"=")).unwrap_or(text);
    if digits.len() % 4 == 1 || (digits.len() < text.len() && !text.len().is_multiple_of(4)) {
        return None;
    }
    let mut out = Vec::with_capacity(digits.len() * 3 / 4);
    for group in digits.chunks(4) {
        let mut bits = 0u32;
        for &digit in group {
            bits = bits << 6 | u32::from(value(digit)?);
        }
        bits <<= 6 * (4 - group.len());
        out.extend_from_slice(&bits.to_be_bytes()[1..group.len()]);
    }
    Some(out)
}

fn value(digit: u8) -> Option<u8> {
    Some(match digit {
        b'A'..=b'Z' => digit - b'A',
        b'a'..=b'z' => digit - b'a' + 26,
        b'0'..=b'9' => digit - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decodes_what_others_write() {
        let cases: [(&str, &[u8]); 6] = [
            ("", b""),
            ("IQ==", b"!"),
            ("ISI=", b"!\""),
            ("ISIj", b"!\"#"),
            ("44O844O8", "ーー".as_bytes()),
            ("+/8", &[0xfb, 0xff]),
        ];
        for (text, bytes) in cases {
            assert_eq!(decode(text.as_bytes()).as_deref(), Some(bytes), "{text}");
        }
        for text in ["I", "IQ=", "I===", "IQ!=", "IQ==IQ==", " IQ=="] {
            assert_eq!(decode(text.as_bytes()), None, "{text}");
        }
    }
}
