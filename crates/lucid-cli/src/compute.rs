//! Where a model computes, and how much of its text it can see. `run` and `chat` share these flags.

/// Devices, threads, context.
#[derive(clap::Args, Clone, Debug)]
#[command(next_help_heading = "Computing")]
pub(crate) struct Compute {
    /// Where to compute: reference (plain f64-accumulating loops on one thread)
    #[arg(long, default_value = "reference", value_parser = ["reference"])]
    pub device: String,
    /// Threads that compute; the text does not depend on it [default: all processors]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub threads: Option<u16>,
    /// Tokens that the context holds, prompt and answer together [default: what the model was made for, at most 8192]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub ctx: Option<u32>,
}
