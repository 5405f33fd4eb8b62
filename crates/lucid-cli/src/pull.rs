//! `lucid pull`: a model from the Hugging Face hub into its cache.

use crate::{hub, output::print};
use anyhow::bail;

/// Arguments of `lucid pull`.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  lucid pull hf:owner/model-GGUF             the Q4_K_M file, or what comes nearest (below)
  lucid pull hf:owner/model-GGUF:Q8_0        the file whose name says Q8_0; all parts of a split one
  lucid pull hf:owner/model-GGUF:model-x.gguf
  lucid pull hf:owner/model                  config, tokenizer and safetensors, where there is no GGUF file
  lucid run \"$(lucid pull hf:owner/model-GGUF)\" -p 'Hello'

Prints where the model lies. Every command takes such a name as MODEL, and downloads what the cache does not have; pull
also asks the hub whether there is something newer. A download that was cut off goes on with the same command. Sizes and
hashes are checked.

Without :QUANT the first of these that is there: Q4_K_M Q4_K_S Q4_0 IQ4_XS Q5_K_M Q5_K_S Q6_K Q8_0 Q3_K_M MXFP4 Q2_K BF16
F16 F32.

Environment, as the hub's own tools read it: HF_HOME, HF_HUB_CACHE (where models are kept), HF_TOKEN, HF_TOKEN_PATH (who
asks), HF_ENDPOINT (another hub), HF_HUB_OFFLINE.")]
pub(crate) struct Args {
    /// hf:owner/repo or hf:owner/repo:QUANT
    name: String,
}

/// Downloads, and prints the path.
pub(crate) fn run(args: Args) -> anyhow::Result<()> {
    let Some(name) = hub::Name::parse(&args.name)? else {
        bail!("{:?} is no name of a model: it is hf:owner/repo, or hf:owner/repo:QUANT such as Q4_K_M", args.name);
    };
    let path = match hub::is_offline() {
        true => hub::resolve(&args.name, true)?,
        false => hub::pull(&name)?,
    };
    print(&format!("{}\n", path.display()))
}
