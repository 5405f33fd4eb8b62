//! Writing data to stdout, where the reader may leave at any time.

use std::io::{self, ErrorKind, Write};

/// Writes all of `text` to stdout. A closed pipe is an error like any other here; [`is_closed_pipe`] tells it apart.
pub(crate) fn print(text: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()?;
    Ok(())
}

/// Whether the reader of stdout went away (`| head -1`): no reason to complain.
pub(crate) fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == ErrorKind::BrokenPipe)
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
    fn only_a_closed_pipe_is_one() {
        assert!(is_closed_pipe(&io::Error::from(ErrorKind::BrokenPipe).into()));
        assert!(!is_closed_pipe(&io::Error::from(ErrorKind::NotFound).into()));
        assert!(!is_closed_pipe(&anyhow::anyhow!("broken pipe")));
    }
}
