//! `lucid run`: a prompt goes in, its continuation comes out as it is made.

mod explain;
mod report;

use crate::{
    compute::Compute,
    interrupt::{self, Interrupted},
    model::{self, Words},
    output::{fit, print, say, watched, wrong_usage},
    progress::Reading,
    sampling::{self, Sampling},
};
use anyhow::Context;
use lucid::{
    backend::{Backend, Reference},
    chat::Conversation,
    file::ModelFile,
    generate::{End, Request, Session, Token},
    models::{Loader, Model},
    sample::Params,
    tokenizer::Encode,
};
use serde_json::json;
use std::{
    io::{IsTerminal, Read, stdin},
    path::PathBuf,
    sync::atomic::Ordering,
    time::Instant,
};

/// Arguments of `lucid run`.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  lucid run model.gguf -p \"Once upon a time\"        the text goes on as the model likes
  lucid run model.gguf -p \"The sky is\" -t 0 -n 8    the most likely words, eight tokens
  lucid run model.gguf --seed -1 < beginning.txt    another text every time
  lucid run model.gguf --chat -p \"Who are you?\"     the prompt as a message in a chat, through the model's template
  lucid run model.gguf -p \"1, 2,\" --stop 7 --echo   up to the seven, the prompt printed too
  lucid run ./hf-folder -p \"Hello\" --json           one JSON object: text, ids, counts, timings, why it ended

The text goes to stdout and nothing else does. When a person watches (stdout and stderr are a terminal), or with
--verbose, speed and memory follow on stderr. Ctrl-C ends the text; the exit code is then 130.")]
pub(crate) struct Args {
    /// A .gguf file, or a folder with config.json and safetensors
    model: Option<PathBuf>,
    /// What to continue [default: standard input, where it is not a terminal]
    #[arg(short, long, value_name = "TEXT", conflicts_with = "file", allow_hyphen_values = true)]
    prompt: Option<String>,
    /// A file whose text to continue; like standard input without the newline at its end, if there is one
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// At most so many tokens; -1 goes on until the model stops or the context is full
    #[arg(short, long, value_name = "N", default_value_t = 256, value_parser = clap::value_parser!(i64).range(-1..), allow_negative_numbers = true)]
    n_tokens: i64,
    /// End the text before this string. Repeatable
    #[arg(long, value_name = "S", value_parser = clap::builder::NonEmptyStringValueParser::new(), allow_hyphen_values = true)]
    stop: Vec<String>,
    /// Send the prompt as a message, through the model's chat template
    #[arg(long)]
    chat: bool,
    /// What the model is told before that message
    #[arg(long, value_name = "TEXT", requires = "chat", allow_hyphen_values = true)]
    system: Option<String>,
    /// A Jinja file in place of the model's own chat template
    #[arg(long, value_name = "FILE", requires = "chat")]
    template: Option<PathBuf>,
    /// Print the prompt too
    #[arg(long)]
    echo: bool,
    /// Names of special tokens in the prompt mean these tokens
    #[arg(long)]
    special: bool,
    /// One JSON object at the end instead of text
    #[arg(long)]
    json: bool,
    /// Tell how each token was chosen, on stderr; the text follows at the end
    #[arg(long)]
    explain_sampling: bool,
    /// Speed and memory on stderr, also when no person watches
    #[arg(short, long)]
    verbose: bool,
    #[command(flatten)]
    sampling: Sampling,
    #[command(flatten)]
    compute: Compute,
}

/// Checks what can be checked at once, reads the prompt, and generates.
pub(crate) fn run(args: Args) -> anyhow::Result<()> {
    let started = Instant::now();
    if let Err(fault) = args.sampling.check(None) {
        wrong_usage::<Args>("lucid run", fault);
    }
    let file = model::open(args.model.as_deref())?;
    match args.compute.how.cpu(&args.compute.device)? {
        Some(cpu) => {
            if args.verbose || watched() {
                say(&cpu.describe());
            }
            generate(&args, args.sampling.params(), &file, &cpu, started)
        }
        None => generate(&args, args.sampling.params(), &file, &Reference, started),
    }
}

fn generate<B: Backend>(
    args: &Args,
    mut params: Params,
    file: &ModelFile,
    backend: &B,
    started: Instant,
) -> anyhow::Result<()> {
    let words = Words::of(file)?;
    let asked = Instant::now();
    let mut text = prompt(args)?;
    let waited = asked.elapsed();
    let mut how = Encode { bos: true, special: args.special };
    if args.chat {
        text = as_chat(args, file, &words, &text)?;
        how = Encode { bos: false, special: true };
    }
    let loader = Loader::new(backend, file)?;
    let model = Model::load(&loader)?;
    let context = model::context(model.context(), args.compute.ctx.map(|n| n as usize));
    let ids = words.tokenizer.encode(&text, how)?;
    let stop_ids = model::stop_ids(&words, &mut params, args.sampling.ignore_eos);
    let request = Request {
        prompt: ids,
        max_tokens: usize::try_from(args.n_tokens).ok(),
        stop_ids,
        stop_strings: args.stop.clone(),
        explain: args.explain_sampling,
    };
    let chain = sampling::chain(&params, &words.tokenizer, model.vocab(), context)?;
    let mut session = Session::new(&model, backend, context)?;
    let signals = interrupt::listen(true)?;
    signals.busy.store(true, Ordering::Relaxed);
    let loaded = started.elapsed() - waited;
    let chatty = args.verbose || watched();
    if chatty && !args.json && args.model.is_some() && !args.chat && model::has_template(file) {
        say("note: this model has a chat template, and the text is continued without it: --chat sends it through");
    }
    if args.sampling.random_seed() && !args.json {
        say(&format!("seed {}", params.seed));
    }

    // Streaming: each piece as it comes. Explanations would be torn apart by that, and JSON is one object.
    let streams = !args.json && !args.explain_sampling;
    let mut told = String::new();
    let mut tell = |piece: &str| -> anyhow::Result<()> {
        told.push_str(piece);
        if streams { print(&fit(piece)) } else { Ok(()) }
    };
    if args.echo {
        tell(&text)?;
    }
    let mut reading = Reading::begin();
    let mut generation = session
        .generate(&words.tokenizer, chain, &request, &signals.cancel, &mut |done, of| reading.advance(done, of))?;
    drop(reading);
    let (mut new_ids, mut traces) = (Vec::new(), Vec::new());
    for token in &mut generation {
        let Token { id, text, trace } = token?;
        new_ids.push(id);
        tell(&text)?;
        if let Some(trace) = trace {
            explain::show(new_ids.len(), &trace, &words.tokenizer, args.json);
            traces.push(trace);
        }
    }
    let outcome = generation.finish();
    tell(&outcome.rest)?;
    if let Some(trace) = &outcome.trace {
        explain::show(new_ids.len() + 1, trace, &words.tokenizer, args.json);
        traces.push(trace.clone());
    }
    let done = report::Done { outcome: &outcome, loaded, context, seed: params.seed };
    if args.json {
        let traces = args.explain_sampling.then_some(traces.as_slice());
        print(&done.json(args, file, backend.name(), &told, &request.prompt, &new_ids, traces, &words.tokenizer))?;
    } else {
        if !streams {
            print(&fit(&told))?;
        }
        print("\n")?;
        if chatty {
            say(&format!("\n{}", done.text()));
        }
    }
    if outcome.end == End::Cancelled { Err(Interrupted.into()) } else { Ok(()) }
}

/// The prompt as a message, in the form that the model expects.
fn as_chat(args: &Args, file: &ModelFile, words: &Words, text: &str) -> anyhow::Result<String> {
    let template = model::template(file, &words.tokenizer, args.template.as_deref())?;
    let system = args.system.iter().map(|text| json!({ "role": "system", "content": text }));
    let messages: Vec<_> = system.chain([json!({ "role": "user", "content": text })]).collect();
    let conversation = Conversation { messages: &messages, add_generation_prompt: true, ..Conversation::default() };
    Ok(template.render(&conversation)?)
}

/// The text to continue: by flag, from a file, or from standard input where that is no terminal.
fn prompt(args: &Args) -> anyhow::Result<String> {
    let mut text = String::new();
    match (&args.prompt, &args.file) {
        (Some(prompt), _) => return Ok(prompt.clone()),
        (None, Some(path)) => {
            text =
                std::fs::read_to_string(path).with_context(|| format!("{}: cannot read the prompt", path.display()))?;
        }
        (None, None) if stdin().is_terminal() => {}
        (None, None) => {
            stdin().read_to_string(&mut text).context("standard input: cannot read the prompt")?;
        }
    }
    if text.ends_with('\n') {
        text.truncate(text.len() - 1 - usize::from(text.ends_with("\r\n")));
    }
    Ok(text)
}
