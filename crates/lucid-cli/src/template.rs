//! `lucid template`: the text that a list of messages becomes.

use crate::{
    hub, model,
    output::{print, warn},
};
use anyhow::{Context, bail};
use lucid::chat::{Conversation, Family, Template};
use serde_json::Value;
use std::{
    io::Read,
    path::{Path, PathBuf},
};

/// Arguments of `lucid template`.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  lucid template model.gguf --messages chat.json
  lucid template --messages chat.json                             the built-in model's template
  echo '[{\"role\": \"user\", \"content\": \"Hi\"}]' | lucid template ./hf-folder --messages -
  lucid template model.gguf --messages chat.json --tools tools.json --set enable_thinking=false
  lucid template --template chat.jinja --bos '<s>' --eos '</s>' --messages chat.json
  lucid template model.gguf --messages chat.json | lucid tokenize model.gguf --special --no-bos

The text is written exactly as the template makes it, with nothing added, not even a line end.
Where a template asks for the date (strftime_now), it is the local one, by TZ or /etc/localtime; without them, that of UTC.")]
pub(crate) struct Args {
    /// A .gguf file (one without tensors will do), a folder with tokenizer_config.json or chat_template.jinja, or
    /// hf:owner/repo:QUANT (default: the built-in one)
    model: Option<PathBuf>,
    /// The messages, a JSON list: [{"role": "user", "content": "Hi"}]; - is standard input
    #[arg(long, value_name = "FILE")]
    messages: PathBuf,
    /// The tools that the model may call, a JSON list
    #[arg(long, value_name = "FILE")]
    tools: Option<PathBuf>,
    /// Texts that the model may quote, a JSON list
    #[arg(long, value_name = "FILE")]
    documents: Option<PathBuf>,
    /// A variable of the template; repeatable. Its value is JSON, so that a text needs quotes: --set 'city="Rome"'
    #[arg(long, value_name = "KEY=JSON", value_parser = variable)]
    set: Vec<(String, Value)>,
    /// End with the last message, without the beginning of an answer
    #[arg(long)]
    no_generation_prompt: bool,
    /// The template called NAME, of a model with several; by default tool_use where there are tools, and default elsewhere
    #[arg(long, value_name = "NAME", conflicts_with_all = ["template", "family"])]
    name: Option<String>,
    /// A template of your own, instead of the model's
    #[arg(long, value_name = "FILE")]
    template: Option<PathBuf>,
    /// The template of a known family: llama-2, llama-3, chatml, mistral, gemma, phi-3, zephyr
    #[arg(long, value_name = "FAMILY", value_parser = family, conflicts_with = "template")]
    family: Option<Family>,
    /// What the template writes where a text begins [default: as the model has it]
    #[arg(long, value_name = "TEXT")]
    bos: Option<String>,
    /// What it writes where one ends [default: as the model has it]
    #[arg(long, value_name = "TEXT")]
    eos: Option<String>,
}

/// `enable_thinking=false`
fn variable(text: &str) -> Result<(String, Value), String> {
    let (name, json) = text.split_once('=').ok_or("expected KEY=JSON")?;
    let value = serde_json::from_str(json);
    let value =
        value.map_err(|e| format!("the value is no JSON ({e}); a text needs quotes, like '{name}=\"text\"'"))?;
    Ok((name.to_owned(), value))
}

fn family(name: &str) -> Result<Family, String> {
    let known = || format!("no such family; known are {}", Family::ALL.map(Family::name).join(", "));
    Family::from_name(name).ok_or_else(known)
}

/// Renders, and prints.
pub(crate) fn run(args: Args) -> anyhow::Result<()> {
    let template = template(&args)?;
    if let (Some(guess), Some(model)) = (&template.guessed, &args.model) {
        warn(&format!("{}: {guess}", model.display()));
    }
    let messages = list(&args.messages, "messages")?;
    let tools = args.tools.as_deref().map(|path| list(path, "tools")).transpose()?;
    let documents = args.documents.as_deref().map(|path| list(path, "documents")).transpose()?;
    print(&template.render(&Conversation {
        messages: &messages,
        tools: tools.as_deref(),
        documents: documents.as_deref(),
        add_generation_prompt: !args.no_generation_prompt,
        extra: &args.set,
        variant: args.name.as_deref(),
        now: None,
    })?)
}

/// The template that the flags name, or else the model's.
fn template(args: &Args) -> anyhow::Result<Template> {
    let own = match (&args.template, args.family) {
        (Some(path), _) => Some(Template::read(path)?),
        (None, Some(family)) => Some(Template::family(family)?),
        (None, None) => None,
    };
    let mut template = match (own, &args.model) {
        (Some(mut own), model) => {
            if let Some(model) = model {
                own.tokens = Template::tokens_of(&hub::local(model)?)?;
            }
            own
        }
        (None, Some(model)) => Template::open(&hub::local(model)?)?,
        (None, None) => model::own_template(&model::open(None)?)?.context("the built-in model has no chat template")?,
    };
    for (name, text) in [("bos_token", &args.bos), ("eos_token", &args.eos)] {
        if let Some(text) = text {
            template.set_token(name, text);
        }
    }
    Ok(template)
}

/// A file that holds a JSON list of objects; `what` they are.
fn list(path: &Path, what: &str) -> anyhow::Result<Vec<Value>> {
    let stdin = path == Path::new("-");
    let name = if stdin { "standard input".to_owned() } else { path.display().to_string() };
    let mut bytes = Vec::new();
    match stdin {
        true => std::io::stdin().lock().read_to_end(&mut bytes).map(|_| ()),
        false => std::fs::read(path).map(|read| bytes = read),
    }
    .with_context(|| format!("{name}: cannot read"))?;
    let json: Value = serde_json::from_slice(&bytes).with_context(|| format!("{name}: is not valid JSON"))?;
    let Value::Array(list) = json else { bail!("{name}: must hold a JSON list of {what}") };
    match list.iter().position(|item| !item.is_object()) {
        Some(at) => bail!("{name}: {what}[{at}] is no JSON object"),
        None => Ok(list),
    }
}
