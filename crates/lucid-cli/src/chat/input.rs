//! What the user types: edited lines with a history on a terminal, plain lines from a pipe.

use super::{command::NAMES, style::Style};
use rustyline::{
    Config, Context, Editor, Helper,
    completion::{Completer, Pair},
    error::ReadlineError,
    highlight::Highlighter,
    hint::Hinter,
    history::FileHistory,
    validate::{ValidationContext, ValidationResult, Validator},
};
use std::{
    borrow::Cow,
    env,
    io::{BufRead, IsTerminal, stdin, stdout},
    path::PathBuf,
};

const PROMPT: &str = "> ";
/// Quotes around several lines.
const BLOCK: &str = "\"\"\"";

/// Where the lines come from.
pub(super) enum Input {
    /// A person at a terminal.
    Terminal {
        editor: Box<Editor<Keys, FileHistory>>,
        /// Where the history is kept, where the system has a place for that.
        history: Option<PathBuf>,
    },
    /// A pipe or a file: one turn per line.
    Lines,
}

/// What came.
pub(super) enum Typed {
    Text(String),
    /// Ctrl-C: the line is forgotten.
    Interrupted,
    /// Ctrl-D, or the end of the pipe.
    End,
}

impl Input {
    pub fn open(style: Style) -> anyhow::Result<Input> {
        if !stdin().is_terminal() || !stdout().is_terminal() {
            return Ok(Input::Lines);
        }
        let config = Config::builder().max_history_size(1000)?.auto_add_history(true).build();
        let mut editor = Editor::with_history(config, FileHistory::with_config(config))?;
        editor.set_helper(Some(Keys { style }));
        let history = state_folder().map(|folder| folder.join("chat_history"));
        if let Some(path) = &history {
            let _ = editor.load_history(path); // there is none the first time
        }
        Ok(Input::Terminal { editor: Box::new(editor), history })
    }

    /// Whether a person types.
    pub fn is_terminal(&self) -> bool {
        matches!(self, Input::Terminal { .. })
    }

    /// The next message or command, of one line or several.
    pub fn read(&mut self) -> anyhow::Result<Typed> {
        match self {
            Input::Terminal { editor, .. } => match editor.readline(PROMPT) {
                Ok(text) => Ok(Typed::Text(message(&text))),
                Err(ReadlineError::Interrupted) => Ok(Typed::Interrupted),
                Err(ReadlineError::Eof) => Ok(Typed::End),
                Err(error) => Err(error.into()),
            },
            Input::Lines => {
                let mut text = String::new();
                loop {
                    if stdin().lock().read_line(&mut text)? == 0 {
                        return Ok(if text.is_empty() { Typed::End } else { Typed::Text(message(&text)) });
                    }
                    if !incomplete(text.trim_end_matches(['\r', '\n'])) {
                        return Ok(Typed::Text(message(text.trim_end_matches(['\r', '\n']))));
                    }
                }
            }
        }
    }

    /// Keeps what was typed for the next time.
    pub fn close(self) -> anyhow::Result<()> {
        let Input::Terminal { mut editor, history: Some(path) } = self else { return Ok(()) };
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        editor.save_history(&path).map_err(|e| anyhow::anyhow!("{}: cannot keep the history: {e}", path.display()))
    }
}

/// Whether more lines belong to this text: it ends with a backslash, or opens quotes that nothing closes.
fn incomplete(text: &str) -> bool {
    match text.strip_prefix(BLOCK) {
        Some(rest) => !rest.trim_end().ends_with(BLOCK),
        None => text.ends_with('\\'),
    }
}

/// The text that was meant, without backslashes at line ends and without the quotes.
fn message(text: &str) -> String {
    let Some(rest) = text.strip_prefix(BLOCK) else { return text.replace("\\\n", "\n") };
    let inside = rest.trim_end().strip_suffix(BLOCK).unwrap_or(rest);
    let inside = inside.strip_prefix('\n').unwrap_or(inside);
    inside.strip_suffix('\n').unwrap_or(inside).to_owned()
}

/// The folder for what a program remembers between its runs.
fn state_folder() -> Option<PathBuf> {
    let folder = |name: &str| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let state = if cfg!(windows) {
        folder("LOCALAPPDATA")
    } else if cfg!(target_os = "macos") {
        folder("HOME").map(|home| home.join("Library/Application Support"))
    } else {
        folder("XDG_STATE_HOME").or_else(|| Some(folder("HOME")?.join(".local/state")))
    };
    Some(state?.join("lucid"))
}

/// How the editor behaves: commands complete, several lines are one text, the prompt has a colour.
pub(super) struct Keys {
    style: Style,
}

impl Helper for Keys {}

impl Hinter for Keys {
    type Hint = String;
}

impl Completer for Keys {
    type Candidate = Pair;

    fn complete(&self, line: &str, at: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<Pair>)> {
        let begun = &line[..at];
        let matching = NAMES.iter().filter(|name| begun.starts_with('/') && name.starts_with(begun));
        Ok((0, matching.map(|name| Pair { display: (*name).into(), replacement: format!("{name} ") }).collect()))
    }
}

impl Validator for Keys {
    fn validate(&self, typed: &mut ValidationContext<'_>) -> rustyline::Result<ValidationResult> {
        Ok(if incomplete(typed.input()) { ValidationResult::Incomplete } else { ValidationResult::Valid(None) })
    }
}

impl Highlighter for Keys {
    fn highlight_prompt<'b, 's: 'b, 'p: 'b>(&'s self, prompt: &'p str, _: bool) -> Cow<'b, str> {
        Cow::Owned(self.style.prompt(prompt))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_lines_are_one_text() {
        for (text, more) in [
            ("hello", false),
            ("hello\\", true),
            ("hello\\\nthere", false),
            ("\"\"\"", true),
            ("\"\"\"one\ntwo", true),
            ("\"\"\"one\ntwo\"\"\"", false),
            ("\"\"\"\none\n\"\"\" ", false),
            ("\"\"\"one\"\"\"", false),
            ("", false),
        ] {
            assert_eq!(incomplete(text), more, "{text:?}");
        }
        assert_eq!(message("hello\\\nthere"), "hello\nthere");
        assert_eq!(message("\"\"\"\none\n\ntwo\n\"\"\""), "one\n\ntwo");
        assert_eq!(message("\"\"\"one\"\"\""), "one");
        assert_eq!(message("a \\ b"), "a \\ b");
    }
}
