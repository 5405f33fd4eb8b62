//! `lucid detokenize`: the bytes that ids write.

use crate::{
    hub,
    output::{print_bytes, warn},
};
use anyhow::{Context, bail};
use lucid::tokenizer::Tokenizer;
use std::{io::Read, path::PathBuf};

/// Arguments of `lucid detokenize`.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  lucid detokenize model.gguf 15043 3186
  lucid detokenize model.gguf < ids.json                  a JSON list, [15043, 3186]
  lucid tokenize model.gguf --text 'there and back' | lucid detokenize model.gguf

Exactly the bytes are written, and no line end. They need not be whole characters. What tokenizing puts around a text,
such as BOS before it, writes nothing.")]
pub(crate) struct Args {
    /// A .gguf file (one without tensors will do), tokenizer.json, tokenizer.model, a folder with one of them, or hf:owner/repo:QUANT
    model: PathBuf,
    /// Token ids (default: standard input: a JSON list, or ids separated by spaces)
    ids: Vec<u32>,
}

/// Writes the bytes.
pub(crate) fn run(args: Args) -> anyhow::Result<()> {
    let tokenizer = Tokenizer::open(&hub::local(&args.model)?)?;
    tokenizer.warnings.iter().for_each(|warning| warn(warning));
    let ids = match args.ids.is_empty() {
        false => args.ids,
        true => {
            let mut text = String::new();
            std::io::stdin().lock().read_to_string(&mut text).context("cannot read standard input")?;
            parse(&text)?
        }
    };
    print_bytes(&tokenizer.decode(&ids)?)
}

/// The ids in a JSON list, or separated by spaces.
fn parse(text: &str) -> anyhow::Result<Vec<u32>> {
    if text.trim_start().starts_with('[') {
        return serde_json::from_str(text).context("standard input: is no JSON list of token ids");
    }
    text.split_whitespace()
        .map(|word| match word.parse() {
            Ok(id) => Ok(id),
            Err(_) => bail!("standard input: {word:?} is no token id; expected a JSON list, or ids between spaces"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read_in_both_forms() {
        assert_eq!(parse(" [1, 2,3]\n").unwrap(), [1, 2, 3]);
        assert_eq!(parse("1 2\n3\n").unwrap(), [1, 2, 3]);
        assert_eq!(parse("[]").unwrap(), [0; 0]);
        assert_eq!(parse("").unwrap(), [0; 0]);
        for text in ["[1, 2", "[-1]", "[1.5]", "[1] [2]", "{}", "1, 2", "-1", "4294967296"] {
            assert!(parse(text).unwrap_err().to_string().starts_with("standard input: "), "{text}");
        }
    }
}
