//! One token's journey: every named intermediate of a forward pass, with its shape and its first values.
//!
//! ```text
//! cargo run --release -p lucid --example journey [MODEL] [TOKEN…]
//! ```
//!
//! Without arguments it follows three tokens through the smallest grouped-query model of the tests. What each line is, the
//! book says: docs/00-journey.md.

use lucid::{
    Result,
    backend::Reference,
    file::ModelFile,
    models::{Loader, Model},
    ops::Ctx,
    probe::Probe,
};
use std::{cell::RefCell, path::PathBuf};

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let smallest = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/hf/gqa");
    let path = PathBuf::from(arguments.next().unwrap_or_else(|| smallest.into()));
    let mut tokens: Vec<u32> = arguments.map(|t| t.parse().expect("a token is a number")).collect();
    if tokens.is_empty() {
        tokens = vec![1, 2, 3];
    }

    let file = ModelFile::open(&path)?;
    let model = Model::load(&Loader::new(&Reference, &file)?)?;
    let mut cache = model.begin(&Reference, tokens.len())?;
    let probe = RefCell::new(Probe::default());
    let logits = model.logits(&Ctx::probed(&Reference, &probe), &tokens, &mut cache, true)?;

    println!("{:9} {:12} {:>10}   first values of the last token", "layer", "tap", "shape");
    for tap in &probe.borrow().taps {
        let rows = tap.values.len() / tap.width;
        let last: Vec<String> =
            tap.values[(rows - 1) * tap.width..].iter().take(4).map(|v| format!("{v:9.4}")).collect();
        let layer = tap.layer.map_or("–".into(), |il| il.to_string());
        println!("{layer:9} {:12} {:>10}   {} …", tap.name, format!("{rows} × {}", tap.width), last.join(" "));
    }
    let best = (0..logits.len()).max_by(|&a, &b| logits[a].total_cmp(&logits[b])).expect("a vocabulary has words");
    println!("\nthe largest of {} logits is that of token {best}: {:.4}", logits.len(), logits[best]);
    Ok(())
}
