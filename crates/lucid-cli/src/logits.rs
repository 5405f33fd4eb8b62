//! `lucid logits`: the numbers themselves, for comparing with PyTorch or another engine.

use anyhow::bail;
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
    /// A .gguf file, or a folder with config.json and safetensors or .npy files
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

/// Computes and writes.
pub(crate) fn run(args: Args) -> anyhow::Result<()> {
    let file = ModelFile::open(&args.model)?;
    let loader = Loader::new(&Reference, &file)?;
    let model = Model::load(&loader)?;
    let n = args.tokens.len();
    if n > model.context() {
        let (path, context) = (args.model.display(), model.context());
        bail!("{path}: {n} tokens are more than the context of {context} tokens that the model was made for");
    }
    let mut cache = model.begin(&Reference, n)?;
    let logits = model.logits(&Ctx::new(&Reference), &args.tokens, &mut cache, args.last)?;
    let rows = if args.last { 1 } else { n };
    npy::write_f32(&args.out, &[rows, model.vocab()], &logits)?;
    eprintln!("{}: logits of {rows} of {n} tokens, float32 ({rows}, {})", args.out.display(), model.vocab());
    Ok(())
}
