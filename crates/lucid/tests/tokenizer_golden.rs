//! Small trained vocabularies of every kind, and the ids that the reference tokenizers give their texts
//! (`scripts/make_tokenizer_goldens.py`).

use lucid::{
    file::gguf::{Draft, Gguf, Value},
    tokenizer::{Encode, Tokenizer},
};
use std::path::{Path, PathBuf};

const PLAIN: Encode = Encode { bos: false, special: false };

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/tokenizers").join(name)
}

fn json(name: &str) -> serde_json::Map<String, serde_json::Value> {
    serde_json::from_slice(&std::fs::read(golden(name)).unwrap()).unwrap()
}

fn texts() -> Vec<String> {
    serde_json::from_value(json("texts.json")["texts"].clone()).unwrap()
}

/// Every text has its ids; all that do not are listed. One text of one vocabulary has none: its reference takes it for
/// special tokens, which nobody asked for.
fn check(name: &str, tokenizer: &Tokenizer, texts: &[String], rows: &serde_json::Value) {
    let rows: Vec<Option<Vec<u32>>> = serde_json::from_value(rows.clone()).unwrap();
    assert_eq!(rows.len(), texts.len(), "{name}");
    assert_eq!(rows.iter().filter(|ids| ids.is_none()).count(), usize::from(name == "unigram.json"), "{name}");
    let mut wrong = Vec::new();
    for (text, ids) in texts.iter().zip(&rows) {
        let Some(ids) = ids else { continue };
        match tokenizer.encode(text, PLAIN) {
            Ok(found) if found == *ids => {}
            found => wrong.push(format!("{text:?}\n  expected {ids:?}\n  found    {found:?}")),
        }
    }
    assert!(wrong.is_empty(), "{name}: {} of {} texts\n{}", wrong.len(), texts.len(), wrong.join("\n"));
}

#[test]
fn every_trained_vocabulary_gives_the_ids_of_its_trainer() {
    let texts = texts();
    for (name, rows) in json("ids.json") {
        let tokenizer = Tokenizer::open(&golden(&name)).unwrap();
        check(&name, &tokenizer, &texts, &rows);
        assert!(tokenizer.warnings.is_empty(), "{name}: {:?}", tokenizer.warnings);
    }
}

/// The byte-level vocabulary as a GGUF file with another pre-tokenizer.
fn with_pre(pre: &str) -> Tokenizer {
    let base = Gguf::open(&golden("bytes.gguf")).unwrap();
    let mut draft = Draft::new();
    draft.set_all(&base.metadata).unwrap();
    draft.set("tokenizer.ggml.pre", Value::String(pre)).unwrap();
    // some of them begin text with BOS
    draft.set("tokenizer.ggml.bos_token_id", Value::U32(0)).unwrap();
    let gguf = Gguf::parse(Path::new("bytes.gguf"), draft.header().unwrap()).unwrap();
    Tokenizer::from_gguf(&gguf).unwrap()
}

#[test]
fn every_pre_tokenizer_cuts_where_the_models_own_does() {
    let texts = texts();
    let golden = json("pre.json");
    for (names, which) in golden["names"].as_object().unwrap() {
        let ids = golden["ids"].as_array().unwrap().iter().zip(which.as_array().unwrap());
        let rows = ids.map(|(ids, at)| ids[at.as_u64().unwrap() as usize].clone()).collect();
        for pre in names.split(' ') {
            let tokenizer = with_pre(pre);
            check(pre, &tokenizer, &texts, &rows);
            assert!(tokenizer.warnings.is_empty(), "{pre}: {:?}", tokenizer.warnings);
        }
    }
}

#[test]
fn an_unknown_pre_tokenizer_is_a_warning_that_names_it() {
    let tokenizer = with_pre("nonsense-9000");
    assert_eq!(tokenizer.warnings.len(), 1);
    assert!(tokenizer.warnings[0].contains("\"nonsense-9000\""), "{}", tokenizer.warnings[0]);
    let default = with_pre("default");
    for text in texts() {
        assert_eq!(tokenizer.encode(&text, PLAIN).unwrap(), default.encode(&text, PLAIN).unwrap());
    }
}
