//! What a token costs: bytes that are read and operations that are done.

use lucid::{backend::Heads, file::ModelFile, models::llama::Config};
use lucid_kernels::cpu::{CacheLayout, CacheType};

/// The work of a model.
#[derive(Clone, Copy, Debug)]
pub(super) struct Work {
    /// Parameters.
    pub parameters: u128,
    /// Bytes of all tensors.
    pub size: u64,
    /// Bytes of weights that a step reads whole: all but an embedding that is not the output matrix too.
    pub weights: u64,
    /// Multiply-adds of a token with the matrices of all layers.
    layers: f64,
    /// Multiply-adds of a token with the output matrix.
    head: f64,
    heads: Heads,
    n_layers: usize,
}

impl Work {
    /// That of the model in `file`.
    pub fn of(file: &ModelFile, config: &Config) -> Work {
        let size: u64 = file.tensors().map(|t| t.bytes.len() as u64).sum();
        let picked = match file.tensor("token_embd.weight") {
            Some(table) if !config.tied => table.bytes.len() as u64,
            _ => 0,
        };
        let matrices = config.layer_tensors().into_iter().filter(|(_, shape)| shape.len() == 2);
        let layer: f64 = matrices.map(|(_, shape)| shape.iter().map(|&n| n as f64).product::<f64>()).sum();
        Work {
            parameters: config.parameters(),
            size,
            weights: size - picked,
            layers: layer * config.layers as f64,
            head: config.vocab.0 as f64 * config.embd.0 as f64,
            heads: config.heads,
            n_layers: config.layers,
        }
    }

    /// Bytes of a cached token.
    pub fn cache(&self, kind: CacheType) -> f64 {
        let layout = CacheLayout { kind, heads: self.heads.kv, dim: self.heads.dim };
        let positions = 64; // whole groups of keys
        2.0 * self.n_layers as f64 * layout.bytes(positions) as f64 / positions as f64
    }

    /// Operations, a multiplication and an addition being two, for so many tokens of which some are compared with the
    /// vocabulary.
    pub fn operations(&self, tokens: usize, compared: usize) -> f64 {
        2.0 * (self.layers * tokens as f64 + self.head * compared as f64)
    }
}
