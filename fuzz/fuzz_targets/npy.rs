//! Any bytes at all are refused as an array and as an archive of arrays, or read without leaving the file.
//!
//! ```text
//! cargo +nightly fuzz run npy fuzz/corpus/npy fuzz/seeds/npy -- -max_len=1024 -dict=fuzz/npy.dict
//! ```
#![no_main]

#[path = "../../crates/lucid/tests/common/npy.rs"]
mod common;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = common::read_header(bytes);
    let _ = common::read_archive(bytes);
    // The same bytes as a header text of the right length, before as many values as the first of them says.
    if let Some((&size, text)) = bytes.split_first() {
        let length = (text.len() as u32).to_le_bytes();
        let _ = common::read_header(&[b"\x93NUMPY\x02\x00", &length[..], text, &vec![0; size as usize]].concat());
    }
});
