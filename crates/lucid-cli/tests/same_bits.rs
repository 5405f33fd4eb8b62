//! From outside: the logits file is the same to the byte whatever the threads, the pieces, the company, the history and the
//! instructions; and so are the tokens that are generated.
//!
//! Two models: the demonstration model, and one of random weights whose rows are whole blocks of 256, so that `lucid quantize`
//! gives each matrix the format that is asked for.

#[path = "common/lucid.rs"]
mod lucid;
#[path = "../../lucid/tests/common/random_model.rs"]
mod random_model;

use lucid::{Scratch, lucid};
use lucid_kernels::{formats::Format, level::Level};
use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicU32, Ordering::Relaxed},
};

const TINY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/tiny/tiny.gguf");

/// Past a chunk of 64, a tile of positions and many tiles of rows.
const SOME: usize = 70;
/// Past a chunk of 512 too, and more than eight tiles of positions.
const MANY: usize = 530;

/// Token ids that both models have.
fn tokens(n: usize) -> String {
    let vocab = random_model::VOCAB;
    (0..n).map(|i| (i * i * 37 + 11 * i + 1) % vocab).map(|t| t.to_string()).collect::<Vec<_>>().join(",")
}

/// What `lucid logits --device cpu` writes with these flags.
fn logits(model: &Path, n: usize, flags: &[&str], level: Option<&str>) -> Vec<u8> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let out = model.with_extension(format!("{}.npy", COUNT.fetch_add(1, Relaxed)));
    let mut command = Command::new(env!("CARGO_BIN_EXE_lucid"));
    command.args(["logits", "--device", "cpu", "--tokens", &tokens(n), "--out"]).arg(&out).args(flags).arg(model);
    if let Some(level) = level {
        command.env("LUCID_LEVEL", level);
    }
    let done = command.output().unwrap();
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{flags:?}: {said}");
    assert!(said.contains(&format!("cpu: {}, ", level.unwrap_or(Level::best().name()))), "another level: {said}");
    let bytes = std::fs::read(&out).unwrap();
    std::fs::remove_file(out).unwrap();
    bytes
}

/// A model as `lucid quantize` writes it. Every matrix must get a format of that kind: none may fall back.
fn quantised(source: &Path, kind: &[&str]) -> PathBuf {
    let out = source.with_file_name(format!("{}.gguf", kind.join("")));
    let [source, target] = [source, &out].map(|path| path.to_str().unwrap());
    let flags = &kind[..kind.len() - 1];
    let done = lucid(&[&["quantize", "--allow-requantize"], flags, &[source, target, kind[kind.len() - 1]]].concat());
    assert_eq!(done.code, Some(0), "{}", done.err);
    assert!(!done.err.contains("falls back"), "{}", done.err);
    out
}

/// The random model in F32.
fn random(folder: &Scratch) -> PathBuf {
    let path = folder.0.join("random.gguf");
    random_model::write(&path, Format::F32);
    path
}

/// The demonstration model, where it may have neighbours.
fn tiny(folder: &Scratch) -> PathBuf {
    let path = folder.0.join("tiny.gguf");
    std::fs::copy(TINY, &path).unwrap();
    path
}

/// How a file can come about: threads, tokens at a time, sequences, tokens that are computed twice. Every count of threads,
/// every size of piece and every size of batch is there.
#[derive(Clone, Copy)]
struct Way(u16, u32, u16, usize);

impl Way {
    fn flags(&self) -> Vec<String> {
        let Way(threads, chunk, batch, reuse) = self;
        let flags = [format!("--threads={threads}"), format!("--chunk={chunk}"), format!("--batch={batch}")];
        [flags.to_vec(), vec![format!("--reuse={reuse}")]].concat()
    }
}

/// More than all tokens of a test.
const ALL: u32 = 1000;

/// The first is what the others are compared with.
const WAYS: [Way; 6] =
    [Way(1, ALL, 1, 0), Way(2, 64, 1, 40), Way(3, 1, 1, 0), Way(8, 7, 3, 70), Way(2, 1, 8, 0), Way(3, 512, 3, 1)];

/// Each count of threads with each size of piece.
const PAIRS: [Way; 20] = [
    Way(1, ALL, 1, 0),
    Way(2, ALL, 3, 1),
    Way(3, ALL, 1, 300),
    Way(8, ALL, 1, 529),
    Way(1, 512, 1, 0),
    Way(2, 512, 1, 40),
    Way(3, 512, 1, 513),
    Way(8, 512, 8, 0),
    Way(1, 64, 1, 100),
    Way(2, 64, 1, 0),
    Way(3, 64, 3, 0),
    Way(8, 64, 1, 0),
    Way(1, 7, 1, 0),
    Way(2, 7, 1, 0),
    Way(3, 7, 1, 0),
    Way(8, 7, 1, 530),
    Way(1, 1, 1, 0),
    Way(2, 1, 1, 0),
    Way(3, 1, 3, 5),
    Way(8, 1, 1, 0),
];

/// Asserts that all ways lead to the same file, which this returns.
#[track_caller]
fn same_by_all_ways(model: &Path, n: usize, kind: &[&str], ways: &[Way]) -> Vec<u8> {
    let by = |way: &Way| {
        let flags = way.flags();
        logits(model, n, &[kind, &flags.iter().map(String::as_str).collect::<Vec<_>>()].concat(), None)
    };
    let plain = by(&ways[0]);
    for way in &ways[1..] {
        assert!(by(way) == plain, "{}: {kind:?} {:?} changed the logits", model.display(), way.flags());
    }
    plain
}

/// Asserts that all levels lead to the same file.
#[track_caller]
fn same_at_every_level(model: &Path, n: usize, kind: &[&str], plain: &[u8]) {
    for level in Level::available() {
        let got = logits(model, n, kind, Some(level.name()));
        assert!(got == plain, "{} at {level}: {kind:?}: other logits", model.display());
    }
}

#[test]
fn no_threads_pieces_company_history_or_instructions_change_the_logits() {
    let folder = Scratch::new("same-bits-ways");
    let tiny = tiny(&folder);
    for format in ["F16", "Q8_0", "Q4_0", "Q4_K_M", "IQ4_XS"] {
        let model = quantised(&tiny, &[format]);
        same_at_every_level(&model, SOME, &[], &same_by_all_ways(&model, SOME, &[], &WAYS));
    }
}

/// Types of `lucid quantize`, between them every format that it writes.
const KINDS: [&[&str]; 18] = [
    &["F32"],
    &["F16"],
    &["BF16"],
    &["Q4_0"],
    &["Q4_1"],
    &["Q5_0"],
    &["Q5_1"],
    &["Q8_0"],
    &["Q2_K"],
    &["Q3_K_M"],
    &["Q4_K_M"],
    &["Q5_K_M"],
    &["Q6_K"],
    &["IQ4_NL"],
    &["IQ4_XS"],
    &["--pure", "TQ1_0"],
    &["--pure", "TQ2_0"],
    &["--pure", "MXFP4_MOE"],
];

#[test]
fn nor_do_they_in_any_format() {
    let folder = Scratch::new("same-bits-formats");
    let random = random(&folder);
    for kind in KINDS {
        let model = quantised(&random, kind);
        same_at_every_level(&model, SOME, &[], &same_by_all_ways(&model, SOME, &[], &WAYS));
    }
}

#[test]
fn nor_past_the_edge_of_every_chunk_and_tile() {
    let folder = Scratch::new("same-bits-edges");
    let random = random(&folder);
    let model = quantised(&random, &["Q4_K_M"]);
    same_at_every_level(&model, MANY, &[], &same_by_all_ways(&model, MANY, &[], &PAIRS));
    let some = [PAIRS[0], PAIRS[7], PAIRS[11], PAIRS[13], PAIRS[17]];
    for model in [quantised(&random, &["F16"]), tiny(&folder)] {
        same_by_all_ways(&model, MANY, &[], &some);
    }
}

#[test]
fn nor_with_any_type_of_cache_or_with_exact_activations() {
    let folder = Scratch::new("same-bits-kinds");
    let model = quantised(&tiny(&folder), &["Q4_K_M"]);
    let mut all = Vec::new();
    for kind in [&["--kv", "f32"][..], &["--kv", "f16"], &["--kv", "q8_0"], &["--exact"]] {
        let plain = same_by_all_ways(&model, SOME, kind, &WAYS);
        same_at_every_level(&model, SOME, kind, &plain);
        assert!(!all.contains(&plain), "{kind:?} changes nothing at all");
        all.push(plain);
    }
}

/// The ids and the text of `lucid run`.
fn generated(model: &Path, flags: &[&str], level: Level, threads: &str) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lucid"));
    command.env("LUCID_LEVEL", level.name()).arg("run").arg(model);
    command.args(["-p", "once upon a time", "-n", "24", "--ignore-eos", "--json", "--threads", threads]).args(flags);
    let done = command.output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let said: serde_json::Value = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!(said["ids"].as_array().unwrap().len(), 24);
    format!("{} {}", said["ids"], said["text"])
}

#[test]
fn the_same_tokens_are_generated_at_every_level_by_any_threads() {
    let folder = Scratch::new("same-bits-tokens");
    let mut all = Vec::new();
    for source in [tiny(&folder), random(&folder)] {
        for format in ["F16", "Q4_0", "Q4_K_M", "IQ4_XS"] {
            let model = quantised(&source, &[format]);
            for how in [["--temperature", "0"], ["--seed", "7"]] {
                let plain = generated(&model, &how, Level::best(), "1");
                for level in Level::available() {
                    assert_eq!(generated(&model, &how, level, "2"), plain, "{} {how:?} at {level}", model.display());
                }
                for threads in ["3", "8"] {
                    let got = generated(&model, &how, Level::best(), threads);
                    assert_eq!(got, plain, "{} {how:?} with {threads} threads", model.display());
                }
                all.push(plain);
            }
        }
    }
    let count = all.len();
    all.sort();
    all.dedup();
    assert!(all.len() > count / 2, "models, formats and seeds hardly matter: {} texts of {count}", all.len());
}

#[test]
fn a_level_that_is_not_there_and_a_reuse_too_long_are_errors() {
    let folder = Scratch::new("same-bits-errors");
    let out = folder.0.join("x.npy").display().to_string();
    let mut command = Command::new(env!("CARGO_BIN_EXE_lucid"));
    command.env("LUCID_LEVEL", "abacus").args(["logits", TINY, "--device", "cpu", "--tokens", "1", "--out", &out]);
    let done = command.output().unwrap();
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.code() == Some(1) && said.contains("abacus") && said.contains("scalar"), "{said}");
    let done = lucid(&["logits", TINY, "--tokens", "1,2", "--reuse", "3", "--out", &out]);
    assert!(done.code == Some(1) && done.err.contains("--reuse 3: there are only 2 tokens"), "{}", done.err);
}
