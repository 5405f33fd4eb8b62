//! What must hold for every text, every list of ids and every damaged file, with the vocabularies of `tests/golden`.

#[path = "common/tokenizer.rs"]
mod common;

use common::{check_file, check_ids};
use lucid::tokenizer::{Decoder, Encode, Tokenizer};
use proptest::{prelude::*, test_runner::TestRunner};
use serde_json::Value;
use std::path::{Path, PathBuf};

const PLAIN: Encode = Encode { bos: false, special: false };

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/tokenizers")
}

/// Every vocabulary of the folder, by name.
fn vocabularies() -> Vec<(String, Tokenizer)> {
    let mut names: Vec<String> = std::fs::read_dir(golden())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| !["ids.json", "pre.json", "texts.json", "mistral.json", "versions.json"].contains(&&**name))
        .collect();
    names.sort();
    assert!(names.len() > 20);
    names.into_iter().map(|name| (name.clone(), Tokenizer::open(&golden().join(name)).unwrap())).collect()
}

/// Text of all kinds: any characters at all, and those that vocabularies and their patterns look at.
fn text() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        any::<String>(),
        "[a-zA-Z']{0,8}",
        "[ \t\r\n\u{a0}\u{3000}]{0,6}",
        "[0-9]{0,7}",
        "[▁Ġ<>|_#-]{0,4}",
        "(<\\|eot\\|>|<\\|tool\\|>|<s>|</s>|<unk>|\\[UNK\\]|<0x41>|##)",
        "[äöüßñéàçğışİа-яё0α-ω]{0,8}",
        "[日本語中文한국어\u{301}\u{300}\u{200d}🦙👩]{0,6}",
    ];
    proptest::collection::vec(part, 0..8).prop_map(|parts| parts.concat())
}

/// Runs `check` on so many values.
fn for_all<S: Strategy>(cases: u32, strategy: S, check: impl Fn(S::Value)) {
    let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
    let checked = TestRunner::new(config).run(&strategy, |value| {
        check(value);
        Ok(())
    });
    if let Err(e) = checked {
        panic!("{e}");
    }
}

/// Those whose tokens write every byte, and that change no text before they encode it.
const BYTES: [&str; 3] = ["bytes.gguf", "bytes.json", "falcon-chain.json"];
/// The same, except that "▁" is how they write a space.
const SPACED: [&str; 5] = ["spm-bpe.gguf", "spm-bpe.model", "spm-unused.model", "spaced.gguf", "spaced.json"];

#[test]
fn what_is_encoded_decodes_to_itself() {
    let known = vocabularies();
    let of = |names: &[&str]| known.iter().filter(|(name, _)| names.contains(&&**name)).collect::<Vec<_>>();
    let (bytes, spaced) = (of(&BYTES), of(&SPACED));
    assert_eq!((bytes.len(), spaced.len()), (BYTES.len(), SPACED.len()));
    for_all(500, text(), |text| {
        for bos in [false, true] {
            for (name, tokenizer) in bytes.iter().chain(&spaced) {
                let ids = tokenizer.encode(&text, Encode { bos, special: false }).unwrap();
                let found = String::from_utf8(check_ids(tokenizer, &ids)).unwrap();
                match BYTES.contains(&&**name) {
                    true => assert_eq!(found, text, "{name}: {ids:?}"),
                    false => assert_eq!(found.replace('▁', " "), text.replace('▁', " "), "{name}: {text:?} {ids:?}"),
                }
            }
        }
    });
}

#[test]
fn what_is_encoded_and_decoded_again_and_again_comes_to_rest() {
    let known = vocabularies();
    let others: Vec<_> =
        known.iter().filter(|(name, _)| !BYTES.contains(&&**name) && !SPACED.contains(&&**name)).collect();
    assert!(others.len() > 8);
    for (name, tokenizer) in others {
        let counts = std::cell::Cell::new((0, 0));
        for_all(300, text(), |text| {
            let text = text.replace('▁', " "); // which is how most of them write a space
            let ids = tokenizer.encode(&text, PLAIN).unwrap();
            let bytes = check_ids(tokenizer, &ids);
            let (all, written) = counts.get();
            counts.set((all + 1, written));
            // what became the unknown token is lost, and its text is another
            if tokenizer.special.unknown.is_some_and(|unknown| ids.contains(&unknown)) {
                return;
            }
            counts.set((all + 1, written + 1));
            // The table of a normaliser may have a rule for what another rule wrote; it does not go on for ever. A space
            // at the beginning may be taken for the one that encoding puts there.
            let mut rounds = vec![String::from_utf8(bytes).unwrap()];
            for _ in 0..3 {
                let again = tokenizer.encode(&rounds[rounds.len() - 1], PLAIN).unwrap();
                rounds.push(String::from_utf8(tokenizer.decode(&again).unwrap()).unwrap());
            }
            let [.., before, last] = &rounds[..] else { unreachable!() };
            assert_eq!(before.trim_start_matches(' '), last.trim_start_matches(' '), "{name}: {text:?} {rounds:?}");
        });
        let (all, written) = counts.get();
        assert!(written * 20 > all, "{name}: {written} of {all} texts could be written");
    }
}

#[test]
fn special_tokens_are_found_only_when_asked_for() {
    let known = vocabularies();
    for_all(200, text(), |text| {
        for (name, tokenizer) in &known {
            let ids = tokenizer.encode(&text, PLAIN).unwrap();
            let special = &tokenizer.special;
            let control =
                |&id: &u32| tokenizer.kind(id) == Some(lucid::tokenizer::Kind::Control) && special.unknown != Some(id);
            assert!(!ids.iter().any(control), "{name}: {text:?} {ids:?}");
        }
    });
}

/// Whatever ids come, the same text comes out at once and in pieces, and goes on after a prompt as it would have.
#[test]
fn ids_decode_to_the_same_text_one_by_one() {
    let known = vocabularies();
    let strategy = (proptest::collection::vec(any::<u32>(), 0..40), text());
    for_all(150, strategy, |(ids, prompt)| {
        for (name, tokenizer) in &known {
            let size = tokenizer.vocab_size() as u32;
            let ids: Vec<u32> = ids.iter().map(|id| id % size).collect();
            check_ids(tokenizer, &ids);

            let last = |how| tokenizer.encode("x", how).unwrap().pop();
            // something stands after the prompt, or the space at its end counts only when more follows
            if last(PLAIN) != last(Encode::default()) || name.contains("suffix") {
                continue;
            }
            let mut all = tokenizer.encode(&prompt, Encode { bos: true, special: true }).unwrap();
            let mut decoder = Decoder::after(tokenizer, &all).unwrap();
            let before = tokenizer.decode(&all).unwrap();
            let mut text = String::new();
            for &id in &ids {
                text += &decoder.push(tokenizer, id).unwrap();
            }
            text += &decoder.finish(tokenizer);
            all.extend(&ids);
            let whole = tokenizer.decode(&all).unwrap();
            let rest = whole.strip_prefix(&before[..]).unwrap_or_else(|| panic!("{name}: {prompt:?} {ids:?}"));
            assert_eq!(text, String::from_utf8_lossy(rest), "{name}: {prompt:?} {ids:?}");
        }
    });
}

#[test]
fn ids_outside_the_vocabulary_are_refused() {
    for (name, tokenizer) in vocabularies() {
        let size = tokenizer.vocab_size() as u32;
        let mut decoder = Decoder::new(&tokenizer);
        for id in [size, u32::MAX] {
            let error = tokenizer.decode(&[0, id]).unwrap_err().to_string();
            assert!(error.contains(&format!("token {id} is outside the vocabulary of {size}")), "{name}: {error}");
            assert!(decoder.push(&tokenizer, id).is_err());
            assert!(Decoder::after(&tokenizer, &[id]).is_err());
        }
    }
}

/// All files, and one of each kind that the trained ones lack.
fn files() -> Vec<Vec<u8>> {
    let mut files: Vec<Vec<u8>> =
        vocabularies().iter().map(|(name, _)| std::fs::read(golden().join(name)).unwrap()).collect();
    files.push(b"IQ== 0\nIg== 1\nIw== 2\nISI= 3\nISIj 4\n5pel 5\n".to_vec());
    files
}

#[test]
fn damaged_files_are_refused_or_read_and_never_panic() {
    let files = files();
    let flips = proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8);
    for_all(1500, (0..files.len(), flips, any::<Option<prop::sample::Index>>()), |(which, flips, cut)| {
        let mut bytes = files[which].clone();
        for (at, value) in flips {
            let at = at.index(bytes.len());
            bytes[at] ^= value;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        check_file(&bytes);
    });
}

/// A value of a JSON file, by a number: the members of objects and lists, deeply.
fn nth<'j>(value: &'j mut Value, n: &mut usize) -> Option<&'j mut Value> {
    if *n == 0 {
        return Some(value);
    }
    *n -= 1;
    match value {
        // vocabularies are long: their first members stand for all
        Value::Object(map) => map.values_mut().take(300).find_map(|v| nth(v, n)),
        Value::Array(list) => list.iter_mut().take(300).find_map(|v| nth(v, n)),
        _ => None,
    }
}

#[test]
fn wrong_values_in_tokenizer_json_are_refused_or_read_and_never_panic() {
    let files: Vec<Value> = files().iter().filter_map(|bytes| serde_json::from_slice(bytes).ok()).collect();
    assert!(files.len() > 8);
    let values = prop_oneof![
        Just(Value::Null),
        Just(serde_json::json!([])),
        Just(serde_json::json!({})),
        Just(serde_json::json!(true)),
        any::<i64>().prop_map(|n| serde_json::json!(n)),
        (0..2000u32).prop_map(|n| serde_json::json!(n)),
        any::<f64>().prop_map(|x| serde_json::json!(x)),
        ".{0,6}".prop_map(|s| serde_json::json!(s)),
        "[a-z\\\\()\\[\\]+*?{}|^$]{0,8}".prop_map(|s| serde_json::json!(s)),
        "(Sequence|Split|ByteLevel|Metaspace|BPE|Unigram|WordPiece|NFC|Strip|Replace|Precompiled)"
            .prop_map(|s| serde_json::json!(s)),
    ];
    // most places are near the root, where most is decided
    let place = prop_oneof![0..60usize, 0..2000usize];
    for_all(3000, (0..files.len(), proptest::collection::vec((place, values), 1..3)), |(which, edits)| {
        let mut file = files[which].clone();
        for (mut place, value) in edits {
            if let Some(found) = nth(&mut file, &mut place) {
                *found = value;
            }
        }
        check_file(&serde_json::to_vec(&file).unwrap());
    });
}
