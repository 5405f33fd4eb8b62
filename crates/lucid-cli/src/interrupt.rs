//! Ctrl-C as a flag, so that what it ends can still say how it went.

use anyhow::Context;
use std::{
    fmt,
    process::{ExitCode, exit},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

const CODE: u8 = 130;

/// The way out of a command that Ctrl-C ended, once everything is said: no message, only an exit code.
#[derive(Debug)]
pub(crate) struct Interrupted;

impl Interrupted {
    /// What shells report for a program that Ctrl-C ended.
    pub fn exit_code() -> ExitCode {
        ExitCode::from(CODE)
    }
}

impl fmt::Display for Interrupted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("interrupted")
    }
}

impl std::error::Error for Interrupted {}

/// What Ctrl-C does, and what a plain `kill` does too.
#[derive(Debug)]
pub(crate) struct Signals {
    /// Raised while there is something to cancel.
    pub cancel: AtomicBool,
    /// Whether there is. Otherwise a signal ends the program on the spot.
    pub busy: AtomicBool,
}

/// Listens from now on. With `second_ends`, a second Ctrl-C ends the program when the first one was not heard yet.
pub(crate) fn listen(second_ends: bool) -> anyhow::Result<Arc<Signals>> {
    let signals = Arc::new(Signals { cancel: AtomicBool::new(false), busy: AtomicBool::new(false) });
    let heard = signals.clone();
    ctrlc::set_handler(move || {
        let again = heard.cancel.swap(true, Ordering::Relaxed);
        if !heard.busy.load(Ordering::Relaxed) || (again && second_ends) {
            exit(i32::from(CODE));
        }
    })
    .context("cannot catch Ctrl-C")?;
    Ok(signals)
}
