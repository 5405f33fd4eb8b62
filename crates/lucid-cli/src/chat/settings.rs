//! What /set changes: the flags that the program was started with, and those typed since, the later one winning.

use super::Args;
use clap::{Arg, ArgMatches, Command, CommandFactory, FromArgMatches};
use std::ffi::OsString;

/// Flags beside those of sampling that may change while a chat runs.
const OTHERS: [&str; 2] = ["n_tokens", "stop"];

/// What the command is called.
const NAME: &str = "chat";

/// The whole command line, and the flags that followed.
pub(super) struct Settings {
    flags: Vec<OsString>,
    /// How many tokens there are.
    vocab: usize,
}

impl Settings {
    /// Those of the command line, which begins with the name of the program.
    pub fn new(flags: Vec<OsString>, vocab: usize) -> Settings {
        Settings { flags, vocab }
    }

    /// Changes one, by the name of its flag.
    pub fn set(&mut self, name: &str, value: &str) -> Result<Args, String> {
        let long = name.trim_start_matches('-').replace('_', "-");
        let called = |arg: &Arg| {
            arg.get_long() == Some(&long) || arg.get_visible_aliases().is_some_and(|names| names.contains(&&*long))
        };
        let Some(arg) = known().into_iter().find(|arg| called(arg) && changeable(arg)) else {
            return Err(format!("{name} is no setting that can change while a chat runs; /set shows all"));
        };
        let mut flags = self.flags.clone();
        flags.push(match value {
            "" if !arg.get_action().takes_values() => format!("--{long}").into(),
            value => format!("--{long}={value}").into(),
        });
        let args = parse(&flags)?.0;
        args.sampling.check(Some(self.vocab))?;
        self.flags = flags;
        Ok(args)
    }

    /// Every setting and its value, one a line.
    pub fn shown(&self) -> Result<String, String> {
        let matches = parse(&self.flags)?.1;
        let known = known();
        let lines = known.iter().filter(|arg| changeable(arg)).filter_map(|arg| {
            let values: Vec<_> = matches.get_raw(arg.get_id().as_str())?.map(|v| v.to_string_lossy()).collect();
            Some(format!("{:<22} {}", arg.get_long()?, values.join(" ")))
        });
        Ok(lines.collect::<Vec<_>>().join("\n"))
    }
}

/// The program with `chat` as it is here: a flag that was given already may be given again.
fn program() -> Command {
    crate::Cli::command().mut_subcommand(NAME, |chat| chat.args_override_self(true))
}

/// The flags of `chat`.
fn known() -> Vec<Arg> {
    program().find_subcommand(NAME).into_iter().flat_map(Command::get_arguments).cloned().collect()
}

fn changeable(arg: &Arg) -> bool {
    arg.get_help_heading() == Some("Sampling") || OTHERS.contains(&arg.get_id().as_str())
}

fn parse(flags: &[OsString]) -> Result<(Args, ArgMatches), String> {
    let sentence = |error: clap::Error| {
        let text = error.render().to_string();
        text.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned()
    };
    let mut matches = program().try_get_matches_from(flags).map_err(sentence)?;
    let Some((_, matches)) = matches.remove_subcommand() else { return Err("no command was given".into()) };
    let args = Args::from_arg_matches(&matches).map_err(sentence)?;
    Ok((args, matches))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(flags: &[&str]) -> Settings {
        Settings::new(flags.iter().map(OsString::from).collect(), 100)
    }

    #[test]
    fn the_last_word_counts() {
        let mut s = settings(&["lucid", "--offline", "chat", "m.gguf", "-t", "0.3", "--top-k=7"]);
        assert!(s.shown().unwrap().contains("temperature            0.3\n"));
        let params = s.set("temperature", "0.9").unwrap().sampling.params();
        assert_eq!((params.temperature, params.top_k), (0.9, 7));
        assert_eq!(s.set("top_p", "0.5").unwrap().sampling.params().temperature, 0.9);
        assert!(s.set("ignore-eos", "").unwrap().sampling.ignore_eos);
        assert_eq!(s.set("n-tokens", "-1").unwrap().n_tokens, -1);
        let shown = s.shown().unwrap();
        assert!(
            shown.contains("temperature            0.9\n") && shown.contains("top-k                  7\n"),
            "{shown}"
        );
    }

    #[test]
    fn what_is_wrong_is_said_and_changes_nothing() {
        let mut s = settings(&["lucid", "chat"]);
        for (name, value, words) in [
            ("top_k", "many", "invalid value 'many' for '--top-k <K>'"),
            ("top_p", "1.5", "--top-p is 1.5: it must be from 0 to 1"),
            ("logit-bias", "100=1", "--logit-bias names token 100, and the vocabulary has 100"),
            ("ctx", "5", "ctx is no setting"),
            ("frobnicate", "5", "frobnicate is no setting"),
        ] {
            let Err(message) = s.set(name, value) else { panic!("{name}") };
            assert!(message.contains(words), "{message}");
        }
        assert_eq!(s.set("top_k", "40").unwrap().sampling.params(), lucid::sample::Params::default());
    }
}
