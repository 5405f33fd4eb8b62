//! `--explain-sampling`: how a token came to be chosen.

use crate::output::say;
use lucid::{
    sample::{Candidate, Trace},
    tokenizer::Tokenizer,
};
use serde_json::{Value, json};
use std::fmt::Write;

/// Of long lists so many are shown to people; programs get all.
const SHOWN: usize = 5;

/// The story of the `n`th token, on stderr, unless it is for a program.
pub(super) fn show(n: usize, trace: &Trace, tokenizer: &Tokenizer, for_program: bool) {
    if !for_program {
        say(text(n, trace, tokenizer).trim_end());
    }
}

fn text(n: usize, trace: &Trace, tokenizer: &Tokenizer) -> String {
    let name = |id: u32| format!("{:?} ({id})", spelled(tokenizer, id));
    let mut out = format!("token {n}: {}\n", name(trace.token));
    for step in &trace.steps {
        let _ = write!(
            out,
            "  {:<12} {:<24} {:>6} -> {:<6}",
            step.sampler,
            step.setting,
            step.before,
            step.before - step.removed.len()
        );
        if !step.removed.is_empty() {
            let _ = write!(out, " removed {}", some(&step.removed, |c| format!("{} {:.2}", name(c.id), c.logit)));
        }
        if !step.moved.is_empty() {
            let _ =
                write!(out, " moved {}", some(&step.moved, |m| format!("{} {:.2} to {:.2}", name(m.id), m.from, m.to)));
        }
        out.truncate(out.trim_end().len());
        out.push('\n');
    }
    let left = ranked(trace);
    let _ = writeln!(out, "  left         {}", some(&left, |c| format!("{} {:.1}%", name(c.id), 100.0 * c.p)));
    if let (true, [a, b]) = (trace.close, &trace.top[..]) {
        let _ = writeln!(
            out,
            "  close call   {} and {} differ by {:e}, less than rounding may: another order of sums could swap them",
            name(a.0),
            name(b.0),
            a.1 - b.1
        );
    }
    out
}

/// The first few, and how many more.
fn some<T>(items: &[T], show: impl Fn(&T) -> String) -> String {
    let shown: Vec<String> = items.iter().take(SHOWN).map(show).collect();
    let more = items.len().saturating_sub(SHOWN);
    let tail = if more > 0 { format!(", {more} more") } else { String::new() };
    shown.join(", ") + &tail
}

/// The candidates, the most likely first.
fn ranked(trace: &Trace) -> Vec<Candidate> {
    let mut left = trace.candidates.clone();
    left.sort_by(|a, b| b.p.total_cmp(&a.p).then(a.id.cmp(&b.id)));
    left
}

fn spelled(tokenizer: &Tokenizer, id: u32) -> String {
    String::from_utf8_lossy(tokenizer.token_bytes(id).unwrap_or_default()).into_owned()
}

/// The same for programs, in full.
pub(super) fn json(trace: &Trace, tokenizer: &Tokenizer) -> Value {
    let token = |id: u32| json!({ "id": id, "text": spelled(tokenizer, id) });
    // −∞ has no name in JSON
    let number = |v: f32| if v.is_finite() { json!(v) } else { json!(v.to_string()) };
    let with = |id: u32, more: &[(&str, Value)]| {
        let mut value = token(id);
        more.iter().for_each(|(key, v)| value[*key] = v.clone());
        value
    };
    json!({
        "token": token(trace.token),
        "close": trace.close,
        "top": trace.top.iter().map(|&(id, l)| with(id, &[("logit", number(l))])).collect::<Vec<_>>(),
        "steps": trace.steps.iter().map(|s| json!({
            "sampler": s.sampler,
            "setting": s.setting,
            "before": s.before,
            "after": s.before - s.removed.len(),
            "removed": s.removed.iter().map(|c| with(c.id, &[("logit", number(c.logit))])).collect::<Vec<_>>(),
            "moved": s.moved.iter().map(|m| with(m.id, &[("from", number(m.from)), ("to", number(m.to))])).collect::<Vec<_>>(),
        })).collect::<Vec<_>>(),
        "candidates": ranked(trace).iter().map(|c| with(c.id, &[("p", json!(c.p)), ("logit", number(c.logit))])).collect::<Vec<_>>(),
    })
}
