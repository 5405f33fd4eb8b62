//! How fast text becomes ids, on one thread.
//!
//! ```text
//! cargo run --release -p lucid --example tokenize_speed -- MODEL FILE [RUNS]
//! ```
//!
//! Prints, for every run, the seconds that encoding the whole file took, and in the end how many ids it has and a sum of
//! them by which two tokenizers can be compared. `scripts/compare_tokenizers.py` runs it beside others.

use lucid::tokenizer::{Encode, Tokenizer};
use std::{path::Path, process::ExitCode, time::Instant};

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (model, file, runs) = match &args[..] {
        [model, file] => (model, file, Ok(3)),
        [model, file, runs] => (model, file, runs.parse::<usize>()),
        _ => {
            eprintln!("usage: tokenize_speed MODEL FILE [RUNS]");
            return ExitCode::from(2);
        }
    };
    match measure(Path::new(model), Path::new(file), runs.unwrap_or(3)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("tokenize_speed: {e}");
            ExitCode::FAILURE
        }
    }
}

fn measure(model: &Path, file: &Path, runs: usize) -> Result<(), Box<dyn std::error::Error>> {
    let tokenizer = Tokenizer::open(model)?;
    let text = std::fs::read_to_string(file)?;
    let mut ids = Vec::new();
    for _ in 0..runs {
        let started = Instant::now();
        ids = tokenizer.encode(&text, Encode { bos: false, special: false })?;
        println!("{:.4}", started.elapsed().as_secs_f64());
    }
    // position by position, so that two ids in the wrong order do not cancel out
    let sum = (1u64..).zip(&ids).fold(0u64, |sum, (at, &id)| sum.wrapping_add(at.wrapping_mul(u64::from(id) + 1)));
    println!("ids {} sum {sum}", ids.len());
    Ok(())
}
