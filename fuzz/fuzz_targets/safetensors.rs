//! Any bytes at all are a safetensors file here if and only if they are one for the reference reader.
//!
//! ```text
//! cargo +nightly fuzz run safetensors fuzz/corpus/safetensors fuzz/seeds/safetensors -- -max_len=512 -dict=fuzz/safetensors.dict
//! ```
#![no_main]

#[path = "../../crates/lucid/tests/common/safetensors.rs"]
#[allow(dead_code)] // what builds files for the tests
mod common;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = common::agreed(bytes);
    // The same bytes as a header of the right length, before as much data as the first of them says: a mutation seldom
    // keeps both lengths right.
    if let Some((&data_len, header)) = bytes.split_first() {
        let file = [&(header.len() as u64).to_le_bytes(), header, &vec![0; data_len as usize]].concat();
        let _ = common::agreed(&file);
    }
});
