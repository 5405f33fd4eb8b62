//! `lucid chat` through a pipe, one line per turn, on the demonstration model.

#[path = "common/lucid.rs"]
mod lucid;

use lucid::{Done, Scratch, fed, pinned};
use serde_json::{Value, json};

fn chat(args: &[&str], lines: &str) -> Done {
    fed(&[&["chat", "-n", "40"], args].concat(), lines)
}

fn answers(args: &[&str], lines: &str) -> Vec<String> {
    let done = chat(args, lines);
    assert_eq!(done.code, Some(0), "{}", done.err);
    done.out.lines().map(String::from).collect()
}

#[test]
fn each_line_is_a_turn_and_the_conversation_goes_on() {
    let both = answers(&["-t", "0"], "Hello\nWhat is your name?\n");
    assert_eq!(both.len(), 2, "{both:?}");
    assert_eq!(answers(&["-t", "0"], "Hello\n"), both[..1]);
    assert_eq!(answers(&["-t", "0"], "Hello\nWhat is your name?"), both, "without a newline at the end");
    pinned("chat", json!(both));
}

#[test]
fn the_cache_cannot_be_seen_in_an_answer() {
    let scratch = Scratch::new("chat-cache");
    let file = scratch.0.join("one.json").display().to_string();
    // the same conversation, once kept in the cache and once read back from a file
    let whole = answers(&["-t", "0"], &format!("Hello\n/save {file}\nTell me a story\n"));
    let resumed = answers(&["-t", "0", "--load", &file], "Tell me a story\n");
    assert_eq!(whole[1..], resumed);
    let messages: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    assert_eq!(messages, json!([{ "role": "user", "content": "Hello" }, { "role": "assistant", "content": whole[0] }]));
}

#[test]
fn regenerate_answers_anew_and_reset_forgets() {
    // short enough to be of one line
    let fox = "/set n_tokens 12\nTell me a story about a fox\n";
    let a = answers(&["--seed", "3"], &format!("{fox}/regenerate\n/regenerate\n"));
    assert_eq!(a.len(), 3);
    assert!(a[0] != a[1] && a[1] != a[2], "another seed each time: {a:?}");
    assert_eq!(answers(&["--seed", "4"], fox), a[1..2], "the next one, in fact");
    let b = answers(&["-t", "0"], "Hello\n/reset\nHello\n/regenerate\n");
    assert!(b[0] == b[1] && b[1] == b[2], "{b:?}");
}

#[test]
fn settings_and_the_system_message_change_what_follows() {
    let plain = answers(&["-t", "0"], "Hello\n");
    assert_eq!(answers(&[], "/set temperature 0\nHello\n"), plain);
    let done = chat(&["-t", "0"], "/set n_tokens 2\nHello\n");
    assert!(plain[0].starts_with(done.out.trim_end()) && done.err.contains("cut off by -n"), "{done:?}");
    let scratch = Scratch::new("chat-system");
    let file = scratch.0.join("s.json").display().to_string();
    let told = answers(&["-t", "0", "--system", "You are a lighthouse."], &format!("Hello\n/save {file}\n"));
    assert_eq!(answers(&["-t", "0"], "/system You are a lighthouse.\nHello\n"), told);
    let messages: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    assert_eq!(messages[0], json!({ "role": "system", "content": "You are a lighthouse." }));
    assert_eq!(answers(&["-t", "0"], &format!("/load {file}\n/reset\nHello\n")), told, "the system message stays");
    assert_eq!(answers(&["-t", "0"], &format!("/load {file}\n/system \"\"\n/reset\nHello\n")), plain);
}

#[test]
fn a_message_can_have_several_lines() {
    let scratch = Scratch::new("chat-lines");
    let file = scratch.0.join("m.json").display().to_string();
    let said = |lines: &str| {
        answers(&[], &format!("/set n_tokens 1\n{lines}\n/save {file}\n"));
        let messages: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
        messages[0]["content"].as_str().unwrap().to_owned()
    };
    assert_eq!(said("one \\\ntwo"), "one \ntwo");
    assert_eq!(said("\"\"\"\none\n\ntwo\n\"\"\""), "one\n\ntwo");
    assert_eq!(said("//help is a word"), "/help is a word");
}

#[test]
fn a_pipe_is_told_clearly_and_ends() {
    let scratch = Scratch::new("chat-errors");
    let list = scratch.file("not.json", b"{\"a\": 1}");
    for (args, lines, words) in [
        (&[][..], "/frobnicate\nHello\n", "there is no command /frobnicate; /help lists them"),
        (&[], "/regenerate\n", "there is no message yet"),
        (&[], "/set top_k many\n", "invalid value 'many'"),
        (&[], "/load /no/such/file\n", "/no/such/file: cannot read a conversation"),
        (&["--load", &list], "", "must be a JSON list of messages"),
        (
            &["--ctx", "20"],
            "Tell me a long story about a very small fox who lives in a box\n",
            "/reset begins a new one",
        ),
        (&["no-such-model"], "", "no-such-model: there is no such file or folder"),
    ] {
        let done = chat(args, lines);
        assert_eq!(done.code, Some(1), "{lines}: {done:?}");
        assert!(done.err.contains(words) && !done.err.contains("panicked"), "{lines}: {}", done.err);
    }
    let done = chat(&["--ctx", "24", "--ignore-eos"], "Hello\n");
    assert!(done.code == Some(0) && done.err.contains("the context of 24 tokens is full: /reset"), "{done:?}");
    let done = fed(&["chat", "--top-p", "7"], "");
    assert_eq!(done.code, Some(2), "{done:?}");
}

#[test]
fn no_colours_in_a_pipe() {
    let done = chat(&[], "Hello\n/help\n/set\n");
    assert!(!done.out.contains('\u{1b}') && !done.err.contains('\u{1b}'), "{done:?}");
    assert!(done.err.contains("/regenerate") && done.err.contains("temperature            0.8"), "{}", done.err);
}

#[test]
#[cfg(unix)]
fn a_signal_ends_a_chat_in_a_pipe() {
    use std::io::{Read, Write};
    let interrupted = |lines: &str, wait_for_answer: bool| {
        let mut child = lucid::start(&["chat", "--ignore-eos", "--ctx", "100000"]);
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(lines.as_bytes()).unwrap();
        let mut first = [0; 8];
        if wait_for_answer {
            child.stdout.as_mut().unwrap().read_exact(&mut first).unwrap();
        } else {
            // it answers a command, and so listens to signals
            let mut said = String::new();
            while !said.contains("/system") {
                child.stderr.as_mut().unwrap().read_exact(&mut first[..1]).unwrap();
                said.push(first[0].into());
            }
        }
        std::process::Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
        let done = lucid::finish(child);
        drop(stdin);
        done
    };
    let done = interrupted("Tell me a story\nHello\n", true);
    assert_eq!(done.code, Some(130), "{done:?}");
    assert_eq!(done.err.matches("note: stopped").count(), 1, "the second line is not answered: {}", done.err);
    assert_eq!(interrupted("/help\n", false).code, Some(130));
}
