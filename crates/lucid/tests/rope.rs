//! RoPE frequencies against those that Hugging Face's own tests expect.

#[path = "common/fixtures.rs"]
mod fixtures;
#[path = "common/run.rs"]
mod run;

use lucid::{
    backend::Pairs,
    rope::{Rope, Scaling, yarn_attention},
};

#[test]
fn frequencies_match_hugging_faces_for_every_scaling() {
    let Some(folder) = fixtures::fixtures("frequencies_match_hugging_faces_for_every_scaling") else { return };
    let golden = run::json(&folder.join("numerics/rope-inv-freq.json"));
    let rope = |scaling| {
        let (dims, base) =
            (golden["head_dim"].as_u64().unwrap() as usize, golden["rope_theta"].as_f64().unwrap() as f32);
        Rope { pairs: Pairs::Halves, dims, base, scaling, divisors: None }
    };
    let trained = golden["max_position_embeddings"].as_u64().unwrap() as usize;
    let default = rope(Scaling::None).rotation(trained).unwrap();
    let mut compared = 0;
    for case in golden["cases"].as_array().unwrap() {
        let float = |key: &str| case[key].as_f64();
        let factor = float("factor").unwrap_or(1.0) as f32;
        let original = case["original_max_position_embeddings"].as_u64().map_or(trained, |n| n as usize);
        let context = case["seq_len"].as_u64().map_or(trained, |n| n as usize);
        let scaling = match case["type"].as_str().unwrap() {
            "default" => Scaling::None,
            "linear" => {
                for factor in case["factor"].as_array().unwrap().iter().map(|f| f.as_f64().unwrap() as f32) {
                    let stretched = rope(Scaling::Linear { factor }).rotation(trained).unwrap();
                    assert!(stretched.freqs.iter().zip(&default.freqs).all(|(a, b)| *a == b / factor));
                    compared += 1;
                }
                continue;
            }
            "dynamic" => Scaling::Dynamic { factor, original },
            "yarn" => Scaling::Yarn {
                factor,
                original,
                attention: yarn_attention(factor as f64, 1.0) as f32,
                beta_fast: float("beta_fast").unwrap_or(32.0),
                beta_slow: float("beta_slow").unwrap_or(1.0),
                truncate: true,
            },
            "llama3" => Scaling::Llama3 {
                factor,
                low: float("low_freq_factor").unwrap() as f32,
                high: float("high_freq_factor").unwrap() as f32,
                original,
            },
            other => panic!("a case of type {other}"),
        };
        let rotation = rope(scaling).rotation(context).unwrap();
        let expected = run::floats(&case["inv_freq"]);
        assert_eq!(rotation.freqs.len(), expected.len());
        for (i, (&got, want)) in rotation.freqs.iter().zip(expected).enumerate() {
            // the golden is printed with five digits
            assert!((got as f64 - want).abs() <= 2e-4 * want, "{case}: pair {i} turns by {got}, not {want}");
        }
        if let Some(scale) = float("attention_scale") {
            assert!((rotation.scale as f64 - scale).abs() <= 2e-4 * scale, "{case}: {}", rotation.scale);
        }
        compared += 1;
    }
    assert!(compared >= 7, "{compared} cases were compared");
}
