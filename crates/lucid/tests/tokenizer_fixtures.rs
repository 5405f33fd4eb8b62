//! Real vocabularies, and the ids that their texts have, from every container that holds one.

#[path = "common/fixtures.rs"]
mod fixtures;

use fixtures::fixtures;
use lucid::{
    file::gguf::{Draft, Gguf, Value},
    tokenizer::{Encode, Kind, Tokenizer},
};
use std::path::{Path, PathBuf};

const PLAIN: Encode = Encode { bos: false, special: false };

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
    check_all(&tokenizer, cases(stem));
    tokenizer
}

fn check_all(tokenizer: &Tokenizer, cases: Vec<(String, Vec<u32>)>) {
    for (text, ids) in cases {
        let found = tokenizer.encode(&text, PLAIN).unwrap();
        assert_eq!(found, ids, "{}: {text:?}", tokenizer.path.display());
        assert_eq!(tokenizer.decode(&found).unwrap(), text.as_bytes(), "{}", tokenizer.path.display());
    }
}

fn json(path: &Path) -> serde_json::Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn ids(list: &serde_json::Value) -> Vec<u32> {
    serde_json::from_value(list.clone()).unwrap()
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

/// The ids that the `sentencepiece` package gives the texts (`scripts/make_tokenizer_goldens.py`).
#[test]
fn mistral_vocabularies() {
    let Some(folder) = fixtures("mistral_vocabularies") else { return };
    let golden = json(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/tokenizers/mistral.json"));
    let texts = cases(&folder.join("tokenizers/llama-spm.gguf")).into_iter().map(|(text, _)| text);
    for name in ["mistral-v1.model", "mistral-v3.model"] {
        let rows = golden[name].as_array().unwrap();
        assert_eq!(rows.len(), 47);
        let tokenizer = Tokenizer::open(&folder.join("tokenizers").join(name)).unwrap();
        check_all(&tokenizer, texts.clone().zip(rows.iter().map(ids)).collect());
    }
}

#[test]
fn the_vocabulary_of_the_little_stories() {
    let Some(folder) = fixtures("the_vocabulary_of_the_little_stories") else { return };
    let model = folder.join("models/stories260K");
    let golden = json(&model.join("golden.json"));
    let api = json(&folder.join("api/stories260K-prompt-token-goldens.json"));
    for format in ["F32", "F16", "BF16", "Q8_0", "Q5_1", "Q5_0", "Q4_1", "Q4_0"] {
        let tokenizer = Tokenizer::open(&model.join(format!("stories260K-{format}.gguf"))).unwrap();
        let encoded = |text: &serde_json::Value| tokenizer.encode(text.as_str().unwrap(), Encode::default()).unwrap();
        for case in golden["cases"].as_array().unwrap() {
            assert_eq!(encoded(&case["prompt"]), ids(&case["prompt_ids"]), "{}", case["prompt"]);
        }
        let text = encoded(&golden["nll_text"]);
        assert_eq!(text, ids(&golden["nll_ids"]));
        assert_eq!(tokenizer.decode(&text).unwrap(), golden["nll_text"].as_str().unwrap().as_bytes());
        let prompts = api["cases"].as_array().unwrap().iter().filter(|case| case["prompt"].is_string());
        for case in prompts.clone() {
            assert_eq!(encoded(&case["prompt"]).len() as u64, case["prompt_tokens"].as_u64().unwrap());
        }
        assert_eq!(prompts.count(), 2);
    }
}

/// Llama 3's vocabulary as a GGUF file has it, with the merges of its `vocab.bpe`.
#[test]
fn llama_3_as_gguf() {
    let Some(folder) = fixtures("llama_3_as_gguf") else { return };
    let folder = folder.join("tokenizers/llama-3");
    let known = Tokenizer::open(&folder).unwrap();
    let all = 0..known.vocab_size() as u32;
    let kinds: Vec<i32> = all.clone().map(|id| if known.kind(id) == Some(Kind::Control) { 3 } else { 1 }).collect();
    let merges = std::fs::read_to_string(folder.join("vocab.bpe")).unwrap();
    let merges = merges.lines().filter(|line| !line.is_empty() && !line.starts_with("#version"));
    let mut draft = Draft::new();
    draft.set("tokenizer.ggml.model", Value::String("gpt2")).unwrap();
    draft.set("tokenizer.ggml.pre", Value::String("llama-bpe")).unwrap();
    draft.set_strings("tokenizer.ggml.tokens", all.map(|id| known.text(id).unwrap())).unwrap();
    draft.set_strings("tokenizer.ggml.merges", merges).unwrap();
    draft.set("tokenizer.ggml.bos_token_id", Value::U32(128_000)).unwrap();
    draft.set("tokenizer.ggml.token_type", Value::Array(kinds[..].into())).unwrap();
    let gguf = Gguf::parse(Path::new("llama-3.gguf"), draft.header().unwrap()).unwrap();
    let tokenizer = Tokenizer::from_gguf(&gguf).unwrap();
    check_all(&tokenizer, cases(&folder.join("llama-bpe")));
    assert!(tokenizer.warnings.is_empty(), "{:?}", tokenizer.warnings);
    assert_eq!(tokenizer.encode("", Encode::default()).unwrap(), [128_000]);
}

/// A folder of this process, removed with the value.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// GPT-2's vocabulary in the two files it was published in.
#[test]
fn gpt_2_as_vocab_and_merges() {
    let Some(folder) = fixtures("gpt_2_as_vocab_and_merges") else { return };
    let folder = folder.join("tokenizers");
    let model = &json(&folder.join("gpt2-hf/tokenizer.json"))["model"];
    let merges = model["merges"].as_array().unwrap().iter().map(|pair| match pair.as_str() {
        Some(pair) => pair.to_owned(),
        None => format!("{} {}", pair[0].as_str().unwrap(), pair[1].as_str().unwrap()),
    });
    let merges = ["#version: 0.2".to_owned()].into_iter().chain(merges).collect::<Vec<_>>().join("\n");
    let scratch = Scratch(std::env::temp_dir().join(format!("lucid-gpt-2-{}", std::process::id())));
    std::fs::create_dir_all(&scratch.0).unwrap();
    std::fs::write(scratch.0.join("vocab.json"), model["vocab"].to_string()).unwrap();
    std::fs::write(scratch.0.join("merges.txt"), merges + "\n").unwrap();
    std::fs::write(scratch.0.join("tokenizer_config.json"), r#"{"tokenizer_class": "GPT2Tokenizer"}"#).unwrap();
    let tokenizer = check(&scratch.0, &folder.join("gpt-2.gguf"));
    assert!(tokenizer.warnings.is_empty(), "{:?}", tokenizer.warnings);
}
