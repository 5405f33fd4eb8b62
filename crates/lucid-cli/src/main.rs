//! The `lucid` command.
#![forbid(unsafe_code)]

fn main() {}
