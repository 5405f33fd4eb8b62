//! The smallest program that loads a model and generates.
//!
//! ```text
//! cargo run --release --example basic                      weights made here, by a formula
//! cargo run --release --example basic -- --weights DIR     a folder of .npy files, from scripts/export_weights.py
//! ```
//!
//! The weights come from a formula, not from training, so the ids that come out mean nothing. What happens to them on the
//! way is the real thing: exactly this happens in every language model, only with more numbers.

mod formula;

use lucid::{
    Result,
    backend::Reference,
    file::{ModelFile, npy},
    models::{Loader, Model},
    ops::Ctx,
};
use std::path::{Path, PathBuf};

fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (folder, temporary) = match arguments.as_slice() {
        [] => (make_weights()?, true),
        [flag, folder] if flag == "--weights" => (PathBuf::from(folder), false),
        _ => return Err("usage: basic [--weights DIR]".into()),
    };
    let result = generate(&folder);
    if temporary {
        std::fs::remove_dir_all(&folder)?;
    }
    Ok(result?)
}

fn generate(folder: &Path) -> Result<()> {
    // A model is numbers in a file. Opening maps the file into memory; nothing is copied, so this takes no time at all.
    let file = ModelFile::open(folder)?;

    // The backend is who computes. The reference does it in plain loops that anybody can read.
    let backend = Reference;

    // Loading gives every matrix its place in the architecture, and checks that its shape is the one the sizes ask for.
    let model = Model::load(&Loader::new(&backend, &file)?)?;

    // A text is a list of token ids: numbers for words or pieces of words. A tokenizer makes them; here they are given.
    let mut ids: Vec<u32> = vec![1, 42, 7];
    let n = ids.len() + 16;

    // The cache keeps what attention needs of every token so far, so that each token is computed only once.
    let mut cache = model.begin(&backend, n)?;
    let cx = Ctx::new(&backend);

    let mut new = 0; // where the tokens begin that the model has not seen yet
    while ids.len() < n {
        // The model reads the new tokens (first the whole prompt, then one at a time) and says for every word of the
        // vocabulary how well it would go on from here: its logit.
        let logits = model.logits(&cx, &ids[new..], &mut cache, true)?;
        new = ids.len();

        // Choosing is not the model's business. The simplest choice is the word with the largest logit.
        let best = (0..logits.len()).max_by(|&a, &b| logits[a].total_cmp(&logits[b])).unwrap_or(0);
        println!("{:?} → {best} (logit {:.4})", &ids[ids.len().saturating_sub(4)..], logits[best]);

        // The chosen word becomes part of the text, and the model is asked again. That is all there is to it.
        ids.push(best as u32);
    }
    println!("{ids:?}");
    Ok(())
}

/// Writes a tiny model into a temporary folder: `config.json` and a .npy file per tensor.
fn make_weights() -> std::result::Result<PathBuf, Box<dyn std::error::Error>> {
    let sizes = formula::Sizes { vocab: 256, embd: 64, ff: 128, layers: 2, heads: 4 };
    let folder = std::env::temp_dir().join(format!("lucid-basic-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    std::fs::write(folder.join("config.json"), formula::config(sizes))?;
    for (name, shape) in formula::tensors(sizes) {
        let values = formula::values(&name, shape.iter().product());
        npy::write_f32(&folder.join(format!("{name}.npy")), &shape, &values)?;
    }
    Ok(folder)
}
