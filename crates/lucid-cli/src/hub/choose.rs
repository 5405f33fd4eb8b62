//! Which files of a repository are the model that a name means.

use anyhow::{Result, bail};

/// The files to have, and the one to open.
#[derive(Debug, PartialEq)]
pub(crate) struct Choice {
    pub(crate) files: Vec<String>,
    /// The first of them, or "" for the folder that holds them.
    pub(crate) opened: String,
    /// A fuller listing could not change the choice.
    pub(crate) is_sure: bool,
}

/// What is taken of several when the name does not say: the first of these that is there. The common balance of size and
/// quality first, then its neighbours, then what only large memories hold.
const ORDER: [&str; 14] = [
    "Q4_K_M", "Q4_K_S", "Q4_0", "IQ4_XS", "Q5_K_M", "Q5_K_S", "Q6_K", "Q8_0", "Q3_K_M", "MXFP4", "Q2_K", "BF16", "F16",
    "F32",
];

/// What a folder with safetensors needs beside them.
const BESIDE: [&str; 12] = [
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "tokenizer.model",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
    "chat_template.json",
    "vocab.json",
    "merges.txt",
    "model.safetensors.index.json",
];

/// The GGUF models among `names`: a file, or all parts of a split one, in order.
pub(crate) fn groups<'n>(names: &[&'n str]) -> Vec<Vec<&'n str>> {
    let mut names: Vec<&str> = names.iter().copied().filter(|name| is_model(name)).collect();
    names.sort();
    let mut groups: Vec<Vec<&str>> = Vec::new();
    for name in names {
        let joins = |group: &&mut Vec<&str>| match (part(group[0]), part(name)) {
            (Some(a), Some(b)) => a.0 == b.0 && a.2 == b.2,
            _ => false,
        };
        match groups.last_mut().filter(joins) {
            Some(group) => group.push(name),
            None => groups.push(vec![name]),
        }
    }
    groups
}

/// A GGUF file that is a model, not what comes with one.
fn is_model(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let own = name.rsplit('/').next().unwrap_or_default();
    name.ends_with(".gguf") && !own.contains("mmproj") && !own.contains("imatrix")
}

/// What comes before `-00001-of-00003.gguf`, and the two numbers.
fn part(name: &str) -> Option<(&str, u32, u32)> {
    let (stem, _) = name.split_at_checked(name.len().checked_sub(5)?)?;
    let (rest, count) = stem.rsplit_once("-of-")?;
    let (stem, number) = rest.rsplit_once('-')?;
    let number_of = |text: &str| (text.len() == 5).then(|| text.parse().ok())?;
    Some((stem, number_of(number)?, number_of(count)?))
}

/// Whether all parts of a group are there.
fn is_whole(group: &[&str]) -> bool {
    part(group[0]).is_none_or(|(_, _, count)| {
        group.len() == count as usize && group.iter().zip(1..).all(|(name, i)| part(name).is_some_and(|p| p.1 == i))
    })
}

/// Whether `name` says `quant`, as a word of its own: "Q4_K" is not in "Q4_K_M".
fn says(name: &str, quant: &str) -> bool {
    let (name, quant) = (name.to_ascii_lowercase(), quant.to_ascii_lowercase());
    let ends_word = |c: Option<char>| c.is_none_or(|c| !c.is_alphanumeric());
    name.match_indices(&quant).any(|(at, _)| {
        let after = name[at + quant.len()..].chars().next();
        ends_word(name[..at].chars().next_back()) && ends_word(after) && after != Some('_')
    })
}

/// What the files of `names` call the format of the model in `group`; its file name where they do not say.
pub(crate) fn label(group: &[&str]) -> String {
    const OTHERS: [&str; 26] = [
        "IQ1_S", "IQ1_M", "IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ2_M", "IQ3_XXS", "IQ3_XS", "IQ3_S", "IQ3_M", "IQ4_NL",
        "Q2_K_S", "Q2_K_L", "Q3_K_S", "Q3_K_L", "Q3_K_XL", "Q3_K", "Q4_1", "Q4_K_L", "Q4_K", "Q5_0", "Q5_1", "Q5_K_L",
        "Q5_K", "TQ1_0", "TQ2_0",
    ];
    let known = ORDER.iter().chain(&OTHERS).find(|quant| says(group[0], quant));
    known.map_or_else(|| group[0].to_owned(), |quant| (*quant).to_owned())
}

/// Chooses among all `names` of a repository, which is called `model` in messages.
pub(crate) fn choose(names: &[&str], quant: Option<&str>, model: &str) -> Result<Choice> {
    let groups = groups(names);
    let listed = || groups.iter().map(|group| group[0]).collect::<Vec<_>>().join("\n  ");
    let found = match (quant, &groups[..]) {
        (Some(quant), []) => bail!("{model}: the repository has no GGUF file, and so none that says {quant:?}"),
        (None, []) => return safetensors(names, model),
        (None, [only]) => (only, false),
        (None, _) => {
            let first = ORDER.iter().find_map(|quant| groups.iter().find(|group| says(group[0], quant)));
            let Some(found) = first else {
                bail!("{model}: name one of its files, as in {model}:{}\n  {}", groups[0][0], listed())
            };
            (found, says(found[0], ORDER[0]))
        }
        (Some(quant), _) => {
            let own = |name: &str| name.rsplit('/').next().unwrap_or_default().to_ascii_lowercase();
            let is_file = |name: &&str| name.eq_ignore_ascii_case(quant) || own(name) == quant.to_ascii_lowercase();
            let exact = groups.iter().find(|group| group.iter().any(is_file));
            let saying: Vec<_> = groups.iter().filter(|group| says(group[0], quant)).collect();
            match (exact, &saying[..]) {
                (Some(found), _) => (found, true),
                (None, [found]) => (*found, true),
                (None, []) => bail!("{model}: no file says {quant:?}; there are\n  {}", listed()),
                (None, _) => {
                    let names = saying.iter().map(|group| group[0]).collect::<Vec<_>>().join("\n  ");
                    bail!("{model}: several files say {quant:?}; name one of them instead\n  {names}")
                }
            }
        }
    };
    let (group, is_sure) = found;
    if !is_whole(group) {
        bail!("{model}: of the parts of {} only {} are there", group[0], group.len());
    }
    Ok(Choice { files: group.iter().map(|&name| name.to_owned()).collect(), opened: group[0].to_owned(), is_sure })
}

/// The files of a folder in the Hugging Face format.
fn safetensors(names: &[&str], model: &str) -> Result<Choice> {
    let weights = |name: &&&str| !name.contains('/') && name.ends_with(".safetensors");
    // some repositories hold the weights once more under the names of their authors' own program
    let ours = |name: &&&str| weights(name) && name.starts_with("model");
    let chosen: Vec<&str> = match names.iter().any(|name| ours(&name)) {
        true => names.iter().filter(ours).copied().collect(),
        false => names.iter().filter(weights).copied().collect(),
    };
    if chosen.is_empty() || !names.contains(&"config.json") {
        bail!("{model}: the repository has neither a GGUF file nor config.json with safetensors");
    }
    let beside = names.iter().copied().filter(|name| BESIDE.contains(name) || name.ends_with(".tiktoken"));
    let files = beside.chain(chosen).map(str::to_owned).collect();
    Ok(Choice { files, opened: String::new(), is_sure: true })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANY: [&str; 9] = [
        "README.md",
        "m-Q4_K_M.gguf",
        "m-Q4_K_S.gguf",
        "m.q8_0.gguf",
        "mmproj-m-f16.gguf",
        "m-UD-IQ2_XXS.gguf",
        "BF16/m-BF16-00001-of-00002.gguf",
        "BF16/m-BF16-00002-of-00002.gguf",
        "m-F16.gguf",
    ];

    fn chosen(names: &[&str], quant: Option<&str>) -> Result<Vec<String>> {
        choose(names, quant, "hf:o/r").map(|choice| choice.files)
    }

    #[test]
    fn a_format_selects_its_files() {
        assert_eq!(chosen(&MANY, None).unwrap(), ["m-Q4_K_M.gguf"]);
        assert_eq!(chosen(&MANY, Some("q4_k_s")).unwrap(), ["m-Q4_K_S.gguf"]);
        assert_eq!(chosen(&MANY, Some("Q8_0")).unwrap(), ["m.q8_0.gguf"]);
        assert_eq!(chosen(&MANY, Some("f16")).unwrap(), ["m-F16.gguf"]);
        assert_eq!(chosen(&MANY, Some("m-f16.gguf")).unwrap(), ["m-F16.gguf"]);
        assert_eq!(
            chosen(&MANY, Some("BF16")).unwrap(),
            ["BF16/m-BF16-00001-of-00002.gguf", "BF16/m-BF16-00002-of-00002.gguf"]
        );
        assert_eq!(chosen(&MANY[3..], None).unwrap(), ["m.q8_0.gguf"]);
        assert_eq!(chosen(&["odd.gguf"], None).unwrap(), ["odd.gguf"]);
    }

    #[test]
    fn what_is_absent_or_ambiguous_is_listed() {
        let message = |names: &[&str], quant| chosen(names, quant).unwrap_err().to_string();
        assert!(message(&MANY, Some("Q4_K")).contains("no file says \"Q4_K\"; there are\n  BF16/m-BF16-00001"));
        let two = ["a-Q4_0.gguf", "b-Q4_0.gguf"];
        assert_eq!(
            message(&two, Some("q4_0")),
            "hf:o/r: several files say \"q4_0\"; name one of them instead\n  a-Q4_0.gguf\n  b-Q4_0.gguf"
        );
        assert_eq!(chosen(&two, Some("b-Q4_0.gguf")).unwrap(), ["b-Q4_0.gguf"]);
        assert!(message(&["x.gguf", "y.gguf"], None).contains("name one of its files, as in hf:o/r:x.gguf"));
        assert!(message(&MANY[..7], Some("BF16")).contains("only 1 are there"));
        assert!(message(&["README.md"], None).contains("neither a GGUF file nor"));
        assert!(message(&["model.safetensors", "config.json"], Some("Q4_0")).contains("no GGUF file"));
    }

    #[test]
    fn safetensors_come_with_what_belongs_to_them() {
        let names = [
            "config.json",
            "model-00001-of-00002.safetensors",
            "model-00002-of-00002.safetensors",
            "model.safetensors.index.json",
            "consolidated.safetensors",
            "original/model.safetensors",
            "tokenizer.json",
            "pytorch_model.bin",
            "README.md",
        ];
        let choice = choose(&names, None, "hf:o/r").unwrap();
        assert_eq!(choice.opened, "");
        let expected = [names[0], names[3], names[6], names[1], names[2]];
        assert_eq!(choice.files, expected);
    }

    #[test]
    fn labels_are_words_of_the_file_name() {
        assert_eq!(label(&["m-UD-IQ2_XXS.gguf"]), "IQ2_XXS");
        assert_eq!(label(&["m.q8_0.gguf"]), "Q8_0");
        assert_eq!(label(&["m-bf16.gguf"]), "BF16");
        assert_eq!(label(&["plain.gguf"]), "plain.gguf");
    }
}
