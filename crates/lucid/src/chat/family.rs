//! Formats of families of models, for a model that has no template of its own.
//!
//! Nothing but evidence chooses one: tokens that only one format has, or a name that says what the model is. A wrong guess
//! is worse than none, since a model answers any format, only badly.

/// A family of models that share a chat format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// `<|start_header_id|>user<|end_header_id|>`
    Llama3,
    /// `<|im_start|>user`
    ChatMl,
    /// `<start_of_turn>user`
    Gemma,
    /// `<|user|>` and `<|end|>`
    Phi3,
    /// `[INST] … [/INST]`, and the system prompt in front of the first question.
    Mistral,
    /// `[INST] <<SYS>> … <</SYS>> … [/INST]`
    Llama2,
    /// `<|user|>`, and each turn ends with the end of text.
    Zephyr,
}

/// What is known about a model whose format is looked for.
pub(super) struct Evidence<'e> {
    /// Whether the vocabulary has a token of this text.
    pub(super) has_token: &'e dyn Fn(&str) -> bool,
    /// What the model calls itself: its name, its folder or file.
    pub(super) name: &'e str,
}

impl Family {
    /// All of them; where the evidence fits several, the first.
    pub const ALL: [Family; 7] =
        [Family::Llama3, Family::ChatMl, Family::Gemma, Family::Phi3, Family::Mistral, Family::Llama2, Family::Zephyr];

    /// What people call it.
    pub fn name(self) -> &'static str {
        match self {
            Family::Llama3 => "Llama 3",
            Family::ChatMl => "ChatML",
            Family::Gemma => "Gemma",
            Family::Phi3 => "Phi-3",
            Family::Mistral => "Mistral",
            Family::Llama2 => "Llama 2",
            Family::Zephyr => "Zephyr",
        }
    }

    /// The family of this name, in any case and with any or no marks between its letters: `llama3`, `Phi-3`.
    pub fn from_name(name: &str) -> Option<Family> {
        Family::ALL.into_iter().find(|family| letters(family.name()) == letters(name))
    }

    /// The template.
    pub fn source(self) -> &'static str {
        match self {
            Family::Llama3 => include_str!("family/llama3.jinja"),
            Family::ChatMl => include_str!("family/chatml.jinja"),
            Family::Gemma => include_str!("family/gemma.jinja"),
            Family::Phi3 => include_str!("family/phi3.jinja"),
            Family::Mistral => include_str!("family/mistral.jinja"),
            Family::Llama2 => include_str!("family/llama2.jinja"),
            Family::Zephyr => include_str!("family/zephyr.jinja"),
        }
    }

    /// Tokens that only this format has, all of them.
    fn tokens(self) -> &'static [&'static str] {
        match self {
            Family::Llama3 => &["<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"],
            Family::ChatMl => &["<|im_start|>", "<|im_end|>"],
            Family::Gemma => &["<start_of_turn>", "<end_of_turn>"],
            Family::Phi3 => &["<|user|>", "<|assistant|>", "<|end|>"],
            Family::Mistral => &["[INST]", "[/INST]"],
            Family::Llama2 | Family::Zephyr => &[], // written as ordinary text
        }
    }

    /// Words that only the name of such a model has, all of them.
    fn words(self) -> &'static [&'static str] {
        match self {
            Family::Mistral => &["mistral", "instruct"],
            Family::Llama2 => &["llama2", "chat"],
            Family::Zephyr => &["zephyr"],
            _ => &[],
        }
    }

    /// The family that the evidence speaks for, and the evidence in words.
    pub(super) fn guess(evidence: &Evidence) -> Option<(Family, String)> {
        for family in Family::ALL {
            let tokens = family.tokens();
            if !tokens.is_empty() && tokens.iter().all(|token| (evidence.has_token)(token)) {
                return Some((family, format!("its vocabulary has {}", tokens.join(" and "))));
            }
        }
        let name = letters(evidence.name);
        let named = |family: &Family| !family.words().is_empty() && family.words().iter().all(|w| name.contains(w));
        let family = Family::ALL.into_iter().find(named)?;
        Some((family, format!("it is called {:?}", evidence.name)))
    }
}

/// Letters and digits alone, small.
fn letters(name: &str) -> String {
    name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guess(tokens: &[&str], name: &str) -> Option<Family> {
        Family::guess(&Evidence { has_token: &|text| tokens.contains(&text), name }).map(|(family, _)| family)
    }

    #[test]
    fn tokens_and_names_are_evidence() {
        assert_eq!(guess(&["<|im_start|>", "<|im_end|>", "<s>"], ""), Some(Family::ChatMl));
        assert_eq!(guess(&["<|user|>", "<|assistant|>", "<|end|>"], "a zephyr"), Some(Family::Phi3));
        assert_eq!(guess(&["<|im_start|>"], "base"), None);
        assert_eq!(guess(&[], "TheBloke/Llama-2-7B-Chat"), Some(Family::Llama2));
        assert_eq!(guess(&[], "Llama-2-7B"), None);
        assert_eq!(guess(&[], "zephyr-7b-beta"), Some(Family::Zephyr));
        assert_eq!(guess(&[], "Mistral 7B Instruct v0.1"), Some(Family::Mistral));
    }

    #[test]
    fn families_have_names_that_people_type() {
        for family in Family::ALL {
            assert_eq!(Family::from_name(family.name()), Some(family));
        }
        assert_eq!(Family::from_name("phi3"), Some(Family::Phi3));
        assert_eq!(Family::from_name("CHATML"), Some(Family::ChatMl));
        assert_eq!(Family::from_name("llama"), None);
    }
}
