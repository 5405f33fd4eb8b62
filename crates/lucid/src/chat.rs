//! From a list of messages to the text that a chat model expects.
//!
//! ```text
//! [{"role": "user", "content": "Hi"}]   →   <|im_start|>user⏎Hi<|im_end|>⏎<|im_start|>assistant⏎
//! ```
//!
//! Every model has its own format, and says which in a template: a small program in Jinja that lies in its files
//! ([`Template::find`]). It is rendered as transformers does it with Python's jinja2, character for character. A model
//! without one may be of a family whose format is known ([`Template::guess`]); whoever uses such a guess says so.
//!
//! A template is a program of strangers: it can neither see more than it is given nor take more time and memory than it
//! may (`chat/jinja.rs`).

mod date;
mod family;
mod find;
mod jinja;
mod zone;

pub use family::Family;

use crate::{Error, ErrorKind, Result};
use date::Now;
use jinja::{Fault, Jinja, Stop};
use serde_json::{Map, Value};
use std::{borrow::Cow, path::Path, time::SystemTime};
use zone::Zone;

/// A moment in UTC by the directives of Python's `strftime`, as templates write it.
///
/// ```
/// let iso = lucid::chat::strftime(std::time::UNIX_EPOCH, "%Y-%m-%dT%H:%M:%SZ");
/// assert_eq!(iso, "1970-01-01T00:00:00Z");
/// ```
pub fn strftime(time: SystemTime, format: &str) -> String {
    Now::at(time, &Zone::default()).format(format)
}

/// The chat template of a model: one program, or several with names for different ends.
#[derive(Debug)]
pub struct Template {
    /// Where it was found, for messages: the file and the key.
    pub origin: String,
    /// Why it is a guess, where the model has no template of its own: a sentence that the user must be told.
    pub guessed: Option<String>,
    /// What the template may write for the tokens with a meaning: `bos_token`, `eos_token` and the like, with their texts.
    pub tokens: Vec<(String, String)>,
    /// The programs. The first is the one for conversations without tools.
    variants: Vec<Variant>,
}

/// One of the programs of a template.
#[derive(Debug)]
struct Variant {
    name: String,
    source: String,
    program: Jinja,
}

/// The name of the variant that is used unless another fits better, and of the one for conversations with tools.
const DEFAULT: &str = "default";
const TOOL_USE: &str = "tool_use";

/// What a template is rendered with.
#[derive(Clone, Copy, Debug, Default)]
pub struct Conversation<'c> {
    /// The messages, each an object: `role`, `content` (text, or a list of parts), `tool_calls`, and whatever else.
    pub messages: &'c [Value],
    /// The tools that the model may call, as JSON schemas.
    pub tools: Option<&'c [Value]>,
    /// Texts that the model may quote.
    pub documents: Option<&'c [Value]>,
    /// Ends with the beginning of an answer, for the model to continue.
    pub add_generation_prompt: bool,
    /// More variables: `enable_thinking` and the like. They win over the tokens of the same name.
    pub extra: &'c [(String, Value)],
    /// The variant of this name, rather than the one that fits.
    pub variant: Option<&'c str>,
    /// The time that the template sees, in UTC; without one it is now, in local time, as `TZ` or `/etc/localtime` have it.
    pub now: Option<SystemTime>,
}

impl Template {
    /// Parses a template; `origin` is for messages. What the model calls its tokens is [`tokens`](Template::tokens).
    pub fn parse(origin: impl Into<String>, source: &str) -> Result<Template> {
        let mut template = Template::empty(origin.into());
        template.add(DEFAULT, source)?;
        Ok(template)
    }

    /// The template in a file of its own.
    pub fn read(path: &Path) -> Result<Template> {
        find::of_jinja(path)
    }

    /// The template of a known family.
    pub fn family(family: Family) -> Result<Template> {
        Template::parse(format!("the template of the {} family", family.name()), family.source())
    }

    /// The names of its variants; of one alone it is "default".
    pub fn variants(&self) -> impl Iterator<Item = &str> {
        self.variants.iter().map(|v| v.name.as_str())
    }

    /// The text of the variant that a conversation with or without tools uses.
    pub fn source(&self, tools: bool) -> &str {
        self.fitting(tools).map_or("", |v| &v.source)
    }

    /// What it may write for a token: `token("bos_token")`.
    pub fn token(&self, name: &str) -> Option<&str> {
        self.tokens.iter().find(|(known, _)| known == name).map(|(_, text)| text.as_str())
    }

    /// Sets what it may write for a token.
    pub fn set_token(&mut self, name: &str, text: &str) {
        self.tokens.retain(|(known, _)| known != name);
        self.tokens.push((name.to_owned(), text.to_owned()));
    }

    fn add(&mut self, name: &str, source: &str) -> Result<()> {
        let program = Jinja::parse(source).map_err(|Fault { line, what }| {
            let variant = if name == DEFAULT { String::new() } else { format!(" ({name})") };
            Error::new(ErrorKind::Value, format!("{}{variant}, line {line}: {what}", self.origin))
        })?;
        self.variants.push(Variant { name: name.to_owned(), source: source.to_owned(), program });
        Ok(())
    }

    fn fitting(&self, tools: bool) -> Option<&Variant> {
        let called = |name: &str| self.variants.iter().find(|v| v.name == name);
        let for_tools = if tools { called(TOOL_USE) } else { None };
        for_tools.or_else(|| called(DEFAULT)).or(self.variants.first())
    }

    /// The text that the conversation becomes, nothing added.
    pub fn render(&self, conversation: &Conversation) -> Result<String> {
        let variant = match conversation.variant {
            Some(name) => self.variants.iter().find(|v| v.name == name),
            None => self.fitting(conversation.tools.is_some()),
        };
        let Some(variant) = variant else {
            let (wanted, all) =
                (conversation.variant.unwrap_or(DEFAULT), self.variants().collect::<Vec<_>>().join(", "));
            let what = format!("{}: has no variant {wanted:?}, only {all}", self.origin);
            return Err(Error::new(ErrorKind::Request, what));
        };
        let objects = |key: &str, list: &[Value]| match list.iter().position(|item| !item.is_object()) {
            Some(i) => Err(Error::new(ErrorKind::Request, format!("{key}[{i}] is no JSON object"))),
            None => Ok(()),
        };
        objects("messages", conversation.messages)?;
        objects("tools", conversation.tools.unwrap_or_default())?;
        objects("documents", conversation.documents.unwrap_or_default())?;

        let list = |list: Option<&[Value]>| list.map_or(Value::Null, |list| Value::Array(list.to_vec()));
        let messages = conversation.messages.iter().map(|m| with_reasoning(m).into_owned()).collect();
        let mut variables: Vec<(&str, Cow<Value>)> = vec![
            ("messages", Cow::Owned(Value::Array(messages))),
            ("tools", Cow::Owned(list(conversation.tools))),
            ("documents", Cow::Owned(list(conversation.documents))),
            ("add_generation_prompt", Cow::Owned(Value::Bool(conversation.add_generation_prompt))),
        ];
        variables.extend(self.tokens.iter().map(|(k, v)| (k.as_str(), Cow::Owned(Value::String(v.clone())))));
        variables.extend(conversation.extra.iter().map(|(k, v)| (k.as_str(), Cow::Borrowed(v))));
        let now = match conversation.now {
            Some(time) => Now::at(time, &Zone::default()),
            None => Now::at(SystemTime::now(), Zone::local()),
        };
        variant.program.render(&variables, now).map_err(|failure| {
            let (origin, line) = (&self.origin, failure.line);
            match failure.stop {
                Stop::Raised(what) => Error::new(ErrorKind::Request, format!("{origin}, line {line}, refuses: {what}")),
                Stop::Failed(what) => Error::new(ErrorKind::Value, format!("{origin}, line {line}: {what}")),
                Stop::Exhausted(what) => Error::new(ErrorKind::Unsupported, format!("{origin}, line {line}: {what}")),
            }
        })
    }
}

/// The names under which a message may hold what the model thought before it answered, the usual one first.
const REASONING: [&str; 3] = ["reasoning_content", "thinking", "reasoning"];

/// A message in which templates find its reasoning under the names that they read, whichever it came under.
fn with_reasoning(message: &Value) -> Cow<'_, Value> {
    let Some(members) = message.as_object() else { return Cow::Borrowed(message) };
    let Some(reasoning) = REASONING.iter().filter_map(|key| members.get(*key)).find(|v| !v.is_null()) else {
        return Cow::Borrowed(message);
    };
    let mut all = Map::new();
    all.insert("thinking".into(), reasoning.clone());
    all.extend(members.iter().map(|(k, v)| (k.clone(), v.clone())));
    all.insert("reasoning_content".into(), reasoning.clone());
    Cow::Owned(Value::Object(all))
}
