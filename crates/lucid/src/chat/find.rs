//! Where the template of a model lies, and the texts of the tokens that it may write.
//!
//! | model | template | tokens |
//! |---|---|---|
//! | GGUF | `tokenizer.chat_template`, and `tokenizer.chat_template.NAME` for further ones | `tokenizer.ggml.bos_token_id` … |
//! | folder | `chat_template.jinja`, with `additional_chat_templates/NAME.jinja`; or the key `chat_template` of `tokenizer_config.json` or `chat_template.json` | `tokenizer_config.json`, `special_tokens_map.json` |

use super::{DEFAULT, Family, Template, family::Evidence};
use crate::{
    Error, ErrorKind, Result,
    file::{
        Magic,
        gguf::{Gguf, Metadata},
        json::Json,
    },
    tokenizer::Tokenizer,
};
use serde_json::Value;
use std::{
    collections::HashSet,
    path::{Path, PathBuf},
};

/// The names of tokens in templates and Hugging Face files, and in GGUF metadata.
const TOKENS: [(&str, &str); 7] = [
    ("bos_token", "bos"),
    ("eos_token", "eos"),
    ("unk_token", "unknown"),
    ("sep_token", "seperator"), // so do the files spell it
    ("pad_token", "padding"),
    ("cls_token", "cls"),
    ("mask_token", "mask"),
];

/// A template file of more bytes than this is refused.
const LONGEST: u64 = 1 << 20;

impl Template {
    /// The template of a model: of a GGUF file, of a folder, of a file in a folder. `None` where there is none.
    pub fn find(path: &Path) -> Result<Option<Template>> {
        if path.is_dir() {
            return match in_folder(path)? {
                Some(template) => Ok(Some(template)),
                None => only_gguf(path)?.map_or(Ok(None), |file| Template::find(&file)),
            };
        }
        match Magic::of(path)? {
            Magic::Gguf => Template::from_gguf(&Gguf::open(path)?),
            Magic::Safetensors => in_folder(folder_of(path)),
            _ if extension(path) == "jinja" => of_jinja(path).map(Some),
            _ if extension(path) == "json" || extension(path) == "model" => in_folder(folder_of(path)),
            _ => {
                let what =
                    "is no GGUF file, and no file of a model's folder; a template of your own goes with --template";
                Err(Error::file(ErrorKind::Structure, path, what))
            }
        }
    }

    /// The template in a GGUF file's metadata. `None` where there is none.
    pub fn from_gguf(gguf: &Gguf) -> Result<Option<Template>> {
        const KEY: &str = "tokenizer.chat_template";
        let metadata = &gguf.metadata;
        let mut template = Template::empty(format!("{}: {KEY}", gguf.path.display()));
        if let Some(source) = metadata.find::<&str>(KEY)? {
            template.add(DEFAULT, source)?;
        }
        for (key, _) in metadata.iter() {
            if let Some(name) = key.strip_prefix(KEY).and_then(|rest| rest.strip_prefix('.')) {
                template.add(name, metadata.string(key)?)?;
            }
        }
        template.tokens = gguf_tokens(&gguf.path, metadata)?;
        Ok(template.some())
    }

    /// What a model calls its tokens, for a template that is not its own.
    pub fn tokens_of(path: &Path) -> Result<Vec<(String, String)>> {
        let place = if path.is_dir() { only_gguf(path)?.unwrap_or(path.to_owned()) } else { path.to_owned() };
        if place.is_dir() {
            return folder_tokens(&place);
        }
        match Magic::of(&place)? {
            Magic::Gguf => {
                let gguf = Gguf::open(&place)?;
                gguf_tokens(&gguf.path, &gguf.metadata)
            }
            _ => folder_tokens(folder_of(&place)),
        }
    }

    /// The template of the family that a vocabulary or the name of a model speaks for; [`Template::guessed`] says why.
    pub fn guess(tokenizer: &Tokenizer, name: &str) -> Result<Option<Template>> {
        let ids = 0..tokenizer.vocab_size() as u32;
        let texts: HashSet<&[u8]> = ids.filter_map(|id| tokenizer.text(id)).filter(|text| text.len() < 40).collect();
        let Some(mut template) = guess(&|text| texts.contains(text.as_bytes()), name)? else { return Ok(None) };
        let special = &tokenizer.special;
        for (name, id) in [("bos_token", special.bos), ("eos_token", special.eos), ("unk_token", special.unknown)] {
            if let Some(text) = id.and_then(|id| tokenizer.text(id)) {
                template.set_token(name, &String::from_utf8_lossy(text));
            }
        }
        Ok(Some(template))
    }

    /// The template of a model, or that of its family: [`Template::guessed`] then says so, and the user must be told.
    pub fn open(path: &Path) -> Result<Template> {
        if let Some(template) = Template::find(path)? {
            return Ok(template);
        }
        let name = name_of(path)?;
        let guessed = match Tokenizer::open(path) {
            Ok(tokenizer) => Template::guess(&tokenizer, &name)?,
            Err(_) => guess(&|_| false, &name)?, // a folder need not hold a vocabulary
        };
        guessed.ok_or_else(|| {
            let families = Family::ALL.map(Family::name).join(", ");
            let what = format!(
                "has no chat template, and neither its vocabulary nor its name is that of a known family ({families}); \
                 give one with --template FILE.jinja"
            );
            Error::file(ErrorKind::Unsupported, path, what)
        })
    }

    pub(super) fn empty(origin: String) -> Template {
        Template { origin, guessed: None, tokens: Vec::new(), variants: Vec::new() }
    }

    fn some(self) -> Option<Template> {
        if self.variants.is_empty() { None } else { Some(self) }
    }
}

fn guess(has_token: &dyn Fn(&str) -> bool, name: &str) -> Result<Option<Template>> {
    let Some((family, why)) = Family::guess(&Evidence { has_token, name }) else { return Ok(None) };
    let mut template = Template::family(family)?;
    template.guessed =
        Some(format!("it has no chat template; using that of the {} family, because {why}", family.name()));
    Ok(Some(template))
}

/// What a model calls itself, or else what its file is called.
fn name_of(path: &Path) -> Result<String> {
    let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    if path.is_dir() || Magic::of(path)? != Magic::Gguf {
        return Ok(file);
    }
    let gguf = Gguf::open(path)?;
    Ok(gguf.metadata.find::<&str>("general.name")?.map_or(file, str::to_owned))
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if folder.as_os_str().is_empty() => Path::new("."),
        Some(folder) => folder,
        None => Path::new("."),
    }
}

fn extension(path: &Path) -> &str {
    path.extension().and_then(|end| end.to_str()).unwrap_or_default()
}

/// The only GGUF file in a folder without a Hugging Face model.
fn only_gguf(folder: &Path) -> Result<Option<PathBuf>> {
    if folder.join("tokenizer_config.json").is_file() || folder.join("config.json").is_file() {
        return Ok(None);
    }
    let entries = std::fs::read_dir(folder).map_err(|e| Error::io(folder, "cannot read", e))?;
    let files = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let mut found: Vec<PathBuf> = files.filter(|path| extension(path) == "gguf").collect();
    match found.len() {
        0 => Ok(None),
        1 => Ok(found.pop()),
        n => {
            let what = format!("this folder holds {n} GGUF files; name one of them");
            Err(Error::file(ErrorKind::Request, folder, what))
        }
    }
}

/// What a GGUF file calls the tokens with a meaning.
fn gguf_tokens(path: &Path, metadata: &Metadata) -> Result<Vec<(String, String)>> {
    let mut tokens = Vec::new();
    if metadata.get("tokenizer.ggml.tokens").is_none() {
        return Ok(tokens);
    }
    for (name, stem) in TOKENS {
        let key = format!("tokenizer.ggml.{stem}_token_id");
        if metadata.get(&key).is_none() {
            continue;
        }
        let id = metadata.u32(&key)?;
        let Some(text) = metadata.strings("tokenizer.ggml.tokens")?.nth(id as usize) else {
            let what = format!("metadata key {key:?} is token {id}, and there are not so many");
            return Err(Error::file(ErrorKind::Value, path, what));
        };
        tokens.push((name.to_owned(), String::from_utf8_lossy(text).into_owned()));
    }
    Ok(tokens)
}

fn in_folder(folder: &Path) -> Result<Option<Template>> {
    let single = folder.join("chat_template.jinja");
    let mut template = None;
    if single.is_file() {
        template = Some(of_jinja(&single)?);
    }
    for name in ["tokenizer_config.json", "chat_template.json"] {
        if let (None, Some(json)) = (&template, open_json(folder, name)?) {
            template = of_json(&json)?;
        }
    }
    let Some(mut template) = template else { return Ok(None) };
    let more = folder.join("additional_chat_templates");
    if single.is_file() && more.is_dir() {
        let entries = std::fs::read_dir(&more).map_err(|e| Error::io(&more, "cannot read", e))?;
        let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
        paths.retain(|path| extension(path) == "jinja");
        paths.sort();
        for path in paths {
            let name = path.file_stem().unwrap_or_default().to_string_lossy();
            template.add(&name, &text_of(&path)?)?;
        }
    }
    template.tokens = folder_tokens(folder)?;
    Ok(Some(template))
}

/// What the files of a folder call the tokens with a meaning.
fn folder_tokens(folder: &Path) -> Result<Vec<(String, String)>> {
    let mut tokens: Vec<(String, String)> = Vec::new();
    for json in [open_json(folder, "tokenizer_config.json")?, open_json(folder, "special_tokens_map.json")?] {
        for (name, text) in json.as_ref().map_or(Ok(Vec::new()), json_tokens)? {
            if tokens.iter().all(|(known, _)| known != name) {
                tokens.push((name.to_owned(), text));
            }
        }
    }
    Ok(tokens)
}

/// A JSON file of a folder, if it is there.
fn open_json(folder: &Path, name: &str) -> Result<Option<Json>> {
    let path = folder.join(name);
    if path.is_file() { Json::open(&path).map(Some) } else { Ok(None) }
}

fn text_of(path: &Path) -> Result<String> {
    let meta = std::fs::metadata(path).map_err(|e| Error::io(path, "cannot open", e))?;
    if !meta.is_file() || meta.len() > LONGEST {
        return Err(Error::file(ErrorKind::Structure, path, "is no template of at most 1 MB"));
    }
    let bytes = std::fs::read(path).map_err(|e| Error::io(path, "cannot read", e))?;
    String::from_utf8(bytes).map_err(|e| Error::file(ErrorKind::Structure, path, "is not UTF-8 text").because(e))
}

/// The template that a file holds and nothing else.
pub(super) fn of_jinja(path: &Path) -> Result<Template> {
    Template::parse(path.display().to_string(), &text_of(path)?)
}

/// The key `chat_template`: a text, or a list of `{"name": …, "template": …}`.
fn of_json(json: &Json) -> Result<Option<Template>> {
    const KEY: &str = "chat_template";
    let wrong = |what: &str| Err(Error::file(ErrorKind::Value, &json.path, format!("{KEY}: {what}")));
    let mut template = Template::empty(format!("{}: {KEY}", json.path.display()));
    match json.members().find(|(key, _)| *key == KEY).map(|(_, value)| value) {
        None | Some(Value::Null) => {}
        Some(Value::String(source)) => template.add(DEFAULT, source)?,
        Some(Value::Array(list)) => {
            for item in list {
                let text = |key: &str| item.get(key).and_then(Value::as_str);
                let (Some(name), Some(source)) = (text("name"), text("template")) else {
                    return wrong("an entry of the list has no \"name\" and \"template\" that are texts");
                };
                template.add(name, source)?;
            }
        }
        Some(Value::Object(named)) => {
            for (name, source) in named {
                let Some(source) = source.as_str() else { return wrong("an entry is no text") };
                template.add(name, source)?;
            }
        }
        Some(_) => return wrong("is neither a text nor a list of templates"),
    }
    Ok(template.some())
}

/// The tokens that a JSON file names: a text, or an object whose `content` is the text.
fn json_tokens(json: &Json) -> Result<Vec<(&'static str, String)>> {
    let mut tokens = Vec::new();
    for (name, _) in TOKENS {
        let value = json.members().find(|(key, _)| *key == name).map(|(_, value)| value);
        let text = match value {
            None | Some(Value::Null) => continue,
            Some(Value::Object(token)) => token.get("content").and_then(Value::as_str),
            Some(value) => value.as_str(),
        };
        let Some(text) = text else {
            let what = format!("{name}: is neither a text nor an object with \"content\"");
            return Err(Error::file(ErrorKind::Value, &json.path, what));
        };
        tokens.push((name, text.to_owned()));
    }
    Ok(tokens)
}
