//! `lucid template` as a person or a script meets it.

use lucid::file::gguf::{Draft, Value};
use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

const MESSAGES: &str = r#"[{"role": "user", "content": "Hi\n"}]"#;
const TEMPLATE: &str = "{{ bos_token }}{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}{{ eos_token }}\
                        {% if add_generation_prompt %}<assistant>{% endif %}";

/// A folder of its own, removed when the test is over.
struct Scratch(PathBuf);

impl Scratch {
    fn new(test: &str) -> Scratch {
        let folder = std::env::temp_dir().join(format!("lucid-cli-template-{}-{test}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("m.json"), MESSAGES).unwrap();
        fs::write(folder.join("t.jinja"), TEMPLATE).unwrap();
        Scratch(folder)
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        fs::write(self.0.join(name), bytes).unwrap();
    }

    /// Runs `lucid template` here with these words and this input.
    fn template(&self, words: &[&str], input: &str) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lucid"));
        command.arg("template").args(words).current_dir(&self.0);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // who does not read it closes it, which is no failure of the test
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        child.wait_with_output().unwrap()
    }

    /// Expects this text, and nothing on stderr.
    fn writes(&self, words: &[&str], text: &str) {
        let output = self.template(words, "");
        assert_eq!((output.status.code(), stderr(&output)), (Some(0), String::new()), "{words:?}");
        assert_eq!(String::from_utf8_lossy(&output.stdout), text, "{words:?}");
    }

    /// Expects a refusal with this in it, and nothing on stdout.
    fn refuses(&self, code: i32, words: &[&str], text: &str) {
        let output = self.template(words, "");
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(code), "{words:?}: {said}");
        assert!(said.contains(text) && output.stdout.is_empty(), "{words:?}: {said}");
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A GGUF file of metadata alone.
fn gguf(template: Option<&str>, tokens: &[&str]) -> Vec<u8> {
    let mut draft = Draft::new();
    draft.set("general.architecture", Value::String("llama")).unwrap();
    draft.set("tokenizer.ggml.model", Value::String("gpt2")).unwrap();
    draft.set("tokenizer.ggml.pre", Value::String("gpt-2")).unwrap();
    draft.set_strings("tokenizer.ggml.tokens", tokens).unwrap();
    draft.set_strings("tokenizer.ggml.merges", [""; 0]).unwrap();
    draft.set("tokenizer.ggml.bos_token_id", Value::U32(0)).unwrap();
    draft.set("tokenizer.ggml.eos_token_id", Value::U32(1)).unwrap();
    template.into_iter().for_each(|t| draft.set("tokenizer.chat_template", Value::String(t)).unwrap());
    draft.header().unwrap()
}

#[test]
fn metadata_a_folder_and_a_file_write_the_same_text() {
    let here = Scratch::new("sources");
    here.write("m.gguf", gguf(Some(TEMPLATE), &["<s>", "</s>"]));
    let config = serde_json::json!({"bos_token": "<s>", "eos_token": "</s>", "chat_template": TEMPLATE});
    here.write("tokenizer_config.json", config.to_string());
    let text = "<s><user>Hi\n</s><assistant>";
    here.writes(&["m.gguf", "--messages", "m.json"], text);
    here.writes(&[".", "--messages", "m.json"], text);
    here.writes(&["--template", "t.jinja", "--bos", "<s>", "--eos", "</s>", "--messages", "m.json"], text);
    here.writes(&["m.gguf", "--template", "t.jinja", "--messages", "m.json"], text);
    here.writes(&["m.gguf", "--messages", "m.json", "--bos", "", "--no-generation-prompt"], "<user>Hi\n</s>");
    let piped = here.template(&["m.gguf", "--messages", "-"], MESSAGES);
    assert_eq!(String::from_utf8_lossy(&piped.stdout), text);
}

#[test]
fn tools_documents_and_variables_reach_the_template() {
    let here = Scratch::new("variables");
    here.write("v.jinja", "{{ tools[0].name }} {{ documents | length }} {{ enable_thinking }} {{ n }} {{ city }}");
    here.write("tools.json", r#"[{"name": "look"}]"#);
    here.write("d.json", "[{}, {}]");
    let words = ["--template", "v.jinja", "--messages", "m.json", "--tools", "tools.json", "--documents", "d.json"];
    let set = ["--set", "enable_thinking=false", "--set", "n=[1, 2]", "--set", "city=\"Rome=Roma\""];
    here.writes(&[&words[..], &set].concat(), "look 2 False [1, 2] Rome=Roma");
    here.refuses(2, &[&words[..], &["--set", "x=Rome"]].concat(), "a text needs quotes");
    here.refuses(2, &[&words[..], &["--set", "x"]].concat(), "expected KEY=JSON");
}

#[test]
fn a_guessed_family_is_told() {
    let here = Scratch::new("family");
    here.write("m.gguf", gguf(None, &["<s>", "</s>", "<|im_start|>", "<|im_end|>", "a"]));
    let output = here.template(&["m.gguf", "--messages", "m.json"], "");
    let text = "<|im_start|>user\nHi\n<|im_end|>\n<|im_start|>assistant\n";
    assert_eq!(String::from_utf8_lossy(&output.stdout), text, "{}", stderr(&output));
    assert!(stderr(&output).contains("m.gguf: it has no chat template; using that of the ChatML family"));
    here.writes(&["--family", "chatml", "--messages", "m.json"], text);
    here.write("plain.gguf", gguf(None, &["<s>", "</s>", "a"]));
    here.refuses(1, &["plain.gguf", "--messages", "m.json"], "--template FILE.jinja");
    here.refuses(2, &["--family", "chatty", "--messages", "m.json"], "known are Llama 3, ChatML");
}

#[test]
fn errors_name_the_file_and_what_is_wrong() {
    let here = Scratch::new("errors");
    let with = |name: &'static str| ["--template", "t.jinja", "--messages", name];
    here.refuses(1, &with("none.json"), "none.json: cannot read");
    here.write("bad.json", "[");
    here.refuses(1, &with("bad.json"), "bad.json: is not valid JSON");
    here.write("object.json", "{}");
    here.refuses(1, &with("object.json"), "object.json: must hold a JSON list of messages");
    here.write("texts.json", r#"[{}, "Hi"]"#);
    here.refuses(1, &with("texts.json"), "texts.json: messages[1] is no JSON object");
    here.write("t.jinja", "\n{{ messages[5].role }}");
    here.refuses(1, &with("m.json"), "t.jinja, line 2: list object has no element 5");
    here.write("t.jinja", "{{ raise_exception('Only users here') }}");
    here.refuses(1, &with("m.json"), "t.jinja, line 1, refuses: Only users here");
    here.write("t.jinja", "{{ 'a' * 10 ** 12 }}");
    here.refuses(1, &with("m.json"), "t.jinja, line 1: takes more steps or memory than a template may have");
    here.refuses(2, &["m.gguf"], "--messages");
    here.refuses(1, &["nothing.gguf", "--messages", "m.json"], "nothing.gguf");
    here.refuses(1, &["m.json", "--messages", "m.json"], "--template");
}

#[test]
fn whoever_stops_reading_hears_no_complaint() {
    let here = Scratch::new("pipe");
    here.write("t.jinja", "{% for i in range(99999) %}a line of text\n{% endfor %}");
    let lucid = env!("CARGO_BIN_EXE_lucid");
    let line = format!("'{lucid}' template --template t.jinja --messages m.json | head -1");
    let output = Command::new("sh").args(["-c", &line]).current_dir(&here.0).output().unwrap();
    assert_eq!((String::from_utf8_lossy(&output.stdout).as_ref(), stderr(&output).as_str()), ("a line of text\n", ""));
    assert!(Path::new(lucid).is_file());
}

#[test]
fn dates_are_those_of_the_local_clock() {
    let scratch = Scratch::new("zone");
    scratch.write("date.jinja", "{{ strftime_now('%s %H:%M') }}");
    for (tz, hours) in [("", 0), ("AAA-5:30", 5), ("BBB+11", -11), ("no zone at all", 0)] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lucid"));
        command.args(["template", "--template", "date.jinja", "--messages", "m.json"]);
        let output = command.current_dir(&scratch.0).env("TZ", tz).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let (seconds, clock) = text.split_once(' ').unwrap();
        let minutes = seconds.parse::<i64>().unwrap() / 60 + 60 * hours + if hours == 5 { 30 } else { 0 };
        assert_eq!(clock, format!("{:02}:{:02}", minutes / 60 % 24, minutes % 60), "{tz}");
    }
}
