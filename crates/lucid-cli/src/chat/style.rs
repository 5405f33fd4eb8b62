//! Colours, where a person can see them and has not asked for none.

use std::{
    env,
    io::{IsTerminal, stdout},
};

/// Whether text is coloured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Style {
    colours: bool,
}

impl Style {
    /// Colours on a terminal, unless NO_COLOR is set to anything or the terminal is a dumb one.
    pub fn of_terminal() -> Style {
        let wanted =
            env::var_os("NO_COLOR").is_none_or(|v| v.is_empty()) && env::var_os("TERM").is_none_or(|t| t != "dumb");
        Style { colours: wanted && stdout().is_terminal() }
    }

    /// Where the user types.
    pub fn prompt(self, text: &str) -> String {
        self.with("1;32", text)
    }

    /// What Lucid says, beside what the model says.
    pub fn aside(self, text: &str) -> String {
        self.with("2", text)
    }

    fn with(self, code: &str, text: &str) -> String {
        if self.colours { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}
