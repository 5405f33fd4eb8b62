//! One model, its weights from the formula, written in every container.
#![allow(dead_code, reason = "no test uses all of it")]

#[path = "../../examples/basic/formula.rs"]
pub(crate) mod formula;

use formula::Sizes;
use lucid::file::{
    gguf::{Draft, Value, Writer},
    npy,
};
use lucid_kernels::formats::Format;
use serde_json::{Value as Json, json};
use std::path::{Path, PathBuf};

/// A folder of this test process, removed when the value goes.
pub(crate) struct Scratch(pub PathBuf);

impl Scratch {
    pub(crate) fn new(name: &str) -> Scratch {
        let folder = std::env::temp_dir().join(format!("lucid-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        Scratch(folder)
    }

    pub(crate) fn folder(&self, name: &str) -> PathBuf {
        let folder = self.0.join(name);
        std::fs::create_dir_all(&folder).unwrap();
        folder
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

pub(crate) fn write_npy(folder: &Path, s: Sizes) {
    std::fs::write(folder.join("config.json"), formula::config(s)).unwrap();
    for (name, shape) in formula::tensors(s) {
        let values = formula::values(&name, shape.iter().product());
        npy::write_f32(&folder.join(format!("{name}.npy")), &shape, &values).unwrap();
    }
}

/// A header (its length, then JSON) that names each tensor's place, and the tensors. `pad` spaces in the header move the
/// data to any alignment.
pub(crate) fn write_safetensors(folder: &Path, s: Sizes, pad: usize) {
    std::fs::write(folder.join("config.json"), formula::config(s)).unwrap();
    let (mut header, mut data) = (serde_json::Map::new(), Vec::new());
    for (name, shape) in formula::tensors(s) {
        let from = data.len();
        let values = formula::values(&name, shape.iter().product());
        data.extend(values.iter().flat_map(|v| v.to_le_bytes()));
        header.insert(name, json!({"dtype": "F32", "shape": shape, "data_offsets": [from, data.len()]}));
    }
    let header = Json::from(header).to_string() + &" ".repeat(pad);
    let file = [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &data].concat();
    std::fs::write(folder.join("model.safetensors"), file).unwrap();
}

/// GGUF's name for a tensor.
pub(crate) fn gguf_name(hf: &str) -> String {
    let name = hf
        .replace("model.layers.", "blk.")
        .replace("model.embed_tokens", "token_embd")
        .replace("model.norm", "output_norm");
    let name = name.replace("lm_head", "output").replace("post_attention_layernorm", "ffn_norm");
    let name = name.replace("input_layernorm", "attn_norm").replace("self_attn.", "attn_").replace("mlp.", "ffn_");
    name.replace("o_proj", "output").replace("_proj", "")
}

/// The metadata of the model.
pub(crate) fn gguf_draft(s: Sizes) -> Draft {
    let mut draft = Draft::new();
    draft.set("general.architecture", Value::String("llama")).unwrap();
    for (key, value) in [
        ("context_length", 512),
        ("embedding_length", s.embd),
        ("block_count", s.layers),
        ("feed_forward_length", s.ff),
        ("attention.head_count", s.heads),
        ("rope.dimension_count", s.embd / s.heads),
    ] {
        draft.set(&format!("llama.{key}"), Value::U32(value as u32)).unwrap();
    }
    draft.set("llama.attention.layer_norm_rms_epsilon", Value::F32(1e-5)).unwrap();
    draft
}

/// The model behind this metadata.
pub(crate) fn write_gguf(path: &Path, s: Sizes, metadata: &Draft) {
    let mut draft = metadata.clone();
    let tensors = formula::tensors(s);
    for (name, shape) in &tensors {
        draft.tensor(&gguf_name(name), shape, Format::F32).unwrap();
    }
    let mut writer = Writer::create(path, &draft).unwrap();
    for (name, shape) in &tensors {
        let mut values = formula::values(name, shape.iter().product());
        if name.ends_with("q_proj.weight") || name.ends_with("k_proj.weight") {
            values = neighbours(&values, s);
        }
        let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        writer.write(&gguf_name(name), &bytes).unwrap();
    }
    writer.finish().unwrap();
}

/// The rows of each head in GGUF's order: the pair (i, i + half) becomes (2i, 2i + 1).
fn neighbours(values: &[f32], s: Sizes) -> Vec<f32> {
    let (width, dim) = (s.embd, s.embd / s.heads);
    let row = |r: usize| &values[r * width..(r + 1) * width];
    (0..s.heads)
        .flat_map(|h| (0..dim / 2).flat_map(move |i| [h * dim + i, h * dim + i + dim / 2]))
        .flat_map(|r| row(r).to_vec())
        .collect()
}
