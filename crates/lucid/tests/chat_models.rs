//! Where the template of a model is found, which of several is used, and what is said when there is none.

use lucid::{
    ErrorKind,
    chat::{Conversation, Family, Template},
    file::gguf::{Array, Draft, Gguf, Value},
};
use serde_json::{Value as Json, json};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// A folder of its own, removed when the test is over.
struct Scratch(PathBuf);

impl Scratch {
    fn new(test: &str) -> Scratch {
        let folder = std::env::temp_dir().join(format!("lucid-chat-{}-{test}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        Scratch(folder)
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    fn error(&self) -> String {
        let error = Template::find(&self.0).unwrap_err().to_string();
        error.replace(&self.0.display().to_string(), "F")
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn messages() -> Vec<Json> {
    vec![
        json!({"role": "system", "content": "Be brief."}),
        json!({"role": "user", "content": "Hi"}),
        json!({"role": "assistant", "content": "Hello"}),
        json!({"role": "user", "content": "Bye"}),
    ]
}

fn render(template: &Template) -> String {
    let messages = messages();
    let conversation = Conversation { messages: &messages, add_generation_prompt: true, ..Conversation::default() };
    template.render(&conversation).unwrap()
}

/// Metadata alone: a vocabulary of these tokens, and further keys.
fn gguf(tokens: &[&str], keys: &[(&str, &str)]) -> Gguf {
    Gguf::parse(Path::new("m.gguf"), header(tokens, keys)).unwrap()
}

fn header(tokens: &[&str], keys: &[(&str, &str)]) -> Vec<u8> {
    let mut draft = Draft::new();
    draft.set("general.architecture", Value::String("llama")).unwrap();
    let base = ["<unk>", "<s>", "</s>", "a"];
    let all: Vec<&str> = base.iter().chain(tokens).copied().collect();
    let scores = vec![0f32; all.len()];
    let types: Vec<i32> = (0..all.len()).map(|id| [2, 3, 3, 1].get(id).copied().unwrap_or(3)).collect();
    draft.set("tokenizer.ggml.model", Value::String("llama")).unwrap();
    draft.set_strings("tokenizer.ggml.tokens", &all).unwrap();
    draft.set("tokenizer.ggml.scores", Value::Array(Array::from(&scores[..]))).unwrap();
    draft.set("tokenizer.ggml.token_type", Value::Array(Array::from(&types[..]))).unwrap();
    for (name, id) in [("unknown", 0), ("bos", 1), ("eos", 2)] {
        draft.set(&format!("tokenizer.ggml.{name}_token_id"), Value::U32(id)).unwrap();
    }
    keys.iter().for_each(|(key, value)| draft.set(key, Value::String(value)).unwrap());
    draft.header().unwrap()
}

#[test]
fn gguf_metadata_holds_templates_and_tokens() {
    let keys = [
        ("tokenizer.chat_template", "{{ bos_token }}{{ unk_token }}{{ messages | length }}{{ eos_token }}"),
        ("tokenizer.chat_template.tool_use", "{{ tools | length }} tools"),
        ("tokenizer.chat_template.rag", "{{ documents[0].text }}"),
    ];
    let template = Template::from_gguf(&gguf(&[], &keys)).unwrap().unwrap();
    assert_eq!(template.origin, "m.gguf: tokenizer.chat_template");
    assert_eq!(template.guessed, None);
    assert_eq!(template.variants().collect::<Vec<_>>(), ["default", "tool_use", "rag"]);
    assert_eq!(render(&template), "<s><unk>4</s>");
    let (messages, tools, documents) = (messages(), [json!({}), json!({})], [json!({"text": "t"})]);
    let conversation = Conversation { messages: &messages, tools: Some(&tools), ..Conversation::default() };
    assert_eq!(template.render(&conversation).unwrap(), "2 tools");
    let rag = Conversation { documents: Some(&documents), variant: Some("rag"), ..conversation };
    assert_eq!(template.render(&rag).unwrap(), "t");
    let none = template.render(&Conversation { variant: Some("x"), ..conversation }).unwrap_err();
    assert_eq!(none.to_string(), "m.gguf: tokenizer.chat_template: has no variant \"x\", only default, tool_use, rag");
}

#[test]
fn a_gguf_file_may_have_none_or_a_broken_one() {
    assert!(Template::from_gguf(&gguf(&[], &[])).unwrap().is_none());
    let broken = Template::from_gguf(&gguf(&[], &[("tokenizer.chat_template", "a\n{% if %}")])).unwrap_err();
    assert_eq!(broken.to_string(), "m.gguf: tokenizer.chat_template, line 2: expected an expression, and there is %}");
    let mut draft = Draft::new();
    draft.set("general.architecture", Value::String("llama")).unwrap();
    draft.set("tokenizer.chat_template", Value::U32(1)).unwrap();
    let number = Gguf::parse(Path::new("m.gguf"), draft.header().unwrap()).unwrap();
    let error = Template::from_gguf(&number).unwrap_err().to_string();
    assert!(error.starts_with("m.gguf: ") && error.contains("tokenizer.chat_template"), "{error}");
}

#[test]
fn a_folder_holds_a_template_in_one_of_three_files() {
    let folder = Scratch::new("folder");
    folder.write("chat_template.json", r#"{"chat_template": "from json"}"#);
    assert_eq!(render(&Template::find(&folder.0).unwrap().unwrap()), "from json");
    let config = json!({
        "bos_token": "<b>",
        "eos_token": {"content": "<e>", "lstrip": false},
        "pad_token": null,
        "chat_template": "{{ bos_token }}{{ eos_token }}{{ pad_token is defined }}{{ unk_token }}",
    });
    let path = folder.write("tokenizer_config.json", config.to_string());
    folder.write("special_tokens_map.json", r#"{"unk_token": "<u>", "bos_token": "not this"}"#);
    for place in [&folder.0, &path] {
        assert_eq!(render(&Template::find(place).unwrap().unwrap()), "<b><e>False<u>");
    }
    folder.write("chat_template.jinja", "{{ bos_token }} from jinja");
    folder.write("additional_chat_templates/tool_use.jinja", "with tools");
    let template = Template::find(&folder.0).unwrap().unwrap();
    assert_eq!(render(&template), "<b> from jinja");
    assert_eq!(template.source(true), "with tools");
    assert!(template.origin.ends_with("chat_template.jinja"));
    assert_eq!(Template::tokens_of(&folder.0).unwrap().len(), 3);
}

#[test]
fn a_list_of_templates_has_names() {
    let folder = Scratch::new("list");
    let list = json!([{"name": "default", "template": "one"}, {"name": "tool_use", "template": "two"}]);
    folder.write("tokenizer_config.json", json!({ "chat_template": list }).to_string());
    let template = Template::find(&folder.0).unwrap().unwrap();
    assert_eq!((template.source(false), template.source(true)), ("one", "two"));
}

#[test]
fn a_folder_with_one_gguf_file_is_that_file() {
    let folder = Scratch::new("only-gguf");
    assert!(Template::find(&folder.0).unwrap().is_none());
    folder.write("m.gguf", header(&[], &[("tokenizer.chat_template", "{{ eos_token }}")]));
    assert_eq!(render(&Template::find(&folder.0).unwrap().unwrap()), "</s>");
    assert_eq!(Template::tokens_of(&folder.0).unwrap()[0], ("bos_token".to_owned(), "<s>".to_owned()));
    folder.write("n.gguf", header(&[], &[]));
    assert_eq!(folder.error(), "F: this folder holds 2 GGUF files; name one of them");
}

#[test]
fn what_is_wrong_in_a_folder_is_named() {
    let folder = Scratch::new("wrong");
    let config = |json: &str| {
        folder.write("tokenizer_config.json", json);
        folder.error()
    };
    let key = "F/tokenizer_config.json: chat_template";
    assert_eq!(config(r#"{"chat_template": 1}"#), format!("{key}: is neither a text nor a list of templates"));
    let entry = "an entry of the list has no \"name\" and \"template\" that are texts";
    assert_eq!(config(r#"{"chat_template": [{"name": "x"}]}"#), format!("{key}: {entry}"));
    let token = config(r#"{"chat_template": "x", "bos_token": 5}"#);
    assert_eq!(token, "F/tokenizer_config.json: bos_token: is neither a text nor an object with \"content\"");
    assert_eq!(config(r#"{"chat_template": "{{"}"#), format!("{key}, line 1: a tag is not closed by }}}}"));
    folder.write("chat_template.jinja", b"\xff");
    assert_eq!(folder.error(), "F/chat_template.jinja: is not UTF-8 text");
}

#[test]
fn a_model_without_a_template_may_be_of_a_known_family() {
    let folder = Scratch::new("guess");
    let open = |tokens: &[&str], keys: &[(&str, &str)]| {
        let path = folder.write("m.gguf", header(tokens, keys));
        Template::open(&path)
    };
    let template = open(&["<|im_start|>", "<|im_end|>"], &[]).unwrap();
    let why = "it has no chat template; using that of the ChatML family, because its vocabulary has <|im_start|> and <|im_end|>";
    assert_eq!(template.guessed.as_deref(), Some(why));
    let named = open(&[], &[("general.name", "Llama 2 7B Chat")]).unwrap();
    assert!(named.guessed.as_deref().unwrap().ends_with("because it is called \"Llama 2 7B Chat\""));
    assert_eq!(named.token("bos_token"), Some("<s>"));
    let error = open(&[], &[]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    let error = error.to_string();
    assert!(error.contains("m.gguf: has no chat template") && error.contains("--template FILE.jinja"), "{error}");
}

/// The formats as their makers describe them.
#[test]
fn families_write_their_formats() {
    let written = |family: Family| {
        let mut template = Template::family(family).unwrap();
        template.set_token("bos_token", "<s>");
        template.set_token("eos_token", "</s>");
        render(&template)
    };
    let turns = |f: &dyn Fn(&str, &str) -> String| {
        [("system", "Be brief."), ("user", "Hi"), ("assistant", "Hello"), ("user", "Bye")]
            .map(|(r, c)| f(r, c))
            .concat()
    };
    let chatml = turns(&|role, text| format!("<|im_start|>{role}\n{text}<|im_end|>\n")) + "<|im_start|>assistant\n";
    assert_eq!(written(Family::ChatMl), chatml);
    let header = |role: &str| format!("<|start_header_id|>{role}<|end_header_id|>\n\n");
    let llama3 = turns(&|role, text| format!("{}{text}<|eot_id|>", header(role)));
    assert_eq!(written(Family::Llama3), format!("<s>{llama3}{}", header("assistant")));
    let phi3 = turns(&|role, text| format!("<|{role}|>\n{text}<|end|>\n"));
    assert_eq!(written(Family::Phi3), phi3 + "<|assistant|>\n");
    let zephyr = turns(&|role, text| format!("<|{role}|>\n{text}</s>\n"));
    assert_eq!(written(Family::Zephyr), zephyr + "<|assistant|>\n");
    assert_eq!(
        written(Family::Gemma),
        "<s><start_of_turn>user\nBe brief.\n\nHi<end_of_turn>\n<start_of_turn>model\nHello<end_of_turn>\n\
         <start_of_turn>user\nBye<end_of_turn>\n<start_of_turn>model\n"
    );
    assert_eq!(written(Family::Mistral), "<s>[INST] Be brief.\n\nHi [/INST] Hello</s>[INST] Bye [/INST]");
    assert_eq!(
        written(Family::Llama2),
        "<s>[INST] <<SYS>>\nBe brief.\n<</SYS>>\n\nHi [/INST] Hello </s><s>[INST] Bye [/INST]"
    );
}

#[test]
fn a_role_that_a_family_does_not_know_is_refused() {
    let tool = [json!({"role": "tool", "content": "5"})];
    let conversation = Conversation { messages: &tool, ..Conversation::default() };
    for family in [Family::Llama2, Family::Mistral] {
        let error = Template::family(family).unwrap().render(&conversation).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Request);
        assert!(error.to_string().ends_with("knows the roles system, user and assistant, not tool"), "{error}");
    }
}

#[test]
fn what_a_conversation_holds_must_be_objects() {
    let template = Template::parse("t", "{{ messages }}").unwrap();
    let wrong = [json!({}), json!("Hi")];
    let error = template.render(&Conversation { messages: &wrong, ..Conversation::default() }).unwrap_err();
    assert_eq!(error.to_string(), "messages[1] is no JSON object");
    let tools = Conversation { tools: Some(&wrong[1..]), ..Conversation::default() };
    assert_eq!(template.render(&tools).unwrap_err().to_string(), "tools[0] is no JSON object");
}

#[test]
fn reasoning_is_found_under_every_name() {
    let template = Template::parse("t", "{{ messages[0].reasoning_content }}/{{ messages[0] | tojson }}").unwrap();
    let message = [json!({"role": "assistant", "reasoning": "hm", "content": "x"})];
    let text = template.render(&Conversation { messages: &message, ..Conversation::default() }).unwrap();
    let all =
        r#"{"thinking": "hm", "role": "assistant", "reasoning": "hm", "content": "x", "reasoning_content": "hm"}"#;
    assert_eq!(text, format!("hm/{all}"));
}

#[test]
fn what_is_given_comes_in_order_and_wins_over_tokens() {
    let mut template = Template::parse("t", "{{ messages[0] | tojson }}{{ eos_token }}{{ tools }}{{ more }}").unwrap();
    template.set_token("eos_token", "</s>");
    let message = [json!({"z": 1, "a": {"y": [], "b": null}})];
    let extra = [("eos_token".to_owned(), json!("<end>")), ("more".to_owned(), json!({"k": 1.0}))];
    let conversation = Conversation { messages: &message, extra: &extra, ..Conversation::default() };
    let text = template.render(&conversation).unwrap();
    assert_eq!(text, r#"{"z": 1, "a": {"y": [], "b": null}}<end>None{'k': 1.0}"#);
}
