//! Tokens with a meaning of their own, and those that end a turn.

use super::vocab::{Kind, Strings};

/// The tokens that mean something to the engine; absent where the vocabulary has none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Special {
    /// Begins a sequence.
    pub bos: Option<u32>,
    /// Ends a sequence.
    pub eos: Option<u32>,
    /// Ends a turn.
    pub eot: Option<u32>,
    /// Ends a message within a turn: a tool is called.
    pub eom: Option<u32>,
    /// Stands for text that the vocabulary cannot write.
    pub unknown: Option<u32>,
    /// Separates sentences.
    pub separator: Option<u32>,
    /// Fills up a batch.
    pub padding: Option<u32>,
    /// Stands for text to be guessed.
    pub mask: Option<u32>,
    /// Before the text that precedes a gap to be filled.
    pub fim_prefix: Option<u32>,
    /// Before the text that follows the gap.
    pub fim_suffix: Option<u32>,
    /// Before the text that fills the gap.
    pub fim_middle: Option<u32>,
    /// Every token after which generation stops, in order.
    pub stop: Vec<u32>,
}

/// The texts by which tokens are known whose ids no file names, in order of precedence.
const EOT: &[&str] = &[
    "<|eot_id|>",
    "<|im_end|>",
    "<|end|>",
    "<end_of_turn>",
    "<turn|>",
    "<|endoftext|>",
    "<|end_of_text|>",
    "<EOT>",
    "_<EOT>",
    "[EOT]",
    "<｜end▁of▁sentence｜>",
    "<end_of_utterance>",
];
const EOM: &[&str] = &["<|eom_id|>"];
const FIM_PREFIX: &[&str] = &[
    "<|fim_prefix|>",
    "<fim-prefix>",
    "<fim_prefix>",
    "<｜fim▁begin｜>",
    "<PRE>",
    "▁<PRE>",
    "<|code_prefix|>",
    "<|prefix|>",
];
const FIM_SUFFIX: &[&str] = &[
    "<|fim_suffix|>",
    "<fim-suffix>",
    "<fim_suffix>",
    "<｜fim▁hole｜>",
    "<SUF>",
    "▁<SUF>",
    "<|code_suffix|>",
    "<|suffix|>",
];
const FIM_MIDDLE: &[&str] = &[
    "<|fim_middle|>",
    "<fim-middle>",
    "<fim_middle>",
    "<｜fim▁end｜>",
    "<MID>",
    "▁<MID>",
    "<|code_middle|>",
    "<|middle|>",
];
/// Those that end a turn beside the ones above.
const STOP: &[&str] = &[
    "<|return|>",
    "<|call|>",
    "<|flush|>",
    "<|calls|>",
    "</s>",
    "[EOS]",
    "<eos>",
    "<|tool_response>",
    "[e~[",
    "<|fim_pad|>",
    "<fim-pad>",
    "<fim_pad>",
    "<PAD>",
    "[PAD]",
    "<|fim_repo|>",
    "<|repo_name|>",
    "<fim-repo>",
    "<REPO>",
    "<reponame>",
    "<|file_sep|>",
];

impl Special {
    /// These, and those of `base` where there is none.
    pub(super) fn over(self, base: Special) -> Special {
        Special {
            bos: self.bos.or(base.bos),
            eos: self.eos.or(base.eos),
            eot: self.eot.or(base.eot),
            eom: self.eom.or(base.eom),
            unknown: self.unknown.or(base.unknown),
            separator: self.separator.or(base.separator),
            padding: self.padding.or(base.padding),
            mask: self.mask.or(base.mask),
            fim_prefix: self.fim_prefix.or(base.fim_prefix),
            fim_suffix: self.fim_suffix.or(base.fim_suffix),
            fim_middle: self.fim_middle.or(base.fim_middle),
            stop: [self.stop, base.stop].concat(),
        }
    }

    /// Fills in what the file did not name, by the texts of the tokens. Such tokens are structure whatever the file says,
    /// so that no text can smuggle them in.
    pub(super) fn recognise(&mut self, texts: &Strings, kinds: &mut [Kind]) {
        let ids = |known: &[&str]| {
            let mut found: Vec<(usize, u32)> = Vec::new(); // by precedence, then id
            let looks_special =
                |text: &[u8]| matches!(text.first(), Some(b'<' | b'[' | b'_' | 0xe2)) && text.len() < 40;
            for (id, text) in (0..).zip(texts.iter()).filter(|(_, text)| looks_special(text)) {
                if let Some(rank) = known.iter().position(|k| k.as_bytes() == text) {
                    found.push((rank, id));
                }
            }
            found.sort();
            found.into_iter().map(|(_, id)| id).collect::<Vec<u32>>()
        };
        let (eot, eom, stop) = (ids(EOT), ids(EOM), ids(STOP));
        let fim = [ids(FIM_PREFIX), ids(FIM_SUFFIX), ids(FIM_MIDDLE)];
        for &id in [&eot, &eom, &stop].into_iter().chain(&fim).flatten() {
            kinds[id as usize] = Kind::Control;
        }
        self.eot = self.eot.or(eot.first().copied());
        self.eom = self.eom.or(eom.first().copied());
        let [prefix, suffix, middle] = fim;
        self.fim_prefix = self.fim_prefix.or(prefix.first().copied());
        self.fim_suffix = self.fim_suffix.or(suffix.first().copied());
        self.fim_middle = self.fim_middle.or(middle.first().copied());

        self.stop.extend(eot.into_iter().chain(eom).chain(stop));
        let has = |stop: &[u32], text: &str| stop.iter().any(|&id| texts.get(id as usize) == Some(text.as_bytes()));
        // Two formats write messages of several parts: `<|end|>` ends a part there, not the turn.
        let parts = (has(&self.stop, "<|return|>") || has(&self.stop, "<|flush|>"))
            && (has(&self.stop, "<|call|>") || has(&self.stop, "<|calls|>"));
        // In two vocabularies `</s>` is ordinary text.
        let plain = has(&self.stop, "<|tool_response>") || self.eos.is_some_and(|id| has(&[id], "<|plamo:eos|>"));
        self.stop.retain(|&id| match texts.get(id as usize) {
            Some(b"<|end|>") => !parts,
            Some(b"</s>") => !plain,
            _ => true,
        });
        if plain && let Some(id) = texts.iter().position(|t| t == b"</s>") {
            kinds[id] = Kind::Normal;
        }
        if parts && self.eot.is_some_and(|id| !self.stop.contains(&id)) {
            self.eot = None;
        }
        self.stop.extend([self.eos, self.eot, self.eom].into_iter().flatten());
        self.stop.sort();
        self.stop.dedup();
    }
}
