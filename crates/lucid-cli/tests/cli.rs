//! The program as a person meets it: its output, its exit codes, its sentences.

use serde_json::{Value, json};
use std::{
    io::{Read, Write},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

const LUCID: &str = env!("CARGO_BIN_EXE_lucid");

fn lucid(args: &[&str]) -> Output {
    Command::new(LUCID).args(args).stdin(Stdio::null()).output().unwrap()
}

fn stdout(o: &Output) -> String {
    String::from_utf8(o.stdout.clone()).unwrap()
}

fn stderr(o: &Output) -> String {
    String::from_utf8(o.stderr.clone()).unwrap()
}

/// A folder of this test, removed with the value.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Scratch {
        let folder = std::env::temp_dir().join(format!("lucid-cli-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        Scratch(folder)
    }

    fn file(&self, name: &str, bytes: &[u8]) -> String {
        let path = self.0.join(name);
        std::fs::write(&path, bytes).unwrap();
        path.display().to_string()
    }

    /// A model folder: one of the committed checkpoints, and the logits transformers gives it.
    fn checkpoint(case: &str) -> (String, Value) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../lucid/tests/golden/hf").join(case);
        let golden = serde_json::from_slice(&std::fs::read(folder.join("golden.json")).unwrap()).unwrap();
        (folder.display().to_string(), golden)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The parts of a version 1 .npy file of float32: its header and its values.
fn npy(path: &Path) -> (String, Vec<f32>) {
    let bytes = std::fs::read(path).unwrap();
    let data = 10 + u16::from_le_bytes([bytes[8], bytes[9]]) as usize;
    let header = String::from_utf8(bytes[10..data].to_vec()).unwrap();
    (header, bytes[data..].chunks(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect())
}

#[test]
fn logits_writes_what_transformers_computes() {
    let scratch = Scratch::new("logits");
    let (folder, golden) = Scratch::checkpoint("gqa");
    let rows = golden["logits"].as_array().unwrap();
    let tokens = golden["tokens"].to_string();
    let tokens = tokens.trim_matches(['[', ']']);
    let out = scratch.0.join("x.npy");
    let o = lucid(&["logits", &folder, "--tokens", tokens, "--out", out.to_str().unwrap()]);
    assert!(o.status.success(), "{}", stderr(&o));
    assert!(o.stdout.is_empty(), "the data is in the file");
    let (header, values) = npy(&out);
    let vocab = rows[0].as_array().unwrap().len();
    assert!(header.contains("'<f4'") && header.contains(&format!("({}, {vocab})", rows.len())), "{header}");
    let expected = rows.iter().flat_map(|r| r.as_array().unwrap()).map(|v| v.as_f64().unwrap());
    assert!(values.iter().zip(expected).all(|(&got, want)| (got as f64 - want).abs() <= 1e-5));

    let o = lucid(&["logits", &folder, "--tokens", tokens, "--last", "--out", out.to_str().unwrap()]);
    assert!(o.status.success());
    let (header, last) = npy(&out);
    assert!(header.contains(&format!("(1, {vocab})")), "{header}");
    assert_eq!(last, values[values.len() - vocab..]);
}

#[test]
fn a_long_input_is_cut_into_pieces_that_cannot_be_seen() {
    let scratch = Scratch::new("pieces");
    let (folder, _) = Scratch::checkpoint("mqa");
    let tokens: Vec<String> = (0..150).map(|i| (i * 7 % 60).to_string()).collect();
    let run = |tokens: &[String], more: &[&str]| {
        let out = scratch.0.join("x.npy");
        let args = ["logits", &folder, "--tokens", &tokens.join(","), "--out", out.to_str().unwrap()];
        let o = lucid(&[&args[..], more].concat());
        assert!(o.status.success(), "{}", stderr(&o));
        npy(&out).1
    };
    let all = run(&tokens, &[]);
    let vocab = all.len() / 150;
    assert_eq!(run(&tokens[..64], &[]), all[..64 * vocab]);
    assert_eq!(run(&tokens[..65], &["--last"]), all[64 * vocab..65 * vocab]);
    assert_eq!(run(&tokens, &["--last"]), all[149 * vocab..]);
}

#[test]
fn wrong_usage_exits_2_and_everything_else_1_with_one_sentence() {
    let scratch = Scratch::new("errors");
    let (folder, _) = Scratch::checkpoint("gqa");
    let out = scratch.0.join("x.npy").display().to_string();
    for args in [
        &["frobnicate"][..],
        &["logits", &folder, "--out", &out],
        &["logits", &folder, "--tokens", "1,x", "--out", &out],
        &["logits", &folder, "--tokens", "-1", "--out", &out],
        &["logits", &folder, "--tokens", "1", "--device", "abacus", "--out", &out],
        &["info", "8b", "--ctx", "0"],
        &["inspect", "one.gguf", "two.gguf"],
    ] {
        let o = lucid(args);
        assert_eq!(o.status.code(), Some(2), "{args:?}: {}", stderr(&o));
        assert!(o.stdout.is_empty());
    }
    let text = scratch.file("notes.gguf", b"Dear diary, this is no model.");
    let empty = scratch.file("empty.gguf", b"");
    let old = scratch.file("old.gguf", b"GGUF\x01\0\0\0\0\0\0\0\0\0\0\0");
    let nowhere = scratch.0.join("no/such/folder/x.npy").display().to_string();
    let missing = scratch.0.join("missing.gguf").display().to_string();
    for (args, words) in [
        (&["inspect", &missing][..], "missing.gguf: cannot open"),
        (&["inspect", &text], "notes.gguf: begins with \"Dear dia\""),
        (&["logits", &text, "--tokens", "1", "--out", &out], "notes.gguf: is no model: it begins with \"Dear dia\""),
        (&["inspect", &empty], "empty.gguf: is empty"),
        (&["inspect", &old], "old.gguf: "),
        (&["inspect", scratch.0.to_str().unwrap()], "no"),
        (&["logits", &folder, "--tokens", "64", "--out", &out], "token 64 is outside the vocabulary of 64 tokens"),
        (&["logits", &folder, "--tokens", "1", "--out", &nowhere], "x.npy"),
        (&["info", "9b"], "9b: neither a file nor a known name; the names are 1b"),
    ] {
        let o = lucid(args);
        let message = stderr(&o);
        assert_eq!(o.status.code(), Some(1), "{args:?}: {message}");
        assert!(message.starts_with("lucid: ") && message.contains(words), "{args:?}: {message}");
        assert!(o.stdout.is_empty(), "no data on failure");
        assert!(!message.contains("panicked"), "{message}");
    }
    assert!(!Path::new(&out).exists(), "nothing is left behind");
}

#[test]
fn inspect_tells_the_same_in_text_and_in_json() {
    let (folder, _) = Scratch::checkpoint("head_dim_bias");
    let text = stdout(&lucid(&["inspect", &folder]));
    let json: Value = serde_json::from_str(&stdout(&lucid(&["inspect", &folder, "--json"]))).unwrap();
    for tensor in json["tensors"].as_array().unwrap() {
        assert!(text.contains(tensor["name"].as_str().unwrap()));
    }
    let sum: u64 = json["tensors"].as_array().unwrap().iter().map(|t| t["bytes"].as_u64().unwrap()).sum();
    assert_eq!(json["totals"]["bytes"], json!(sum));
    assert_eq!(json["warnings"], json!([]));
    assert_eq!(json["metadata"]["model_type"]["value"], json!("llama"));
}

#[test]
fn inspect_warns_where_loading_refuses() {
    let scratch = Scratch::new("warn");
    let (folder, _) = Scratch::checkpoint("gqa");
    for file in ["config.json", "model.safetensors"] {
        std::fs::copy(Path::new(&folder).join(file), scratch.0.join(file)).unwrap();
    }
    let config = scratch.0.join("config.json");
    let mut value: Value = serde_json::from_slice(&std::fs::read(&config).unwrap()).unwrap();
    value["num_hidden_layers"] = json!(4_000_000_000u64);
    std::fs::write(&config, value.to_string()).unwrap();
    let here = scratch.0.to_str().unwrap();
    let o = lucid(&["inspect", here]);
    assert!(o.status.success());
    assert!(stdout(&o).contains("warnings (") && stdout(&o).contains("model.layers.2."), "{}", stdout(&o));
    let out = scratch.0.join("x.npy");
    let o = lucid(&["logits", here, "--tokens", "1", "--out", out.to_str().unwrap()]);
    assert_eq!(o.status.code(), Some(1));
    assert!(stderr(&o).contains("model.layers.2.input_layernorm.weight is missing"), "{}", stderr(&o));
}

#[test]
fn a_reader_that_leaves_is_no_error() {
    let (folder, _) = Scratch::checkpoint("gqa");
    let mut child =
        Command::new(LUCID).args(["inspect", &folder]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take()); // before the first byte
    let mut message = String::new();
    child.stderr.take().unwrap().read_to_string(&mut message).unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(message, "");
}

#[test]
fn info_knows_names_and_files() {
    let json: Value = serde_json::from_str(&stdout(&lucid(&["info", "8b", "--ctx", "8192", "--json"]))).unwrap();
    assert_eq!(json["parameters"], json!(8_030_261_248u64));
    assert_eq!(json["cache_bytes"]["f16"], json!(1_073_741_824.0));
    let (folder, _) = Scratch::checkpoint("gqa");
    let json: Value = serde_json::from_str(&stdout(&lucid(&["info", &folder, "--json"]))).unwrap();
    assert_eq!((&json["layers"], &json["kv_heads"]), (&json!(2), &json!(2)));
    let text = stdout(&lucid(&["info", "tinyllama"]));
    assert!(text.contains("1.10 B parameters") && text.contains("8 query heads share one"), "{text}");
}

#[test]
fn help_and_completions_name_every_command() {
    let help = stdout(&lucid(&["--help"]));
    let script = stdout(&lucid(&["completions", "bash"]));
    for command in ["inspect", "info", "logits", "bench", "tokenize", "detokenize", "pull", "list", "rm", "completions"]
    {
        assert!(help.contains(command) && script.contains(command));
        let own = stdout(&lucid(&[command, "--help"]));
        assert!(own.contains("Examples:"), "{command} --help shows examples");
    }
    let mut child =
        Command::new(LUCID).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"").unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(2), "no command is wrong usage");
}
