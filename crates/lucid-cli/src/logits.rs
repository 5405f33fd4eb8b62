//! `lucid logits`: the numbers themselves, for comparing with PyTorch or another engine.

use crate::hub;
use lucid::{
    backend::Reference,
    file::{ModelFile, npy},
    models::{Loader, Model},
    ops::Ctx,
};
use std::path::PathBuf;

/// Arguments of `lucid logits`.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  lucid logits model.gguf --tokens 1,403,407 --out x.npy          all positions: float32 (3, vocab)
  lucid logits ./hf-folder --tokens 1,403,407 --last --out x.npy  the last one: float32 (1, vocab)
  python -c \"import numpy; print(numpy.load('x.npy').argmax(1))\"

No tokenizer is needed: the ids are yours.")]
pub(crate) struct Args {
    /// A .gguf file, a folder with config.json and safetensors or .npy files, or hf:owner/repo:QUANT
    model: PathBuf,
    /// Token ids, separated by commas
    #[arg(long, value_delimiter = ',', required = true, value_name = "IDS")]
    tokens: Vec<u32>,
    /// Only the logits of the last token
    #[arg(long)]
    last: bool,
    /// Where to compute: reference (plain f64-accumulating loops)
    #[arg(long, default_value = "reference", value_parser = ["reference"])]
    device: String,
    /// The .npy file to write
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// Tokens computed at a time.
const PIECE: usize = 64;

/// Computes and writes.
pub(crate) fn run(args: Args) -> anyhow::Result<()> {
    let file = ModelFile::open(&hub::local(&args.model)?)?;
    let loader = Loader::new(&Reference, &file)?;
    let model = Model::load(&loader)?;
    let (n, vocab) = (args.tokens.len(), model.vocab());
    if n > model.context() {
        eprintln!("note: {n} tokens are more than the {} that the model was made for", model.context());
    }
    let cx = Ctx::new(&Reference);
    let mut cache = model.begin(&Reference, n)?;
    let rows = if args.last { 1 } else { n };
    let mut out = npy::Writer::create(&args.out, &[rows, vocab])?;
    // in pieces, so that a long input needs no memory for all its logits; the pieces cannot be seen in the result
    for (i, piece) in args.tokens.chunks(PIECE).enumerate() {
        let logits = model.logits(&cx, piece, &mut cache, args.last)?;
        if !args.last || i == (n - 1) / PIECE {
            out.push(&logits)?;
        }
    }
    out.finish()?;
    eprintln!("{}: logits of {rows} of {n} tokens, float32 ({rows}, {vocab})", args.out.display());
    Ok(())
}
