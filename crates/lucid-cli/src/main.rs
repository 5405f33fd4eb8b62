//! The `lucid` command: one file per subcommand.
//!
//! Data goes to stdout, everything else to stderr. Exit codes: 0 done, 2 wrong usage, 1 anything else.
#![forbid(unsafe_code)]

mod bench;
mod chat;
mod completions;
mod compute;
mod detokenize;
mod hub;
mod info;
mod inspect;
mod interrupt;
mod list;
mod logits;
mod memory;
mod model;
mod output;
mod progress;
mod pull;
mod quantize;
mod rm;
mod run;
mod sampling;
mod template;
mod tokenize;
mod units;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// A local LLM inference engine that can prove its own numbers.
#[derive(Parser)]
#[command(name = "lucid", version, arg_required_else_help = true, after_help = EXAMPLES)]
struct Cli {
    /// Never ask the hub for a model: what the cache has must do
    #[arg(long, global = true)]
    offline: bool,
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "Examples:
  lucid run -p \"Once upon a time\"          a text goes on; no model is named, so it is the built-in one
  lucid chat model.gguf                    a conversation
  lucid inspect model.gguf                 what is in a file: metadata, tensors, sizes, warnings
  lucid info 8b --ctx 8192                 the Llama family by name: layers, parameters, memory
  lucid logits model.gguf --tokens 1,2,3 --out x.npy
  lucid bench model.gguf --threads 1,2     tokens per second, beside what the machine can do at most
  lucid tokenize model.gguf --text 'Hello world'
  lucid template model.gguf --messages chat.json
  lucid quantize model-f16.gguf model-q4_k_m.gguf Q4_K_M
  lucid pull hf:owner/model-GGUF:Q4_K_M    from the Hugging Face hub; commands take such names too

The cpu uses the best instructions it finds, and says which: scalar; avx2, avxvnni, avx512, avx512vnni;
neon, dotprod, i8mm. LUCID_LEVEL=NAME in the environment forces others. No result depends on it.

Every command has its own --help with examples.";

#[derive(Subcommand)]
enum Command {
    /// Continue a text
    Run(Box<run::Args>),
    /// Talk with a model
    Chat(Box<chat::Args>),
    /// What is in a file or folder: metadata, tensors, sizes, warnings
    Inspect(inspect::Args),
    /// Layers, heads, parameters and memory of a model, by name or by path
    Info(info::Args),
    /// Logits of every position for a list of token ids, as a .npy file
    Logits(logits::Args),
    /// How fast a model reads prompts and generates, beside what the machine can do at most
    Bench(bench::Args),
    /// The ids of a text
    Tokenize(tokenize::Args),
    /// The bytes that ids write
    Detokenize(detokenize::Args),
    /// The text that a list of messages becomes
    Template(template::Args),
    /// Write a GGUF file with its matrices in other formats
    Quantize(quantize::Args),
    /// Download a model from the Hugging Face hub
    Pull(pull::Args),
    /// The models in the cache
    List(list::Args),
    /// Remove models from the cache
    Rm(rm::Args),
    /// A completion script for your shell
    Completions(completions::Args),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    if cli.offline {
        hub::go_offline();
    }
    let result = match cli.command {
        Command::Run(args) => run::run(*args),
        Command::Chat(args) => chat::run(*args),
        Command::Inspect(args) => inspect::run(args),
        Command::Info(args) => info::run(args),
        Command::Logits(args) => logits::run(args),
        Command::Bench(args) => bench::run(args),
        Command::Tokenize(args) => tokenize::run(args),
        Command::Detokenize(args) => detokenize::run(args),
        Command::Template(args) => template::run(args),
        Command::Quantize(args) => quantize::run(args),
        Command::Pull(args) => pull::run(args),
        Command::List(args) => list::run(args),
        Command::Rm(args) => rm::run(args),
        Command::Completions(args) => completions::run(args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if output::is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) if error.is::<interrupt::Interrupted>() => interrupt::Interrupted::exit_code(),
        Err(error) => {
            // one sentence, then the causes
            eprintln!("lucid: {error}");
            for cause in error.chain().skip(1) {
                eprintln!("  because: {cause}");
            }
            ExitCode::FAILURE
        }
    }
}
