//! Tiny random checkpoints with the logits that PyTorch's transformers gives them (made by `scripts/make_hf_goldens.py`):
//! every one must match at every position.

#[path = "common/run.rs"]
mod run;

use std::path::Path;

/// What transformers and Lucid may differ by. The goldens were computed in f64 from the stored weights, with frequencies in
/// f32 as transformers has them; Lucid computes the same frequencies in f32 and rounds every intermediate to f32. Two
/// layers of about ten roundings, each of at most 2⁻²⁴ of values up to about 30, amplified by gains of a few: some 1e-5.
const TOLERANCE: f64 = 1e-5;

#[test]
fn every_checkpoint_matches_transformers_at_every_position() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/hf");
    let mut cases: Vec<_> = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    cases.sort();
    assert!(cases.len() >= 15, "the goldens are there");
    let mut failures = Vec::new();
    for case in cases {
        let golden = run::json(&case.join("golden.json"));
        let logits = run::logits(&case, &run::tokens(&golden["tokens"]));
        let expected = golden["logits"].as_array().unwrap();
        assert_eq!(logits.len(), expected.len());
        let worst = logits
            .iter()
            .zip(expected)
            .map(|(got, want)| run::largest_difference(got, &run::floats(want)))
            .fold(0.0, |m, d| if d.is_nan() || d > m { d } else { m });
        println!("{:24} {worst:.2e}", case.file_name().unwrap().to_string_lossy());
        if worst.is_nan() || worst > TOLERANCE {
            failures.push(case);
        }
    }
    assert!(failures.is_empty(), "off by more than {TOLERANCE:e}: {failures:?}");
}
