//! What each encoder needs of a GGUF file.

use super::{
    super::{
        Model, Normal, Special, Strip, Tokenizer,
        bpe::{Bpe, Rules},
        charsmap::Charsmap,
        fallback::{Fallback, byte_tokens},
        normal::{Bert, Plain, SentencePiece},
        pre::{Alphabet, Pre},
        shown,
        split::bert,
        trie::Trie,
        unigram::{Sums, UNKNOWN_PENALTY, Unigram},
        vocab::{Kind, SPACE, byte_level},
        wordpiece::WordPiece,
        wrong,
    },
    File, LONGEST_MERGED, MERGES, PRE, Rest, ranks_of_scores,
};
use crate::{Error, ErrorKind, Result};

const MAP: &str = "tokenizer.ggml.precompiled_charsmap";

impl File<'_> {
    /// SentencePiece BPE: the score of a token says how early pairs merge into it.
    pub(super) fn sentencepiece(self) -> Result<Tokenizer> {
        let special = self.special(Special { bos: Some(1), eos: Some(2), unknown: Some(0), ..Special::default() })?;
        let ranks = ranks_of_scores(&self.scores()?);
        self.refuse_long(&[Kind::Normal, Kind::Unused])?;
        let tokens = self.texts.len() as u32;
        let rules = Rules { fallback: self.fallback(&special, true), ..Rules::default() };
        let mut bpe = Bpe::new(tokens, self.of_kinds(&[Kind::Normal, Kind::UserDefined]).into_iter(), rules);
        let merged = self.of_kinds(&[Kind::Normal, Kind::Unused]);
        bpe.merge_into(&merged.iter().map(|&(id, text)| (text, ranks[id as usize])).collect::<Vec<_>>());

        let add_space = self.flag("add_space_prefix", true)?;
        let mut normal = vec![self.escape_spaces()?];
        if add_space {
            normal.insert(0, Normal::Prepend(" ".into()));
        }
        let rest = Rest {
            bos: self.flag("add_bos_token", true)?,
            eos: self.flag("add_eos_token", false)?,
            strip: if add_space { Strip::AfterTokens } else { Strip::None },
            normal,
            ..Rest::new(special, Model::Bpe(bpe.finish()), Alphabet::Spaced)
        };
        self.finish(rest)
    }

    /// BPE with a list of merges, over bytes or over characters.
    pub(super) fn bpe(mut self) -> Result<Tokenizer> {
        let special = self.special(Special::default())?;
        let pre = self.pre()?;
        let by_bytes = pre.alphabet == Alphabet::Bytes;
        // From here on, texts of a vocabulary over bytes are those bytes.
        let own = |text: &[u8]| if by_bytes { byte_level::bytes_of(text) } else { Some(text.to_vec()) };
        let texts = self.of_kinds(&[Kind::Normal, Kind::UserDefined]).into_iter();
        let texts: Vec<(u32, Vec<u8>)> = texts.filter_map(|(id, text)| Some((id, own(text)?))).collect();
        let mut fallback = self.fallback(&special, false);
        if by_bytes {
            fallback.bytes = None;
        }
        let rules = Rules { whole_pieces: pre.whole_words, fallback, ..Rules::default() };
        let texts = texts.iter().map(|(id, text)| (*id, &text[..]));
        let mut bpe = Bpe::new(self.texts.len() as u32, texts.clone(), rules);
        if by_bytes {
            bpe = bpe.by_bytes();
        }
        if self.metadata.get(MERGES).is_none() && self.metadata.find(PRE)? == Some("kimi-k2") {
            self.refuse_long(&[Kind::Normal])?;
            // the tokens are numbered by how early they were made
            bpe.merge_into(&texts.map(|(id, text)| (text, id)).collect::<Vec<_>>());
        } else if let Some(warning) = self.merges(&mut bpe, own)? {
            self.warnings.push(warning);
        }
        let rest = Rest {
            bos: self.flag("add_bos_token", pre.bos)?,
            eos: self.flag("add_eos_token", false)?,
            normal: if pre.alphabet == Alphabet::Spaced { vec![self.escape_spaces()?] } else { Vec::new() },
            steps: pre.steps().map_err(|what| wrong(self.path, what))?,
            ..Rest::new(special, Model::Bpe(bpe.finish()), pre.alphabet)
        };
        self.finish(rest)
    }

    /// WordPiece, with "▁" before the tokens that begin a word instead of "##" before the others.
    pub(super) fn wordpiece(self) -> Result<Tokenizer> {
        let named =
            |text: &str, id: u32| Some(self.texts.iter().position(|t| t == text.as_bytes()).map_or(id, |id| id as u32));
        let special = self.special(Special {
            bos: self.id("tokenizer.ggml.cls_token_id")?.or(named("[CLS]", 101)),
            unknown: named("[UNK]", 100),
            separator: named("[SEP]", 102),
            padding: named("[PAD]", 0),
            mask: named("[MASK]", 103),
            ..Special::default()
        })?;
        self.refuse_long(&[Kind::Normal])?;
        let mut space = [0; 4];
        let space = SPACE.encode_utf8(&mut space).as_bytes();
        let (mut first, mut inner) = (Vec::new(), Vec::new());
        for (id, text) in self.of_kinds(&[Kind::Normal, Kind::UserDefined]) {
            match text.strip_prefix(space) {
                Some(word) => first.push((word, id)),
                None => inner.push((text, id)),
            }
        }
        let model = Model::WordPiece(WordPiece {
            first: Trie::new(first),
            inner: Trie::new(inner),
            unknown: special.unknown,
            longest: 100, // as all these models were trained; the file does not say
        });
        let unsupported = |what: String| Error::file(ErrorKind::Unsupported, self.path, what);
        let lowercase = self.flag("normalizer.lowercase", true)?;
        let strip_accents = self.flag("normalizer.strip_accents", lowercase)?;
        let rest = Rest {
            bos: true,
            separator: true,
            strip: Strip::Words,
            normal: vec![Normal::Bert(Bert::new(lowercase, strip_accents).map_err(unsupported)?)],
            steps: bert().map_err(unsupported)?,
            ..Rest::new(special, model, Alphabet::Words)
        };
        self.finish(rest)
    }

    /// Unigram: the score of a token is the logarithm of its probability.
    pub(super) fn unigram(self) -> Result<Tokenizer> {
        let special =
            self.special(Special { eos: Some(1), unknown: Some(2), padding: Some(0), ..Special::default() })?;
        let scores = self.scores()?;
        let chosen = [Kind::Normal, Kind::UserDefined];
        self.refuse_long(&chosen)?;
        let normal = self.of_kinds(&[Kind::Normal]);
        let lowest = normal.iter().map(|(id, _)| scores[*id as usize]).fold(f32::INFINITY, f32::min);
        let score = |(score, kind): (&f32, &Kind)| if *kind == Kind::UserDefined { 0.0 } else { f64::from(*score) };
        let texts = |kinds: &[Kind]| self.of_kinds(kinds).into_iter().map(|(id, text)| (text, id)).collect();
        let model = Model::Unigram(Unigram {
            trie: Trie::new(texts(&chosen)),
            scores: scores.iter().zip(&self.kinds).map(score).collect(),
            unknown_score: f64::from(lowest - UNKNOWN_PENALTY),
            fallback: Fallback { bytes: None, ..self.fallback(&special, true) },
            sums: Sums::F64,
        });
        let add_space = self.flag("add_space_prefix", false)?;
        let space_is_suffix = self.flag("treat_whitespace_as_suffix", false)?;
        let map = match self.metadata.get(MAP) {
            None => None,
            Some(_) => {
                let blob = self.metadata.array(MAP)?;
                let bytes: Option<Vec<u8>> = blob.scalars().map(|v| v.integer().map(|n| n as u8)).collect();
                let bytes = bytes.ok_or_else(|| self.wrong(MAP, "is no list of bytes"))?;
                Charsmap::new(&bytes).map_err(|what| self.wrong(MAP, format_args!("is wrong: {what}")))?
            }
        };
        let kept = Trie::new(texts(&[Kind::UserDefined]));
        let normaliser = SentencePiece {
            plain: Plain::of(map.as_ref(), &kept),
            map,
            kept,
            add_space,
            space_is_suffix,
            remove_extra_spaces: self.flag("remove_extra_whitespaces", false)?,
            escape: true,
        };
        let rest = Rest {
            bos: self.flag("add_bos_token", false)?,
            eos: self.flag("add_eos_token", true)?,
            strip: match (add_space, space_is_suffix) {
                (false, _) => Strip::None,
                (true, false) => Strip::AfterTokens,
                (true, true) => Strip::Last,
            },
            normal: vec![Normal::SentencePiece(normaliser)],
            ..Rest::new(special, model, Alphabet::Spaced)
        };
        self.finish(rest)
    }

    /// Ids and texts of these kinds.
    fn of_kinds(&self, kinds: &[Kind]) -> Vec<(u32, &[u8])> {
        let texts = (0..).zip(self.texts.iter());
        texts.filter(|(id, _)| kinds.contains(&self.kinds[*id as usize])).collect()
    }

    /// Tokens that are compared with every place of a text must not be long.
    fn refuse_long(&self, kinds: &[Kind]) -> Result<()> {
        match self.of_kinds(kinds).iter().find(|(_, text)| text.len() > LONGEST_MERGED) {
            None => Ok(()),
            Some((id, _)) => {
                let what = format_args!("token {id} is longer than {LONGEST_MERGED} bytes");
                Err(Error::file(ErrorKind::Unsupported, self.path, what))
            }
        }
    }

    fn fallback(&self, special: &Special, fuse: bool) -> Fallback {
        Fallback { bytes: byte_tokens(&self.texts, &self.kinds), unknown: special.unknown, fuse }
    }

    fn escape_spaces(&self) -> Result<Normal> {
        Normal::replace(" ", SPACE).map_err(|what| wrong(self.path, what))
    }

    /// The pre-tokenizer that the file names, or the default one and a warning.
    fn pre(&mut self) -> Result<Pre> {
        let name = match self.model {
            "gemma4" => Some("gemma4"),
            _ => self.metadata.find::<&str>(PRE)?,
        };
        if let Some(pre) = name.and_then(Pre::named) {
            return Ok(pre);
        }
        let why = match name {
            Some(name) => format!("the pre-tokenizer {} is not known", shown(name.as_bytes())),
            None => format!("the file names no pre-tokenizer (metadata key {PRE:?})"),
        };
        self.warnings
            .push(format!("{why}; text is cut like \"default\", and ids may differ from those the model learned"));
        Pre::named("default").ok_or_else(|| wrong(self.path, why))
    }

    /// Adds the merges of the file. What is odd about them is returned as a warning.
    fn merges(&self, bpe: &mut Bpe, own: impl Fn(&[u8]) -> Option<Vec<u8>>) -> Result<Option<String>> {
        let (mut lost, mut first_lost) = (0, None);
        for (rank, text) in (0..).zip(self.metadata.strings(MERGES)?) {
            // the left part may itself begin with a space
            let space = text.iter().skip(1).position(|&b| b == b' ').map(|at| at + 1);
            let Some((left, right)) = space.map(|at| (&text[..at], &text[at + 1..])).filter(|(_, r)| !r.is_empty())
            else {
                let what = format_args!("has entry {rank}, {}, which is no pair", shown(text));
                return Err(self.wrong(MERGES, what));
            };
            let known = match (own(left), own(right)) {
                (Some(left), Some(right)) => bpe.merge(rank, &left, &right),
                _ => false,
            };
            if !known {
                lost += 1;
                first_lost.get_or_insert(text);
            }
        }
        Ok(first_lost
            .map(|text| format!("{lost} merges make no token of the vocabulary, the first of them {}", shown(text))))
    }
}
