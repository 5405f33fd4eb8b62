//! `lucid logits`: the numbers themselves, for comparing with PyTorch or another engine.

use crate::{compute::Device, model, output::say};
use lucid::{
    backend::{Backend, Reference},
    file::{ModelFile, npy},
    kv::{Cache, Span},
    models::{Loader, Model},
    ops::Ctx,
};
use std::path::PathBuf;

/// Arguments of `lucid logits`.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  lucid logits model.gguf --tokens 1,403,407 --out x.npy          all positions: float32 (3, vocab)
  lucid logits ./hf-folder --tokens 1,403,407 --last --out x.npy  the last one: float32 (1, vocab)
  lucid logits model.gguf --tokens 1,403,407 --device cpu --threads 2 --out x.npy     as `run` computes
  python -c \"import numpy; print(numpy.load('x.npy').argmax(1))\"

No tokenizer is needed: the ids are yours.")]
pub(crate) struct Args {
    /// A .gguf file, a folder with config.json and safetensors or .npy files, or hf:owner/repo:QUANT
    /// (default: the built-in one)
    model: Option<PathBuf>,
    /// Token ids, separated by commas
    #[arg(long, value_delimiter = ',', required = true, value_name = "IDS")]
    tokens: Vec<u32>,
    /// Only the logits of the last token
    #[arg(long)]
    last: bool,
    /// Where to compute: reference (plain f64-accumulating loops), or cpu (what `run` uses)
    #[arg(long, default_value = "reference", value_parser = ["reference", "cpu"])]
    device: String,
    #[command(flatten)]
    how: Device,
    /// Tokens computed at a time; the file does not depend on it
    #[arg(long, value_name = "C", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..))]
    chunk: u32,
    /// Compute as one of N sequences, the others of random tokens; the file does not depend on it
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    batch: u16,
    /// Compute the first K tokens, then others, then go back to the K; the file does not depend on it
    #[arg(long, value_name = "K", default_value_t = 0)]
    reuse: usize,
    /// The .npy file to write
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// Computes and writes.
pub(crate) fn run(args: Args) -> anyhow::Result<()> {
    let file = model::open(args.model.as_deref())?;
    match args.how.cpu(&args.device)? {
        Some(cpu) => {
            say(&cpu.describe());
            write(&args, &file, &cpu)
        }
        None => write(&args, &file, &Reference),
    }
}

fn write<B: Backend>(args: &Args, file: &ModelFile, backend: &B) -> anyhow::Result<()> {
    let loader = Loader::new(backend, file)?;
    let model = Model::load(&loader)?;
    let (n, vocab) = (args.tokens.len(), model.vocab());
    if n > model.context() {
        eprintln!("note: {n} tokens are more than the {} that the model was made for", model.context());
    }
    anyhow::ensure!(args.reuse <= n, "--reuse {}: there are only {n} tokens", args.reuse);
    let chunk = args.chunk as usize;
    let rows = if args.last { 1 } else { n };
    let mut out = npy::Writer::create(&args.out, &[rows, vocab])?;
    let mut company =
        Company { model: &model, backend, state: 42, cache: model.begin_many(backend, args.batch.into(), n)? };
    let (reused, rest) = args.tokens.split_at(args.reuse);
    for (part, tokens) in [reused, rest].into_iter().enumerate() {
        // in pieces, so that a long input needs no memory for all its logits
        for (i, piece) in tokens.chunks(chunk).enumerate() {
            let logits = company.step(piece, args.last)?;
            let done = part * reused.len() + i * chunk + piece.len();
            if !args.last || done == n {
                out.push(&logits)?;
            }
        }
        if part == 0 && !reused.is_empty() {
            company.wander(n - reused.len())?;
        }
    }
    out.finish()?;
    eprintln!("{}: logits of {rows} of {n} tokens, float32 ({rows}, {vocab})", args.out.display());
    Ok(())
}

/// The sequence that is asked for, and others beside it whose tokens are drawn at random.
struct Company<'m, 'f, B: Backend> {
    model: &'m Model<'f, B>,
    backend: &'m B,
    state: u64,
    cache: Cache<B>,
}

impl<B: Backend> Company<'_, '_, B> {
    fn token(&mut self) -> u32 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        ((self.state >> 32) % self.model.vocab() as u64) as u32
    }

    /// The logits of the next tokens, or of the last; every other sequence grows by as many, before or after it in the step.
    fn step(&mut self, tokens: &[u32], last: bool) -> anyhow::Result<Vec<f32>> {
        let (n, count) = (tokens.len(), self.cache.sequences());
        let before = (count - 1) / 2;
        let order = (1..=before).chain([0]).chain(before + 1..count);
        let spans: Vec<Span> = order.map(|sequence| Span { sequence, tokens: n }).collect();
        let mut all = Vec::with_capacity(n * count);
        for span in &spans {
            if span.sequence == 0 {
                all.extend_from_slice(tokens);
            } else {
                all.extend((0..n).map(|_| self.token()));
            }
        }
        let mut logits = Vec::new();
        self.model.step(&Ctx::new(self.backend), &all, &spans, &mut self.cache, last, &mut logits)?;
        let width = if last { 1 } else { n } * self.model.vocab();
        logits.truncate((before + 1) * width);
        logits.drain(..before * width);
        Ok(logits)
    }

    /// Goes on with a few random tokens, and forgets them again.
    fn wander(&mut self, room: usize) -> anyhow::Result<()> {
        let len = self.cache.len(0);
        let tokens: Vec<u32> = (0..room.min(5)).map(|_| self.token()).collect();
        if !tokens.is_empty() {
            self.step(&tokens, true)?;
            for sequence in 0..self.cache.sequences() {
                self.cache.truncate(sequence, len);
            }
        }
        Ok(())
    }
}
