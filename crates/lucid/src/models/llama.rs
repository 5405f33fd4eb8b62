//! LLaMA: the decoder that most others vary.
//!
//! Read top to bottom, this is inference. A token becomes a vector ([`Llama::embed`]); each layer adds to it twice, once what
//! the token finds by looking back at the tokens before it (attention), once what it makes of that by itself
//! (feed-forward) ([`Llama::blocks`]); the final vector is compared with every word of the vocabulary ([`Llama::head`]).
//!
//! ```text
//! x = token_embd[token]
//! for each layer:
//!     h = rms_norm(x)                                          attention
//!     q, k, v = h·attn_q, h·attn_k, h·attn_v
//!     q, k = rope(q), rope(k)                                  positions enter here, and only here
//!     x = x + attention(q, cached k, cached v)·attn_output
//!     h = rms_norm(x)                                          feed-forward
//!     x = x + (silu(h·ffn_gate) ⊙ (h·ffn_up))·ffn_down
//! logits = rms_norm(x)·output
//! ```
//!
//! What varies within the family: several query heads may share one key/value head; every projection may have a bias; the
//! output matrix may be the embedding itself; a head may be wider or narrower than `embd / heads`.

mod config;

use super::Loader;
use crate::{
    Error, ErrorKind, Result,
    backend::{Backend, Heads},
    dims,
    kv::{Cache, Span},
    ops::Ctx,
    rope::Rope,
    tensor::{Act, Gain, Readable, Tensor, Weight},
};
use std::ops::Range;

dims! {
    /// Tokens of one step.
    Tok,
    /// Words of the vocabulary.
    Vocab,
    /// The residual stream.
    Embd,
    /// All query heads side by side.
    Q,
    /// All key (or value) heads side by side.
    Kv,
    /// The feed-forward layer's inside.
    Ff,
}

/// The sizes and constants of a LLaMA.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Words of the vocabulary.
    pub vocab: Vocab,
    /// Width of the residual stream.
    pub embd: Embd,
    /// Width inside the feed-forward layer.
    pub ff: Ff,
    /// Layers.
    pub layers: usize,
    /// Query heads, key/value heads and their width.
    pub heads: Heads,
    /// The ε of RMSNorm.
    pub eps: f32,
    /// The context length it was trained for.
    pub context: usize,
    /// How heads turn.
    pub rope: Rope,
    /// Whether the output matrix is the embedding.
    pub tied: bool,
}

/// One layer's weights. A missing bias is `None`.
struct Layer<'a, B: Backend> {
    attn_norm: Gain<'a, B, Embd>,
    attn_q: Weight<'a, B, Q, Embd>,
    attn_q_bias: Option<Gain<'a, B, Q>>,
    attn_k: Weight<'a, B, Kv, Embd>,
    attn_k_bias: Option<Gain<'a, B, Kv>>,
    attn_v: Weight<'a, B, Kv, Embd>,
    attn_v_bias: Option<Gain<'a, B, Kv>>,
    attn_output: Weight<'a, B, Embd, Q>,
    attn_output_bias: Option<Gain<'a, B, Embd>>,
    ffn_norm: Gain<'a, B, Embd>,
    ffn_gate: Weight<'a, B, Ff, Embd>,
    ffn_gate_bias: Option<Gain<'a, B, Ff>>,
    ffn_up: Weight<'a, B, Ff, Embd>,
    ffn_up_bias: Option<Gain<'a, B, Ff>>,
    ffn_down: Weight<'a, B, Embd, Ff>,
    ffn_down_bias: Option<Gain<'a, B, Embd>>,
}

/// A loaded LLaMA, or a contiguous range of its layers: the part with the first layer also holds the embedding, the part
/// with the last one the output.
pub struct Llama<'a, B: Backend> {
    /// Its sizes and constants.
    pub config: Config,
    range: Range<usize>,
    token_embd: Option<Weight<'a, B, Vocab, Embd>>,
    layers: Vec<Layer<'a, B>>,
    output_norm: Option<Gain<'a, B, Embd>>,
    output: Option<Weight<'a, B, Vocab, Embd>>,
}

impl<'a, B: Backend> Llama<'a, B> {
    /// Loads the layers `range`. Every tensor must have the shape that `config` says.
    pub fn load(loader: &Loader<'a, B>, config: Config, range: Range<usize>) -> Result<Self> {
        let Config { vocab, embd, ff, .. } = config;
        let (q, kv) = (config.q(), config.kv());
        let (first, last) = (range.start == 0, range.end == config.layers);
        let mut layers = Vec::new();
        for il in range.clone() {
            let t = |name: &str| format!("blk.{il}.{name}");
            layers.push(Layer {
                attn_norm: loader.vector(&t("attn_norm.weight"), embd)?,
                attn_q: loader.matrix(&t("attn_q.weight"), (q, embd))?,
                attn_q_bias: loader.optional_vector(&t("attn_q.bias"), q)?,
                attn_k: loader.matrix(&t("attn_k.weight"), (kv, embd))?,
                attn_k_bias: loader.optional_vector(&t("attn_k.bias"), kv)?,
                attn_v: loader.matrix(&t("attn_v.weight"), (kv, embd))?,
                attn_v_bias: loader.optional_vector(&t("attn_v.bias"), kv)?,
                attn_output: loader.matrix(&t("attn_output.weight"), (embd, q))?,
                attn_output_bias: loader.optional_vector(&t("attn_output.bias"), embd)?,
                ffn_norm: loader.vector(&t("ffn_norm.weight"), embd)?,
                ffn_gate: loader.matrix(&t("ffn_gate.weight"), (ff, embd))?,
                ffn_gate_bias: loader.optional_vector(&t("ffn_gate.bias"), ff)?,
                ffn_up: loader.matrix(&t("ffn_up.weight"), (ff, embd))?,
                ffn_up_bias: loader.optional_vector(&t("ffn_up.bias"), ff)?,
                ffn_down: loader.matrix(&t("ffn_down.weight"), (embd, ff))?,
                ffn_down_bias: loader.optional_vector(&t("ffn_down.bias"), embd)?,
            });
        }
        let output = if config.tied { "token_embd.weight" } else { "output.weight" };
        Ok(Llama {
            token_embd: first.then(|| loader.matrix("token_embd.weight", (vocab, embd))).transpose()?,
            layers,
            output_norm: last.then(|| loader.vector("output_norm.weight", embd)).transpose()?,
            output: last.then(|| loader.matrix(output, (vocab, embd))).transpose()?,
            config,
            range,
        })
    }

    /// Begins sequences that may each grow to `context` tokens: an empty cache, and frequencies fixed for that length.
    pub fn begin(&self, backend: &B, sequences: usize, context: usize) -> Result<Cache<B>> {
        let rotation = self.config.rope.rotation(context)?;
        Cache::new(backend, self.range.clone(), self.config.heads, sequences, context, rotation)
    }

    /// The tokens as vectors. Only the part with the first layer can.
    pub fn embed(&self, cx: &Ctx<'_, B>, tokens: &[u32]) -> Result<Act<B, (Tok, Embd)>> {
        let Some(token_embd) = &self.token_embd else { return Err(self.lacks("the embedding")) };
        if tokens.is_empty() {
            return Err(Error::new(ErrorKind::Request, "no tokens were given: at least one is needed"));
        }
        let x = cx.embed(token_embd, tokens)?;
        cx.tap("embd", None, &x)?;
        Ok(x)
    }

    /// Runs this part's layers over the rows of the step that `cache` has planned, and counts them there.
    pub fn blocks(
        &self,
        cx: &Ctx<'_, B>,
        mut x: Act<B, (Tok, Embd)>,
        cache: &mut Cache<B>,
    ) -> Result<Act<B, (Tok, Embd)>> {
        let Config { heads, eps, .. } = self.config;
        if x.shape.0.0 != cache.places().len() {
            let what = format!("{} rows, but the step was planned for {}", x.shape.0.0, cache.places().len());
            return Err(Error::new(ErrorKind::Shape, what));
        }
        let scale = 1.0 / (heads.dim as f32).sqrt();
        for (il, l) in self.range.clone().zip(&self.layers) {
            let tap = Some(il);
            let h = cx.rms_norm(&x, &l.attn_norm, eps)?;
            cx.tap("attn_norm", tap, &h)?;
            let q = cx.linear(&l.attn_q, &l.attn_q_bias, &h)?;
            let k = cx.linear(&l.attn_k, &l.attn_k_bias, &h)?;
            let v = cx.linear(&l.attn_v, &l.attn_v_bias, &h)?;
            let (q, k) = cx.rope(q, k, cache)?;
            cx.tap("q", tap, &q)?;
            cx.tap("k", tap, &k)?;
            cx.tap("v", tap, &v)?;
            cx.append(cache, il, &k, &v)?;
            let a = cx.attention(&q, cache, il, scale)?;
            cx.tap("attn", tap, &a)?;
            let a = cx.linear(&l.attn_output, &l.attn_output_bias, &a)?;
            cx.tap("attn_out", tap, &a)?;

            let h;
            (x, h) = cx.add_rms_norm(x, &a, &l.ffn_norm, eps)?;
            cx.tap("ffn_norm", tap, &h)?;
            let gate = cx.linear(&l.ffn_gate, &l.ffn_gate_bias, &h)?;
            let f = cx.linear_gated(gate, &l.ffn_up, &l.ffn_up_bias, &h)?;
            cx.tap("ffn_act", tap, &f)?;
            let f = cx.linear(&l.ffn_down, &l.ffn_down_bias, &f)?;
            cx.tap("ffn_out", tap, &f)?;
            x = cx.add(x, &f)?;
            cx.tap("block_out", tap, &x)?;
        }
        cache.advance();
        Ok(x)
    }

    /// The logits of every row of `x`. Only the part with the last layer can.
    pub fn head<S: Readable>(
        &self,
        cx: &Ctx<'_, B>,
        x: &Tensor<'_, f32, B, S, (Tok, Embd)>,
    ) -> Result<Act<B, (Tok, Vocab)>> {
        let (Some(norm), Some(output)) = (&self.output_norm, &self.output) else {
            return Err(self.lacks("the output"));
        };
        let h = cx.rms_norm(x, norm, self.config.eps)?;
        cx.tap("output_norm", None, &h)?;
        let logits = cx.matmul(output, &h)?;
        cx.tap("logits", None, &logits)?;
        Ok(logits)
    }

    /// The whole pass over the next tokens of one sequence or several, those of each span after those of the one before: the
    /// logits of all rows, or of the last of each span.
    pub fn forward(
        &self,
        cx: &Ctx<'_, B>,
        tokens: &[u32],
        spans: &[Span],
        cache: &mut Cache<B>,
        last: bool,
    ) -> Result<Act<B, (Tok, Vocab)>> {
        cache.plan(spans)?;
        let x = self.embed(cx, tokens)?;
        let x = self.blocks(cx, x, cache)?;
        if last { self.head(cx, &cx.select(&x, cache.lasts())?) } else { self.head(cx, &x) }
    }

    fn lacks(&self, what: &str) -> Error {
        let what = format!("layers {:?} of {} do not hold {what}", self.range, self.config.layers);
        Error::new(ErrorKind::Request, what)
    }
}

#[cfg(test)]
mod tests;
