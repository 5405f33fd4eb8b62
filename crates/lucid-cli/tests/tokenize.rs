//! `lucid tokenize` and `lucid detokenize` as a person or a script meets them.

use std::{
    io::{Read, Write},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

const LUCID: &str = env!("CARGO_BIN_EXE_lucid");

/// A small vocabulary of the golden ones.
fn golden(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../lucid/tests/golden/tokenizers");
    folder.join(name).display().to_string()
}

/// Runs with `input` on standard input.
fn lucid(args: &[&str], input: &[u8]) -> Output {
    let mut command = Command::new(LUCID);
    command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // who does not read it closes it, which is no failure of the test
    let _ = child.stdin.take().unwrap().write_all(input);
    child.wait_with_output().unwrap()
}

fn stdout(o: &Output) -> &str {
    std::str::from_utf8(&o.stdout).unwrap()
}

fn stderr(o: &Output) -> &str {
    std::str::from_utf8(&o.stderr).unwrap()
}

/// A file of this process in the folder for temporary ones, removed with the value.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str, bytes: &[u8]) -> Scratch {
        let path = std::env::temp_dir().join(format!("lucid-tokenize-{}-{name}", std::process::id()));
        std::fs::write(&path, bytes).unwrap();
        Scratch(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[test]
fn a_text_by_flag_by_file_and_by_pipe_has_the_same_ids() {
    let model = golden("spm-bpe.gguf");
    let text = "  Hello, wörld! 🦙\r\n\n ";
    let file = Scratch::new("text.txt", text.as_bytes());
    let by_flag = lucid(&["tokenize", &model, "--text", text, "--json"], b"not read");
    assert!(by_flag.status.success() && by_flag.stderr.is_empty(), "{}", stderr(&by_flag));
    let ids: Vec<u32> = serde_json::from_str(stdout(&by_flag)).unwrap();
    assert_eq!(ids[0], 1, "BOS comes first");
    assert_eq!(stdout(&by_flag).lines().count(), 1);
    assert_eq!(lucid(&["tokenize", &model, "--file", file.path(), "--json"], b"not read").stdout, by_flag.stdout);
    assert_eq!(lucid(&["tokenize", &model, "--json"], text.as_bytes()).stdout, by_flag.stdout);

    let plain = lucid(&["tokenize", &model, "--no-bos"], text.as_bytes());
    let words: Vec<u32> = stdout(&plain).strip_suffix('\n').unwrap().split(' ').map(|w| w.parse().unwrap()).collect();
    assert_eq!(words, ids[1..]);
}

#[test]
fn an_empty_text_has_no_ids_of_its_own() {
    for model in [golden("spm-bpe.gguf"), golden("bytes.json")] {
        assert_eq!(stdout(&lucid(&["tokenize", &model, "--no-bos", "--json"], b"")), "[]\n");
        assert_eq!(stdout(&lucid(&["tokenize", &model, "--no-bos", "--json", "--text", ""], b"x")), "[]\n");
        assert_eq!(stdout(&lucid(&["tokenize", &model, "--no-bos"], b"")), "\n");
        assert_eq!(lucid(&["detokenize", &model], b"[]").stdout, b"");
        assert_eq!(lucid(&["detokenize", &model], b"").stdout, b"");
    }
    assert_eq!(stdout(&lucid(&["tokenize", &golden("spm-bpe.gguf"), "--json"], b"")), "[1]\n");
}

#[test]
fn what_is_encoded_comes_back_byte_for_byte() {
    let text = " \u{1f999}\0\ttabs\r\n\r\n  and — dashes, no line end at the end";
    for model in ["spm-bpe.gguf", "spm-bpe.model", "bytes.gguf", "bytes.json", "spaced.gguf"].map(golden) {
        for form in [&["tokenize", &model][..], &["tokenize", &model, "--json"], &["tokenize", &model, "--no-bos"]] {
            let ids = lucid(form, text.as_bytes());
            let back = lucid(&["detokenize", &model], &ids.stdout);
            assert_eq!(back.stdout, text.as_bytes(), "{form:?}: {}", stderr(&back));
            let words: Vec<&str> =
                stdout(&ids).split(|c: char| !c.is_ascii_digit()).filter(|w| !w.is_empty()).collect();
            assert_eq!(lucid(&[&["detokenize", &model][..], &words].concat(), b"not read").stdout, text.as_bytes());
        }
    }
    // half a character is written as it is
    let model = golden("bytes.json");
    let ids: Vec<u32> =
        serde_json::from_slice(&lucid(&["tokenize", &model, "--json", "--text", "🦙"], b"").stdout).unwrap();
    let half = ids[0].to_string();
    let bytes = lucid(&["detokenize", &model, &half], b"").stdout;
    assert!(!bytes.is_empty() && bytes.len() < 4 && "🦙".as_bytes().starts_with(&bytes));
}

#[test]
fn special_tokens_are_text_unless_asked_for() {
    let model = golden("bytes.json"); // token 0 is <|eot|>
    let ids = |more: &[&str]| -> Vec<u32> {
        let o = lucid(&[&["tokenize", &model, "--json", "--text", "a<|eot|>"][..], more].concat(), b"");
        serde_json::from_str(stdout(&o)).unwrap()
    };
    assert_eq!(ids(&["--special"]).last(), Some(&0));
    assert_eq!(ids(&["--special"]).len(), 2);
    assert!(ids(&[]).len() > 2 && !ids(&[]).contains(&0));
}

#[test]
fn what_is_wrong_is_said_in_one_sentence() {
    let model = golden("bytes.json");
    let letter = Scratch::new("letter.txt", b"Dear diary");
    let latin = Scratch::new("latin1.txt", b"caf\xe9 au lait");
    let list = Scratch::new("list.json", b"[1, 2, 3]");
    for (args, input, code, words) in [
        (&["tokenize", &model][..], &b"ab\xffc"[..], 1, "standard input: is not UTF-8: byte 0xFF at offset 2"),
        (&["tokenize", &model, "--file", latin.path()], b"", 1, "latin1.txt: is not UTF-8: byte 0xE9 at offset 3"),
        (&["tokenize", &model, "--file", "no/such/file"], b"", 1, "no/such/file: cannot read"),
        (&["tokenize", letter.path()], b"", 1, "letter.txt: holds no vocabulary"),
        (&["tokenize", list.path()], b"", 1, "list.json: holds no vocabulary"),
        (&["tokenize", "missing.gguf"], b"", 1, "missing.gguf: cannot open"),
        (&["tokenize", &model, "--file", latin.path(), "--text", "x"], b"", 2, "cannot be used with"),
        (&["detokenize", &model, "0", "900"], b"", 1, "token 900 is outside the vocabulary of 900"),
        (&["detokenize", &model], b"[1, 2", 1, "standard input: is no JSON list of token ids"),
        (&["detokenize", &model], b"[1, -2]", 1, "standard input: is no JSON list of token ids"),
        (&["detokenize", &model], b"one", 1, "standard input: \"one\" is no token id"),
        (&["detokenize", &model, "x"], b"", 2, "invalid value"),
        (&["detokenize", letter.path(), "1"], b"", 1, "letter.txt: holds no vocabulary"),
    ] {
        let o = lucid(args, input);
        assert_eq!(o.status.code(), Some(code), "{args:?}: {}", stderr(&o));
        assert!(stderr(&o).contains(words) && !stderr(&o).contains("panicked"), "{args:?}: {}", stderr(&o));
        assert!(o.stdout.is_empty(), "no data on failure");
    }
}

#[test]
fn an_unknown_pre_tokenizer_is_a_warning_on_stderr() {
    let bytes = std::fs::read(golden("bytes.gguf")).unwrap();
    let at = bytes.windows(5).position(|w| w == b"gpt-2").unwrap();
    let odd = Scratch::new("odd.gguf", &[&bytes[..at], b"gpt-x", &bytes[at + 5..]].concat());
    let o = lucid(&["tokenize", odd.path(), "--text", "Hello"], b"");
    assert!(o.status.success());
    assert!(stderr(&o).starts_with("warning: ") && stderr(&o).contains("\"gpt-x\""), "{}", stderr(&o));
    assert_eq!(stderr(&o).lines().count(), 1);
    assert!(stdout(&o).split_whitespace().all(|id| id.parse::<u32>().is_ok()));
}

#[test]
fn a_reader_that_leaves_is_no_error() {
    let text = Scratch::new("long.txt", "all work and no play ".repeat(20_000).as_bytes());
    let mut child = Command::new(LUCID)
        .args(["tokenize", &golden("bytes.json"), "--file", text.path()])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take()); // before the first byte
    let mut message = String::new();
    child.stderr.take().unwrap().read_to_string(&mut message).unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(message, "");
}
