//! `lucid quantize` as a program: what it prints, what it refuses, and what it leaves behind.

use lucid::file::gguf::{Draft, Gguf, Value, Writer};
use lucid_kernels::formats::Format;
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

/// A folder of its own, removed when the test is over.
struct Scratch(PathBuf);

impl Scratch {
    fn new(test: &str) -> Scratch {
        let folder = std::env::temp_dir().join(format!("lucid-cli-quantize-{}-{test}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        Scratch(folder)
    }

    fn names(&self) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(&self.0).unwrap().map(|f| f.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// Runs `lucid quantize` here with these words.
    fn quantize(&self, words: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_lucid")).arg("quantize").args(words).current_dir(&self.0).output().unwrap()
    }

    /// Expects a refusal, the state of the folder unchanged, and this text in the sentence.
    fn refuses(&self, code: i32, words: &[&str], text: &str) {
        let before = self.names();
        let output = self.quantize(words);
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(code), "{words:?}: {said}");
        assert!(said.contains(text), "{words:?}: {said}");
        assert_eq!(self.names(), before, "{words:?}");
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

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A two-layer model in F16 whose values do not matter; `ffn_down` has rows of 172.
fn write_model(path: &Path) {
    let tensors: &[(&str, &[usize], Format)] = &[
        ("token_embd.weight", &[32, 256], Format::F16),
        ("output.weight", &[32, 256], Format::F16),
        ("output_norm.weight", &[256], Format::F32),
        ("blk.0.attn_v.weight", &[256, 256], Format::F16),
        ("blk.1.attn_v.weight", &[256, 256], Format::F16),
        ("blk.0.ffn_down.weight", &[256, 172], Format::F16),
        ("blk.1.ffn_down.weight", &[256, 96], Format::F16),
    ];
    let mut draft = Draft::new();
    draft.set("general.architecture", Value::String("llama")).unwrap();
    draft.set("llama.block_count", Value::U32(2)).unwrap();
    draft.set("llama.attention.head_count", Value::U32(4)).unwrap();
    tensors.iter().for_each(|(name, shape, format)| draft.tensor(name, shape, *format).unwrap());
    let mut writer = Writer::create(path, &draft).unwrap();
    for (name, shape, format) in tensors {
        let n: usize = shape.iter().product();
        let one: &[u8] = if *format == Format::F32 { &[0, 0, 0x80, 0x3f] } else { &[0, 0x3c] };
        writer.write(name, &one.repeat(n)).unwrap();
    }
    writer.finish().unwrap();
}

#[test]
fn a_dry_run_shows_the_plan_and_writes_nothing() {
    let scratch = Scratch::new("dry");
    write_model(&scratch.0.join("in.gguf"));
    let short = scratch.quantize(&["--dry-run", "in.gguf", "q4_k_m"]);
    assert!(short.status.success());
    assert_eq!(scratch.names(), ["in.gguf"]);
    let lines = stdout(&short);
    assert_eq!(
        lines,
        "\
[1/7] token_embd.weight       32 × 256  F16 → Q4_K  16.4 kB → 4.61 kB
[2/7] output.weight           32 × 256  F16 → Q6_K  16.4 kB → 6.72 kB  logits
[3/7] output_norm.weight           256  F32  1.02 kB  vector
[4/7] blk.0.attn_v.weight    256 × 256  F16 → Q4_K  131.1 kB → 36.9 kB
[5/7] blk.1.attn_v.weight    256 × 256  F16 → Q6_K  131.1 kB → 53.8 kB  values: ends and every third
[6/7] blk.0.ffn_down.weight  256 × 172  F16  88.1 kB  Q4_K does not fit
[7/7] blk.1.ffn_down.weight   256 × 96  F16 → Q8_0  49.2 kB → 26.1 kB  Q6_K does not fit  ffn_down: ends and every third
433.2 kB → 217.2 kB, 16.02 → 8.03 bits per weight, 7 tensors: 1 F32, 1 F16, 1 Q8_0, 2 Q4_K, 2 Q6_K
"
    );
    let notes = stderr(&short);
    let note = "Q4_K falls back to F16, because rows of 172 values are no whole blocks of 256: blk.0.ffn_down.weight";
    assert!(notes.contains(note), "{notes}");
    let long = scratch.quantize(&["--dry-run", "in.gguf", "out.gguf", "Q4_K"]);
    assert_eq!(stdout(&long), lines);
    assert_eq!(scratch.names(), ["in.gguf"]);
    let needs = scratch.quantize(&["--dry-run", "in.gguf", "Q2_K_S"]);
    assert!(needs.status.success());
    assert!(stderr(&needs).contains("without --dry-run this is refused: tensor blk.0.attn_v.weight: Q2_K_S needs"));
}

#[test]
fn a_run_writes_the_plan_and_says_so() {
    let scratch = Scratch::new("run");
    write_model(&scratch.0.join("in.gguf"));
    let output = scratch.quantize(&[
        "in.gguf",
        "out.gguf",
        "q8_0",
        "--threads",
        "2",
        "--tensor-type",
        "blk.1=f16",
        "--tensor-type",
        "x=f16",
    ]);
    let said = stderr(&output);
    assert!(output.status.success(), "{said}");
    assert_eq!(stdout(&output), "");
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(
        lines[0],
        "Q8_0 falls back to F16, because rows of 172 values are no whole blocks of 32: blk.0.ffn_down.weight"
    );
    assert_eq!(lines[1], "--tensor-type x: no tensor is decided by this pattern");
    assert_eq!(lines[2], "[1/7] token_embd.weight       32 × 256  F16 → Q8_0  16.4 kB → 8.70 kB");
    assert_eq!(lines.len(), 10);
    assert!(lines[9].starts_with("out.gguf: 433.2 kB → "), "{}", lines[9]);
    assert_eq!(scratch.names(), ["in.gguf", "out.gguf"]);
    let written = Gguf::open(&scratch.0.join("out.gguf")).unwrap();
    let formats: Vec<_> = written.tensors().map(|t| t.type_name).collect();
    assert_eq!(formats, ["Q8_0", "Q8_0", "F32", "Q8_0", "F16", "F16", "F16"]);
}

#[test]
fn wrong_requests_are_refused_before_anything_is_written() {
    let scratch = Scratch::new("wrong");
    write_model(&scratch.0.join("in.gguf"));
    fs::write(scratch.0.join("not.gguf"), "no model").unwrap();
    fs::create_dir(scratch.0.join("folder")).unwrap();
    for (code, words, text) in [
        (2, &["in.gguf", "out.gguf", "iq3_m"][..], "Lucid does not write IQ3_M; it writes TQ1_0, "),
        (2, &["in.gguf", "out.gguf", "Q9"], "there is no type \"Q9\"; it writes TQ1_0, "),
        (2, &["--dry-run", "in.gguf", "Q9"], "there is no type \"Q9\"; it writes TQ1_0, "),
        (2, &["in.gguf", "Q8_0"], "<TYPE>"),
        (2, &["in.gguf", "out.gguf", "Q8_0", "--tensor-type", "attn_q"], "no PATTERN=TYPE"),
        (
            2,
            &["in.gguf", "out.gguf", "Q8_0", "--output-tensor-type", "i8"],
            "Lucid does not write I8; the formats are F32, ",
        ),
        (
            2,
            &["in.gguf", "out.gguf", "Q8_0", "--token-embedding-type", "Q4_K_M"],
            "Q4_K_M is a mix, and one tensor has one format",
        ),
        (2, &["in.gguf", "out.gguf", "Q8_0", "--threads", "0"], "--threads"),
        (1, &["in.gguf", "out.gguf", "COPY", "--pure"], "COPY leaves every tensor as it is"),
        (1, &["in.gguf", "out.gguf", "Q2_K_S"], "tensor blk.0.attn_v.weight: Q2_K_S needs an importance matrix"),
        (1, &["in.gguf", "out.gguf", "Q8_0", "--imatrix", "absent.dat"], "absent.dat: cannot open"),
        (1, &["in.gguf", "out.gguf", "Q8_0", "--imatrix", "not.gguf"], "not.gguf: this is no importance matrix"),
        (1, &["in.gguf", "out.gguf", "Q8_0", "--imatrix", "in.gguf"], "in.gguf: this is no importance matrix"),
        (1, &["absent.gguf", "out.gguf", "Q8_0"], "absent.gguf: "),
        (1, &["not.gguf", "out.gguf", "Q8_0"], "not.gguf: "),
        (1, &["folder", "out.gguf", "Q8_0"], "folder: this is a folder"),
        (1, &["in.gguf", "folder", "Q8_0"], "folder: cannot write"),
        (1, &["in.gguf", "absent/out.gguf", "Q8_0"], "absent/out.gguf: cannot write"),
        (1, &["in.gguf", "in.gguf", "Q8_0"], "this is the input itself"),
        (1, &["in.gguf", "./folder/../in.gguf", "Q8_0"], "this is the input itself"),
    ] {
        scratch.refuses(code, words, text);
    }
}

#[test]
#[cfg(unix)]
fn the_input_is_recognised_by_any_name() {
    let scratch = Scratch::new("names");
    let input = scratch.0.join("in.gguf");
    write_model(&input);
    let bytes = fs::read(&input).unwrap();
    std::os::unix::fs::symlink("in.gguf", scratch.0.join("symbolic.gguf")).unwrap();
    fs::hard_link(&input, scratch.0.join("hard.gguf")).unwrap();
    for (from, to) in [("in.gguf", "symbolic.gguf"), ("symbolic.gguf", "in.gguf"), ("in.gguf", "hard.gguf")] {
        scratch.refuses(1, &[from, to, "Q8_0"], "this is the input itself");
    }
    assert!(fs::read(&input).unwrap() == bytes);
    // A link to another file keeps pointing to it.
    fs::write(scratch.0.join("old.gguf"), "old").unwrap();
    std::os::unix::fs::symlink("old.gguf", scratch.0.join("link.gguf")).unwrap();
    assert!(scratch.quantize(&["in.gguf", "link.gguf", "Q8_0"]).status.success());
    assert!(fs::symlink_metadata(scratch.0.join("link.gguf")).unwrap().is_symlink());
    assert!(Gguf::open(&scratch.0.join("old.gguf")).is_ok());
}

/// Nobody reading what it says is no reason to stop.
#[test]
#[cfg(unix)]
fn a_closed_stderr_stops_nothing() {
    let scratch = Scratch::new("closed");
    write_model(&scratch.0.join("in.gguf"));
    let script =
        format!("( {} quantize in.gguf out.gguf Q8_0; echo $? > code ) 2>&1 | true", env!("CARGO_BIN_EXE_lucid"));
    assert!(Command::new("sh").arg("-c").arg(script).current_dir(&scratch.0).status().unwrap().success());
    assert_eq!(fs::read_to_string(scratch.0.join("code")).unwrap(), "0\n");
    assert!(Gguf::open(&scratch.0.join("out.gguf")).is_ok());
}

/// A model with one matrix of zeros of `mib` MiB in F16, as a hole in a file that takes no space.
#[cfg(target_os = "linux")]
fn write_hole(path: &Path, mib: usize) {
    let mut draft = Draft::new();
    draft.set("general.architecture", Value::String("llama")).unwrap();
    draft.set("llama.block_count", Value::U32(1)).unwrap();
    draft.tensor("blk.0.ffn_up.weight", &[mib * 128, 4096], Format::F16).unwrap();
    let header = draft.header().unwrap();
    fs::write(path, &header).unwrap();
    fs::OpenOptions::new().write(true).open(path).unwrap().set_len((header.len() + (mib << 20)) as u64).unwrap();
}

/// Runs `lucid quantize` after the shell's `limits`.
#[cfg(target_os = "linux")]
fn limited(scratch: &Scratch, limits: &str, words: &str) -> Output {
    let script = format!("{limits}; exec {} quantize {words}", env!("CARGO_BIN_EXE_lucid"));
    Command::new("sh").arg("-c").arg(script).current_dir(&scratch.0).output().unwrap()
}

#[test]
#[cfg(target_os = "linux")]
fn memory_does_not_grow_with_the_file() {
    let scratch = Scratch::new("memory");
    write_hole(&scratch.0.join("in.gguf"), 512);
    // What the process may allocate, stacks included, in KiB. The mapping of the input does not count, nor is it read.
    let output = limited(&scratch, "ulimit -d 200000", "in.gguf out.gguf Q8_0 --threads 2");
    assert!(output.status.success(), "{}", stderr(&output));
    let written = fs::metadata(scratch.0.join("out.gguf")).unwrap().len();
    assert_eq!(written / (1 << 20), 512 * 34 / 64);
}

#[test]
#[cfg(target_os = "linux")]
fn a_write_that_fails_leaves_nothing() {
    let scratch = Scratch::new("full");
    write_hole(&scratch.0.join("in.gguf"), 64);
    let output = limited(&scratch, "trap '' XFSZ; ulimit -f 20000", "in.gguf out.gguf Q8_0");
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("out.gguf: cannot write") && said.contains("File too large"), "{said}");
    assert_eq!(scratch.names(), ["in.gguf"]);
}

#[test]
#[cfg(target_os = "linux")]
fn an_interrupted_run_leaves_nothing() {
    use std::time::{Duration, Instant};
    for signal in ["-INT", "-TERM"] {
        let scratch = Scratch::new(&format!("interrupted{signal}"));
        write_hole(&scratch.0.join("in.gguf"), 8192);
        fs::write(scratch.0.join("out.gguf"), "precious").unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_lucid"))
            .args(["quantize", "in.gguf", "out.gguf", "Q8_0"])
            .current_dir(&scratch.0)
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let started = Instant::now();
        while scratch.names().len() < 3 {
            assert!(started.elapsed() < Duration::from_secs(60), "no file in the making: {:?}", scratch.names());
            std::thread::sleep(Duration::from_millis(1));
        }
        assert!(Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success());
        let status = child.wait().unwrap();
        let mut said = String::new();
        std::io::Read::read_to_string(&mut child.stderr.take().unwrap(), &mut said).unwrap();
        assert_eq!(status.code(), Some(1), "{said}");
        assert!(said.contains("out.gguf: interrupted, so nothing was written"), "{said}");
        assert_eq!(scratch.names(), ["in.gguf", "out.gguf"]);
        assert_eq!(fs::read(scratch.0.join("out.gguf")).unwrap(), b"precious");
    }
}

#[test]
fn a_model_is_split_and_joined_again_byte_for_byte() {
    let scratch = Scratch::new("split");
    write_model(&scratch.0.join("in.gguf"));
    assert!(scratch.quantize(&["in.gguf", "one.gguf", "Q8_0"]).status.success());
    let output = scratch.quantize(&["--split-max-size", "100000", "in.gguf", "many.gguf", "Q8_0"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let parts: Vec<String> = scratch.names().into_iter().filter(|n| n.starts_with("many-")).collect();
    assert!(parts.len() > 1 && parts[0].starts_with("many-00001-of-0000"), "{parts:?}");
    let output = scratch.quantize(&[&parts[1], "joined.gguf", "COPY"]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(fs::read(scratch.0.join("one.gguf")).unwrap() == fs::read(scratch.0.join("joined.gguf")).unwrap());

    // the parts of the output would be the input itself
    scratch.refuses(1, &["--split-max-size", "100000", &parts[0], "many.gguf", "COPY"], "this is the input itself");
    scratch.refuses(2, &["--split-max-size", "2T", "in.gguf", "x.gguf", "COPY"], "expected a size such as 500M or 2G");
}
