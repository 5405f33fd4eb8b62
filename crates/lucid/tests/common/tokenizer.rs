//! What must hold for any file read as a vocabulary, and for any text; shared with the fuzz targets.

use lucid::tokenizer::{Decoder, Encode, Tokenizer};
use std::path::Path;

/// Texts that take different ways through a tokenizer.
const TEXTS: [&str; 6] = [
    "",
    " a",
    "Hello  world's 12345 ÄÖ",
    "<s>[UNK]<|eot|>\r\n\t\n ",
    "日本語🦙e\u{301}\0\u{feff}▁",
    "aaaaaaaaaaaaaaaaaaaaaaaa",
];

/// Reads `bytes` as a file if they can be read, and uses what they hold.
pub(crate) fn check_file(bytes: &[u8]) {
    // no such folder, and so nothing beside it
    let Ok(tokenizer) = Tokenizer::parse(Path::new("no/such/folder/file"), bytes) else { return };
    let tail = String::from_utf8_lossy(&bytes[bytes.len().saturating_sub(64)..]);
    for text in TEXTS.iter().copied().chain([&*tail]) {
        for special in [false, true] {
            // what the vocabulary cannot write is an error
            if let Ok(ids) = tokenizer.encode(text, Encode { bos: true, special }) {
                check_ids(&tokenizer, &ids);
            }
        }
    }
    let size = tokenizer.vocab_size() as u32;
    let some: Vec<u32> = (0..size).rev().take(300).chain(0..size.min(300)).collect();
    check_ids(&tokenizer, &some);
    assert!(tokenizer.decode(&[size]).is_err());
}

/// Decodes `ids` at once and as they come: the same text, never half a character. Returns the bytes.
pub(crate) fn check_ids(tokenizer: &Tokenizer, ids: &[u32]) -> Vec<u8> {
    let bytes = tokenizer.decode(ids).unwrap();
    let mut streamed = String::new();
    let mut decoder = Decoder::new(tokenizer);
    for &id in ids {
        streamed += &decoder.push(tokenizer, id).unwrap();
    }
    streamed += &decoder.finish(tokenizer);
    // What encoding puts after a text writes nothing; whoever decodes as ids come cannot know that this was the last.
    let around = tokenizer.encode("", Encode::default()).unwrap_or_default();
    if around.is_empty() || around.last() != ids.last() {
        assert_eq!(streamed, String::from_utf8_lossy(&bytes), "{ids:?}");
    }
    bytes
}
