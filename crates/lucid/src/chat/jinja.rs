//! The Jinja of chat templates: what Python's jinja2 makes of them in transformers' sandbox, on a budget.
//!
//! A template comes with the model, so it is a program of strangers. It can read nothing but what it is given; here it also
//! cannot take the machine's time or memory. Everything it does is charged to a [`Budget`](budget::Budget): one step for
//! every node evaluated, one for every 32 bytes built or searched, before they are. So a nested range and a string product
//! end alike, whatever the text of the template is. Depth is bounded too: of the syntax tree, of calls, of values.
//!
//! In reading order: `lexer` (white space is decided there), `ast`, `parser`, `value`, `budget`, `text` (str, repr, JSON),
//! `operators`, `machine` (the interpreter), `calls`, `filters`, `methods`, `format`.
//!
//! Where jinja2 raises an error, so does this; but a few things that it knows and no chat template uses are unknown here:
//! autoescaping, `{% autoescape %}`, other templates (`include`, `extends`), and the filters that make HTML.

mod ast;
mod budget;
mod calls;
mod filters;
mod format;
mod lexer;
mod machine;
mod methods;
mod operators;
mod parser;
mod text;
mod value;

#[cfg(test)]
mod tests;

use super::date::Now;
use std::{borrow::Cow, sync::Arc};

/// A parsed template.
#[derive(Debug)]
pub(super) struct Jinja {
    program: ast::Program,
}

/// A template of more bytes than this is refused. The longest known has 20 KB.
const LONGEST: usize = 1 << 20;

impl Jinja {
    /// Parses a template.
    pub(super) fn parse(source: &str) -> Result<Jinja, Fault> {
        if source.len() > LONGEST {
            return Err(Fault { line: 1, what: format!("has {} bytes, and {LONGEST} are the most", source.len()) });
        }
        Ok(Jinja { program: parser::parse(source)? })
    }

    /// Renders with these variables.
    pub(super) fn render(&self, variables: &[(&str, Cow<serde_json::Value>)], now: Now) -> Result<String, Failure> {
        machine::render(&self.program, variables, now)
    }
}

/// What is wrong with the text of a template, and where.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Fault {
    pub(super) line: u32,
    pub(super) what: String,
}

/// Why rendering stopped, and on which line.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Failure {
    pub(super) line: u32,
    pub(super) stop: Stop,
}

/// Why rendering stopped.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Stop {
    /// The template called `raise_exception`: it refuses what it was given.
    Raised(Arc<str>),
    /// It did something that Python refuses.
    Failed(String),
    /// It asked for more than it may have.
    Exhausted(String),
}

/// The result of anything at run time.
type Run<T> = Result<T, Stop>;

/// The error of an operation that Python refuses.
fn failed<T>(what: impl Into<String>) -> Run<T> {
    Err(Stop::Failed(what.into()))
}
