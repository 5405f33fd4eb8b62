//! The educational model: its weights come from a formula that PyTorch's side (`scripts/export_weights.py`) and this one
//! share, so nothing large is kept, and its logits from plain PyTorch.
//!
//! The same weights are written as a folder of .npy files, as safetensors and as GGUF (whose query and key rows lie in
//! another order): all three must give the same bits.

#[path = "../examples/basic/formula.rs"]
mod formula;
#[path = "common/run.rs"]
mod run;

use lucid::file::{
    gguf::{Draft, Value, Writer},
    npy,
};
use lucid_kernels::formats::Format;
use serde_json::{Value as Json, json};
use std::path::{Path, PathBuf};

const SIZES: formula::Sizes = formula::Sizes { vocab: 16384, embd: 256, ff: 1024, layers: 2, heads: 4 };

fn golden() -> Json {
    run::json(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/educational.json"))
}

/// A folder of this test process, removed when the value goes.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Scratch {
        let folder = std::env::temp_dir().join(format!("lucid-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        Scratch(folder)
    }

    fn folder(&self, name: &str) -> PathBuf {
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

fn write_npy(folder: &Path) {
    std::fs::write(folder.join("config.json"), formula::config(SIZES)).unwrap();
    for (name, shape) in formula::tensors(SIZES) {
        let values = formula::values(&name, shape.iter().product());
        npy::write_f32(&folder.join(format!("{name}.npy")), &shape, &values).unwrap();
    }
}

/// A header (its length, then JSON) that names each tensor's place, and the tensors. `pad` spaces in the header move the
/// data to any alignment.
fn write_safetensors(folder: &Path, pad: usize) {
    std::fs::write(folder.join("config.json"), formula::config(SIZES)).unwrap();
    let (mut header, mut data) = (serde_json::Map::new(), Vec::new());
    for (name, shape) in formula::tensors(SIZES) {
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
fn gguf_name(hf: &str) -> String {
    let name = hf
        .replace("model.layers.", "blk.")
        .replace("model.embed_tokens", "token_embd")
        .replace("model.norm", "output_norm");
    let name = name.replace("lm_head", "output").replace("post_attention_layernorm", "ffn_norm");
    let name = name.replace("input_layernorm", "attn_norm").replace("self_attn.", "attn_").replace("mlp.", "ffn_");
    name.replace("o_proj", "output").replace("_proj", "")
}

fn write_gguf(path: &Path) {
    let mut draft = Draft::new();
    draft.set("general.architecture", Value::String("llama")).unwrap();
    for (key, value) in [
        ("context_length", 512),
        ("embedding_length", SIZES.embd),
        ("block_count", SIZES.layers),
        ("feed_forward_length", SIZES.ff),
        ("attention.head_count", SIZES.heads),
        ("rope.dimension_count", SIZES.embd / SIZES.heads),
    ] {
        draft.set(&format!("llama.{key}"), Value::U32(value as u32)).unwrap();
    }
    draft.set("llama.attention.layer_norm_rms_epsilon", Value::F32(1e-5)).unwrap();
    let tensors = formula::tensors(SIZES);
    for (name, shape) in &tensors {
        draft.tensor(&gguf_name(name), shape, Format::F32).unwrap();
    }
    let mut writer = Writer::create(path, &draft).unwrap();
    for (name, shape) in &tensors {
        let mut values = formula::values(name, shape.iter().product());
        if name.ends_with("q_proj.weight") || name.ends_with("k_proj.weight") {
            values = neighbours(&values);
        }
        let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        writer.write(&gguf_name(name), &bytes).unwrap();
    }
    writer.finish().unwrap();
}

/// The rows of each head in GGUF's order: the pair (i, i + half) becomes (2i, 2i + 1).
fn neighbours(values: &[f32]) -> Vec<f32> {
    let (width, dim) = (SIZES.embd, SIZES.embd / SIZES.heads);
    let row = |r: usize| &values[r * width..(r + 1) * width];
    (0..SIZES.heads)
        .flat_map(|h| (0..dim / 2).flat_map(move |i| [h * dim + i, h * dim + i + dim / 2]))
        .flat_map(|r| row(r).to_vec())
        .collect()
}

#[test]
fn the_formula_gives_pytorchs_weights_bit_for_bit() {
    let golden = golden();
    let expected = golden["tensors"].as_array().unwrap();
    let ours = formula::tensors(SIZES);
    assert_eq!(ours.len(), expected.len());
    for entry in expected {
        let name = entry["hf"].as_str().unwrap();
        let (_, shape) = ours.iter().find(|(n, _)| n == name).unwrap();
        assert_eq!(json!(shape), entry["shape"], "{name}");
        assert_eq!(gguf_name(name), entry["gguf"].as_str().unwrap());
        let values = formula::values(name, shape.iter().product());
        let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        assert_eq!(format!("{:016x}", formula::fnv1a(&bytes)), entry["fnv1a64"].as_str().unwrap(), "{name}");
    }
}

#[test]
fn logits_match_pytorch_and_every_container_gives_the_same_bits() {
    let golden = golden();
    let tokens = run::tokens(&golden["tokens"]);
    let scratch = Scratch::new("educational");
    let npy = scratch.folder("npy");
    write_npy(&npy);
    let logits = run::logits(&npy, &tokens);

    // against PyTorch: what differs is rounding to f32 between operations; 1e-5 leaves a factor of three
    let ids = run::tokens(&golden["vocab_ids"]);
    let positions = golden["positions"].as_array().unwrap();
    assert_eq!((logits.len(), positions.len()), (tokens.len(), tokens.len()));
    let mut worst = 0f64;
    for (row, position) in logits.iter().zip(positions) {
        let picked: Vec<f32> = ids.iter().map(|&id| row[id as usize]).collect();
        let best = (0..row.len()).max_by(|&a, &b| row[a].total_cmp(&row[b])).unwrap();
        assert_eq!(json!(best), position["argmax"]);
        let l2 = row.iter().map(|&l| l as f64 * l as f64).sum::<f64>().sqrt();
        let mean = row.iter().map(|&l| l as f64).sum::<f64>() / row.len() as f64;
        worst = worst
            .max(run::largest_difference(&picked, &run::floats(&position["logits"])))
            .max((row[best] as f64 - position["max"].as_f64().unwrap()).abs())
            .max((mean - position["mean"].as_f64().unwrap()).abs());
        assert!((l2 - position["l2"].as_f64().unwrap()).abs() <= 1e-3, "the norm of 16384 logits");
    }
    println!("largest difference from PyTorch: {worst:.2e}");
    assert!(worst <= 1e-5, "off by {worst:e}");

    let safetensors = scratch.folder("safetensors");
    for pad in [0, 3] {
        write_safetensors(&safetensors, pad);
        assert!(run::logits(&safetensors, &tokens) == logits, "safetensors, {pad} bytes further");
    }
    let gguf = scratch.0.join("model.gguf");
    write_gguf(&gguf);
    assert!(run::logits(&gguf, &tokens) == logits, "GGUF");
}
