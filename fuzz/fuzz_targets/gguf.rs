//! Any bytes at all are refused as GGUF, or accepted with every promise of the reader kept.
//!
//! ```text
//! cargo run --manifest-path fuzz/Cargo.toml --example gguf_seeds
//! cargo +nightly fuzz run -s none gguf -- -max_len=4096 -dict=fuzz/gguf.dict
//! ```
//!
//! The reader has no unsafe code, so that the address sanitizer has nothing to find; without it the fuzzer is twenty times as fast.
#![no_main]

#[path = "../../crates/lucid/tests/common/gguf.rs"]
#[allow(dead_code)] // the seeds, which the example writes
mod common;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    common::check(bytes);
});
