//! Lucid: a local LLM inference engine that can prove its own numbers.
//!
//! The crate in reading order:
//!
//! 1. [`mod@file`]: what lies on disk. GGUF, safetensors and .npy, each read by mapping it, each distrusted.
//! 2. [`tensor`]: typed tensors, with named dimensions.
//! 3. [`backend`]: who computes. A flat list of operations; [`backend::Reference`] is the plain one.
//! 4. [`ops`]: the same operations with named shapes, as a model calls them.
//! 5. [`rope`]: how positions enter. [`kv`]: the cache of a sequence. [`probe`]: named intermediates, compared.
//! 6. [`models`]: the architectures. [`models::llama`] is inference, read top to bottom.
//! 7. [`sample`]: from logits to the next token.
//! 8. [`mod@quantize`]: writing a file anew with its matrices in other formats.
//! 9. [`tokenizer`]: text to ids and back. [`chat`]: a conversation to text.
//! 10. [`generate`]: from a prompt to the text that continues it, with all of the above.
#![forbid(unsafe_code)]

pub mod backend;
pub mod chat;
pub mod error;
pub mod file;
pub mod generate;
pub mod kv;
pub mod models;
pub mod ops;
pub mod probe;
pub mod quantize;
pub mod rope;
pub mod sample;
pub mod tensor;
pub mod tokenizer;

pub use error::{Error, ErrorKind, Result};
