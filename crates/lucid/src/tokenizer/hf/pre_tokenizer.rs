//! The chain called `pre_tokenizer`.

use super::{
    super::{
        json::At,
        pattern::Pattern,
        pre::GPT2,
        split::{Behavior, PUNCTUATION, Prepend, Step, bert},
    },
    normalizer::pattern,
};
use crate::Result;

/// Appends the steps that `at` describes.
pub(super) fn read(at: &At<'_>, out: &mut Vec<Step>) -> Result<()> {
    let cut = |source: &str, behavior: Behavior, invert: bool| {
        let pattern = Pattern::new(source).map_err(|what| at.unsupported(what))?;
        Ok(Step::Pattern { pattern, behavior, invert })
    };
    match at.kind()? {
        "Sequence" => {
            for step in at.get("pretokenizers")?.list()? {
                read(&step, out)?;
            }
        }
        "ByteLevel" => {
            if at.flag("add_prefix_space", true)? {
                out.push(Step::SpacePrefix);
            }
            if at.flag("use_regex", true)? {
                out.push(cut(GPT2, Behavior::Isolated, false)?);
            }
            out.push(Step::ByteLevel);
        }
        "Metaspace" => {
            let replacement = at.find("replacement");
            let mut chars = replacement.as_ref().map_or(Ok("▁"), |at| at.str())?.chars();
            let (Some(space), None) = (chars.next(), chars.next()) else {
                return Err(at.wrong("has a replacement that is not one character"));
            };
            let prepend = match at.text("prepend_scheme")? {
                "always" => Prepend::Always,
                "first" => Prepend::First,
                "never" => Prepend::Never,
                "" if at.flag("add_prefix_space", true)? => Prepend::Always,
                "" => Prepend::Never,
                other => return Err(at.unsupported(format_args!("has the prepend_scheme {other:?}"))),
            };
            out.push(Step::Metaspace { space, prepend, split: at.flag("split", true)? });
        }
        "Split" => {
            let behavior = behavior(&at.get("behavior")?)?;
            let invert = at.flag("invert", false)?;
            let source = at.get("pattern")?;
            match source.find("Regex") {
                // some have shortcuts
                Some(regex) if behavior == Behavior::Isolated && !invert => {
                    let step = Step::isolate(regex.str()?);
                    out.push(step.map_err(|what| regex.unsupported(format_args!("cannot be used: {what}")))?);
                }
                _ => out.push(Step::Pattern { pattern: pattern(&source)?, behavior, invert }),
            }
        }
        "Digits" if at.flag("individual_digits", false)? => out.push(cut(r"\p{N}", Behavior::Isolated, false)?),
        "Digits" => out.push(cut(r"\p{N}+", Behavior::Isolated, false)?),
        "Punctuation" => {
            let behavior = at.find("behavior").map_or(Ok(Behavior::Isolated), |at| behavior(&at))?;
            out.push(cut(PUNCTUATION, behavior, false)?);
        }
        "Whitespace" => out.push(cut(r"\w+|[^\w\s]+", Behavior::Removed, true)?),
        "WhitespaceSplit" => out.push(cut(r"\s", Behavior::Removed, false)?),
        "BertPreTokenizer" => {
            out.extend(bert().map_err(|what| at.unsupported(what))?);
        }
        "CharDelimiterSplit" => {
            let delimiter = at.get("delimiter")?;
            let pattern = Pattern::literal(delimiter.str()?).map_err(|what| delimiter.unsupported(what))?;
            out.push(Step::Pattern { pattern, behavior: Behavior::Removed, invert: false });
        }
        other => return Err(at.unsupported(format_args!("is a {other:?}, which is not supported"))),
    }
    Ok(())
}

fn behavior(at: &At<'_>) -> Result<Behavior> {
    Ok(match at.str()? {
        "Isolated" => Behavior::Isolated,
        "Removed" => Behavior::Removed,
        "MergedWithPrevious" => Behavior::MergedWithPrevious,
        "MergedWithNext" => Behavior::MergedWithNext,
        "Contiguous" => Behavior::Contiguous,
        other => return Err(at.unsupported(format_args!("is {other:?}, which is not supported"))),
    })
}
