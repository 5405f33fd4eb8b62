//! Chat templates: what Python's jinja2 makes of them, in transformers' sandbox.
//!
//! `golden/templates.json` is what `scripts/make_template_goldens.py` had Python write.

#[path = "common/fixtures.rs"]
mod fixtures;

use fixtures::fixtures;
use lucid::{
    ErrorKind,
    chat::{Conversation, Template},
};
use serde_json::Value;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

fn goldens() -> Value {
    serde_json::from_str(include_str!("golden/templates.json")).unwrap()
}

fn now(goldens: &Value) -> Option<SystemTime> {
    Some(UNIX_EPOCH + Duration::from_secs(goldens["now"].as_u64().unwrap()))
}

/// What became of rendering: the text, what the template refused, or a failure.
#[derive(Debug, PartialEq)]
enum Outcome {
    Text(String),
    Raised(String),
    Failed(String),
}

fn outcome(source: &str, tokens: &[(&str, &str)], conversation: &Conversation) -> Outcome {
    let rendered = Template::parse("template", source).and_then(|mut template| {
        tokens.iter().for_each(|(name, text)| template.set_token(name, text));
        template.render(conversation)
    });
    match rendered {
        Ok(text) => Outcome::Text(text),
        Err(error) => {
            let said = error.to_string();
            match (error.kind(), said.split_once(", refuses: ")) {
                (ErrorKind::Request, Some((_, message))) => Outcome::Raised(message.to_owned()),
                _ => Outcome::Failed(said),
            }
        }
    }
}

fn objects(value: &Value) -> Vec<(String, Value)> {
    value.as_object().into_iter().flatten().map(|(k, v)| (k.clone(), v.clone())).collect()
}

#[test]
fn small_templates_are_what_python_makes_of_them() {
    let goldens = goldens();
    let variables = objects(&goldens["variables"]);
    let conversation = Conversation { extra: &variables, now: now(&goldens), ..Conversation::default() };
    let cases = goldens["snippets"].as_array().unwrap();
    assert!(cases.len() > 600, "{}", cases.len());
    let mut wrong = Vec::new();
    for case in cases {
        let source = case[0].as_str().unwrap();
        let found = outcome(source, &[], &conversation);
        let fits = match (&case[1], &found) {
            (Value::String(text), Outcome::Text(found)) => text == found,
            (Value::Null, Outcome::Failed(_)) => true,
            (Value::Object(raised), Outcome::Raised(found)) => raised["raises"] == **found,
            _ => false,
        };
        if !fits {
            wrong.push(format!("{source}\n  is     {found:?}\n  Python {}", case[1]));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

/// Every case that Python reproduces, byte for byte.
#[test]
fn fixture_cases() {
    let Some(folder) = fixtures("fixture_cases") else { return };
    let path = folder.join("chat/chat-template-cases.json");
    let all: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let mut passed = 0;
    for case in all["cases"].as_array().unwrap() {
        if case["verified_with_python_jinja2"] != true {
            continue;
        }
        let text = |key: &str| case[key].as_str().unwrap_or_default();
        let mut messages = all["messages"].as_array().unwrap().clone();
        messages.extend(case["extra_messages"].as_array().into_iter().flatten().cloned());
        let tokens = [("bos_token", text("bos_token")), ("eos_token", text("eos_token"))];
        let conversation = Conversation { messages: &messages, add_generation_prompt: true, ..Conversation::default() };
        let expected = match text("expected_output_jinja") {
            "" => text("expected_output"),
            jinja => jinja,
        };
        let found = outcome(text("template_str"), &tokens, &conversation);
        assert_eq!(found, Outcome::Text(expected.to_owned()), "{}", text("name"));
        passed += 1;
    }
    assert_eq!(passed, 23);
}

/// FNV-1a.
fn hash(text: &str) -> String {
    let hash =
        text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |h, byte| (h ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
    format!("{hash:016x}")
}

/// Every template of the fixtures with every conversation of the goldens: the same text as Python's, or the same refusal.
#[test]
fn fixture_templates() {
    let Some(folder) = fixtures("fixture_templates") else { return };
    let goldens = goldens();
    let (mut wrong, mut rendered) = (Vec::new(), 0);
    for (name, results) in objects(&goldens["fixtures"]) {
        let path = folder.join(format!("chat/templates/{name}.jinja"));
        let source = std::fs::read_to_string(&path).unwrap();
        for (title, golden) in objects(&results) {
            let given = &goldens["conversations"][&title];
            let list = |key: &str| given[key].as_array().map(Vec::as_slice);
            let mut extra = objects(&given["extra"]);
            let generation = extra.iter().position(|(key, _)| key == "add_generation_prompt");
            let generation = generation.is_none_or(|at| extra.remove(at).1 == true);
            let conversation = Conversation {
                messages: list("messages").unwrap(),
                tools: list("tools"),
                documents: list("documents"),
                add_generation_prompt: generation,
                extra: &extra,
                variant: None,
                now: now(&goldens),
            };
            let found = outcome(&source, &[("bos_token", "<s>"), ("eos_token", "</s>")], &conversation);
            let fits = match (&golden, &found) {
                (Value::String(text), Outcome::Text(found)) => *text == hash(found),
                (Value::Null, Outcome::Failed(_)) => true,
                (Value::Object(raised), Outcome::Raised(found)) => raised["raises"] == *hash(found),
                _ => false,
            };
            rendered += usize::from(fits && matches!(found, Outcome::Text(_)));
            if !fits {
                wrong.push(format!("{name}, {title}: Python {golden}, and here {found:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
    assert!(rendered > 300, "{rendered}");
}
