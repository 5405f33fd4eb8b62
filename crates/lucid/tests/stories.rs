//! A real trained model of 260 thousand parameters, in every container and format it is stored in.

#[path = "common/fixtures.rs"]
mod fixtures;
#[path = "common/run.rs"]
mod run;

use lucid::{
    backend::Reference,
    file::ModelFile,
    models::{Loader, Model},
    ops::Ctx,
};
use serde_json::Value;
use std::path::PathBuf;

fn model(test: &str) -> Option<(PathBuf, Value)> {
    let folder = fixtures::fixtures(test)?.join("models/stories260K");
    let golden = run::json(&folder.join("golden.json"));
    Some((folder, golden))
}

/// The most likely continuation of `prompt`, up to `n` tokens in all.
fn greedy(path: &std::path::Path, prompt: &[u32], n: usize) -> Vec<u32> {
    let file = ModelFile::open(path).unwrap();
    let model = Model::load(&Loader::new(&Reference, &file).unwrap()).unwrap();
    let mut cache = model.begin(&Reference, n).unwrap();
    let cx = Ctx::new(&Reference);
    let mut ids = prompt.to_vec();
    let mut next = 0; // the first token that the model has not seen
    while ids.len() < n {
        let logits = model.logits(&cx, &ids[next..], &mut cache, true).unwrap();
        next = ids.len();
        let best = (0..logits.len()).max_by(|&a, &b| logits[a].total_cmp(&logits[b])).unwrap();
        ids.push(best as u32);
    }
    ids
}

/// The mean negative log-likelihood that the model gives to each of `ids` after the first.
fn mean_nll(path: &std::path::Path, ids: &[u32]) -> f64 {
    let rows = run::logits(path, &ids[..ids.len() - 1]);
    let nll = rows.iter().zip(&ids[1..]).map(|(row, &next)| {
        let max = row.iter().copied().fold(f32::NEG_INFINITY, f32::max) as f64;
        let sum: f64 = row.iter().map(|&l| (l as f64 - max).exp()).sum();
        max + sum.ln() - row[next as usize] as f64
    });
    nll.sum::<f64>() / rows.len() as f64
}

#[test]
fn f32_logits_and_greedy_ids_match_from_gguf_and_from_safetensors() {
    let Some((folder, golden)) = model("f32_logits_and_greedy_ids_match_from_gguf_and_from_safetensors") else {
        return;
    };
    for name in ["stories260K-F32.gguf", "hf"] {
        for case in golden["cases"].as_array().unwrap() {
            let prompt = run::tokens(&case["prompt_ids"]);
            let logits = run::logits(&folder.join(name), &prompt);
            let d = run::largest_difference(logits.last().unwrap(), &run::floats(&case["logits_last_prompt_pos"]));
            println!("{name} {}: {d:.2e}", case["prompt"]);
            assert!(d <= 1e-5, "{name} {}: off by {d:e}", case["prompt"]);
            let ids = run::tokens(&case["greedy_ids_120"]);
            assert_eq!(greedy(&folder.join(name), &prompt, ids.len()), ids, "{name} {}", case["prompt"]);
        }
    }
}

#[test]
fn gguf_and_safetensors_give_the_same_bits() {
    let Some((folder, golden)) = model("gguf_and_safetensors_give_the_same_bits") else { return };
    let ids = run::tokens(&golden["nll_ids"]);
    assert!(run::logits(&folder.join("stories260K-F32.gguf"), &ids) == run::logits(&folder.join("hf"), &ids));
}

#[test]
fn every_format_gives_its_perplexity_and_its_greedy_ids() {
    let Some((folder, golden)) = model("every_format_gives_its_perplexity_and_its_greedy_ids") else { return };
    let ids = run::tokens(&golden["nll_ids"]);
    let check = |name: &str, ppl: f64| {
        let got = mean_nll(&folder.join(format!("stories260K-{name}.gguf")), &ids).exp();
        println!("{name}: perplexity {got:.6}, expected {ppl:.6}");
        assert!((got - ppl).abs() <= 1e-4, "{name}: perplexity {got}, expected {ppl}");
    };
    check("F32", golden["ppl_f32"].as_f64().unwrap());
    for (name, entry) in golden["quant"].as_object().unwrap() {
        check(name, entry["ppl"].as_f64().unwrap());
        let ids = run::tokens(&entry["greedy_ids_60"]);
        assert_eq!(greedy(&folder.join(format!("stories260K-{name}.gguf")), &ids[..1], ids.len()), ids, "{name}");
    }
}
