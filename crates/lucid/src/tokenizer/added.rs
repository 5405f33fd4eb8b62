//! Tokens that are found in the text before anything else is done with it.

use super::{
    trie::Trie,
    vocab::{Kind, Strings},
};
use std::collections::HashSet;

/// A token that stands for its own text.
#[derive(Clone, Debug)]
pub(super) struct Added {
    pub(super) id: u32,
    pub(super) text: Vec<u8>,
    /// Found only when special tokens are asked for.
    pub(super) special: bool,
    /// Takes the white space before it.
    pub(super) lstrip: bool,
    /// Takes the white space after it.
    pub(super) rstrip: bool,
    /// Found only where no letter or digit touches it.
    pub(super) single_word: bool,
}

impl Added {
    /// A token that is found wherever its text is.
    pub(super) fn plain(id: u32, text: &[u8], special: bool) -> Added {
        Added { id, text: text.to_vec(), special, lstrip: false, rstrip: false, single_word: false }
    }
}

/// The control tokens that `listed` lacks.
pub(super) fn unlisted(listed: &[Added], texts: &Strings, kinds: &[Kind]) -> Vec<Added> {
    let listed: HashSet<u32> = listed.iter().map(|token| token.id).collect();
    let is_control = |id: &u32| matches!(kinds[*id as usize], Kind::Control | Kind::Unknown) && !listed.contains(id);
    let control = (0..texts.len() as u32).filter(is_control);
    control.map(|id| Added::plain(id, texts.get(id as usize).unwrap_or_default(), true)).collect()
}

/// Finds added tokens: the leftmost, and of those the longest.
#[derive(Clone, Debug)]
pub(super) struct Finder {
    tokens: Vec<Added>,
    trie: Trie,
}

/// A part of a text: a token found in it, or what lies between two.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Part<'t> {
    Token(u32),
    Text(&'t str),
}

impl Finder {
    pub(super) fn new(tokens: Vec<Added>) -> Finder {
        let trie = Trie::new(tokens.iter().zip(0..).map(|(t, i)| (&t.text[..], i)).collect());
        Finder { tokens, trie }
    }

    /// The parts of `text` in order, none of them empty. Special tokens are text unless asked for.
    pub(super) fn split<'t>(&self, text: &'t str, special: bool) -> Vec<Part<'t>> {
        let mut parts = Vec::new();
        let (mut from, mut at) = (0, 0); // the text not yet handed out begins at `from`
        while !self.tokens.is_empty() && at < text.len() {
            let Some((token, end)) = self.longest_at(text, at, special) else {
                at += 1;
                continue;
            };
            let mut start = at;
            if token.lstrip {
                start = from + text[from..at].trim_end().len();
            }
            if from < start {
                parts.push(Part::Text(&text[from..start]));
            }
            parts.push(Part::Token(token.id));
            from = end;
            if token.rstrip {
                from = text.len() - text[end..].trim_start().len();
            }
            at = from;
        }
        if from < text.len() {
            parts.push(Part::Text(&text[from..]));
        }
        parts
    }

    /// The longest token that begins at byte `at`, and where it ends.
    fn longest_at(&self, text: &str, at: usize, special: bool) -> Option<(&Added, usize)> {
        let touches = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
        let fits = |token: &Added, end: usize| {
            (special || !token.special)
                // a token that is not UTF-8 may match the middle of a character
                && text.is_char_boundary(at)
                && text.is_char_boundary(end)
                && !(token.single_word
                    && (touches(text[..at].chars().next_back()) || touches(text[end..].chars().next())))
        };
        self.trie
            .prefixes(&text.as_bytes()[at..])
            .map(|(len, i)| (&self.tokens[i as usize], at + len))
            .filter(|(token, end)| fits(token, *end))
            .last()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(id: u32, text: &str) -> Added {
        Added::plain(id, text.as_bytes(), false)
    }

    #[test]
    fn leftmost_longest_and_only_what_was_asked_for() {
        let finder = Finder::new(vec![
            token(0, "<a"),
            Added { special: true, ..token(1, "<a>") },
            Added { lstrip: true, rstrip: true, ..token(2, "[M]") },
            Added { single_word: true, ..token(3, "yes") },
        ]);
        use Part::{Text, Token};
        assert_eq!(finder.split("x<a>y", true), [Text("x"), Token(1), Text("y")]);
        assert_eq!(finder.split("x<a>y", false), [Text("x"), Token(0), Text(">y")]);
        assert_eq!(finder.split("é \n[M] ü [M]", false), [Text("é"), Token(2), Text("ü"), Token(2)]);
        assert_eq!(finder.split("yes yesno no_yes", false), [Token(3), Text(" yesno no_yes")]);
        assert_eq!(finder.split("", false), []);
        assert_eq!(Finder::new(Vec::new()).split("a", true), [Text("a")]);
    }
}
