//! `lucid completions`: a completion script for a shell.

use clap::CommandFactory;
use clap_complete::Shell;

/// Arguments of `lucid completions`.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  lucid completions bash > ~/.local/share/bash-completion/completions/lucid
  lucid completions zsh > ~/.zfunc/_lucid
  lucid completions fish > ~/.config/fish/completions/lucid.fish")]
pub(crate) struct Args {
    /// The shell
    shell: Shell,
}

/// Prints the script.
pub(crate) fn run(args: Args) -> anyhow::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut crate::Cli::command(), "lucid", &mut script);
    crate::output::print(&String::from_utf8_lossy(&script))
}
