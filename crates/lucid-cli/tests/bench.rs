//! `lucid bench` on the demonstration model. No speed is asserted: only what must hold on any machine.

#[path = "common/lucid.rs"]
mod lucid;

use lucid::{Scratch, finish, lucid, quiet, start};
use serde_json::Value;
use std::{collections::HashMap, io::Read, process::Command};

const TINY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/tiny/tiny.gguf");

/// The objects of a successful run.
fn objects(args: &[&str]) -> Vec<Value> {
    let text = quiet(&[&["bench", "-o", "json"], args].concat());
    match serde_json::from_str(&text).unwrap() {
        Value::Array(objects) => objects,
        other => panic!("{other}"),
    }
}

/// `(n_prompt, n_gen, n_depth, n_threads, n_seq, kv)` and the digest of each.
fn tests(objects: &[Value]) -> Vec<(Vec<u64>, String, String)> {
    let number = |o: &Value, key: &str| o[key].as_u64().unwrap_or_else(|| panic!("{key}: {o}"));
    let keys = ["n_prompt", "n_gen", "n_depth", "n_threads", "n_seq"];
    let text = |o: &Value, key: &str| o[key].as_str().unwrap_or_else(|| panic!("{key}: {o}")).to_owned();
    objects.iter().map(|o| (keys.map(|key| number(o, key)).to_vec(), text(o, "kv"), text(o, "digest"))).collect()
}

#[test]
fn every_field_is_there_and_they_agree_with_one_another() {
    let all = objects(&[TINY, "-p", "16", "-n", "4", "-r", "2", "--threads", "2", "--batch", "3", "--chunk", "7"]);
    assert_eq!(all.len(), 2);
    let help = quiet(&["bench", "--help"]);
    let explained: Vec<&str> = help.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
    for o in &all {
        for key in o.as_object().unwrap().keys() {
            assert!(explained.contains(&key.as_str()), "--help does not explain {key}");
        }
        let float = |key: &str| o[key].as_f64().unwrap_or_else(|| panic!("{key}: {o}"));
        let floats =
            |key: &str| -> Vec<f64> { o[key].as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect() };
        assert_eq!((&o["model_filename"], &o["exact"]), (&Value::from(TINY), &Value::from(false)));
        assert_eq!((&o["build"], &o["n_ubatch"]), (&Value::from(env!("CARGO_PKG_VERSION")), &Value::from(7)));
        let (size, file) = (o["model_size"].as_u64().unwrap(), std::fs::metadata(TINY).unwrap().len());
        assert!(size < file && size > file / 2, "{size} of {file} bytes are tensors");
        assert!(o["model_n_params"].as_u64().unwrap() * 17 / 16 <= size, "Q8_0 has 8.5 bits, the rest has more");
        let kind = o["model_type"].as_str().unwrap();
        assert!(kind.starts_with("llama ") && kind.ends_with(" Q8_0"), "{kind}");
        for key in ["cpu_info", "level"] {
            assert!(!o[key].as_str().unwrap().is_empty());
        }
        let time = o["test_time"].as_str().unwrap();
        assert!(time.len() == 20 && time.starts_with("20") && time.ends_with('Z'), "{time}");

        // the averages are those of the samples
        let (ns, ts) = (floats("samples_ns"), floats("samples_ts"));
        assert_eq!((ns.len(), ts.len()), (2, 2));
        assert_eq!(float("avg_ns"), ((ns[0] + ns[1]) / 2.0).round());
        assert!((float("stddev_ns") - (ns[0] - ns[1]).abs() / 2f64.sqrt()).abs() < 1.0, "it is a whole number");
        // three roundings of two terms each
        let near = |a: f64, b: f64| (a - b).abs() <= 8.0 * f64::EPSILON * b.abs();
        assert!(near(float("avg_ts"), (ts[0] + ts[1]) / 2.0));
        // a difference: it is as wrong as its terms
        let apart = (ts[0] - ts[1]).abs() / 2f64.sqrt();
        assert!((float("stddev_ts") - apart).abs() <= 8.0 * f64::EPSILON * ts[0], "{o}");
        let generates = o["n_gen"] == 4;
        let tokens = if generates { 4.0 * 3.0 } else { 16.0 };
        assert!(ns.iter().zip(&ts).all(|(ns, ts)| near(*ts, tokens * 1e9 / ns)), "{o}");

        // the shares are those of the floors
        assert!(float("bandwidth_gbps") > 0.0 && float("int8_gops") > 0.0 && float("int8_pct") > 0.0);
        if generates {
            assert!(near(float("bandwidth_pct"), 100.0 * float("gbps") / float("bandwidth_gbps")));
            // a step of three sequences reads the weights once, and in all less than once and a half
            let steps = float("avg_ts") / 3.0;
            let (least, most) = (0.5 * size as f64 * steps / 1e9, 1.5 * size as f64 * steps / 1e9);
            assert!((least..most).contains(&float("gbps")), "{} is not from {least} to {most}", float("gbps"));
        } else {
            assert!(o["gbps"].is_null() && o["bandwidth_pct"].is_null());
        }
        if cfg!(target_os = "linux") {
            // all weights were read, and the probe's buffer of a quarter of a gigabyte does not count
            assert!((size..256 << 20).contains(&o["rss_bytes"].as_u64().unwrap()), "{}", o["rss_bytes"]);
        }
    }
    assert_eq!(tests(&all).into_iter().map(|t| t.0).collect::<Vec<_>>(), [[16, 0, 0, 2, 1], [0, 4, 0, 2, 3]]);
}

#[test]
fn every_combination_is_a_test_and_the_same_tokens_have_the_same_digest() {
    let lists = ["-p", "4,8", "-n", "8,4", "-r", "1", "--threads", "1,2", "--batch", "1,2", "--depth", "0,4"];
    let all = tests(&objects(&[&lists[..], &["--kv", "f16,q8_0"]].concat()));
    // threads · types · depths · (prompts + generations · batches)
    assert_eq!(all.len(), 2 * 2 * 2 * (2 + 2 * 2));
    let mut digests: HashMap<(u64, &str), Vec<&str>> = HashMap::new();
    for (n, kv, digest) in &all {
        assert_eq!(digest.len(), 16);
        digests.entry((n[0] + n[1] + n[2], kv)).or_default().push(digest);
    }
    let mut one_each: Vec<&str> = digests.values().map(|same| same[0]).collect();
    assert!(digests.values().all(|same| same.iter().all(|digest| digest == &same[0])), "{digests:?}");
    one_each.sort_unstable();
    one_each.dedup();
    assert_eq!(one_each.len(), 6, "4, 8 and 12 tokens in two types of cache are six digests");

    let same: Vec<String> = [&["--chunk", "1", "-r", "1"][..], &["--chunk", "5", "-r", "1"], &["-r", "3"]]
        .map(|more| tests(&objects(&[&["-p", "8", "-n", "0"], more].concat()))[0].2.clone())
        .to_vec();
    assert!(same.iter().all(|digest| digest == digests[&(8, "f16")][0]), "{same:?}");
    assert_ne!(tests(&objects(&["-p", "8", "-n", "0", "-r", "1", "--exact"]))[0].2, same[0]);
}

#[test]
fn the_digest_is_the_same_at_every_level() {
    let at = |level: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lucid"));
        command.args(["bench", "-p", "16", "-n", "4", "-r", "2", "-o", "json"]).env("LUCID_LEVEL", level);
        let done = command.output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        let all: Vec<Value> = serde_json::from_slice(&done.stdout).unwrap();
        assert!(all.iter().all(|o| o["level"] == level), "{all:?}");
        tests(&all).into_iter().map(|t| t.2).collect::<Vec<_>>()
    };
    let plain = at("scalar");
    for level in lucid_kernels::level::Level::available() {
        assert_eq!(at(level.name()), plain, "{level}");
    }
}

#[test]
fn the_table_is_aligned_and_fits_into_100_columns() {
    let text = quiet(&["bench", TINY, "-p", "16", "-n", "4", "-r", "1", "--depth", "0,2", "--batch", "1,16"]);
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].starts_with("lucid ") && lines[1].starts_with("tiny.gguf: llama "), "{text}");
    assert!(lines[1].contains(" Q8_0, ") && lines[1].ends_with("; 1 repetition, chunks of 512"), "{text}");
    let table = &lines[3..];
    let names: Vec<&str> = table[2..].iter().map(|line| line[1..].split('|').next().unwrap().trim()).collect();
    assert_eq!(names, ["pp16", "tg4", "tg4x16", "pp16 d2", "tg4 d2", "tg4x16 d2"]);
    let bars = |line: &str| -> Vec<usize> { line.chars().enumerate().filter(|c| c.1 == '|').map(|c| c.0).collect() };
    for line in table {
        assert_eq!(bars(line), bars(table[0]), "{text}");
        assert!(line.chars().count() <= 100 && line.starts_with('|') && line.ends_with('|'), "{text}");
    }
    assert!(table[2].contains(" Gop/s |") && table[3].contains(" GB/s |") && table[3].contains(" ± "), "{text}");
}

#[test]
fn more_than_the_models_context_is_measured_with_a_note() {
    let done = lucid(&["bench", "-p", "520", "-n", "0", "-r", "1"]);
    assert_eq!(done.code, Some(0), "{}", done.err);
    assert_eq!(done.err, "note: 520 tokens are more than the 512 that the model was made for\n");
}

#[test]
fn wrong_usage_exits_2_and_what_cannot_be_done_1() {
    for (args, words) in [
        (&["-p", "0", "-n", "0"][..], "nothing to measure"),
        (&["-p", "x"], "invalid value 'x'"),
        (&["-p", "-1"], "-1"),
        (&["-r", "0"], "--repetitions"),
        (&["--threads", "0"], "--threads"),
        (&["--threads", "1,"], "--threads"),
        (&["--batch", "0"], "--batch"),
        (&["--chunk", "0"], "--chunk"),
        (&["--kv", "f16,f8"], "it must be f32, f16 or q8_0"),
        (&["-o", "csv"], "csv"),
    ] {
        let done = lucid(&[&["bench"], args].concat());
        assert_eq!((done.code, done.out.as_str()), (Some(2), ""), "{args:?}: {}", done.err);
        assert!(done.err.contains(words), "{args:?}: {}", done.err);
    }
    let mut foreign = Command::new(env!("CARGO_BIN_EXE_lucid"));
    let done = foreign.args(["bench", "-o", "json"]).env("LUCID_LEVEL", "abacus").output().unwrap();
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.code() == Some(1) && done.stdout.is_empty() && said.contains("abacus"), "{said}");
    let scratch = Scratch::new("bench-errors");
    let notes = scratch.file("notes.gguf", b"Dear diary, this is no model.");
    for (args, words) in [
        (&["no-such-model"][..], "no-such-model: there is no such file or folder"),
        (&[&notes], "notes.gguf: is no model: it begins with"),
        (&["-n", "0", "--depth", "4000000000"], "cache"),
    ] {
        let done = lucid(&[&["bench"], args].concat());
        assert_eq!((done.code, done.out.as_str()), (Some(1), ""), "{args:?}: {}", done.err);
        assert!(done.err.starts_with("lucid: ") && done.err.contains(words), "{args:?}: {}", done.err);
    }
}

#[cfg(unix)]
#[test]
fn ctrl_c_ends_it_at_once() {
    let mut child = start(&["bench", "-p", "0", "-n", "400", "-r", "100000"]);
    // the heading is there, so the first of very many repetitions is under way
    let (mut text, mut byte) = (Vec::new(), [0]);
    while !text.ends_with(b"-|\n") && child.stdout.as_mut().unwrap().read(&mut byte).unwrap() == 1 {
        text.push(byte[0]);
    }
    let killed = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(killed.success());
    let done = finish(child);
    assert_eq!((done.code, done.out.as_str()), (Some(130), ""), "{}{}", String::from_utf8_lossy(&text), done.err);
}
