//! `lucid info`: the shape of a model, by name or from a file, and the memory it asks for.

use crate::{hub, model, output::print, units};
use anyhow::bail;
use lucid::{
    backend::{Heads, Pairs},
    file::ModelFile,
    models::{
        self,
        llama::{Config, Embd, Ff, Vocab},
    },
    rope::{Rope, Scaling},
};
use lucid_kernels::formats::Format;
use serde_json::json;
use std::{fmt::Write, path::Path};

/// Arguments of `lucid info`.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  lucid info 8b                     Llama 3.1 8B, by name
  lucid info 70b --ctx 8192         memory of its cache at another context length
  lucid info model.gguf --json

Names: 1b 3b 8b 70b 405b (Llama 3), 7b 13b (Llama 2), tinyllama, educational.")]
pub(crate) struct Args {
    /// A name of the Llama family, the path of a model, or hf:owner/repo:QUANT (default: the built-in model)
    model: Option<String>,
    /// The context length for the cache's memory (default: the model's own)
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    ctx: Option<u32>,
    /// One JSON object instead of text
    #[arg(long)]
    json: bool,
}

/// name, what it is, layers, embd, ff, heads, kv heads, head dim, vocab, context, rope base, tied
type Known = (&'static str, &'static str, usize, usize, usize, usize, usize, usize, usize, usize, f32, bool);

#[rustfmt::skip]
const FAMILY: [Known; 9] = [
    ("1b",          "Llama 3.2 1B",       16,  2048,  8192,  32,  8,  64, 128256, 131072, 5e5, true),
    ("3b",          "Llama 3.2 3B",       28,  3072,  8192,  24,  8, 128, 128256, 131072, 5e5, true),
    ("8b",          "Llama 3.1 8B",       32,  4096, 14336,  32,  8, 128, 128256, 131072, 5e5, false),
    ("70b",         "Llama 3.1 70B",      80,  8192, 28672,  64,  8, 128, 128256, 131072, 5e5, false),
    ("405b",        "Llama 3.1 405B",    126, 16384, 53248, 128,  8, 128, 128256, 131072, 5e5, false),
    ("7b",          "Llama 2 7B",         32,  4096, 11008,  32, 32, 128,  32000,   4096, 1e4, false),
    ("13b",         "Llama 2 13B",        40,  5120, 13824,  40, 40, 128,  32000,   4096, 1e4, false),
    ("tinyllama",   "TinyLlama 1.1B",     22,  2048,  5632,  32,  4,  64,  32000,   2048, 1e4, false),
    ("educational", "the educational model", 2, 256,  1024,   4,  4,  64,  16384,    512, 1e4, false),
];

fn by_name(name: &str) -> Option<(&'static str, Config)> {
    let known = FAMILY.iter().find(|k| k.0.eq_ignore_ascii_case(name))?;
    let &(_, title, layers, embd, ff, q, kv, dim, vocab, context, base, tied) = known;
    // Llama 3.1 stretches by 8, 3.2 by 32; the small models of the family with the long context are 3.2
    let scaling = match (context, tied) {
        (131072, tied) => {
            Scaling::Llama3 { factor: if tied { 32.0 } else { 8.0 }, low: 1.0, high: 4.0, original: 8192 }
        }
        _ => Scaling::None,
    };
    let config = Config {
        vocab: Vocab(vocab),
        embd: Embd(embd),
        ff: Ff(ff),
        layers,
        heads: Heads { q, kv, dim },
        eps: 1e-5,
        context,
        rope: Rope { pairs: Pairs::Halves, dims: dim, base, scaling, divisors: None },
        tied,
    };
    Some((title, config))
}

/// What it is, its shape, and the bytes of its weights where there is a file.
type Found = (String, Config, Option<u128>);

fn named(name: &str) -> anyhow::Result<Found> {
    let path = hub::local(Path::new(name))?;
    match by_name(name) {
        // a file of that name is what the user means
        Some((title, config)) if !path.exists() => Ok((title.to_owned(), config, None)),
        None if !path.exists() && !name.contains(['/', '\\', '.']) => {
            let names = FAMILY.map(|k| k.0).join(", ");
            bail!("{name}: neither a file nor a known name; the names are {names}");
        }
        _ => {
            let (_, config, bytes) = stored(&ModelFile::open(&path)?)?;
            Ok((name.to_owned(), config, bytes))
        }
    }
}

fn stored(file: &ModelFile) -> anyhow::Result<Found> {
    let bytes = file.tensors().map(|t| t.bytes.len() as u128).sum();
    Ok((file.path.display().to_string(), models::config(file)?, Some(bytes)))
}

/// Prints what is known.
pub(crate) fn run(args: Args) -> anyhow::Result<()> {
    let (title, config, stored) = match &args.model {
        Some(name) => named(name)?,
        None => stored(&model::open(None)?)?,
    };
    let ctx = args.ctx.map_or(config.context, |c| c as usize);
    if args.json {
        return print(&format!("{:#}\n", as_json(&title, &config, stored, ctx)));
    }
    print(&as_text(&title, &config, stored, ctx))
}

/// The formats whose memory is worth knowing before downloading.
const FORMATS: [Format; 4] = [Format::F16, Format::Q8_0, Format::Q6_K, Format::Q4_K];
/// How a value of the cache may be kept, and its bytes.
const CACHES: [(&str, f64); 3] = [("f32", 4.0), ("f16", 2.0), ("q8_0", 34.0 / 32.0)];

/// Bytes of the weights when every matrix is stored in `format` and every vector in F32. Rows that are no multiple of its
/// block are counted as F16.
fn weights(config: &Config, format: Format) -> f64 {
    let size = |shape: &[usize]| match shape {
        [n] => 4.0 * *n as f64,
        [rows, n] => *rows as f64 * format.row_bytes(*n).unwrap_or(2 * n) as f64,
        _ => 0.0,
    };
    let sum = |tensors: &[(&str, Vec<usize>)]| tensors.iter().map(|(_, s)| size(s)).sum::<f64>();
    sum(&config.outer_tensors()) + config.layers as f64 * sum(&config.layer_tensors())
}

fn scaling(config: &Config) -> String {
    match &config.rope.scaling {
        Scaling::None => "none".into(),
        Scaling::Linear { factor } => format!("linear, factor {factor}"),
        Scaling::Dynamic { factor, original } => format!("dynamic, factor {factor} beyond {original} tokens"),
        Scaling::Yarn { factor, original, .. } => format!("yarn, factor {factor} from {original} tokens"),
        Scaling::Llama3 { factor, original, .. } => format!("llama3, factor {factor} from {original} tokens"),
    }
}

fn as_json(title: &str, c: &Config, stored: Option<u128>, ctx: usize) -> serde_json::Value {
    let by_format: serde_json::Map<_, _> = FORMATS.iter().map(|&f| (f.name().into(), json!(weights(c, f)))).collect();
    let caches: serde_json::Map<_, _> =
        CACHES.iter().map(|(name, b)| (name.to_string(), json!(c.cache_bytes_per_token(*b) * ctx as f64))).collect();
    json!({
        "model": title,
        "architecture": "llama",
        "layers": c.layers,
        "embedding_length": c.embd.0,
        "feed_forward_length": c.ff.0,
        "heads": c.heads.q,
        "kv_heads": c.heads.kv,
        "head_dim": c.heads.dim,
        "vocabulary": c.vocab.0,
        "tied_embeddings": c.tied,
        "context_length": c.context,
        "rope_base": c.rope.base,
        "rope_scaling": scaling(c),
        "norm_epsilon": c.eps,
        "parameters": u64::try_from(c.parameters()).unwrap_or(u64::MAX),
        "stored_bytes": stored.map(|b| u64::try_from(b).unwrap_or(u64::MAX)),
        "weight_bytes": by_format,
        "cache_context": ctx,
        "cache_bytes": caches,
    })
}

fn as_text(title: &str, c: &Config, stored: Option<u128>, ctx: usize) -> String {
    let mut out = String::new();
    let Heads { q, kv, dim } = c.heads;
    let sharing = match q / kv {
        1 => "every query head has its own".to_owned(),
        n => format!("{n} query heads share one"),
    };
    // writing to a String cannot fail
    let _ = writeln!(out, "{title}: llama, {} parameters\n", units::count(c.parameters()));
    let mut row = |name: &str, value: String| {
        let _ = writeln!(out, "  {name:22}{value}");
    };
    row("layers", c.layers.to_string());
    row("embedding", c.embd.0.to_string());
    row("feed-forward", c.ff.0.to_string());
    row("query heads", format!("{q} of {dim}"));
    row("key/value heads", format!("{kv} ({sharing})"));
    row("vocabulary", format!("{}{}", c.vocab.0, if c.tied { ", output tied to the embedding" } else { "" }));
    row("context", format!("{} tokens", c.context));
    row("RoPE", format!("base {}, {} of {dim} turn, scaling {}", c.rope.base, c.rope.dims, scaling(c)));
    row("norm epsilon", c.eps.to_string());
    if let Some(stored) = stored {
        row("weights as stored", units::bytes(stored as f64));
    }
    for format in FORMATS {
        row(&format!("weights in {}", format.name()), units::bytes(weights(c, format)));
    }
    for (name, bytes) in CACHES {
        let size = units::bytes(c.cache_bytes_per_token(bytes) * ctx as f64);
        row(&format!("cache in {name}"), format!("{size} at {ctx} tokens"));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_family_has_its_published_parameter_counts() {
        let published = [
            ("1b", 1_235_814_400),
            ("3b", 3_212_749_824),
            ("8b", 8_030_261_248),
            ("70b", 70_553_706_496),
            ("405b", 405_853_388_800),
            ("7b", 6_738_415_616),
            ("13b", 13_015_864_320),
            ("tinyllama", 1_100_048_384),
        ];
        for (name, parameters) in published {
            assert_eq!(by_name(name).unwrap().1.parameters(), parameters, "{name}");
        }
        assert!(by_name("9b").is_none());
    }

    #[test]
    fn memory_follows_from_the_shape() {
        let (_, c) = by_name("8B").unwrap();
        // 32 layers · 2 · 1024 values · 2 bytes = 128 KiB per token
        assert_eq!(c.cache_bytes_per_token(2.0), 131072.0);
        assert!((weights(&c, Format::Q8_0) / c.parameters() as f64 * 8.0 - 8.5).abs() < 0.01);
    }
}
