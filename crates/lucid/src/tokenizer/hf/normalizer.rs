//! The chain called `normalizer`.

use super::super::{
    base64,
    charsmap::Charsmap,
    json::At,
    normal::{Bert, Normal},
    pattern::Pattern,
    set::Set,
};
use crate::Result;

/// Appends the steps that `at` describes.
pub(super) fn read(at: &At<'_>, out: &mut Vec<Normal>) -> Result<()> {
    let unsupported = |what: String| at.unsupported(what);
    out.push(match at.kind()? {
        "Sequence" => {
            for step in at.get("normalizers")?.list()? {
                read(&step, out)?;
            }
            return Ok(());
        }
        "NFC" => Normal::Nfc,
        "NFD" => Normal::Nfd,
        "NFKC" => Normal::Nfkc,
        "NFKD" => Normal::Nfkd,
        "Lowercase" => Normal::Lowercase,
        "StripAccents" => Normal::StripAccents(Set::parse(r"\p{M}", false).map_err(unsupported)?),
        "Strip" => Normal::Strip { left: at.flag("strip_left", true)?, right: at.flag("strip_right", true)? },
        "Nmt" => Normal::Nmt,
        "Prepend" => Normal::Prepend(at.get("prepend")?.str()?.to_owned()),
        "Replace" => {
            Normal::Replace { pattern: pattern(&at.get("pattern")?)?, with: at.get("content")?.str()?.to_owned() }
        }
        "ByteLevel" => Normal::ByteLevel,
        "BertNormalizer" => {
            let lowercase = at.flag("lowercase", true)?;
            let bert = Bert::new(lowercase, at.flag("strip_accents", lowercase)?).map_err(unsupported)?;
            Normal::Bert(Bert {
                clean: at.flag("clean_text", true)?,
                part_chinese: at.flag("handle_chinese_chars", true)?,
                ..bert
            })
        }
        "Precompiled" => {
            let map = at.get("precompiled_charsmap")?;
            let blob = base64::decode(map.str()?.as_bytes()).ok_or_else(|| map.wrong("is no base64"))?;
            match Charsmap::new(&blob).map_err(|what| map.wrong(format_args!("is wrong: {what}")))? {
                Some(charsmap) => Normal::Graphemes(charsmap),
                None => return Ok(()),
            }
        }
        other => return Err(at.unsupported(format_args!("is a {other:?}, which is not supported"))),
    });
    Ok(())
}

/// `{"String": "▁"}` or `{"Regex": "\\s+"}`.
pub(super) fn pattern(at: &At<'_>) -> Result<Pattern> {
    if let Some(text) = at.find("String") {
        return Pattern::literal(text.str()?).map_err(|what| text.unsupported(what));
    }
    let regex = at.get("Regex")?;
    Pattern::new(regex.str()?).map_err(|what| regex.unsupported(format_args!("cannot be used: {what}")))
}
