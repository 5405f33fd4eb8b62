//! Weights stay where they lie: loading a model takes next to no memory of its own, at any alignment of its tensors.

#[path = "common/containers.rs"]
mod containers;
#[path = "common/run.rs"]
mod run;

use containers::{Scratch, formula::Sizes, gguf_draft, gguf_name};
use lucid::{
    backend::Reference,
    file::ModelFile,
    models::{Loader, Model},
};
use lucid_kernels::formats::Format;
use std::{fs::File, io::Write, sync::Mutex};

/// Anonymous resident memory of this process in KB: what it allocated, not what it mapped. `None` where the system does
/// not say.
fn anonymous_kb() -> Option<usize> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|l| l.starts_with("RssAnon:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// Whoever measures memory must be alone in the process.
static ALONE: Mutex<()> = Mutex::new(());

#[test]
fn loading_copies_nothing_but_vectors_of_another_type() {
    let _alone = ALONE.lock();
    // 290 MB of matrices in F16 and norms in F16, as a file with holes: reading it costs no disk
    let s = Sizes { vocab: 65536, embd: 1024, ff: 4096, layers: 1, heads: 8 };
    let scratch = Scratch::new("zero-copy");
    let path = scratch.0.join("model.gguf");
    let mut draft = gguf_draft(s);
    let mut bytes = 0;
    for (name, shape) in containers::formula::tensors(s) {
        draft.tensor(&gguf_name(&name), &shape, Format::F16).unwrap();
        bytes += 2 * shape.iter().product::<usize>();
    }
    let header = draft.header().unwrap();
    let mut file = File::create(&path).unwrap();
    file.write_all(&header).unwrap();
    file.set_len((header.len() + bytes) as u64).unwrap();

    let before = anonymous_kb();
    let file = ModelFile::open(&path).unwrap();
    let loader = Loader::new(&Reference, &file).unwrap();
    let model = Model::load(&loader).unwrap();
    let after = anonymous_kb();
    assert_eq!(loader.converted.get(), 3 * 4 * s.embd, "the three norms, as f32");
    assert_eq!(model.vocab(), s.vocab);
    match before.zip(after) {
        Some((before, after)) => {
            println!("{} MB of weights, {} KB of memory", bytes >> 20, after.saturating_sub(before));
            assert!(after.saturating_sub(before) < 1024, "loading took {} KB", after - before);
        }
        None => {
            let _ = writeln!(std::io::stderr(), "SKIPPED the memory part: this system does not tell anonymous memory");
        }
    }
}

#[test]
fn every_offset_gives_the_same_bits() {
    let _alone = ALONE.lock();
    let s = Sizes { vocab: 33, embd: 16, ff: 24, layers: 2, heads: 2 };
    let scratch = Scratch::new("offsets");
    let tokens = [1, 32, 0, 7, 7];
    let mut first = None;
    let mut seen = std::collections::HashSet::new();
    for pad in 0..64 {
        let folder = scratch.folder(&format!("pad-{pad}"));
        containers::write_safetensors(&folder, s, pad);
        let file = ModelFile::open(&folder).unwrap();
        seen.insert(file.require("blk.0.attn_q.weight").unwrap().bytes.as_ptr() as usize % 64);
        let logits = run::logits(&folder, &tokens);
        assert!(*first.get_or_insert_with(|| logits.clone()) == logits, "{pad} bytes further");
    }
    assert_eq!(seen.len(), 64, "every offset mod 64 was met");
}
