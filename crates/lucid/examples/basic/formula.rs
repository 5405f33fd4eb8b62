//! Weights from a formula: the same bits here and in `scripts/export_weights.py`.
//!
//! Element `i` of the tensor called `name` is made from the `i`-th output of a splitmix64 generator that starts at the
//! FNV-1a hash of the name. Its upper 24 bits are a number in [−1, 1) that f32 holds exactly; the scale is a power of two,
//! so that every weight is exact too. Norms are 1 plus that number, rounded once.

/// The sizes of a model whose weights the formula makes.
#[derive(Clone, Copy)]
pub(crate) struct Sizes {
    pub vocab: usize,
    pub embd: usize,
    pub ff: usize,
    pub layers: usize,
    pub heads: usize,
}

/// FNV-1a, 64 bits.
pub(crate) fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |h, &b| (h ^ b as u64).wrapping_mul(0x0000_0100_0000_01b3))
}

/// The values of the tensor that Hugging Face calls `name`, row-major.
pub(crate) fn values(name: &str, n: usize) -> Vec<f32> {
    let is_norm = name.ends_with("norm.weight");
    let scale = match name {
        "model.embed_tokens.weight" => 1.0,
        _ if is_norm => 1.0 / 4.0,
        _ if name.ends_with("down_proj.weight") => 1.0 / 16.0,
        _ => 1.0 / 8.0,
    };
    let seed = fnv1a(name.as_bytes());
    let element = |i: u64| {
        let mut z = seed.wrapping_add((i + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^= z >> 31;
        let v = ((z >> 40) as i64 - (1 << 23)) as f32 / (1 << 23) as f32 * scale;
        if is_norm { 1.0 + v } else { v }
    };
    (0..n as u64).map(element).collect()
}

/// Every tensor of the model: its Hugging Face name and its shape.
pub(crate) fn tensors(s: Sizes) -> Vec<(String, Vec<usize>)> {
    let mut list = vec![("model.embed_tokens.weight".to_owned(), vec![s.vocab, s.embd])];
    for il in 0..s.layers {
        let mut add = |name: &str, shape: Vec<usize>| list.push((format!("model.layers.{il}.{name}.weight"), shape));
        add("input_layernorm", vec![s.embd]);
        for name in ["q_proj", "k_proj", "v_proj", "o_proj"] {
            add(&format!("self_attn.{name}"), vec![s.embd, s.embd]);
        }
        add("post_attention_layernorm", vec![s.embd]);
        add("mlp.gate_proj", vec![s.ff, s.embd]);
        add("mlp.up_proj", vec![s.ff, s.embd]);
        add("mlp.down_proj", vec![s.embd, s.ff]);
    }
    list.push(("model.norm.weight".to_owned(), vec![s.embd]));
    list.push(("lm_head.weight".to_owned(), vec![s.vocab, s.embd]));
    list
}

/// The `config.json` that goes with them.
pub(crate) fn config(s: Sizes) -> String {
    format!(
        r#"{{"model_type": "llama", "hidden_act": "silu", "vocab_size": {}, "hidden_size": {}, "intermediate_size": {},
 "num_hidden_layers": {}, "num_attention_heads": {}, "max_position_embeddings": 512, "rms_norm_eps": 1e-5,
 "rope_theta": 10000.0, "tie_word_embeddings": false}}
"#,
        s.vocab, s.embd, s.ff, s.layers, s.heads
    )
}
