//! Real vocabularies, and the ids that their texts have, from every container that holds one.

#[path = "common/fixtures.rs"]
mod fixtures;

use fixtures::fixtures;
use lucid::tokenizer::{Encode, Tokenizer};
use std::path::Path;

/// The texts of an `.inp` file and the ids of its `.out` file.
fn cases(stem: &Path) -> Vec<(String, Vec<u32>)> {
    let read = |end: &str| std::fs::read_to_string(format!("{}.{end}", stem.display())).unwrap();
    let texts = read("inp");
    let ids = read("out");
    let texts: Vec<&str> = texts.split("\n__ggml_vocab_test__\n").collect(); // the last is empty
    let ids: Vec<&str> = ids.split('\n').collect();
    assert_eq!((texts.len(), ids.len()), (47, 47), "{}", stem.display());
    let numbers = |line: &str| line.split_whitespace().map(|id| id.parse().unwrap()).collect();
    texts.into_iter().zip(ids).map(|(text, line)| (text.to_owned(), numbers(line))).collect()
}

/// All 47 texts have their ids, and come back.
fn check(container: &Path, stem: &Path) -> Tokenizer {
    let tokenizer = Tokenizer::open(container).unwrap();
    for (text, ids) in cases(stem) {
        let found = tokenizer.encode(&text, Encode { bos: false, special: false }).unwrap();
        assert_eq!(found, ids, "{}: {text:?}", container.display());
        assert_eq!(tokenizer.decode(&found).unwrap(), text.as_bytes(), "{}", container.display());
    }
    tokenizer
}

#[test]
fn gguf_vocabularies() {
    let Some(folder) = fixtures("gguf_vocabularies") else { return };
    for name in ["llama-spm", "gpt-2", "phi-3"] {
        let path = folder.join("tokenizers").join(format!("{name}.gguf"));
        let tokenizer = check(&path, &path);
        assert!(tokenizer.warnings.is_empty(), "{:?}", tokenizer.warnings);
    }
}

#[test]
fn hugging_face_and_sentencepiece_files() {
    let Some(folder) = fixtures("hugging_face_and_sentencepiece_files") else { return };
    let at = |name: &str| folder.join("tokenizers").join(name);
    for (container, stem) in [
        ("gpt2-hf/tokenizer.json", "gpt-2.gguf"),
        ("gpt2-hf", "gpt-2.gguf"),
        ("phi-3-hf", "phi-3.gguf"),
        ("llama-2.model", "llama-spm.gguf"),
        ("llama-3", "llama-3/llama-bpe"),
        ("llama-3/tokenizer.model", "llama-3/llama-bpe"),
        ("llama-3/encoder.json", "llama-3/llama-bpe"),
    ] {
        let tokenizer = check(&at(container), &at(stem));
        assert!(tokenizer.warnings.is_empty(), "{container}: {:?}", tokenizer.warnings);
    }
}
