//! Starting the program and reading what it says.
#![allow(dead_code, reason = "no test uses all of it")]

use serde_json::Value;
use std::{
    io::{Read, Write},
    path::PathBuf,
    process::{Child, Command, Stdio},
};

/// What a run of the program came to.
#[derive(Debug)]
pub(crate) struct Done {
    pub out: String,
    pub err: String,
    pub code: Option<i32>,
}

/// Runs `lucid` with these arguments and nothing on its standard input.
pub(crate) fn lucid(args: &[&str]) -> Done {
    fed(args, "")
}

/// The same with this on its standard input.
pub(crate) fn fed(args: &[&str], input: &str) -> Done {
    let mut child = start(args);
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes()); // it may not want all of it
    finish(child)
}

/// Starts `lucid` with pipes on all three sides.
pub(crate) fn start(args: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_lucid"))
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Reads what is left to read and waits.
pub(crate) fn finish(mut child: Child) -> Done {
    let (mut out, mut err) = (String::new(), String::new());
    if let Some(mut stdout) = child.stdout.take() {
        stdout.read_to_string(&mut out).unwrap();
    }
    child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
    Done { out, err, code: child.wait().unwrap().code() }
}

/// A run that must succeed and say nothing on stderr.
pub(crate) fn quiet(args: &[&str]) -> String {
    let done = lucid(args);
    assert_eq!((done.code, done.err.as_str()), (Some(0), ""), "{args:?}");
    done.out
}

/// The object that a successful run with `--json` prints.
pub(crate) fn json(args: &[&str]) -> Value {
    let out = quiet(&[args, &["--json"]].concat());
    assert_eq!(out.lines().count(), 1, "one object on one line");
    serde_json::from_str(&out).unwrap()
}

/// A folder of this test, removed with the value.
pub(crate) struct Scratch(pub PathBuf);

impl Scratch {
    pub fn new(name: &str) -> Scratch {
        let folder = std::env::temp_dir().join(format!("lucid-cli-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        Scratch(folder)
    }

    pub fn file(&self, name: &str, bytes: &[u8]) -> String {
        let path = self.0.join(name);
        std::fs::write(&path, bytes).unwrap();
        path.display().to_string()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Compares with what was recorded under `name` in `tests/golden/tiny.json`, what the demonstration model says. With
/// LUCID_BLESS=1 in the environment it is recorded instead: after the model was trained anew, or the CPU's arithmetic was
/// redefined, and only then. (One test at a time: `-- --test-threads 1`.)
pub(crate) fn pinned(name: &str, value: Value) {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/tiny.json");
    let text = std::fs::read_to_string(path).unwrap_or_else(|_| "{}".into());
    let mut all: Value = serde_json::from_str(&text).unwrap();
    if std::env::var_os("LUCID_BLESS").is_some() {
        all[name] = value;
        let lines: Vec<String> = all.as_object().unwrap().iter().map(|(k, v)| format!("{k:?}: {v}")).collect();
        std::fs::write(path, format!("{{\n{}\n}}\n", lines.join(",\n"))).unwrap();
    } else {
        assert_eq!(value, all[name], "{name}");
    }
}
