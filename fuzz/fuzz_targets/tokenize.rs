//! Any text has ids in every vocabulary, and they are that text again where nothing was changed.
//!
//! ```text
//! cargo +nightly fuzz run -s none tokenize -- -max_len=512
//! ```
#![no_main]

#[path = "../../crates/lucid/tests/common/tokenizer.rs"]
#[allow(dead_code)] // what checks files
mod common;

use lucid::tokenizer::{Encode, Tokenizer};
use std::{path::Path, sync::LazyLock};

/// The trained vocabularies of the tests, and whether they change no text.
static VOCABULARIES: LazyLock<Vec<(bool, Tokenizer)>> = LazyLock::new(|| {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/lucid/tests/golden/tokenizers");
    let exact = [("bytes.gguf", true), ("bytes.json", true), ("falcon-chain.json", true), ("spm-bpe.model", false)];
    let others = ["spaced.gguf", "spm-unigram.model", "unigram.json", "wordpiece.gguf", "suffix.json", "roberta.json"];
    let all = exact.into_iter().chain(others.map(|name| (name, false)));
    all.map(|(name, exact)| (exact, Tokenizer::open(&folder.join(name)).expect(name))).collect()
});

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(bytes);
    for (exact, tokenizer) in VOCABULARIES.iter() {
        for special in [false, true] {
            let ids = tokenizer.encode(&text, Encode { bos: false, special }).expect("every character can be written");
            let back = common::check_ids(tokenizer, &ids);
            assert!(!exact || back == text.as_bytes());
        }
    }
});
