//! The pre-tokenizers that GGUF files name: a table from name to patterns.
//!
//! Where llama.cpp's table differs from the model's own `tokenizer.json` because its engine lacks a feature (subclasses of
//! letters, case folding, lookahead over groups), the model's own pattern stands here: it is the one the model learned.

use super::split::Step;

/// What a name in `tokenizer.ggml.pre` means.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pre {
    names: &'static [&'static str],
    /// Each cuts the pieces that the one before left.
    patterns: &'static [&'static str],
    /// Pieces that are a token as a whole are that token, whatever the merges say.
    pub(super) whole_words: bool,
    /// Whether a sequence begins with the BOS token when the file does not say.
    pub(super) bos: bool,
    /// How the text itself is written.
    pub(super) alphabet: Alphabet,
}

/// How a vocabulary writes text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Alphabet {
    /// Bytes, as the characters of [`super::vocab::byte_level`].
    Bytes,
    /// Characters, with "▁" for a space; bytes that no token writes as `<0x0A>`.
    Spaced,
    /// Characters as they are.
    Plain,
    /// Words with "▁" before them, as WordPiece vocabularies are written in GGUF.
    Words,
}

macro_rules! contraction {
    () => {
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
    };
}
/// A word and the one character before it that belongs to it.
macro_rules! word {
    () => {
        r"[^\r\n\p{L}\p{N}]?\p{L}+"
    };
}
/// Words that also end where capitals follow small letters: `camelCase` is two.
macro_rules! cased_word {
    ($after:expr) => {
        concat!(
            r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+",
            $after,
            r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*",
            $after
        )
    };
}
macro_rules! han_word {
    () => {
        concat!(
            r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+",
            contraction!(),
            r"?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*",
            contraction!(),
            r"?"
        )
    };
}
/// Signs, with the line ends after them.
macro_rules! signs {
    () => {
        r" ?[^\s\p{L}\p{N}]+[\r\n]*"
    };
}
/// White space: up to the last line end, then all but the last space before a word, then what is left.
macro_rules! spaces {
    () => {
        r"\s*[\r\n]+|\s+(?!\S)|\s+"
    };
}

/// GPT-2's, which `tokenizer.json` calls ByteLevel.
pub(super) const GPT2: &str = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";
const LLAMA3: &str = concat!(contraction!(), "|", word!(), r"|\p{N}{1,3}|", signs!(), "|", spaces!());
const QWEN2: &str = concat!(contraction!(), "|", word!(), r"|\p{N}|", signs!(), "|", spaces!());
const GPT4O: &str =
    concat!(cased_word!(concat!(contraction!(), "?")), r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|", spaces!());
const DEEPSEEK3: &str = concat!(
    r##"[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|"##,
    r"[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|",
    spaces!()
);
const BLOOM: &str = r" ?[^(\s|.,!?…。，、।۔،)]+";
const LINES: &str = r"[^\n]+|[\n]+";
const CJK: &str = "[一-龥぀-ゟ゠-ヿ]+";
const CJK_SUPPLEMENT: &str = "[一-龥ࠀ-一가-퟿]+";
const THREE_DIGITS: &str = "[0-9][0-9][0-9]";
const DIGIT_GROUPS: &str = r"\d{1,3}(?=(?:\d{3})*\b)";

const BYTES: Pre = Pre { names: &[], patterns: &[], whole_words: false, bos: false, alphabet: Alphabet::Bytes };

const TABLE: &[Pre] = &[
    Pre {
        names: &[
            "llama3",
            "llama-v3",
            "llama-bpe",
            "falcon3",
            "falcon-h1",
            "pixtral",
            "midm-2.0",
            "lfm2",
            "jina-v5-nano",
        ],
        patterns: &[LLAMA3],
        whole_words: true,
        bos: true,
        ..BYTES
    },
    Pre { names: &["dbrx", "smaug-bpe", "chatglm-bpe"], patterns: &[LLAMA3], ..BYTES },
    Pre { names: &["glm4", "glm5"], patterns: &[LLAMA3], whole_words: true, ..BYTES },
    Pre {
        names: &["jais-2"],
        patterns: &[concat!(
            contraction!(),
            "|",
            word!(),
            r"|\p{N}{1,3}|",
            signs!(),
            r"|\s*[\r\n]+",
            r"|\s{512}(?!\S)|\s{256}(?!\S)|\s{128}(?!\S)|\s{64}(?!\S)|\s{32}(?!\S)|\s{16}(?!\S)|\s{8}(?!\S)",
            r"|\s{4}(?!\S)|\s{1,2}(?!\S)|\s{1}"
        )],
        ..BYTES
    },
    Pre {
        names: &[
            "gpt-2",
            "phi-2",
            "jina-es",
            "jina-de",
            "gigachat",
            "jina-v2-es",
            "jina-v2-de",
            "a.x-4.0",
            "mellum",
            "modern-bert",
            "jina-v1-en",
            "jina-v2-code",
            "roberta-bpe",
            "mpt",
            "olmo",
            "jais",
            "exaone4",
            "trillion",
            "granite-docling",
        ],
        patterns: &[GPT2],
        ..BYTES
    },
    Pre {
        names: &["starcoder", "refact", "command-r", "smollm", "codeshell", "exaone", "minerva-7b", "mellum2"],
        patterns: &[r"\p{N}", GPT2],
        ..BYTES
    },
    Pre {
        names: &[
            "qwen2",
            "deepseek-r1-qwen",
            "kormo",
            "f2llmv2",
            "megrez",
            "stablelm2",
            "hunyuan",
            "solar-open",
            "grok-2",
        ],
        patterns: &[QWEN2],
        ..BYTES
    },
    Pre {
        names: &["qwen35"],
        patterns: &[concat!(
            contraction!(),
            r"|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|",
            spaces!()
        )],
        ..BYTES
    },
    Pre { names: &["ufakzeka"], patterns: &[concat!(word!(), r"|\p{N}|", signs!(), "|", spaces!())], ..BYTES },
    Pre { names: &["laguna"], patterns: &[LINES, QWEN2], ..BYTES },
    Pre {
        names: &["minicpm5"],
        patterns: &[r"\p{N}{1,3}", concat!(contraction!(), "|", word!(), r"|\p{N}+|", signs!(), "|", spaces!())],
        whole_words: true,
        ..BYTES
    },
    Pre {
        names: &["seed-coder"],
        patterns: &[concat!(contraction!(), "|", word!(), r"|\p{N}| ?[^\s\p{L}\p{N}\r\n]+|", spaces!())],
        ..BYTES
    },
    Pre {
        names: &["bailingmoe", "bailingmoe2", "llada-moe"],
        patterns: &[concat!(
            r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]++[\r\n]*|",
            r"\s*[\r\n]|\s+(?!\S)|\s+"
        )],
        ..BYTES
    },
    Pre {
        names: &["exaone-moe"],
        patterns: &[concat!(
            contraction!(),
            r"|[^\r\n\p{L}\p{N}]?(?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]?|",
            r"\s*[\r\n]|\s+(?!\S)|\s+"
        )],
        ..BYTES
    },
    Pre {
        names: &["deepseek-llm"],
        patterns: &[
            r"[\r\n]",
            concat!(
                r"\s?[A-Za-z\x{B5}\x{C0}-\x{D6}\x{D8}-\x{F6}\x{F8}-\x{1BA}\x{1BC}-\x{1BF}\x{1C4}-\x{293}",
                r"\x{295}-\x{2AF}\x{370}-\x{373}\x{376}\x{377}\x{37B}-\x{37D}\x{37F}\x{386}\x{388}-\x{38A}\x{38C}",
                r"\x{38E}-\x{3A1}\x{3A3}-\x{3F5}\x{3F7}-\x{481}\x{48A}-\x{52F}\x{531}-\x{556}\x{10A0}-\x{10C5}",
                r"\x{13A0}-\x{13F5}\x{13F8}-\x{13FD}\x{1C90}-\x{1CBA}\x{1CBD}-\x{1CBF}\x{1D00}-\x{1D2B}",
                r"\x{1D6B}-\x{1D77}\x{1D79}-\x{1D9A}\x{1E00}-\x{1F15}\x{1F18}-\x{1F1D}\x{1F20}-\x{1F45}",
                r"\x{1F48}-\x{1F4D}\x{1F50}-\x{1F57}\x{1F59}\x{1F5B}\x{1F5D}\x{1F5F}-\x{1F7D}\x{1F80}-\x{1FB4}",
                r"\x{1FB6}-\x{1FBC}\x{1FBE}\x{1FC2}-\x{1FC4}\x{1FC6}-\x{1FCC}\x{1FD0}-\x{1FD3}\x{1FD6}-\x{1FDB}",
                r"\x{1FE0}-\x{1FEC}\x{1FF2}-\x{1FF4}\x{1FF6}-\x{1FFC}\x{2102}\x{2107}\x{210A}-\x{2113}\x{2115}",
                r"\x{2119}-\x{211D}\x{2124}\x{2126}\x{2128}\x{212A}-\x{212D}\x{212F}-\x{2134}\x{2139}",
                r"\x{213C}-\x{213F}\x{2145}-\x{2149}\x{214E}\x{2183}\x{2184}\x{2C00}-\x{2C7B}\x{2C7E}-\x{2CE4}",
                r"\x{2CEB}-\x{2CEE}\x{2CF2}\x{2CF3}\x{A640}-\x{A66D}\x{A680}-\x{A69B}\x{A722}-\x{A76F}",
                r"\x{A771}-\x{A787}\x{A78B}-\x{A78E}\x{AB70}-\x{ABBF}\x{FB00}-\x{FB06}\x{FB13}-\x{FB17}",
                r"\x{FF21}-\x{FF3A}\x{FF41}-\x{FF5A}\x{10400}-\x{1044F}\x{104B0}-\x{104D3}\x{104D8}-\x{104FB}",
                r"\x{10C80}-\x{10CB2}\x{10CC0}-\x{10CF2}\x{118A0}-\x{118DF}\x{1E900}-\x{1E943}]+"
            ),
            r"\s?[!-/:-~！-／：-～‘-‟　-。]+",
            r"\s+$",
            CJK_SUPPLEMENT,
            r"\p{N}+",
        ],
        ..BYTES
    },
    Pre {
        names: &["deepseek-coder"],
        patterns: &[r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", CJK_SUPPLEMENT, r"\p{N}"],
        ..BYTES
    },
    Pre {
        names: &["deepseek-v3", "hunyuan-dense", "joyai-llm", "hy_v4"],
        patterns: &[r"\p{N}{1,3}", CJK, DEEPSEEK3],
        ..BYTES
    },
    Pre {
        names: &["spark2_5"],
        patterns: &[
            r"\p{N}{1,3}",
            CJK,
            concat!(
                r##"[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|"##,
                r"[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+|[\r\n]|\s+(?!\S)|\s+"
            ),
            r"\p{N}",
        ],
        ..BYTES
    },
    Pre {
        names: &["youtu"],
        patterns: &[
            "[가-힣ㄱ-ㆎ]+|[！…“”‘’—：；，、-〿︰-﹏]+|[ㄅ-ㄯ]+|[一-龥぀-ゟ゠-ヿ]+",
            concat!(cased_word!(concat!(contraction!(), "?")), r"|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|", spaces!()),
        ],
        whole_words: true,
        ..BYTES
    },
    Pre {
        names: &["afmoe"],
        patterns: &[DIGIT_GROUPS, "[一-鿿㐀-䶿\u{F900}-﫿぀-ゟ゠-ヿ･-ﾟ⼀-⿟เ-๿຀-໿ក-៿က-႟ꩠ-ꩿꧠ-꧿가-힯ᄀ-ᇿ]+", DEEPSEEK3],
        ..BYTES
    },
    Pre { names: &["gpt-4o", "llama4", "kanana2", "talkie", "minimax-m2"], patterns: &[GPT4O], ..BYTES },
    Pre { names: &["granite-embed-multi-97m"], patterns: &[GPT4O], whole_words: true, ..BYTES },
    Pre { names: &["tiny_aya", "cohere2moe"], patterns: &[DIGIT_GROUPS, GPT4O], ..BYTES },
    Pre {
        names: &["tekken"],
        patterns: &[concat!(cased_word!(""), r"|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|", spaces!())],
        whole_words: true,
        bos: true,
        ..BYTES
    },
    Pre {
        names: &["kimi-k2"],
        patterns: &[concat!(r"[\p{Han}]+|", han_word!(), r"|\p{N}{1,3}|", signs!(), "|", spaces!())],
        ..BYTES
    },
    Pre { names: &["superbpe"], patterns: &[r"\p{N}+", r"(?=(\d{3})+(?!\d))"], ..BYTES },
    Pre { names: &["falcon"], patterns: &[r"[\p{P}\$\+<=>\^~\|`]+", GPT2, THREE_DIGITS], ..BYTES },
    Pre { names: &["default"], patterns: &[r"[\p{P}\$\+<=>\^~\|]+", GPT2, r"\p{N}+", THREE_DIGITS], ..BYTES },
    Pre { names: &["poro-chat", "bloom", "gpt3-finnish"], patterns: &[BLOOM], ..BYTES },
    Pre { names: &["viking"], patterns: &[BLOOM, r"\p{N}"], ..BYTES },
    Pre {
        names: &["chameleon"],
        patterns: &[
            "<sentinel:[0-9]+>",
            "(IMGIMG)((A|B|C|D|E|F|G|H|I){1,4})Z",
            r"([\t\n]|    |  )",
            r"\p{N}",
            r"[\p{P}!-/:-@\[-`{-~]",
            GPT2,
        ],
        bos: true,
        ..BYTES
    },
    Pre {
        names: &["gemma4", "granite-embed-multi-311m"],
        patterns: &[LINES],
        bos: true,
        alphabet: Alphabet::Spaced,
        ..BYTES
    },
    Pre { names: &["sarvam-moe"], patterns: &[LINES], alphabet: Alphabet::Spaced, ..BYTES },
    Pre { names: &["whitespace"], patterns: &[r"\S+"], alphabet: Alphabet::Plain, ..BYTES },
];

impl Pre {
    /// The pre-tokenizer of this name.
    pub(super) fn named(name: &str) -> Option<Pre> {
        TABLE.iter().find(|pre| pre.names.contains(&name)).copied()
    }

    /// Its patterns, compiled.
    pub(super) fn steps(&self) -> Result<Vec<Step>, String> {
        self.patterns.iter().map(|pattern| Step::isolate(pattern)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pattern_compiles_and_every_name_is_its_own() {
        let mut names: Vec<_> = TABLE.iter().flat_map(|pre| pre.names).collect();
        for pre in TABLE {
            assert!(!pre.steps().unwrap().is_empty(), "{:?}", pre.names);
        }
        let count = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), count);
        assert!(Pre::named("gpt-2").is_some() && Pre::named("nonsense").is_none());
    }
}
