//! Writing data to stdout, where the reader may leave at any time.

use anyhow::Context;
use std::{
    borrow::Cow,
    io::{self, ErrorKind, IsTerminal, Write},
};

/// Writes all of `text` to stdout. A closed pipe is an error like any other here; [`is_closed_pipe`] tells it apart.
pub(crate) fn print(text: &str) -> anyhow::Result<()> {
    print_bytes(text.as_bytes())
}

/// The same for what need not be text.
pub(crate) fn print_bytes(bytes: &[u8]) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(bytes).and_then(|()| out.flush()).context("standard output: cannot write")
}

/// Tells the user, on stderr, what had to be assumed.
pub(crate) fn warn(warning: &str) {
    eprintln!("warning: {}", plain(warning));
}

/// Whether the reader of stdout went away (`| head -1`): no reason to complain.
pub(crate) fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == ErrorKind::BrokenPipe)
}

/// A line on stderr. That nobody reads it any more is no reason to stop.
pub(crate) fn say(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// Whether a person watches: both stdout and stderr are a terminal. Only then do commands chat about what they do; a
/// program or a file that takes the output gets the output, and stderr is left for warnings and errors.
pub(crate) fn watched() -> bool {
    io::stdout().is_terminal() && io::stderr().is_terminal()
}

/// What a model wrote, fit for where stdout goes: on a terminal without control characters beside line ends and tabs, so
/// that no model can drive it; elsewhere as it is.
pub(crate) fn fit(text: &str) -> Cow<'_, str> {
    match io::stdout().is_terminal() && text.contains(drives) {
        true => text.replace(drives, "\u{fffd}").into(),
        false => text.into(),
    }
}

/// Whether a character does something to a terminal.
fn drives(c: char) -> bool {
    c.is_control() && !matches!(c, '\n' | '\t')
}

/// Ends the program for wrong usage that only shows once the arguments are looked at together.
pub(crate) fn wrong_usage<A: clap::Args>(command: &'static str, what: impl std::fmt::Display) -> ! {
    A::augment_args(clap::Command::new(command).bin_name(command))
        .error(clap::error::ErrorKind::InvalidValue, what)
        .exit()
}

/// How wide a terminal may be trusted to be.
const WIDTH: usize = 80;

/// `[5 tokens; 80.1 tokens/s]`: what a command came to, in as few lines as fit a terminal.
pub(crate) fn bracketed(parts: &[String]) -> String {
    let mut lines: Vec<String> = Vec::new();
    for part in parts {
        match lines.last_mut().filter(|line| "[; ]".len() + line.chars().count() + part.chars().count() <= WIDTH) {
            Some(line) => line.extend(["; ", part]),
            None => lines.push(part.clone()),
        }
    }
    lines.iter().map(|line| format!("[{line}]")).collect::<Vec<_>>().join("\n")
}

/// A name or text from a file with control characters escaped, so that it cannot drive the terminal.
pub(crate) fn plain(text: &str) -> String {
    text.chars().flat_map(|c| if c.is_control() { c.escape_default().collect() } else { vec![c] }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escape_sequences_lose_their_power() {
        assert_eq!(plain("a\u{1b}[31mß\n"), "a\\u{1b}[31mß\\n");
    }

    #[test]
    fn lines_hold_what_fits() {
        let parts = |lens: &[usize]| lens.iter().map(|&len| "x".repeat(len)).collect::<Vec<_>>();
        let widths = |lens: &[usize]| bracketed(&parts(lens)).lines().map(|l| l.len()).collect::<Vec<_>>();
        assert_eq!(bracketed(&parts(&[1, 2])), "[x; xx]");
        assert_eq!(widths(&[30, 46]), [80]);
        assert_eq!(widths(&[30, 47, 1]), [32, 52]);
        assert_eq!(widths(&[90, 1]), [92, 3], "a part is never cut");
        assert_eq!(bracketed(&[]), "");
    }

    #[test]
    fn only_a_closed_pipe_is_one() {
        assert!(is_closed_pipe(&io::Error::from(ErrorKind::BrokenPipe).into()));
        assert!(is_closed_pipe(&anyhow::Error::from(io::Error::from(ErrorKind::BrokenPipe)).context("stdout")));
        assert!(!is_closed_pipe(&io::Error::from(ErrorKind::NotFound).into()));
        assert!(!is_closed_pipe(&anyhow::anyhow!("broken pipe")));
    }
}
