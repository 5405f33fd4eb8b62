//! The educational model: its weights come from a formula that PyTorch's side (`scripts/export_weights.py`) and this one
//! share, so nothing large is kept, and its logits from plain PyTorch.
//!
//! The same weights are written as a folder of .npy files, as safetensors and as GGUF (whose query and key rows lie in
//! another order): all three must give the same bits.

#[path = "common/containers.rs"]
mod containers;
#[path = "common/run.rs"]
mod run;

use containers::{Scratch, formula, gguf_draft, gguf_name, write_gguf, write_npy, write_safetensors};
use serde_json::{Value as Json, json};
use std::path::Path;

const SIZES: formula::Sizes = formula::Sizes { vocab: 16384, embd: 256, ff: 1024, layers: 2, heads: 4 };

fn golden() -> Json {
    run::json(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/educational.json"))
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
    write_npy(&npy, SIZES);
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
        write_safetensors(&safetensors, SIZES, pad);
        assert!(run::logits(&safetensors, &tokens) == logits, "safetensors, {pad} bytes further");
    }
    let gguf = scratch.0.join("model.gguf");
    write_gguf(&gguf, SIZES, &gguf_draft(SIZES));
    assert!(run::logits(&gguf, &tokens) == logits, "GGUF");
}
