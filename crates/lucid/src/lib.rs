//! Lucid: a local LLM inference engine that can prove its own numbers.
//!
//! The crate in reading order:
//!
//! 1. [`file`]: what lies on disk. GGUF, safetensors and .npy, each read by mapping it, each distrusted.
#![forbid(unsafe_code)]

pub mod error;
pub mod file;

pub use error::{Error, ErrorKind, Result};
