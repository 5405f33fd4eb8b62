//! Running a model on the reference, for the tests that compare its numbers with somebody else's.
#![allow(dead_code, reason = "no test uses all of it")]

use lucid::{
    backend::Reference,
    file::ModelFile,
    models::{Loader, Model},
    ops::Ctx,
};
use std::path::Path;

/// The logits of every position in one pass, with room for exactly these tokens: rows of the vocabulary.
pub(crate) fn logits(path: &Path, tokens: &[u32]) -> Vec<Vec<f32>> {
    let file = ModelFile::open(path).unwrap();
    let model = Model::load(&Loader::new(&Reference, &file).unwrap()).unwrap();
    let mut cache = model.begin(&Reference, tokens.len()).unwrap();
    let flat = model.logits(&Ctx::new(&Reference), tokens, &mut cache, false).unwrap();
    flat.chunks(model.vocab()).map(<[f32]>::to_vec).collect()
}

/// The largest `|a − b|`.
pub(crate) fn largest_difference(a: &[f32], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(&a, &b)| (a as f64 - b).abs()).fold(0.0, |m, d| if d.is_nan() || d > m { d } else { m })
}

/// A JSON file.
pub(crate) fn json(path: &Path) -> serde_json::Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// A JSON list of numbers.
pub(crate) fn floats(value: &serde_json::Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
}

/// A JSON list of token ids.
pub(crate) fn tokens(value: &serde_json::Value) -> Vec<u32> {
    floats(value).into_iter().map(|v| v as u32).collect()
}
