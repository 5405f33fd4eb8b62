//! What a run came to: speed and memory for people, everything for programs.

use super::{Args, explain};
use crate::{memory, output::bracketed, units};
use lucid::{
    file::ModelFile,
    generate::{End, Outcome},
    sample::Trace,
    tokenizer::Tokenizer,
};
use serde_json::{Value, json};
use std::time::Duration;

/// A finished run.
pub(super) struct Done<'a> {
    pub outcome: &'a Outcome,
    /// From the start of the command to the model's being ready.
    pub loaded: Duration,
    pub context: usize,
    pub seed: u64,
}

impl Done<'_> {
    /// Tokens of the prompt that were computed, per second.
    fn prompt_speed(&self) -> Option<f64> {
        per_second(self.outcome.prompt - self.outcome.reused, self.outcome.prefill_time)
    }

    fn speed(&self) -> Option<f64> {
        per_second(self.outcome.steps, self.outcome.decode_time)
    }

    /// Lines for people, two in all but the widest cases: how the text went and why it ended, then what came before it.
    pub fn text(&self) -> String {
        self.lines(memory::peak())
    }

    fn lines(&self, peak_memory: Option<u64>) -> String {
        let o = self.outcome;
        let end = match &o.end {
            End::StopId(_) => "the model ended its text".to_owned(),
            End::StopString(s) => format!("stopped at {}", quoted(s)),
            End::MaxTokens => "stopped by -n".to_owned(),
            End::ContextFull => format!("the context of {} tokens is full (--ctx)", self.context),
            End::Cancelled => "interrupted".to_owned(),
        };
        let mut before = vec![format!("prompt {}", tokens(o.prompt, self.prompt_speed()))];
        before.extend(o.first_token_time.map(|t| format!("first token {}", units::seconds(t))));
        before.extend(peak_memory.map(|peak| format!("memory {}", units::bytes(peak as f64))));
        before.push(format!("seed {}", self.seed));
        bracketed(&[tokens(o.generated, self.speed()), end]) + "\n" + &bracketed(&before)
    }

    /// One object for programs.
    #[allow(clippy::too_many_arguments, reason = "all of it is one object")]
    pub fn json(
        &self,
        args: &Args,
        file: &ModelFile,
        device: &str,
        text: &str,
        prompt_ids: &[u32],
        ids: &[u32],
        traces: Option<&[Trace]>,
        tokenizer: &Tokenizer,
    ) -> String {
        let o = self.outcome;
        let ms = |d: Duration| d.as_secs_f64() * 1e3;
        let mut stop = json!({ "reason": o.end.name() });
        match &o.end {
            End::StopId(id) => stop["id"] = json!(id),
            End::StopString(s) => stop["string"] = json!(s),
            End::MaxTokens | End::ContextFull | End::Cancelled => {}
        }
        let mut object = json!({
            "model": file.path.display().to_string(),
            "device": device,
            "seed": self.seed,
            "context": self.context,
            "text": text,
            "ids": ids,
            "prompt_ids": prompt_ids,
            "stop": stop,
            "counts": { "prompt": o.prompt, "generated": o.generated },
            "timings": {
                "load_ms": ms(self.loaded),
                "prompt_ms": ms(o.prefill_time),
                "prompt_tokens_per_second": self.prompt_speed(),
                "first_token_ms": o.first_token_time.map(ms),
                "decode_ms": ms(o.decode_time),
                "tokens_per_second": self.speed(),
            },
            "memory_bytes": memory::peak(),
        });
        if args.echo {
            object["echo"] = Value::Bool(true);
        }
        if let Some(traces) = traces {
            object["sampling"] = traces.iter().map(|t| explain::json(t, tokenizer)).collect();
        }
        format!("{object}\n")
    }
}

fn per_second(tokens: usize, time: Duration) -> Option<f64> {
    (tokens > 0 && !time.is_zero()).then(|| tokens as f64 / time.as_secs_f64())
}

/// `239 tokens, 82.9 tokens/s`
fn tokens(n: usize, speed: Option<f64>) -> String {
    let plural = if n == 1 { "" } else { "s" };
    match speed {
        Some(speed) if speed >= 100.0 => format!("{n} token{plural}, {speed:.0} tokens/s"),
        Some(speed) => format!("{n} token{plural}, {speed:.1} tokens/s"),
        None => format!("{n} token{plural}"),
    }
}

/// A string as one would type it, the beginning of a long one.
fn quoted(text: &str) -> String {
    const SHOWN: usize = 40;
    let text = format!("{text:?}");
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A text that took `time` for each of its parts.
    fn outcome(prompt: usize, generated: usize, time: Duration, end: End) -> Outcome {
        Outcome {
            prompt,
            reused: 0,
            generated,
            steps: generated,
            prefill_time: time,
            decode_time: time,
            first_token_time: Some(time),
            end,
            rest: String::new(),
            trace: None,
        }
    }

    fn text(outcome: &Outcome, seed: u64, memory: u64) -> String {
        let loaded = Duration::ZERO;
        Done { outcome, loaded, context: 131_072, seed }.lines(Some(memory))
    }

    #[test]
    fn two_lines_are_enough_for_most() {
        let o = outcome(8_000, 256, Duration::from_millis(12_345), End::MaxTokens);
        let lines = "[256 tokens, 20.7 tokens/s; stopped by -n]\n\
                     [prompt 8000 tokens, 648 tokens/s; first token 12.3 s; memory 16.1 GB; seed 42]";
        assert_eq!(text(&o, 42, 16_100_000_000), lines);
    }

    #[test]
    fn no_line_is_wider_than_a_terminal() {
        let ends = [
            End::StopId(u32::MAX),
            End::StopString("\u{1b}\n".repeat(100)),
            End::MaxTokens,
            End::ContextFull,
            End::Cancelled,
        ];
        for end in ends {
            for time in [1, 131_072, 9_999_999].map(Duration::from_millis) {
                for n in [0, 1, 131_072] {
                    for seed in [42, u64::MAX] {
                        let shown = text(&outcome(n, n, time, end.clone()), seed, 999_900_000_000);
                        assert!(shown.lines().all(|line| line.chars().count() <= 80), "{shown}");
                    }
                }
            }
        }
    }
}
