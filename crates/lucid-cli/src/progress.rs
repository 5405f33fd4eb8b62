//! The bar that shows how far a long prompt has been read.

use indicatif::{ProgressBar, ProgressFinish, ProgressStyle};
use std::{
    io::{IsTerminal, stderr},
    time::{Duration, Instant},
};

/// Prompts that take less are read without a bar.
const PATIENCE: Duration = Duration::from_millis(400);

/// A bar on stderr that appears when the prompt takes its time, where stderr is a terminal.
pub(crate) struct Reading {
    started: Instant,
    bar: Option<ProgressBar>,
}

impl Reading {
    /// No bar yet.
    pub fn begin() -> Reading {
        Reading { started: Instant::now(), bar: None }
    }

    /// So many tokens of so many are done.
    pub fn advance(&mut self, done: usize, of: usize) {
        if self.bar.is_none() && self.started.elapsed() > PATIENCE && done < of && stderr().is_terminal() {
            let style = ProgressStyle::with_template("prompt {wide_bar} {pos}/{len} tokens, {eta} left");
            let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
            // however the reading ends, the bar leaves no trace
            self.bar = Some(ProgressBar::new(of as u64).with_style(style).with_finish(ProgressFinish::AndClear));
        }
        if let Some(bar) = &self.bar {
            bar.set_position(done as u64);
        }
    }
}
