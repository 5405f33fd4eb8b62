//! Ctrl-C as a flag.

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

/// A flag that Ctrl-C raises. Pressed again before anybody lowered it, it ends the program on the spot.
pub(crate) fn flag() -> anyhow::Result<Arc<AtomicBool>> {
    let flag = Arc::new(AtomicBool::new(false));
    let raised = flag.clone();
    ctrlc::set_handler(move || {
        if raised.swap(true, Ordering::Relaxed) {
            exit(i32::from(CODE));
        }
    })
    .context("cannot catch Ctrl-C")?;
    Ok(flag)
}
