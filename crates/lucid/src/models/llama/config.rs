//! Reading a LLaMA's sizes from GGUF metadata or a Hugging Face `config.json`, distrusting every one of them.

use super::{Config, Embd, Ff, Kv, Q, Vocab};
use crate::{
    Error, ErrorKind, Result,
    backend::{Heads, Pairs},
    file::{Container, ModelFile, gguf::Gguf, json::Json},
    models::fit,
    rope::{Rope, Scaling, yarn_attention},
    tensor::dim::Dim,
};

impl Config {
    /// Width of all query heads.
    pub fn q(&self) -> Q {
        Q(self.heads.q * self.heads.dim)
    }

    /// Width of all key heads.
    pub fn kv(&self) -> Kv {
        Kv(self.heads.kv * self.heads.dim)
    }

    /// Reads and checks the sizes of a file. What is checked here needs no tensor but the embedding.
    pub fn read(file: &ModelFile) -> Result<Config> {
        let config = match &file.container {
            Container::Gguf(gguf) => from_gguf(file, gguf)?,
            Container::HuggingFace { config, .. } | Container::Npy { config, .. } => from_json(config)?,
        };
        config.check().map_err(|what| Error::file(ErrorKind::Value, &file.path, what))?;
        Ok(config)
    }

    /// What is wrong with these sizes by themselves.
    fn check(&self) -> std::result::Result<(), String> {
        let Heads { q, kv, dim } = self.heads;
        for (name, size) in [
            ("embedding", self.embd.0),
            ("feed-forward", self.ff.0),
            ("vocabulary", self.vocab.0),
            ("head", dim),
            ("query head count", q),
            ("key/value head count", kv),
            ("layer count", self.layers),
        ] {
            if size == 0 {
                return Err(format!("the {name} size is 0"));
            }
        }
        if q % kv != 0 {
            return Err(format!("{q} query heads cannot share {kv} key/value heads: the second must divide the first"));
        }
        if q.checked_mul(dim).is_none_or(|n| n > u32::MAX as usize) {
            return Err(format!("{q} heads of {dim} values are too many"));
        }
        if !(self.eps.is_finite() && self.eps >= 0.0) {
            return Err(format!("the RMSNorm epsilon {} is not a small positive number", self.eps));
        }
        self.rope.check(dim)
    }

    /// The tensors of one layer, by name and shape (outermost first).
    pub fn layer_tensors(&self) -> [(&'static str, Vec<usize>); 9] {
        let (e, f, q, kv) = (self.embd.0, self.ff.0, self.q().0, self.kv().0);
        [
            ("attn_norm.weight", vec![e]),
            ("attn_q.weight", vec![q, e]),
            ("attn_k.weight", vec![kv, e]),
            ("attn_v.weight", vec![kv, e]),
            ("attn_output.weight", vec![e, q]),
            ("ffn_norm.weight", vec![e]),
            ("ffn_gate.weight", vec![f, e]),
            ("ffn_up.weight", vec![f, e]),
            ("ffn_down.weight", vec![e, f]),
        ]
    }

    /// The tensors outside the layers, by name and shape.
    pub fn outer_tensors(&self) -> Vec<(&'static str, Vec<usize>)> {
        let (e, v) = (self.embd.0, self.vocab.0);
        let mut tensors = vec![("token_embd.weight", vec![v, e]), ("output_norm.weight", vec![e])];
        if !self.tied {
            tensors.push(("output.weight", vec![v, e]));
        }
        tensors
    }

    /// How many numbers the model has been trained to: biases not counted.
    pub fn parameters(&self) -> u128 {
        let count = |tensors: &[(&str, Vec<usize>)]| -> u128 {
            tensors.iter().map(|(_, shape)| shape.iter().map(|&n| n as u128).product::<u128>()).sum()
        };
        count(&self.outer_tensors()) + self.layers as u128 * count(&self.layer_tensors())
    }

    /// Bytes of a KV cache for one token, at this many bytes per value.
    pub fn cache_bytes_per_token(&self, bytes_per_value: f64) -> f64 {
        2.0 * self.layers as f64 * self.kv().0 as f64 * bytes_per_value
    }

    /// Every tensor that is missing or does not fit, in order; stops after the first layer at fault, so that a layer count
    /// of four billion costs nothing.
    pub fn check_tensors(&self, file: &ModelFile) -> Vec<Error> {
        let fault =
            |name: &str, shape: &[usize]| file.require(name).and_then(|t| fit(file, t, shape).map(|_| ())).err();
        let mut faults: Vec<Error> = self.outer_tensors().iter().filter_map(|(n, s)| fault(n, s)).collect();
        let layer = self.layer_tensors();
        for il in 0..self.layers {
            let found = layer.iter().filter_map(|(n, s)| fault(&format!("blk.{il}.{n}"), s));
            let before = faults.len();
            faults.extend(found);
            if faults.len() > before {
                break;
            }
        }
        faults
    }
}

/// GGUF: keys under `llama.`, pairs as neighbours.
fn from_gguf(file: &ModelFile, gguf: &Gguf) -> Result<Config> {
    let m = &gguf.metadata;
    let fail = |kind, what: String| Err(Error::file(kind, &file.path, what));
    let size = |key: &str| m.usize(&format!("llama.{key}"));
    let size_or =
        |key: &str, default: usize| Ok::<_, Error>(m.find::<usize>(&format!("llama.{key}"))?.unwrap_or(default));
    let float_or = |key: &str, default: f32| Ok::<_, Error>(m.find::<f32>(&format!("llama.{key}"))?.unwrap_or(default));

    for (key, what) in
        [("expert_count", "mixtures of experts"), ("attention.sliding_window", "sliding attention windows")]
    {
        if size_or(key, 0)? != 0 {
            return fail(ErrorKind::Unsupported, format!("llama.{key}: {what} are not supported yet"));
        }
    }
    let (embd, n_head) = (size("embedding_length")?, size("attention.head_count")?);
    if n_head == 0 {
        return fail(ErrorKind::Value, "llama.attention.head_count is 0".into());
    }
    let n_kv = size_or("attention.head_count_kv", n_head)?;
    let dim = match m.find::<usize>("llama.attention.key_length")? {
        Some(dim) => dim,
        None if embd % n_head != 0 => {
            let what = format!("llama.attention.head_count {n_head} does not divide llama.embedding_length {embd}");
            return fail(ErrorKind::Value, what);
        }
        None => embd / n_head,
    };
    let value_dim = size_or("attention.value_length", dim)?;
    if value_dim != dim {
        let what = format!("keys of {dim} and values of {value_dim} per head: different lengths are not supported");
        return fail(ErrorKind::Unsupported, what);
    }

    // The embedding's rows are the vocabulary; every other place that gives its size must agree.
    let vocab = match file.require("token_embd.weight")?.shape {
        [rows, _] => *rows,
        shape => return fail(ErrorKind::Value, format!("tensor token_embd.weight: its shape {shape:?} is no matrix")),
    };
    let stated = m.find::<usize>("llama.vocab_size")?;
    let tokens =
        m.get("tokenizer.ggml.tokens").map(|_| m.array("tokenizer.ggml.tokens").map(|a| a.len())).transpose()?;
    for (place, n) in [("llama.vocab_size", stated), ("tokenizer.ggml.tokens", tokens)] {
        if let Some(n) = n.filter(|&n| n != vocab) {
            let what = format!("{place} gives {n} tokens, but token_embd.weight has {vocab} rows");
            return fail(ErrorKind::Value, what);
        }
    }

    let context = size("context_length")?;
    let factor = float_or("rope.scaling.factor", float_or("rope.scale_linear", 1.0)?)?;
    let original = size_or("rope.scaling.original_context_length", context)?;
    let scaling = match m.find::<&str>("llama.rope.scaling.type")? {
        Some("none") => Scaling::None,
        // a file that names no type may still give a factor, which then is linear; 0 and 1 mean none
        None | Some("linear") if factor == 0.0 || factor == 1.0 => Scaling::None,
        None | Some("linear") => Scaling::Linear { factor },
        Some("yarn") => {
            let factor = if factor == 0.0 { 1.0 } else { factor };
            let given = float_or("rope.scaling.attn_factor", 1.0)? * float_or("rope.scaling.yarn_attn_factor", 1.0)?;
            Scaling::Yarn {
                factor,
                original,
                attention: (given as f64 * yarn_attention(factor as f64, 1.0)) as f32,
                beta_fast: float_or("rope.scaling.yarn_beta_fast", 32.0)? as f64,
                beta_slow: float_or("rope.scaling.yarn_beta_slow", 1.0)? as f64,
                truncate: true,
            }
        }
        Some(other) => {
            let what = format!("llama.rope.scaling.type {other:?} is not supported; Lucid knows none, linear and yarn");
            return fail(ErrorKind::Unsupported, what);
        }
    };
    let dims = size_or("rope.dimension_count", dim)?;
    Ok(Config {
        vocab: Vocab::new(vocab),
        embd: Embd(embd),
        ff: Ff(size("feed_forward_length")?),
        layers: size("block_count")?,
        heads: Heads { q: n_head, kv: n_kv, dim },
        eps: m.f32("llama.attention.layer_norm_rms_epsilon")?,
        context,
        rope: Rope {
            pairs: Pairs::Neighbours,
            dims,
            base: float_or("rope.freq_base", 10000.0)?,
            scaling,
            divisors: divisors(file)?,
        },
        tied: file.tensor("output.weight").is_none(),
    })
}

/// The `rope_freqs.weight` tensor, if the file has one.
fn divisors(file: &ModelFile) -> Result<Option<Vec<f32>>> {
    let Some(tensor) = file.tensor("rope_freqs.weight") else { return Ok(None) };
    let n = tensor.shape.iter().product::<usize>();
    if tensor.shape.len() != 1 || n > 1 << 16 {
        let what = format!("tensor rope_freqs.weight: its shape {:?} is no vector of frequencies", tensor.shape);
        return Err(Error::file(ErrorKind::Value, &file.path, what));
    }
    let stored = fit(file, tensor, &[n])?;
    let mut values = vec![0.0; n];
    stored.format.decode(stored.bytes, &mut values);
    Ok(Some(values))
}

/// Hugging Face: `config.json`, pairs as halves.
fn from_json(config: &Json) -> Result<Config> {
    let c = config.root();
    if let Some(act) = c.string("hidden_act")?.filter(|&a| a != "silu") {
        return Err(c.unsupported("hidden_act", format!("{act:?} is not supported; a LLaMA has \"silu\"")));
    }
    if c.has("quantization_config") || c.has("quantization") {
        return Err(c.unsupported("quantization", "quantised checkpoints are not supported yet"));
    }
    let (embd, n_head) = (c.size("hidden_size")?, c.size("num_attention_heads")?);
    if n_head == 0 {
        return Err(c.wrong("num_attention_heads", "0 heads cannot attend"));
    }
    let dim = match c.optional_size("head_dim")? {
        Some(dim) => dim,
        None if embd % n_head != 0 => {
            return Err(c.wrong("num_attention_heads", format!("{n_head} heads do not divide hidden_size {embd}")));
        }
        None => embd / n_head,
    };
    let context = c.size("max_position_embeddings")?;

    // Older files give rope_theta beside rope_scaling, newer ones both in rope_parameters.
    let rope = c.object("rope_parameters")?.or(c.object("rope_scaling")?).unwrap_or_else(|| c.empty("rope_scaling"));
    let base = match rope.float("rope_theta")? {
        Some(base) => base,
        None => c.float("rope_theta")?.unwrap_or(10000.0),
    };
    for place in [&c, &rope] {
        if place.float("partial_rotary_factor")?.is_some_and(|f| f != 1.0) {
            return Err(place.unsupported("partial_rotary_factor", "a LLaMA rotates whole heads"));
        }
    }
    let kind = match rope.string("rope_type")? {
        Some(kind) => kind,
        None => rope.string("type")?.unwrap_or("default"),
    };
    let given_original = rope.optional_size("original_max_position_embeddings")?;
    let original = given_original.unwrap_or(context);
    let number = |key: &str| rope.float(key)?.ok_or_else(|| rope.wrong(key, "is missing"));
    let scaling = match kind {
        "default" => Scaling::None,
        "linear" => Scaling::Linear { factor: number("factor")? as f32 },
        // PyTorch stretches from max_position_embeddings here, whatever else is given
        "dynamic" => Scaling::Dynamic { factor: number("factor")? as f32, original: context },
        "llama3" => Scaling::Llama3 {
            factor: number("factor")? as f32,
            low: number("low_freq_factor")? as f32,
            high: number("high_freq_factor")? as f32,
            original,
        },
        "yarn" => {
            let factor = match rope.float("factor")? {
                Some(factor) => factor,
                None => context as f64 / original as f64,
            };
            let nonzero = |key: &str| Ok::<_, Error>(rope.float(key)?.filter(|&v| v != 0.0));
            let attention = match (rope.float("attention_factor")?, nonzero("mscale")?, nonzero("mscale_all_dim")?) {
                (Some(given), _, _) => given,
                (None, Some(m), Some(all)) => yarn_attention(factor, m) / yarn_attention(factor, all),
                _ => yarn_attention(factor, 1.0),
            };
            Scaling::Yarn {
                factor: factor as f32,
                original,
                attention: attention as f32,
                beta_fast: nonzero("beta_fast")?.unwrap_or(32.0),
                beta_slow: nonzero("beta_slow")?.unwrap_or(1.0),
                truncate: rope.bool("truncate")?.unwrap_or(true),
            }
        }
        other => {
            let known = "default, linear, dynamic, yarn and llama3";
            return Err(rope.unsupported("rope_type", format!("{other:?} is not supported; Lucid knows {known}")));
        }
    };
    Ok(Config {
        vocab: Vocab(c.size("vocab_size")?),
        embd: Embd(embd),
        ff: Ff(c.size("intermediate_size")?),
        layers: c.size("num_hidden_layers")?,
        heads: Heads { q: n_head, kv: c.optional_size("num_key_value_heads")?.unwrap_or(n_head), dim },
        eps: c.float("rms_norm_eps")?.unwrap_or(1e-6) as f32,
        context,
        rope: Rope { pairs: Pairs::Halves, dims: dim, base: base as f32, scaling, divisors: None },
        tied: c.bool("tie_word_embeddings")?.unwrap_or(false),
    })
}
