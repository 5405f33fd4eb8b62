//! Any bytes at all are refused as a vocabulary, or read and used: tokenizer.json, SentencePiece, tiktoken, GGUF.
//!
//! ```text
//! cargo +nightly fuzz run -s none tokenizer fuzz/corpus/tokenizer fuzz/seeds/tokenizer -- -max_len=4096 -dict=fuzz/tokenizer.dict
//! ```
#![no_main]

#[path = "../../crates/lucid/tests/common/tokenizer.rs"]
mod common;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    common::check_file(bytes);
});
