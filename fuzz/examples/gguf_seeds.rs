//! Writes the small valid files from which the fuzzer starts, to `fuzz/corpus/gguf`.

#[path = "../../crates/lucid/tests/common/gguf.rs"]
#[allow(dead_code)] // the check, which the fuzz target makes
mod common;

fn main() -> std::io::Result<()> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/corpus/gguf");
    std::fs::create_dir_all(folder)?;
    for (name, bytes) in common::seeds() {
        std::fs::write(format!("{folder}/{name}.gguf"), &bytes)?;
        println!("{folder}/{name}.gguf: {} bytes", bytes.len());
    }
    Ok(())
}
