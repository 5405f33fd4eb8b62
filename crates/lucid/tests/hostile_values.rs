//! Files that are sound as containers and whose values contradict each other: whoever loads the model or its vocabulary
//! refuses them with a sentence that names the file and the value, and `models::check` (what `lucid inspect` shows as
//! warnings) finds the same fault.

#[path = "common/containers.rs"]
mod containers;

use containers::{Scratch, formula::Sizes};
use lucid::{
    Error, ErrorKind,
    backend::Reference,
    file::{ModelFile, gguf::Value},
    models::{self, Loader, Model},
};
use std::path::Path;

const S: Sizes = Sizes { vocab: 33, embd: 16, ff: 24, layers: 2, heads: 2 };

/// Why loading refuses, if it does. Never before `check` would have said so.
fn refusal(path: &Path) -> Option<Error> {
    let file = ModelFile::open(path).expect("the container is sound");
    let load = || {
        let model = Model::load(&Loader::new(&Reference, &file)?)?;
        model.begin(&Reference, 8).map(|_| ())
    };
    let refusal = load().err();
    let warnings = models::check(&file);
    assert_eq!(refusal.is_some(), !warnings.is_empty(), "loading and checking agree: {refusal:?}, {warnings:?}");
    if let Some(refusal) = &refusal {
        assert!(warnings.iter().any(|w| w.to_string() == refusal.to_string()), "{refusal} is among {warnings:?}");
        assert!(matches!(refusal.kind(), ErrorKind::Value | ErrorKind::Unsupported), "{refusal:?}");
    }
    refusal
}

#[test]
fn gguf_values_that_contradict_are_refused_by_name() {
    let scratch = Scratch::new("hostile-gguf");
    let path = scratch.0.join("model.gguf");
    let tokens = |n: usize| (0..n).map(|i| format!("t{i}")).collect::<Vec<_>>();

    // the model itself is fine
    let mut draft = containers::gguf_draft(S);
    draft.set_strings("tokenizer.ggml.tokens", tokens(33)).unwrap();
    draft.set("llama.vocab_size", Value::U32(33)).unwrap();
    draft.set("tokenizer.ggml.eos_token_id", Value::U32(32)).unwrap();
    containers::write_gguf(&path, S, &draft);
    assert!(refusal(&path).is_none());

    let cases: &[(&str, Value<'_>, &str)] = &[
        ("general.architecture", Value::String("mamba"), "architecture \"mamba\" is not supported"),
        ("general.architecture", Value::U32(7), "general.architecture"),
        ("llama.attention.head_count", Value::U32(0), "head_count is 0"),
        ("llama.attention.head_count", Value::U32(3), "3 does not divide"),
        ("llama.attention.head_count", Value::I32(-2), "head_count"),
        ("llama.attention.head_count", Value::U64(1 << 63), "does not divide"),
        ("llama.attention.head_count_kv", Value::U32(0), "key/value head count size is 0"),
        ("llama.attention.head_count_kv", Value::U32(3), "2 query heads cannot share 3"),
        ("llama.attention.key_length", Value::U64(1 << 62), "too many"),
        ("llama.attention.key_length", Value::U32(0), "head size is 0"),
        ("llama.attention.key_length", Value::U32(10), "blk.0.attn_q.weight: its shape is [16, 16]"),
        ("llama.attention.value_length", Value::U32(4), "different lengths"),
        ("llama.rope.dimension_count", Value::U32(7), "7 is not an even number up to the head dimension 8"),
        ("llama.rope.dimension_count", Value::U32(10), "10 is not an even number"),
        ("llama.rope.dimension_count", Value::U32(0), "0 is not an even number"),
        ("llama.rope.dimension_count", Value::U32(u32::MAX), "is not an even number"),
        ("llama.rope.freq_base", Value::F32(f32::NAN), "RoPE base NaN"),
        ("llama.rope.freq_base", Value::F32(-1.0), "RoPE base -1"),
        ("llama.rope.scaling.type", Value::String("spiral"), "\"spiral\" is not supported"),
        ("llama.rope.scaling.type", Value::String("longrope"), "\"longrope\" is not supported"),
        ("llama.rope.scaling.factor", Value::F32(f32::INFINITY), "scaling factor inf"),
        ("llama.rope.scaling.factor", Value::F32(-4.0), "scaling factor -4"),
        ("llama.block_count", Value::U32(u32::MAX), "blk.2.attn_norm.weight is missing"),
        ("llama.block_count", Value::U32(0), "layer count size is 0"),
        ("llama.block_count", Value::String("2"), "llama.block_count"),
        ("llama.embedding_length", Value::U32(32), "shape"),
        ("llama.embedding_length", Value::U32(0), "size is 0"),
        ("llama.feed_forward_length", Value::U32(25), "blk.0.ffn_gate.weight: its shape is [24, 16]"),
        ("llama.attention.layer_norm_rms_epsilon", Value::F32(f32::NAN), "epsilon NaN"),
        ("llama.attention.layer_norm_rms_epsilon", Value::F32(-1.0), "epsilon -1"),
        ("llama.expert_count", Value::U32(8), "mixtures of experts"),
        ("llama.vocab_size", Value::U32(32), "llama.vocab_size gives 32 tokens, but token_embd.weight has 33 rows"),
        ("llama.vocab_size", Value::U64(1 << 63), "33 rows"),
        ("tokenizer.ggml.eos_token_id", Value::U32(33), "is token 33, but there are 33 tokens"),
        ("tokenizer.ggml.bos_token_id", Value::I32(-1), "tokenizer.ggml.bos_token_id"),
        ("tokenizer.ggml.padding_token_id", Value::F32(1.0), "tokenizer.ggml.padding_token_id"),
        ("tokenizer.ggml.model", Value::U8(1), "tokenizer.ggml.model"),
        ("tokenizer.ggml.merges", Value::Bool(true), "tokenizer.ggml.merges"),
        ("tokenizer.ggml.add_bos_token", Value::U32(1), "tokenizer.ggml.add_bos_token"),
        ("tokenizer.ggml.scores", Value::F32(0.0), "tokenizer.ggml.scores"),
        ("tokenizer.ggml.tokens", Value::U32(33), "tokenizer.ggml.tokens"),
    ];
    for (key, value, words) in cases {
        let mut bad = draft.clone();
        bad.set(key, *value).unwrap();
        containers::write_gguf(&path, S, &bad);
        let error = refusal(&path).unwrap_or_else(|| panic!("{key} = {value} was accepted")).to_string();
        assert!(error.contains(words), "{key} = {value}: {error}");
        assert!(error.starts_with(&path.display().to_string()), "the file is named: {error}");
    }

    for (key, n, words) in [
        ("tokenizer.ggml.tokens", 32, "tokenizer.ggml.tokens gives 32 tokens, but token_embd.weight has 33 rows"),
        ("tokenizer.ggml.tokens", 0, "lists no token"),
        ("tokenizer.ggml.scores", 33, "tokenizer.ggml.scores"),
        ("tokenizer.ggml.token_type", 33, "tokenizer.ggml.token_type"),
    ] {
        let mut bad = draft.clone();
        bad.remove("tokenizer.ggml.eos_token_id");
        bad.set_strings(key, tokens(n)).unwrap();
        containers::write_gguf(&path, S, &bad);
        let error = refusal(&path).unwrap_or_else(|| panic!("{n} strings in {key} were accepted")).to_string();
        assert!(error.contains(words), "{key}: {error}");
    }
    for key in ["llama.embedding_length", "llama.block_count", "llama.attention.head_count", "llama.context_length"] {
        let mut bad = draft.clone();
        bad.remove(key);
        containers::write_gguf(&path, S, &bad);
        assert!(refusal(&path).unwrap().to_string().contains(key), "{key} is named when it is missing");
    }
}

#[test]
fn a_context_of_four_billion_sizes_nothing() {
    let scratch = Scratch::new("hostile-context");
    let path = scratch.0.join("model.gguf");
    let mut draft = containers::gguf_draft(S);
    draft.set("llama.context_length", Value::U32(u32::MAX)).unwrap();
    containers::write_gguf(&path, S, &draft);
    assert!(refusal(&path).is_none(), "the file's own context length is only a number");
}

#[test]
fn config_values_that_contradict_are_refused_by_name() {
    let scratch = Scratch::new("hostile-config");
    containers::write_safetensors(&scratch.0, S, 0);
    let config = scratch.0.join("config.json");
    let good: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(&config).unwrap()).unwrap();
    assert!(refusal(&scratch.0).is_none());
    let rope = |text: &str| -> serde_json::Value { serde_json::from_str(text).unwrap() };
    let cases = [
        ("model_type", "gpt2".into(), "architecture \"gpt2\" is not supported"),
        ("model_type", serde_json::Value::Null, "model_type: is missing"),
        ("hidden_size", 0.into(), "size is 0"),
        ("hidden_size", (-1).into(), "hidden_size: -1 is no size"),
        ("hidden_size", 1e300.into(), "hidden_size"),
        ("hidden_size", "16".into(), "hidden_size: \"16\" is no size"),
        ("num_attention_heads", 0.into(), "num_attention_heads: 0 heads"),
        ("num_attention_heads", 5.into(), "do not divide"),
        ("num_key_value_heads", 0.into(), "key/value head count size is 0"),
        ("num_key_value_heads", 4_294_967_295u64.into(), "cannot share"),
        ("num_hidden_layers", 4_000_000_000u64.into(), "model.layers.2.input_layernorm.weight is missing"),
        ("head_dim", 7.into(), "7 is not an even number"),
        ("head_dim", 4_294_967_294u64.into(), "too many"),
        ("vocab_size", 34.into(), "model.embed_tokens.weight: its shape is [33, 16]"),
        ("hidden_act", "relu".into(), "hidden_act: \"relu\" is not supported"),
        ("quantization_config", rope("{}"), "quantised checkpoints are not supported"),
        ("rms_norm_eps", "x".into(), "rms_norm_eps: \"x\" is no number"),
        ("rope_theta", 0.into(), "RoPE base 0"),
        ("rope_scaling", 3.into(), "rope_scaling: 3 is no object"),
        ("rope_scaling", rope(r#"{"type": "linear"}"#), "rope_scaling.factor: is missing"),
        ("rope_scaling", rope(r#"{"rope_type": "longrope"}"#), "\"longrope\" is not supported"),
        (
            "rope_parameters",
            rope(r#"{"rope_type": "llama3", "factor": 8}"#),
            "rope_parameters.low_freq_factor: is missing",
        ),
        ("tie_word_embeddings", "yes".into(), "tie_word_embeddings: \"yes\" is neither true nor false"),
    ];
    for (key, value, words) in cases {
        let mut bad = good.clone();
        bad[key] = value.clone();
        std::fs::write(&config, bad.to_string()).unwrap();
        let error = refusal(&scratch.0).unwrap_or_else(|| panic!("{key} = {value} was accepted")).to_string();
        assert!(error.contains(words), "{key} = {value}: {error}");
    }
}
