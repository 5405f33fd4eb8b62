//! Where a model computes, and how much of its text it can see. `run` and `chat` share these flags.

use crate::output::say;

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
    /// The last N layers on a GPU; there is none that this version could use
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = no_gpu)]
    pub gpu_layers: u32,
    /// Tokens that the context holds, prompt and answer together [default: what the model was made for, at most 8192]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub ctx: Option<u32>,
}

impl Compute {
    /// Says which of the flags change nothing.
    pub fn notes(&self) {
        if self.device == "reference" && self.threads.is_some_and(|n| n > 1) {
            say("note: the reference device computes on one thread, whatever --threads says");
        }
    }
}

fn no_gpu(text: &str) -> Result<u32, String> {
    match text {
        "0" => Ok(0),
        _ => Err("there is no GPU device in this version: it must be 0".into()),
    }
}
