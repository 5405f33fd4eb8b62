//! Where a model computes, and how much of its text it can see.

use crate::output::say;
use lucid::{
    Result,
    backend::cpu::{Cpu, Options},
};
use lucid_kernels::cpu::CacheType;

/// The device and how it computes.
#[derive(clap::Args, Clone, Debug)]
#[command(next_help_heading = "Computing")]
pub(crate) struct Device {
    /// Threads that compute; no result depends on it [default: the physical cores that this process may use]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub threads: Option<u16>,
    /// What the cpu's cache of keys and values stores: f32, f16 or q8_0; the reference's is always f32 [default: f16]
    #[arg(long, value_name = "TYPE", value_parser = cache_type)]
    pub kv: Option<CacheType>,
    /// Keep activations in f32 where they meet quantised weights: slower, and nothing is rounded to eight bits
    #[arg(long)]
    pub exact: bool,
}

impl Device {
    /// The CPU as these flags ask for it, if it is the device of this name; else the reference is, and a note says which flags
    /// mean nothing to it.
    pub fn cpu(&self, device: &str) -> Result<Option<Cpu>> {
        if device == "cpu" {
            let kv = self.kv.unwrap_or(Options::default().kv);
            return Cpu::new(Options { threads: self.threads.map(usize::from), kv, exact: self.exact }).map(Some);
        }
        if self.threads.is_some_and(|n| n > 1) {
            say("note: the reference device computes on one thread, whatever --threads says");
        }
        if self.kv.is_some_and(|kv| kv != CacheType::F32) {
            say("note: the reference device's cache is f32, whatever --kv says");
        }
        Ok(None)
    }
}

/// The type of cache that a flag names.
pub(crate) fn cache_type(name: &str) -> std::result::Result<CacheType, String> {
    CacheType::from_name(name).ok_or_else(|| "it must be f32, f16 or q8_0".into())
}

/// Device, threads, context: what `run` and `chat` share.
#[derive(clap::Args, Clone, Debug)]
#[command(next_help_heading = "Computing")]
pub(crate) struct Compute {
    /// Where to compute: cpu, or reference (plain f64-accumulating loops on one thread)
    #[arg(long, default_value = "cpu", value_parser = ["cpu", "reference"])]
    pub device: String,
    #[command(flatten)]
    pub how: Device,
    /// The last N layers on a GPU; there is none that this version could use
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = no_gpu)]
    pub gpu_layers: u32,
    /// Tokens that the context holds, prompt and answer together [default: what the model was made for, at most 8192]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub ctx: Option<u32>,
}

fn no_gpu(text: &str) -> std::result::Result<u32, String> {
    match text {
        "0" => Ok(0),
        _ => Err("there is no GPU device in this version: it must be 0".into()),
    }
}
