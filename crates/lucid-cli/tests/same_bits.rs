//! From outside: the logits file is the same to the byte whatever the threads, the pieces, the company, the history and the
//! instructions; and so is the text.

#[path = "common/lucid.rs"]
mod lucid;

use lucid::{Scratch, lucid};
use std::{
    path::{Path, PathBuf},
    process::Command,
};

const TINY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/tiny/tiny.gguf");

/// Seventy tokens: past a chunk, a tile of positions and a tile of rows.
fn tokens() -> String {
    (0..70u32).map(|i| (i * i * 37 + 11 * i + 1) % 2048).map(|t| t.to_string()).collect::<Vec<_>>().join(",")
}

/// What `lucid logits --device cpu` writes with these flags.
fn logits(model: &Path, flags: &[&str], level: Option<&str>) -> Vec<u8> {
    static COUNT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    let n = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let out = model.with_file_name(format!("{n}.npy"));
    let mut command = Command::new(env!("CARGO_BIN_EXE_lucid"));
    command.args(["logits", "--device", "cpu", "--tokens", &tokens(), "--out"]).arg(&out).args(flags).arg(model);
    if let Some(level) = level {
        command.env("LUCID_LEVEL", level);
    }
    let done = command.output().unwrap();
    assert!(done.status.success(), "{flags:?}: {}", String::from_utf8_lossy(&done.stderr));
    let bytes = std::fs::read(&out).unwrap();
    std::fs::remove_file(out).unwrap();
    bytes
}

/// The demonstration model in another format.
fn quantised(folder: &Path, format: &str) -> PathBuf {
    let out = folder.join(format!("{format}.gguf"));
    if format == "Q8_0" {
        std::fs::copy(TINY, &out).unwrap();
    } else {
        let done = lucid(&["quantize", "--allow-requantize", TINY, out.to_str().unwrap(), format]);
        assert_eq!(done.code, Some(0), "{}", done.err);
    }
    out
}

const WAYS: &[&[&str]] = &[
    &["--threads", "2"],
    &["--threads", "3", "--chunk", "1"],
    &["--threads", "8", "--chunk", "7"],
    &["--threads", "1", "--chunk", "512"],
    &["--threads", "2", "--batch", "3"],
    &["--threads", "3", "--batch", "8", "--chunk", "1"],
    &["--threads", "2", "--batch", "8", "--chunk", "512"],
    &["--threads", "2", "--reuse", "1", "--chunk", "512"],
    &["--threads", "1", "--reuse", "40", "--chunk", "7", "--batch", "3"],
];

#[test]
fn the_logits_depend_on_no_threads_pieces_company_or_history() {
    let folder = Scratch::new("same-bits-ways");
    for format in ["Q8_0", "F16", "Q4_0", "Q4_K_M", "Q6_K", "IQ4_XS"] {
        let model = quantised(&folder.0, format);
        let plain = logits(&model, &["--threads", "1"], None);
        for way in WAYS {
            assert!(logits(&model, way, None) == plain, "{format}: {way:?} changed the logits");
        }
    }
}

#[test]
fn so_with_every_type_of_cache_and_with_exact_activations() {
    let folder = Scratch::new("same-bits-kinds");
    let model = quantised(&folder.0, "Q4_K_M");
    let mut all = Vec::new();
    for kind in [&["--kv", "f32"][..], &["--kv", "f16"], &["--kv", "q8_0"], &["--exact"]] {
        let plain = logits(&model, &[kind, &["--threads", "1"]].concat(), None);
        for way in [WAYS[1], WAYS[6], WAYS[8]] {
            assert!(logits(&model, &[kind, way].concat(), None) == plain, "{kind:?} {way:?} changed the logits");
        }
        assert!(!all.contains(&plain), "{kind:?} changes nothing at all");
        all.push(plain);
    }
}

#[test]
fn every_level_gives_the_same_bits_and_the_same_text() {
    let folder = Scratch::new("same-bits-levels");
    let levels: Vec<&str> = lucid_kernels::level::Level::available().map(|level| level.name()).collect();
    for format in ["Q8_0", "Q4_K_M", "F16"] {
        let model = quantised(&folder.0, format);
        let plain = logits(&model, &[], Some("scalar"));
        for level in &levels {
            assert!(logits(&model, &[], Some(level)) == plain, "{format} at {level} changed the logits");
        }
    }
    let text = |level: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lucid"));
        command.env("LUCID_LEVEL", level).args(["run", "-p", "Once upon a time", "-n", "48", "--seed", "7"]);
        let done = command.output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        done.stdout
    };
    let plain = text("scalar");
    assert!(levels.iter().all(|level| text(level) == plain));
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
