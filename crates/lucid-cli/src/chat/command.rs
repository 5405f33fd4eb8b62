//! What begins with a slash.

/// Every command, for completion.
pub(super) const NAMES: [&str; 8] = ["/help", "/system", "/reset", "/save", "/load", "/set", "/regenerate", "/quit"];

/// What /help shows.
pub(super) const HELP: &str = "\
/system TEXT     tell the model something first; alone shows it, \"\" removes it
/reset           forget the conversation; the system message and settings stay
/regenerate      another answer to your last message
/set NAME VALUE  change a flag, as in /set temperature 0.5; /set alone shows all
/save FILE       write the conversation as JSON, a list of messages
/load FILE       go on with such a conversation
/quit            leave; so does Ctrl-D

Ctrl-C stops an answer. A line that ends with \\ goes on in the next, and three
quotes (\"\"\") begin and end a text of many lines. Begin with // to say something
that begins with /.";

/// A line that was typed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Command {
    /// A message to the model.
    Say(String),
    Help,
    /// Shows the system message, or sets it; an empty one removes it.
    System(Option<String>),
    Reset,
    Save(String),
    Load(String),
    /// Shows the settings, or changes one.
    Set(Option<(String, String)>),
    Regenerate,
    Quit,
    /// An empty line.
    Nothing,
}

impl Command {
    /// Understands a line, or says what is wrong with it.
    pub fn parse(text: &str) -> Result<Command, String> {
        if text.trim().is_empty() {
            return Ok(Command::Nothing);
        }
        let Some(rest) = text.strip_prefix('/') else { return Ok(Command::Say(text.to_owned())) };
        if rest.starts_with('/') {
            return Ok(Command::Say(rest.to_owned()));
        }
        let (name, argument) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
        let argument = argument.trim();
        let file = |command: fn(String) -> Command| match argument {
            "" => Err(format!("/{name} needs the name of a file")),
            path => Ok(command(path.to_owned())),
        };
        let alone = |command| match argument {
            "" => Ok(command),
            _ => Err(format!("/{name} stands alone; nothing belongs behind it")),
        };
        match name {
            "help" | "?" => alone(Command::Help),
            "reset" => alone(Command::Reset),
            "regenerate" => alone(Command::Regenerate),
            "quit" | "exit" | "bye" => alone(Command::Quit),
            "save" => file(Command::Save),
            "load" => file(Command::Load),
            "system" => Ok(Command::System(match argument {
                "" => None,
                "\"\"" => Some(String::new()),
                text => Some(text.to_owned()),
            })),
            "set" if argument.is_empty() => Ok(Command::Set(None)),
            "set" => {
                let (key, value) = argument.split_once([' ', '=', '\t']).unwrap_or((argument, ""));
                Ok(Command::Set(Some((key.to_owned(), value.trim().to_owned()))))
            }
            _ => Err(format!("there is no command /{name}; /help lists them")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_understood() {
        let parse = |text| Command::parse(text).unwrap();
        assert_eq!(parse("Hello /help"), Command::Say("Hello /help".into()));
        assert_eq!(parse("//etc is a folder"), Command::Say("/etc is a folder".into()));
        assert_eq!(parse("  "), Command::Nothing);
        assert_eq!(parse("/system You are a\npirate"), Command::System(Some("You are a\npirate".into())));
        assert_eq!(
            (parse("/system"), parse("/system \"\"")),
            (Command::System(None), Command::System(Some("".into())))
        );
        assert_eq!(parse("/set top_k 5"), Command::Set(Some(("top_k".into(), "5".into()))));
        assert_eq!(parse("/set seed=5"), Command::Set(Some(("seed".into(), "5".into()))));
        assert_eq!(parse("/set ignore-eos"), Command::Set(Some(("ignore-eos".into(), "".into()))));
        assert_eq!((parse("/set"), parse("/exit")), (Command::Set(None), Command::Quit));
        assert_eq!(parse("/save a b.json"), Command::Save("a b.json".into()));
        for wrong in ["/save", "/reset now", "/frobnicate", "/"] {
            assert!(Command::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn every_command_is_in_the_help_and_can_be_completed() {
        for name in NAMES {
            assert!(!matches!(Command::parse(&format!("{name} x")), Err(e) if e.contains("there is no")), "{name}");
            assert!(HELP.contains(name) || name == "/help", "{name}");
        }
        assert!(HELP.lines().all(|line| line.len() <= 80), "wider than a terminal");
    }
}
