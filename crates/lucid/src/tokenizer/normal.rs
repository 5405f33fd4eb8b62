//! What is done to text before it is cut into pieces: what a file calls its normaliser.

use super::pattern::{Fuel, OutOfFuel, Pattern};
use std::borrow::Cow;

/// One step of a normaliser.
#[derive(Debug)]
pub(super) enum Normal {
    /// Puts a text before every part that is not empty.
    Prepend(String),
    /// Writes something else for what a pattern matches.
    Replace { pattern: Pattern, with: String },
}

impl Normal {
    /// Writes `with` for every `text`.
    pub(super) fn replace(text: &str, with: impl Into<String>) -> Result<Normal, String> {
        Ok(Normal::Replace { pattern: Pattern::literal(text)?, with: with.into() })
    }

    /// The text after this step.
    pub(super) fn apply<'t>(&self, text: Cow<'t, str>, fuel: &mut Fuel) -> Result<Cow<'t, str>, OutOfFuel> {
        Ok(match self {
            Normal::Prepend(_) if text.is_empty() => text,
            Normal::Prepend(before) => Cow::Owned(format!("{before}{text}")),
            Normal::Replace { pattern, with } => replace(text, pattern, with, fuel)?,
        })
    }
}

fn replace<'t>(text: Cow<'t, str>, pattern: &Pattern, with: &str, fuel: &mut Fuel) -> Result<Cow<'t, str>, OutOfFuel> {
    let mut out = String::new();
    let (mut done, mut from) = (0, 0);
    while let Some(found) = pattern.find(&text, from, fuel)? {
        out.push_str(&text[done..found.start]);
        out.push_str(with);
        (done, from) = (found.end, found.end);
        if found.is_empty() {
            match text[from..].chars().next() {
                Some(c) => from += c.len_utf8(),
                None => break,
            }
        }
    }
    if done == 0 && out.is_empty() {
        return Ok(text);
    }
    out.push_str(&text[done..]);
    Ok(Cow::Owned(out))
}
