//! Where the fixtures lie: real files that are no part of the project.

use std::{io::Write, path::PathBuf};

/// The folder of fixtures: `LUCID_FIXTURES`, or beside the repository. `None`, and a visible line for `test`, when absent.
pub(crate) fn fixtures(test: &str) -> Option<PathBuf> {
    let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/fixtures");
    let folder = std::env::var_os("LUCID_FIXTURES").map_or_else(|| PathBuf::from(beside), PathBuf::from);
    if folder.is_dir() {
        return Some(folder);
    }
    // past the test harness, which would swallow what a passing test prints
    let _ = writeln!(std::io::stderr(), "SKIPPED {test}: fixtures absent");
    None
}
