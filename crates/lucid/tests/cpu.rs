//! The fast CPU against the reference, tensor by tensor.

#[path = "common/fixtures.rs"]
mod fixtures;
#[path = "common/run.rs"]
mod run;

use lucid::{
    backend::{
        Backend, Reference,
        cpu::{Cpu, Options},
    },
    file::ModelFile,
    models::{Loader, Model},
    ops::Ctx,
    probe::Probe,
};
use lucid_kernels::{cpu::CacheType, formats::Format};
use std::{
    cell::RefCell,
    path::{Path, PathBuf},
};

const EXACT: Options = Options { threads: Some(2), kv: CacheType::F32, exact: true };

fn tiny() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/tiny/tiny.gguf")
}

/// Every tensor of one pass.
fn taps<B: Backend>(backend: &B, path: &Path, tokens: &[u32]) -> Probe {
    let file = ModelFile::open(path).unwrap();
    let model = Model::load(&Loader::new(backend, &file).unwrap()).unwrap();
    let mut cache = model.begin(backend, tokens.len()).unwrap();
    let probe = RefCell::new(Probe::default());
    model.logits(&Ctx::probed(backend, &probe), tokens, &mut cache, false).unwrap();
    probe.into_inner()
}

/// The worst tensor's NMSE against the reference.
fn worst(path: &Path, tokens: &[u32], options: Options) -> f64 {
    let fast = taps(&Cpu::new(options).unwrap(), path, tokens);
    let differences = fast.compare(&taps(&Reference, path, tokens)).unwrap();
    let worst = differences.iter().max_by(|a, b| a.nmse.total_cmp(&b.nmse)).unwrap();
    let last = differences.last().unwrap();
    let layer = worst.layer.map_or(String::new(), |il| format!(" of layer {il}"));
    println!("{}: NMSE {:.1e} ({}{layer}), logits {:.1e}", path.display(), worst.nmse, worst.name, last.nmse);
    worst.nmse
}

/// An exact CPU rounds to f32 where the reference does, and within sums where the reference has f64: relative errors of a
/// few times √n · 2⁻²⁴ with n below 1,024, squared, and amplified by a few layers: 1e-6 leaves far more room than that, and a
/// wrong factor, index or order shows as 1e-3 or more.
#[test]
fn exact_activations_agree_with_the_reference_in_every_tensor_of_every_checkpoint() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/hf");
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let golden = run::json(&path.join("golden.json"));
        let tokens = run::tokens(&golden["tokens"]);
        assert!(worst(&path, &tokens, EXACT) < 1e-6, "{}", path.display());
        count += 1;
    }
    assert!(count >= 18);
    let tokens: Vec<u32> = (0..100).map(|i| (i * i * 7 + 3) % 2048).collect();
    assert!(worst(&tiny(), &tokens, EXACT) < 1e-6);
}

/// Eight-bit activations: each is off by up to 1/254 of the largest of its 32, evenly spread; against values of a normal
/// distribution whose largest of 32 is about twice its deviation the NMSE of one product is (2/127)²/12 = 2e-5. Over some tens
/// of products, uncorrelated, that is within the 2e-3 which is promised.
#[test]
fn rounded_activations_stay_within_what_is_promised() {
    let tokens: Vec<u32> = (0..100).map(|i| (i * i * 7 + 3) % 2048).collect();
    for kv in CacheType::ALL {
        assert!(worst(&tiny(), &tokens, Options { kv, ..Options::default() }) < 2e-3);
    }
    let Some(fixtures) = fixtures::fixtures("rounded_activations_stay_within_what_is_promised") else { return };
    let tokens: Vec<u32> = (0..100).map(|i| (i * i * 7 + 3) % 512).collect();
    for (name, promised) in
        [("F32", 1e-6), ("F16", 1e-6), ("BF16", 1e-4), ("Q8_0", 2e-3), ("Q4_0", 2e-3), ("Q5_1", 2e-3)]
    {
        let path = fixtures.join(format!("models/stories260K/stories260K-{name}.gguf"));
        let kv = CacheType::F32; // what a cache of fewer bits costs is the cache's
        assert!(worst(&path, &tokens, Options { kv, ..Options::default() }) < promised, "{name}");
    }
}

/// What is promised of the matrices in a file by default: floats stay floats, and BF16 is met by activations of f32.
fn promised(file: &ModelFile) -> f64 {
    let matrices = file.tensors().filter(|t| t.shape.len() == 2).filter_map(|t| t.format);
    let of = |format| match format {
        Format::F64 | Format::F32 | Format::F16 => 1e-6,
        Format::BF16 => 1e-4,
        _ => 2e-3,
    };
    matrices.map(of).fold(0.0, f64::max)
}

/// A user's own file, which `LUCID_TEST_MODEL` names; without it there is nothing to test. The tolerances are those of above,
/// with room for larger models too: 800 products of 8,192 terms, each off by √8192 · 2⁻²⁴ and none correlated, make an NMSE
/// of 2e-8. Every position of 16 tokens, because the reference takes its time.
#[test]
fn the_users_own_model_agrees_with_the_reference_in_every_tensor() {
    let Some(path) = std::env::var_os("LUCID_TEST_MODEL").map(PathBuf::from) else { return };
    let file = ModelFile::open(&path).unwrap();
    let vocab = lucid::models::config(&file).unwrap().vocab.0 as u64;
    let tokens: Vec<u32> = (0..16u64).map(|i| (i * i * 7919 + 13 * i + 1) % vocab).map(|t| t as u32).collect();
    assert!(worst(&path, &tokens, EXACT) < 1e-6);
    let options = Options { kv: CacheType::F32, ..Options::default() };
    assert!(worst(&path, &tokens, options) < promised(&file));
}
