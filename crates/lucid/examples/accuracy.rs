//! How far the fast CPU is from the reference, and whether it matters.
//!
//! ```text
//! cargo run --release -p lucid --example accuracy [MODEL…]
//! ```
//!
//! Runs 256 tokens (fewer where the context is shorter) on both and compares every tapped tensor: a row for each model. Without
//! arguments, the demonstration model and one of random weights, each with all matrices in every format that Lucid writes.
//! The columns are the normalised mean square error Σ(a−b)²/Σb² of the logits and of the worst tensor; the largest difference
//! between two logits; at how many positions both find the same token most likely; and the worst tensor's error where
//! activations and the cache stay f32 (`--exact --kv f32`).

#[path = "../tests/common/random_model.rs"]
mod random_model;

use lucid::{
    Result,
    backend::{
        Backend, Reference,
        cpu::{Cpu, Options},
    },
    file::{ModelFile, gguf::Gguf},
    models::{Loader, Model},
    ops::Ctx,
    probe::{Difference, Probe, Tap},
    quantize::{self, Mix},
};
use lucid_kernels::{cpu::CacheType, formats::Format, threads::default_threads};
use std::{
    cell::RefCell,
    path::{Path, PathBuf},
    sync::atomic::AtomicBool,
};

fn main() -> Result<()> {
    let models: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    println!(
        "| model | NMSE of the logits | of the worst tensor | largest error of a logit | same best token | exact: worst |"
    );
    println!("|---|---|---|---|---|---|");
    for path in &models {
        row(&path.file_name().unwrap_or(path.as_os_str()).to_string_lossy(), path)?;
    }
    if models.is_empty() {
        let folder = std::env::temp_dir().join(format!("lucid-accuracy-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a temporary folder");
        let done = every_format(&folder);
        let _ = std::fs::remove_dir_all(&folder);
        done?;
    }
    Ok(())
}

fn every_format(folder: &Path) -> Result<()> {
    let tiny = Gguf::open(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/tiny/tiny.gguf")))?;
    let path = folder.join("model.gguf");
    for format in random_model::formats() {
        recode(&tiny, format, &path)?;
        row(&format!("demonstration, {}", format.name()), &path)?;
    }
    for format in random_model::formats() {
        random_model::write(&path, format);
        row(&format!("random, {}", format.name()), &path)?;
    }
    Ok(())
}

/// The same model with all its matrices in this format.
fn recode(source: &Gguf, format: Format, out: &Path) -> Result<()> {
    // Q2_K_S wants an importance matrix, and Q2_K is the same format
    let mut mixes = Mix::ALL.iter().filter(|mix| **mix != Mix::Q2_K_S);
    let mix = mixes.find(|mix| mix.base() == format).expect("a type for every format that Lucid writes");
    let options = quantize::Options { pure: true, allow_requantize: true, ..quantize::Options::new(*mix) };
    let model = quantize::Model::of(&source.metadata)?;
    let plan = quantize::plan(&model, &quantize::tensors(source)?, &options, false)?;
    quantize::run(source, &plan, None, out, default_threads(), &AtomicBool::new(false), &mut |_| ())
}

/// Prints what the two backends make of a model.
fn row(name: &str, path: &Path) -> Result<()> {
    let file = ModelFile::open(path)?;
    let expected = taps(&Reference, &file)?;
    let usual = taps(&Cpu::new(Options::default())?, &file)?;
    let exact = taps(&Cpu::new(Options { kv: CacheType::F32, exact: true, ..Options::default() })?, &file)?;
    let differences = usual.compare(&expected)?;
    let (worst, logits) = (worst(&differences), differences.last().expect("a model has logits"));
    let place = worst.layer.map_or(String::new(), |il| format!(" of layer {il}"));
    let best = |probe: &Probe| -> Vec<usize> {
        let Tap { values, width, .. } = probe.taps.last().expect("a model has logits");
        values.chunks_exact(*width).map(|row| (0..*width).fold(0, |a, b| if row[b] > row[a] { b } else { a })).collect()
    };
    let (a, b) = (best(&usual), best(&expected));
    println!(
        "| {name} | {:.1e} | {:.1e}, {}{place} | {:.1e} | {} of {} | {:.1e} |",
        logits.nmse,
        worst.nmse,
        worst.name,
        logits.largest,
        a.iter().zip(&b).filter(|(a, b)| a == b).count(),
        b.len(),
        self::worst(&exact.compare(&expected)?).nmse,
    );
    Ok(())
}

fn worst(differences: &[Difference]) -> &Difference {
    differences.iter().max_by(|a, b| a.nmse.total_cmp(&b.nmse)).expect("a model has tensors")
}

/// Every tensor of one pass over tokens that have no meaning.
fn taps<B: Backend>(backend: &B, file: &ModelFile) -> Result<Probe> {
    let model = Model::load(&Loader::new(backend, file)?)?;
    let (n, vocab) = (256.min(model.context()) as u64, model.vocab() as u64);
    let tokens: Vec<u32> = (0..n).map(|i| ((i * i * 7919 + 13 * i + 1) % vocab) as u32).collect();
    let mut cache = model.begin(backend, tokens.len())?;
    let probe = RefCell::new(Probe::default());
    model.logits(&Ctx::probed(backend, &probe), &tokens, &mut cache, false)?;
    Ok(probe.into_inner())
}
