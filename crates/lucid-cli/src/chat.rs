//! `lucid chat`: a conversation, turn by turn, in the form that the model was made for.

mod command;
mod input;
mod settings;
mod style;

use crate::{
    compute::Compute,
    interrupt::{self, Interrupted},
    model,
    output::{bracketed, fit, print, say, watched, wrong_usage},
    progress::Reading,
    sampling::{self, Sampling},
    units,
};
use anyhow::{Context, bail};
use command::Command;
use input::{Input, Typed};
use lucid::{
    backend::{Backend, Reference},
    chat::{Conversation, Template},
    file::ModelFile,
    generate::{End, Outcome, Request, Session},
    models::{Loader, Model},
    sample::Params,
    tokenizer::Encode,
};
use serde_json::{Value, json};
use settings::Settings;
use std::{
    env,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
};
use style::Style;

/// Arguments of `lucid chat`.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  lucid chat model.gguf
  lucid chat model.gguf --system \"You are brief.\" -t 0.5
  printf 'Hello\\nTell me more\\n' | lucid chat model.gguf      one turn per line

In the chat, /help lists its commands. Ctrl-C stops an answer, Ctrl-D leaves. From a pipe, what cannot be answered ends the
program with exit code 1.")]
pub(crate) struct Args {
    /// A .gguf file, or a folder with config.json and safetensors
    model: Option<PathBuf>,
    /// What the model is told before the conversation
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    system: Option<String>,
    /// A conversation to go on with: a JSON list of messages, as /save writes it
    #[arg(long, value_name = "FILE")]
    load: Option<PathBuf>,
    /// A Jinja file in place of the model's own chat template
    #[arg(long, value_name = "FILE")]
    template: Option<PathBuf>,
    /// At most so many tokens in an answer; -1 goes on until the model stops or the context is full
    #[arg(short, long, value_name = "N", default_value_t = -1, value_parser = clap::value_parser!(i64).range(-1..), allow_negative_numbers = true)]
    n_tokens: i64,
    /// End an answer before this string. Repeatable
    #[arg(long, value_name = "S", value_parser = clap::builder::NonEmptyStringValueParser::new(), allow_hyphen_values = true)]
    stop: Vec<String>,
    #[command(flatten)]
    sampling: Sampling,
    #[command(flatten)]
    compute: Compute,
}

/// Loads the model and talks.
pub(crate) fn run(args: Args) -> anyhow::Result<()> {
    if let Err(fault) = args.sampling.check(None) {
        wrong_usage::<Args>("lucid chat", fault);
    }
    let file = model::open(args.model.as_deref())?;
    match args.compute.how.cpu(&args.compute.device)? {
        Some(cpu) => {
            if watched() {
                say(&cpu.describe());
            }
            converse(args, &file, &cpu)
        }
        None => converse(args, &file, &Reference),
    }
}

fn converse<B: Backend>(args: Args, file: &ModelFile, backend: &B) -> anyhow::Result<()> {
    let words = model::Words::of(file)?;
    let template = model::template(file, &words.tokenizer, args.template.as_deref())?;
    let loader = Loader::new(backend, file)?;
    let model = Model::load(&loader)?;
    let context = model::context(model.context(), args.compute.ctx.map(|n| n as usize));
    let style = Style::of_terminal();
    let mut chat = Chat {
        session: Session::new(&model, backend, context)?,
        vocab: model.vocab(),
        params: args.sampling.params(),
        messages: Vec::new(),
        system: args.system.clone(),
        answers: 0,
        settings: Settings::new(env::args_os().collect(), model.vocab()),
        args,
        words,
        template,
        style,
    };
    if let Some(path) = chat.args.load.clone() {
        chat.load(&path)?;
    }
    let mut input = Input::open(style)?;
    if input.is_terminal() {
        let name = file.path.file_name().unwrap_or(file.path.as_os_str()).to_string_lossy();
        let seed = chat.params.seed;
        chat.aside(&format!("{}: context {context} tokens, seed {seed}. /help for help, Ctrl-D leaves.", fit(&name)))?;
    }
    let signals = interrupt::listen(false)?;
    loop {
        signals.busy.store(false, Ordering::Relaxed);
        signals.cancel.store(false, Ordering::Relaxed);
        let text = match input.read()? {
            Typed::Text(text) => text,
            Typed::Interrupted => {
                chat.aside("Ctrl-D or /quit leaves.")?;
                continue;
            }
            Typed::End => break,
        };
        signals.busy.store(true, Ordering::Relaxed);
        let command = Command::parse(&text).map_err(anyhow::Error::msg);
        match command.and_then(|command| chat.obey(command, &signals.cancel)) {
            // a script that is interrupted shall not go on with its next line
            Ok(_) if signals.cancel.load(Ordering::Relaxed) && !input.is_terminal() => {
                return Err(Interrupted.into());
            }
            Ok(true) => {}
            Ok(false) => break,
            // a person reads it and goes on; a program should not
            Err(error) if input.is_terminal() && !crate::output::is_closed_pipe(&error) => {
                let because: String = error.chain().skip(1).map(|cause| format!("\n  because: {cause}")).collect();
                say(&format!("{error}{because}"));
            }
            Err(error) => return Err(error),
        }
    }
    input.close()
}

/// A conversation on a model.
struct Chat<'m, 'f, B: Backend> {
    session: Session<'m, 'f, B>,
    words: model::Words,
    template: Template,
    vocab: usize,
    args: Args,
    params: Params,
    settings: Settings,
    /// What was said, the system message not included.
    messages: Vec<Value>,
    system: Option<String>,
    /// Answers drawn so far: each has a seed of its own, so that another one is another one.
    answers: u64,
    style: Style,
}

impl<B: Backend> Chat<'_, '_, B> {
    /// Does what a line says. `false` is the end.
    fn obey(&mut self, command: Command, cancel: &AtomicBool) -> anyhow::Result<bool> {
        match command {
            Command::Nothing => {}
            Command::Quit => return Ok(false),
            Command::Help => self.aside(command::HELP)?,
            Command::Reset => {
                self.messages.clear();
                self.aside("A new conversation.")?;
            }
            Command::System(None) => match &self.system {
                Some(text) => self.aside(&fit(text))?,
                None => self.aside("There is no system message; /system TEXT sets one.")?,
            },
            Command::System(Some(text)) => {
                self.system = Some(text).filter(|text| !text.is_empty());
                self.aside("From now on. /reset begins anew with it.")?;
            }
            Command::Save(path) => self.save(Path::new(&path))?,
            Command::Load(path) => self.load(Path::new(&path))?,
            Command::Set(None) => self.aside(&self.settings.shown().map_err(anyhow::Error::msg)?)?,
            Command::Set(Some((name, value))) => {
                self.args = self.settings.set(&name, &value).map_err(anyhow::Error::msg)?;
                let before = std::mem::replace(&mut self.params, self.args.sampling.params()).seed;
                match (name.as_str(), self.args.sampling.random_seed()) {
                    ("seed", true) => self.aside(&format!("seed {}", self.params.seed))?,
                    (_, random) => {
                        if random {
                            self.params.seed = before; // chance was asked once
                        }
                        self.aside(&format!("{name} {value}"))?;
                    }
                }
            }
            Command::Regenerate => {
                let answered = self.messages.last().is_some_and(|m| m["role"] == "assistant");
                let last = if answered { self.messages.pop() } else { None };
                if self.messages.is_empty() {
                    self.messages.extend(last);
                    bail!("there is no message yet that could be answered again");
                }
                if let Err(error) = self.answer(cancel) {
                    self.messages.extend(last);
                    return Err(error);
                }
            }
            Command::Say(text) => {
                self.messages.push(json!({ "role": "user", "content": text }));
                if let Err(error) = self.answer(cancel) {
                    self.messages.pop();
                    return Err(error);
                }
            }
        }
        Ok(true)
    }

    /// Lets the model answer the last message. An error leaves the conversation as it was.
    fn answer(&mut self, cancel: &AtomicBool) -> anyhow::Result<()> {
        let tokenizer = &self.words.tokenizer;
        let system = self.system.iter().map(|text| json!({ "role": "system", "content": text }));
        let messages: Vec<Value> = system.chain(self.messages.iter().cloned()).collect();
        let text = self.template.render(&Conversation {
            messages: &messages,
            add_generation_prompt: true,
            ..Conversation::default()
        })?;
        let prompt = tokenizer.encode(&text, Encode { bos: false, special: true })?;
        let (n, context) = (prompt.len(), self.session.context());
        if n >= context {
            bail!(
                "the conversation has {n} tokens and the context holds {context}: /reset begins a new one, and --ctx makes room"
            );
        }
        let mut params = Params { seed: self.params.seed.wrapping_add(self.answers), ..self.params.clone() };
        let stop_ids = model::stop_ids(&self.words, &mut params, self.args.sampling.ignore_eos);
        let chain = sampling::chain(&params, tokenizer, self.vocab, context)?;
        let request = Request {
            prompt,
            max_tokens: usize::try_from(self.args.n_tokens).ok(),
            stop_ids,
            stop_strings: self.args.stop.clone(),
            explain: false,
        };
        let mut reading = Reading::begin();
        let mut generation =
            self.session.generate(tokenizer, chain, &request, cancel, &mut |done, of| reading.advance(done, of))?;
        drop(reading);
        let mut answer = String::new();
        for token in &mut generation {
            let piece = token?.text;
            print(&fit(&piece))?;
            answer.push_str(&piece);
        }
        let outcome = generation.finish();
        print(&fit(&outcome.rest))?;
        answer.push_str(&outcome.rest);
        print("\n")?;
        self.answers += 1;
        self.messages.push(json!({ "role": "assistant", "content": answer }));
        self.tell(&outcome)
    }

    /// How an answer went: always when it is not whole, its speed where a person watches.
    fn tell(&self, outcome: &Outcome) -> anyhow::Result<()> {
        let ended = match &outcome.end {
            End::StopId(_) | End::StopString(_) => None,
            End::MaxTokens => Some("cut off by -n: /set n-tokens -1 lets it speak".to_owned()),
            End::ContextFull => {
                let n = self.session.context();
                Some(format!("the context of {n} tokens is full: /reset begins anew, --ctx makes room"))
            }
            End::Cancelled => Some("stopped".to_owned()),
        };
        if watched() {
            let plural = if outcome.generated == 1 { "" } else { "s" };
            let mut parts = vec![format!("{} token{plural}", outcome.generated)];
            if outcome.steps > 0 && !outcome.decode_time.is_zero() {
                parts.push(format!("{:.1} tokens/s", outcome.steps as f64 / outcome.decode_time.as_secs_f64()));
            }
            parts.extend(outcome.first_token_time.map(|t| format!("first after {}", units::seconds(t))));
            parts.extend(ended);
            self.aside(&bracketed(&parts))
        } else {
            ended.iter().for_each(|ended| say(&format!("note: {ended}")));
            Ok(())
        }
    }

    /// What Lucid itself says, on stderr, so that a pipe gets the answers only.
    fn aside(&self, text: &str) -> anyhow::Result<()> {
        say(&self.style.aside(text));
        Ok(())
    }

    fn save(&self, path: &Path) -> anyhow::Result<()> {
        let system = self.system.iter().map(|text| json!({ "role": "system", "content": text }));
        let messages: Value = system.chain(self.messages.iter().cloned()).collect();
        let text = format!("{messages:#}\n");
        std::fs::write(path, text).with_context(|| format!("{}: cannot write the conversation", path.display()))?;
        self.aside(&format!("{}: {} messages", path.display(), self.messages.len()))
    }

    fn load(&mut self, path: &Path) -> anyhow::Result<()> {
        let text = std::fs::read(path).with_context(|| format!("{}: cannot read a conversation", path.display()))?;
        let wrong = || {
            format!("{}: is no conversation: it must be a JSON list of messages, as /save writes it", path.display())
        };
        let mut messages: Vec<Value> = serde_json::from_slice(&text).with_context(wrong)?;
        if messages.iter().any(|m| !m["role"].is_string()) {
            bail!(wrong());
        }
        let told =
            messages.first().filter(|m| m["role"] == "system").and_then(|m| m["content"].as_str().map(String::from));
        if told.is_some() {
            messages.remove(0);
            self.system = told;
        }
        self.messages = messages;
        self.aside(&format!("{}: {} messages", path.display(), self.messages.len()))
    }
}
