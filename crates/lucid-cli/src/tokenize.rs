//! `lucid tokenize`: the ids of a text.

use crate::{model, output::print};
use anyhow::{Context, bail};
use lucid::tokenizer::Encode;
use std::{
    io::Read,
    path::{Path, PathBuf},
};

/// Arguments of `lucid tokenize`.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  lucid tokenize model.gguf --text 'Hello world'
  lucid tokenize --text 'Once upon a time'
  lucid tokenize model.gguf --file story.txt --json > ids.json
  echo -n 'Hello world' | lucid tokenize ./hf-folder --no-bos
  lucid tokenize tokenizer.model --special --text '<|begin_of_text|>Hello'
  lucid tokenize model.gguf --text 'there and back' | lucid detokenize model.gguf

The text is taken exactly as it is: echo adds a line end, which is a token too; echo -n does not.")]
pub(crate) struct Args {
    /// A .gguf file (one without tensors will do), tokenizer.json, tokenizer.model, a folder with one of them, or hf:owner/repo:QUANT
    /// (default: the built-in one)
    model: Option<PathBuf>,
    /// The text (default: standard input, to its end)
    #[arg(long, value_name = "TEXT", conflicts_with = "file", allow_hyphen_values = true)]
    text: Option<String>,
    /// A file that holds the text
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// A JSON list instead of ids separated by spaces
    #[arg(long)]
    json: bool,
    /// The text's own ids only: nothing that the model's tokenizer puts around them, such as BOS
    #[arg(long)]
    no_bos: bool,
    /// Find special tokens such as <|eot_id|> in the text; otherwise they are characters like any others
    #[arg(long)]
    special: bool,
}

/// Prints the ids.
pub(crate) fn run(args: Args) -> anyhow::Result<()> {
    let tokenizer = model::vocabulary(args.model.as_deref())?;
    let text = match (args.text, &args.file) {
        (Some(text), _) => text,
        (None, Some(path)) => {
            utf8(std::fs::read(path).with_context(|| format!("{}: cannot read", path.display()))?, Some(path))?
        }
        (None, None) => {
            let mut bytes = Vec::new();
            std::io::stdin().lock().read_to_end(&mut bytes).context("cannot read standard input")?;
            utf8(bytes, None)?
        }
    };
    let ids = tokenizer.encode(&text, Encode { bos: !args.no_bos, special: args.special })?;
    let list = ids.iter().map(u32::to_string).collect::<Vec<_>>();
    print(&if args.json { format!("[{}]\n", list.join(", ")) } else { format!("{}\n", list.join(" ")) })
}

/// `bytes` as text, or where they are none.
fn utf8(bytes: Vec<u8>, path: Option<&Path>) -> anyhow::Result<String> {
    String::from_utf8(bytes).or_else(|e| {
        let at = e.utf8_error().valid_up_to();
        let byte = e.as_bytes()[at];
        let from = path.map_or("standard input".into(), |path| path.display().to_string());
        bail!("{from}: is not UTF-8: byte 0x{byte:02X} at offset {at} begins no character")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_text_is_named_with_its_offset() {
        assert_eq!(utf8("aé".into(), None).unwrap(), "aé");
        let message = |bytes: &[u8]| utf8(bytes.into(), Some(Path::new("x.txt"))).unwrap_err().to_string();
        assert_eq!(message(b"ab\xffc"), "x.txt: is not UTF-8: byte 0xFF at offset 2 begins no character");
        assert_eq!(message(b"\xe2\x82"), "x.txt: is not UTF-8: byte 0xE2 at offset 0 begins no character");
    }
}
