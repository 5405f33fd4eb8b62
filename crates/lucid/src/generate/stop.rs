//! What ends a text besides its length: strings that may straddle tokens, and ids.

use crate::{
    Result,
    file::{Container, ModelFile, json::Json},
    tokenizer::Tokenizer,
};
use std::path::Path;

/// Watches a text that comes in pieces for stop strings, and lets out what cannot be part of one.
///
/// ```text
/// stop string "\nUser:"      piece     let out     held back
///                            " yes"    " yes"
///                            ".\nUs"   "."         "\nUs"       this may be the beginning
///                            "e it"    "\nUse it"               it was not
/// ```
///
/// However a text is cut into pieces, what comes out is the same: the text up to the first place at which a stop string is
/// complete, without that string; of several that are complete there, without the longest.
#[derive(Clone, Debug)]
pub struct Stops {
    strings: Vec<String>,
    /// The longest end of the text so far that begins a stop string.
    held: String,
}

impl Stops {
    /// Watches for these. An empty one would end every text before it begins, and is ignored.
    pub fn new(strings: &[String]) -> Stops {
        Stops { strings: strings.iter().filter(|s| !s.is_empty()).cloned().collect(), held: String::new() }
    }

    /// The next piece: what may be shown now, and the stop string that ended the text. Nothing must be pushed after that.
    pub fn push(&mut self, piece: String) -> (String, Option<String>) {
        let mut text = piece;
        if !self.held.is_empty() {
            text = std::mem::take(&mut self.held) + &text;
        }
        let complete = |s: &&String| text.find(s.as_str()).map(|at| at + s.len());
        if let Some(end) = self.strings.iter().filter_map(|s| complete(&s)).min() {
            let longest = self.strings.iter().filter(|s| text[..end].ends_with(s.as_str())).max_by_key(|s| s.len());
            text.truncate(end - longest.map_or(0, |s| s.len()));
            return (text, longest.cloned());
        }
        let begins = |tail: &str| self.strings.iter().any(|s| s.starts_with(tail));
        let hold = text.char_indices().map(|(at, _)| at).find(|&at| begins(&text[at..])).unwrap_or(text.len());
        self.held = text.split_off(hold);
        (text, None)
    }

    /// What was held back, when no more pieces come: it began a stop string and did not complete it.
    pub fn finish(&mut self) -> String {
        std::mem::take(&mut self.held)
    }
}

/// Every id after which `file`'s model has said what it wanted: from its vocabulary (eos, eot, eom, and the tokens known to
/// end a turn), and of a folder from `generation_config.json` and `config.json`. Sorted, each once.
pub fn stop_ids(file: &ModelFile, tokenizer: &Tokenizer) -> Result<Vec<u32>> {
    let mut ids = tokenizer.special.stop.clone();
    if let Container::HuggingFace { config, .. } | Container::Npy { config, .. } = &file.container {
        ids.extend(eos_of(config)?);
        let folder = if file.path.is_dir() { &file.path } else { file.path.parent().unwrap_or(Path::new("")) };
        let generation = folder.join("generation_config.json");
        if generation.is_file() {
            ids.extend(eos_of(&Json::open(&generation)?)?);
        }
    }
    ids.sort_unstable();
    ids.dedup();
    Ok(ids)
}

/// `"eos_token_id": 2`, or `[2, 3]`, or null, or nothing.
fn eos_of(json: &Json) -> Result<Vec<u32>> {
    use serde_json::Value;
    let Some((_, value)) = json.members().find(|(key, _)| *key == "eos_token_id") else { return Ok(Vec::new()) };
    let id = |v: &Value| v.as_u64().and_then(|n| u32::try_from(n).ok());
    let ids = match value {
        Value::Null => Some(Vec::new()),
        Value::Array(items) => items.iter().map(id).collect(),
        one => id(one).map(|id| vec![id]),
    };
    ids.ok_or_else(|| json.root().wrong("eos_token_id", "is no token id, nor a list of them"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The definition, on the whole text: output, and whether a stop string ended it.
    fn whole(text: &str, stops: &[String]) -> (String, bool) {
        let ends = text.char_indices().map(|(at, c)| at + c.len_utf8());
        for end in ends {
            let at_end = |s: &&String| !s.is_empty() && text[..end].ends_with(s.as_str());
            if let Some(longest) = stops.iter().filter(at_end).map(String::len).max() {
                return (text[..end - longest].to_owned(), true);
            }
        }
        (text.to_owned(), false)
    }

    fn in_pieces(pieces: &[String], stops: &[String]) -> (String, bool) {
        let mut holder = Stops::new(stops);
        let mut out = String::new();
        for piece in pieces {
            let (text, stopped) = holder.push(piece.clone());
            out.push_str(&text);
            if stopped.is_some() {
                return (out, true);
            }
        }
        (out + &holder.finish(), false)
    }

    #[test]
    fn what_may_begin_a_stop_string_waits_and_nothing_else_does() {
        let mut stops = Stops::new(&["\nUser:".into()]);
        assert_eq!(stops.push(" yes".into()), (" yes".into(), None));
        assert_eq!(stops.push(".\nUs".into()), (".".into(), None));
        assert_eq!(stops.push("e it\n".into()), ("\nUse it".into(), None));
        assert_eq!(stops.push("User".into()), ("".into(), None));
        assert_eq!(stops.push(": hello".into()), ("".into(), Some("\nUser:".into())));
        let mut stops = Stops::new(&["é!".into(), String::new()]);
        assert_eq!(stops.push("caféé".into()), ("café".into(), None));
        assert_eq!(stops.finish(), "é");
    }

    #[test]
    fn the_first_to_complete_ends_the_text_and_the_longest_of_those_is_cut() {
        let stops = |list: &[&str]| list.iter().map(|s| s.to_string()).collect::<Vec<_>>();
        assert_eq!(whole("xabcd", &stops(&["abcd", "bc"])), ("xa".into(), true));
        assert_eq!(in_pieces(&stops(&["xab", "cd"]), &stops(&["abcd", "bc"])), ("xa".into(), true));
        assert_eq!(in_pieces(&stops(&["xab", "cd"]), &stops(&["c", "abc"])), ("x".into(), true));
    }

    proptest! {
        /// An alphabet of three letters, so that stop strings overlap, nest and begin often.
        #[test]
        fn however_the_text_is_cut(
            pieces in prop::collection::vec("[abé]{0,4}", 0..12),
            stops in prop::collection::vec("[abé]{0,4}", 0..4),
        ) {
            prop_assert_eq!(in_pieces(&pieces, &stops), whole(&pieces.concat(), &stops));
        }
    }

    #[test]
    fn eos_is_one_id_or_several_or_none() {
        let of = |text: &str| eos_of(&Json::parse(Path::new("config.json"), text.as_bytes()).unwrap());
        assert_eq!(of(r#"{"eos_token_id": 2}"#).unwrap(), [2]);
        assert_eq!(of(r#"{"eos_token_id": [2, 7]}"#).unwrap(), [2, 7]);
        assert!(of(r#"{"eos_token_id": null}"#).unwrap().is_empty());
        assert!(of("{}").unwrap().is_empty());
        for bad in [r#"{"eos_token_id": "2"}"#, r#"{"eos_token_id": [2, -1]}"#, r#"{"eos_token_id": 4294967296}"#] {
            let message = of(bad).unwrap_err().to_string();
            assert_eq!(message, "config.json: eos_token_id: is no token id, nor a list of them");
        }
    }
}
