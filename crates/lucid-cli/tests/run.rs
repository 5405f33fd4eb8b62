//! `lucid run` on the demonstration model: what it writes, when it stops, and what it says about it.

#[path = "common/lucid.rs"]
mod lucid;

use lucid::{Scratch, fed, finish, json, lucid, pinned, quiet, start};
use serde_json::{Value, json};
use std::io::Read;

const BEGIN: &str = "Once upon a time";

/// Where the model lies, for the commands that need a file.
const TINY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/tiny/tiny.gguf");

#[test]
fn the_first_command_tells_a_story_and_it_is_always_the_same() {
    let story = quiet(&["run", "-p", BEGIN]);
    assert!(story.len() > 200 && story.ends_with('\n'), "{story:?}");
    assert_eq!(quiet(&["run", "-p", BEGIN]), story);
    assert_eq!(quiet(&["run", TINY, "-p", BEGIN]), story, "from the file as from the program");
    pinned("the first command", json!(story));
}

#[test]
fn greedy_ids_and_seeds_are_pinned() {
    let greedy = json(&["run", "-p", BEGIN, "-t", "0"]);
    pinned("greedy", json!({ "prompt_ids": greedy["prompt_ids"], "ids": greedy["ids"], "stop": greedy["stop"] }));
    let of_seed = |seed: &str| json(&["run", "-p", BEGIN, "-n", "24", "--seed", seed])["text"].clone();
    let texts: Vec<Value> = ["0", "1", "18446744073709551615"].map(of_seed).to_vec();
    assert!(texts[0] != texts[1] && texts[1] != texts[2]);
    pinned("seeds", json!(texts));
}

#[test]
fn stories_do_not_run_in_circles() {
    for seed in ["1", "2", "3", "4"] {
        let story = json(&["run", "-p", BEGIN, "-n", "200", "--seed", seed]);
        let ids: Vec<u64> = story["ids"].as_array().unwrap().iter().map(|id| id.as_u64().unwrap()).collect();
        let again =
            ids.windows(16).enumerate().find(|(at, part)| ids[at + 1..].windows(16).any(|later| later == *part));
        assert!(again.is_none(), "seed {seed} says something twice: {}", story["text"]);
        assert!(ids.len() > 60, "seed {seed} has little to say: {}", story["text"]);
    }
}

#[test]
fn the_object_for_programs_holds_everything_and_agrees_with_the_text() {
    let args = ["run", "-p", BEGIN, "-n", "20", "--seed", "5"];
    let o = json(&args);
    let text = o["text"].as_str().unwrap();
    assert_eq!(quiet(&args), format!("{text}\n"));
    assert_eq!((&o["seed"], &o["model"], &o["context"]), (&json!(5), &json!("built-in:tiny"), &json!(512)));
    assert_eq!(o["counts"], json!({ "prompt": o["prompt_ids"].as_array().unwrap().len(), "generated": 20 }));
    assert_eq!((o["ids"].as_array().unwrap().len(), &o["stop"]), (20, &json!({ "reason": "max_tokens" })));
    for key in ["load_ms", "prompt_ms", "first_token_ms", "decode_ms", "prompt_tokens_per_second", "tokens_per_second"]
    {
        assert!(o["timings"][key].as_f64().is_some_and(|n| n > 0.0), "{key}: {}", o["timings"]);
    }
    let ids: Vec<String> = o["ids"].as_array().unwrap().iter().map(Value::to_string).collect();
    let args: Vec<&str> = ["detokenize", TINY].into_iter().chain(ids.iter().map(String::as_str)).collect();
    assert_eq!(quiet(&args).trim_start(), text.trim_start());
    if cfg!(target_os = "linux") {
        assert!(o["memory_bytes"].as_u64().is_some_and(|n| n > 1 << 20), "{}", o["memory_bytes"]);
    }
}

#[test]
fn prompts_come_by_flag_by_file_and_through_a_pipe() {
    let scratch = Scratch::new("prompts");
    let by_flag = quiet(&["run", "-p", BEGIN, "-n", "5"]);
    let file = scratch.file("prompt.txt", format!("{BEGIN}\n").as_bytes());
    assert_eq!(quiet(&["run", "--file", &file, "-n", "5"]), by_flag, "without its last newline");
    for input in [BEGIN.to_owned(), format!("{BEGIN}\n"), format!("{BEGIN}\r\n")] {
        assert_eq!(fed(&["run", "-n", "5"], &input).out, by_flag);
    }
    assert_ne!(fed(&["run", "-n", "5"], &format!("{BEGIN}\n\n")).out, by_flag, "one newline goes, not all");
    assert_eq!(quiet(&["run", "-p", BEGIN, "-n", "5", "--echo"]), format!("{BEGIN}{by_flag}"));
    assert!(!quiet(&["run", "-n", "5"]).trim().is_empty(), "a story of its own from nothing");
    // <s> alone is a token only when asked for
    let tokens = |more: &[&str]| json(&[&["run", "-p", "<s>", "-n", "0"], more].concat())["counts"]["prompt"].clone();
    assert_eq!((tokens(&[]) == json!(2), tokens(&["--special"])), (false, json!(2)));
}

#[test]
fn it_stops_where_it_should_and_says_why() {
    let free = json(&["run", "-p", BEGIN, "-t", "0", "-n", "-1"]);
    assert_eq!(free["stop"]["reason"], "stop_id", "a story has an end");
    let text = free["text"].as_str().unwrap();
    // a string from the middle of one token to the middle of another
    let stop = &text[31..39];
    let cut = json(&["run", "-p", BEGIN, "-t", "0", "--stop", "never", "--stop", stop]);
    assert_eq!(cut["stop"], json!({ "reason": "stop_string", "string": stop }));
    assert_eq!(cut["text"], text[..text.find(stop).unwrap()]);
    let full = json(&["run", "-p", BEGIN, "-t", "0", "-n", "-1", "--ignore-eos", "--ctx", "40"]);
    assert_eq!(full["stop"], json!({ "reason": "context_full" }));
    assert_eq!(full["counts"]["prompt"].as_u64().unwrap() + full["counts"]["generated"].as_u64().unwrap(), 41);
    let none = json(&["run", "-p", BEGIN, "-n", "0"]);
    assert_eq!((&none["text"], &none["stop"]["reason"]), (&json!(""), &json!("max_tokens")));
    // an id that the model wants is forbidden: it must take another
    let first = free["ids"][0].to_string();
    let other = json(&["run", "-p", BEGIN, "-t", "0", "-n", "1", "--logit-bias", &format!("{first}=-inf")]);
    assert_ne!(other["ids"][0].to_string(), first);
}

#[test]
fn nobody_watches_so_nothing_is_said_unless_asked() {
    let done = lucid(&["run", "-p", BEGIN, "-n", "9", "--verbose", "--seed", "-1"]);
    assert_eq!(done.code, Some(0));
    let level = lucid_kernels::level::Level::detect().unwrap();
    let how = format!("cpu: {level}, ");
    for words in [
        &how,
        " f16 cache\n",
        "seed ",
        "[9 tokens, ",
        " tokens/s; stopped by -n]",
        "[prompt 5 tokens, ",
        "; first token ",
    ] {
        assert!(done.err.contains(words), "{words}: {}", done.err);
    }
    assert!(!done.out.contains("seed"));
    let seed = done.err.split("seed ").nth(1).unwrap().lines().next().unwrap().to_owned();
    assert_eq!(quiet(&["run", "-p", BEGIN, "-n", "9", "--seed", &seed]), done.out, "the seed it told gives the text");
    let done = lucid(&["run", TINY, "-p", BEGIN, "-n", "1", "--verbose"]);
    assert!(done.err.contains("this model has a chat template"), "{}", done.err);
    let done = lucid(&["run", "-p", BEGIN, "-n", "1", "--seed", "-1"]);
    assert!(done.err.starts_with("seed ") && done.err.lines().count() == 1, "chance is told: {}", done.err);
    let done = lucid(&["run", "-p", BEGIN, "-n", "1", "--ctx", "600"]);
    assert_eq!(done.err, "note: a context of 600 tokens is more than the 512 that the model was made for\n");
}

#[test]
fn a_reader_that_leaves_ends_it_without_a_word() {
    let mut child = start(&["run", "-p", BEGIN, "--verbose", "--ignore-eos", "-n", "-1"]);
    drop(child.stdin.take());
    let mut first = [0; 8];
    let mut out = child.stdout.take().unwrap();
    out.read_exact(&mut first).unwrap();
    drop(out);
    let done = finish(child);
    assert_eq!(done.code, Some(0));
    assert!(!done.err.contains("roken pipe") && !done.err.contains("[prompt"), "{}", done.err);
}

#[test]
#[cfg(unix)]
fn ctrl_c_ends_the_text_and_still_tells_how_it_went() {
    let mut child = start(&["run", "-p", BEGIN, "--verbose", "--ignore-eos", "-n", "-1", "--ctx", "100000"]);
    drop(child.stdin.take());
    let mut first = [0; 8];
    child.stdout.as_mut().unwrap().read_exact(&mut first).unwrap();
    let killed = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(killed.success());
    let done = finish(child);
    assert_eq!(done.code, Some(130), "{}", done.err);
    assert!(done.err.contains(" tokens/s; interrupted]") && done.err.contains("[prompt 5 tokens, "), "{}", done.err);
    assert!(done.out.ends_with('\n'));
}

#[test]
fn every_token_can_be_explained() {
    let args = ["run", "-p", BEGIN, "-n", "4", "--top-k", "7", "--explain-sampling"];
    let o = json(&args);
    let sampling = o["sampling"].as_array().unwrap();
    assert_eq!(sampling.len(), 4);
    for (trace, id) in sampling.iter().zip(o["ids"].as_array().unwrap()) {
        assert_eq!(&trace["token"]["id"], id);
        let step = &trace["steps"][0];
        assert_eq!((&step["sampler"], &step["before"], &step["after"]), (&json!("top_k"), &json!(2048), &json!(7)));
        assert_eq!(step["removed"].as_array().unwrap().len(), 2041);
        let candidates = trace["candidates"].as_array().unwrap();
        let sum: f64 = candidates.iter().map(|c| c["p"].as_f64().unwrap()).sum();
        // at most 7 quotients, each rounded once, and their sums
        assert!((sum - 1.0).abs() <= 14.0 * f64::EPSILON, "{sum}");
        assert!(trace["close"].is_boolean() && trace["top"].as_array().unwrap().len() == 2);
    }
    let done = lucid(&args);
    assert_eq!(done.out, quiet(&args[..args.len() - 1]), "it changes nothing");
    for words in ["token 1: ", "token 4: ", "top_k ", "k 7", "2048 -> 7", "removed ", "more", "left "] {
        assert!(done.err.contains(words), "{words}: {}", done.err);
    }
}

#[test]
fn a_prompt_can_be_a_message() {
    let o = json(&["run", "--chat", "-p", "Hello", "-t", "0", "-n", "12", "--system", "Be brief."]);
    let shown = json(&["run", "--chat", "-p", "Hello", "-t", "0", "-n", "12", "--system", "Be brief.", "--echo"]);
    let prompt = "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\n";
    assert_eq!(shown["text"], format!("{prompt}{}", o["text"].as_str().unwrap()));
    let ids = quiet(&["tokenize", TINY, "--special", "--no-bos", "--json", "--text", prompt]);
    assert_eq!(serde_json::from_str::<Value>(&ids).unwrap(), o["prompt_ids"]);
}

#[test]
fn the_built_in_model_is_that_of_every_command_that_can_go_without_a_name() {
    let messages = r#"[{"role": "user", "content": "Hi"}]"#;
    for (command, flags, input) in [
        ("tokenize", &["--text", "Once upon a time"][..], ""),
        ("template", &["--messages", "-"], messages),
        ("inspect", &[], ""),
        ("info", &[], ""),
    ] {
        let (without, with) =
            (fed(&[&[command], flags].concat(), input), fed(&[&[command, TINY], flags].concat(), input));
        assert_eq!((without.code, with.code), (Some(0), Some(0)), "{command}: {without:?} {with:?}");
        assert!(!without.out.is_empty());
        assert_eq!(without.out.replace("built-in:tiny", TINY), with.out, "{command}");
    }
    let scratch = std::env::temp_dir().join(format!("lucid-built-in-{}.npy", std::process::id()));
    let logits = |model: &[&str]| {
        let out = scratch.to_str().unwrap();
        let done = lucid(&[&["logits"], model, &["--tokens", "0,419,435", "--out", out]].concat());
        assert_eq!(done.code, Some(0), "{done:?}");
        let bytes = std::fs::read(&scratch).unwrap();
        std::fs::remove_file(&scratch).unwrap();
        bytes
    };
    assert!(logits(&[]) == logits(&[TINY]), "the same logits");
}

#[test]
fn wrong_usage_exits_2_and_names_what_is_wrong() {
    for (args, words) in [
        (&["--top-p", "2"][..], "error: --top-p is 2: it must be from 0 to 1"),
        (&["-t", "-1"], "error: --temperature is -1: it must be a number of at least 0"),
        (&["--seed", "x"], "--seed"),
        (&["--stop", ""], "--stop"),
        (&["-n", "-2"], "-2"),
        (&["--ctx", "0"], "--ctx"),
        (&["--device", "abacus"], "abacus"),
        (&["--samplers", "top_k;infill"], "there is no sampler \"infill\""),
        (&["--logit-bias", "5"], "ID=V"),
        (&["-p", "x", "--file", "y"], "--file"),
        (&["--system", "x"], "--chat"),
        (&["--threads", "0"], "--threads"),
        (&["--gpu-layers", "1"], "there is no GPU device"),
    ] {
        let done = lucid(&[&["run"], args].concat());
        assert_eq!((done.code, done.out.as_str()), (Some(2), ""), "{args:?}: {}", done.err);
        assert!(done.err.contains(words), "{args:?}: {}", done.err);
    }
}

#[test]
fn what_cannot_be_done_exits_1_with_one_sentence() {
    let scratch = Scratch::new("run-errors");
    let text = scratch.file("notes.gguf", b"Dear diary, this is no model.");
    let folder = scratch.0.display().to_string();
    let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/../lucid/tests/golden/hf/gqa");
    for (args, words) in [
        (&["no-such-model", "-p", "x"][..], "no-such-model: there is no such file or folder"),
        (&[&text, "-p", "x"], "notes.gguf: is no model: it begins with \"Dear dia\""),
        (&[&folder, "-p", "x"], "has no config.json"),
        (&[golden, "-p", "x"], "no vocabulary"),
        (&["-p", BEGIN, "--ctx", "4"], "the prompt has 5 tokens and the context holds 4: raise it with --ctx"),
        (&["--file", "/no/such/prompt"], "/no/such/prompt: cannot read the prompt"),
        (&["-p", "x", "--logit-bias", "2048=1"], "--logit-bias names token 2048, and the vocabulary has 2048"),
    ] {
        let done = lucid(&[&["run"], args].concat());
        assert_eq!((done.code, done.out.as_str()), (Some(1), ""), "{args:?}: {}", done.err);
        assert!(done.err.starts_with("lucid: ") && done.err.contains(words), "{args:?}: {}", done.err);
        assert!(!done.err.contains("panicked"), "{}", done.err);
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_is_told() {
    for more in [&[][..], &["--json"]] {
        let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_lucid"));
        let done = command.args(["run", "-p", BEGIN, "-n", "2"]).args(more).stdout(full).output().unwrap();
        let err = String::from_utf8(done.stderr).unwrap();
        assert_eq!(done.status.code(), Some(1), "{err}");
        assert!(err.starts_with("lucid: standard output: cannot write\n  because: No space left"), "{err}");
    }
}
