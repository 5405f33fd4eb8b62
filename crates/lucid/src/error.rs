//! The one error of the engine: a sentence that names the file, tensor, key or size at fault, and what to do.

use std::{fmt, path::Path};

/// The result of everything in this crate that can fail.
pub type Result<T> = std::result::Result<T, Error>;

/// What went wrong, for programs; the sentence for people is the `Display` form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The operating system refused: not found, no permission, disk full.
    Io,
    /// A file breaks the rules of its own format. Every command refuses such a file.
    Structure,
    /// A file is well formed, but its values contradict each other or a tensor's shape. Loading refuses, `inspect` warns.
    Value,
    /// Valid, and not supported by Lucid.
    Unsupported,
    /// Two sizes that must agree do not.
    Shape,
    /// A request that cannot be met: a token outside the vocabulary, a cache that is full.
    Request,
}

/// A failure: its kind, one sentence, and the chain of causes.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// An error whose sentence is `message`.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Error { kind, message: message.into(), source: None }
    }

    /// The file at `path` is at fault: the sentence is "PATH: message".
    pub fn file(kind: ErrorKind, path: &Path, message: impl fmt::Display) -> Self {
        Error::new(kind, format!("{}: {message}", path.display()))
    }

    /// The operating system failed at `path` while doing `what` ("cannot open", "cannot write").
    pub fn io(path: &Path, what: &str, source: std::io::Error) -> Self {
        Error { source: Some(Box::new(source)), ..Error::file(ErrorKind::Io, path, what) }
    }

    /// The same error with a cause below it.
    pub fn because(mut self, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        self.source = Some(Box::new(source));
        self
    }

    /// What kind of failure this is.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_ref().map(|s| &**s as _)
    }
}
