//! `lucid rm`: removes models from the cache.

use crate::{hub, units};
use anyhow::bail;

/// Arguments of `lucid rm`.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  lucid rm hf:owner/model-GGUF:Q8_0     one file of it, or all parts of a split one
  lucid rm hf:owner/model-GGUF          all that the cache has of it

The cache is shared with the tools of the Hugging Face hub: what is removed is gone for them too. What was freed is told
on stderr.")]
pub(crate) struct Args {
    /// hf:owner/repo or hf:owner/repo:QUANT, as `lucid list` writes it
    #[arg(required = true)]
    names: Vec<String>,
}

/// Removes.
pub(crate) fn run(args: Args) -> anyhow::Result<()> {
    for text in &args.names {
        let Some(name) = hub::Name::parse(text)? else {
            bail!("{text:?} is no name of a model in the cache: it is hf:owner/repo, or hf:owner/repo:QUANT");
        };
        let freed = hub::Cache::open()?.repo(&name).remove(name.quant.as_deref())?;
        eprintln!("{name}: removed, {} freed", units::bytes(freed as f64));
    }
    Ok(())
}
