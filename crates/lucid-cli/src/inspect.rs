//! `lucid inspect`: what is in a file or folder. It judges nothing but the structure: values that would keep a model from
//! loading are listed as warnings.

use crate::{
    hub, model,
    output::{plain, print},
    units,
};
use lucid::{
    Error, ErrorKind, Result,
    file::{
        Container, Magic, ModelFile, TensorInfo,
        gguf::{Array, Gguf, Value},
        npy::{Npy, Npz},
        safetensors::Shards,
    },
    models,
};
use serde_json::{Map, Value as Json, json};
use std::{
    collections::BTreeMap,
    fmt::Write,
    path::{Path, PathBuf},
};

/// Arguments of `lucid inspect`.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  lucid inspect model.gguf
  lucid inspect model.gguf --json | jq '.totals'
  lucid inspect model.gguf --full | grep -A20 tokenizer.ggml.tokens
  lucid inspect ./hf-folder
  lucid inspect logits.npy

A file is recognised by its first bytes, not by its name. A file that breaks the rules of its own format is refused;
values that contradict each other are warnings here, and errors in every command that loads the model.")]
pub(crate) struct Args {
    /// A .gguf, .safetensors, .npy or .npz file, or a model folder (default: the built-in model)
    path: Option<PathBuf>,
    /// One JSON object instead of tables
    #[arg(long)]
    json: bool,
    /// Arrays of metadata in full, not only their beginning
    #[arg(long)]
    full: bool,
}

/// What was found, ready to print.
struct Report {
    path: String,
    format: String,
    metadata: Vec<(String, String, Json)>,
    tensors: Vec<Tensor>,
    warnings: Vec<String>,
}

struct Tensor {
    name: String,
    ty: String,
    shape: Vec<usize>,
    bytes: usize,
}

/// Prints the report.
pub(crate) fn run(args: Args) -> anyhow::Result<()> {
    let report = match &args.path {
        Some(path) => look(&hub::local(path)?, args.full)?,
        None => whole(&model::open(None)?, args.full)?,
    };
    if args.json {
        return print(&format!("{:#}\n", report.json()));
    }
    print(&report.text())
}

fn look(path: &Path, full: bool) -> Result<Report> {
    if path.is_dir() {
        if path.join("config.json").is_file() {
            return whole(&ModelFile::open(path)?, full);
        }
        return Ok(tensors_only(path, "safetensors", Shards::open(path)?.tensors()));
    }
    match Magic::of(path)? {
        Magic::Gguf => whole(&ModelFile::open(path)?, full),
        Magic::Safetensors => {
            let shards = Shards::open(path)?;
            let mut report = tensors_only(path, "safetensors", shards.tensors());
            for (key, value) in shards.files.iter().flat_map(|f| &f.metadata) {
                report.metadata.push((key.clone(), "string".into(), Json::from(value.as_str())));
            }
            Ok(report)
        }
        Magic::Npy => Ok(tensors_only(path, "npy", std::iter::once(Npy::open(path)?.tensor()))),
        Magic::Zip => Ok(tensors_only(path, "npz", Npz::open(path)?.tensors())),
        Magic::Unknown(_, 0) => Err(Error::file(ErrorKind::Structure, path, "is empty")),
        Magic::Unknown(bytes, n) => {
            let first = bytes[..n].escape_ascii();
            let what = format!("begins with \"{first}\": it is no GGUF, safetensors, .npy or .npz file");
            Err(Error::file(ErrorKind::Structure, path, what))
        }
    }
}

fn tensors_only<'f>(path: &Path, format: &str, tensors: impl Iterator<Item = TensorInfo<'f>>) -> Report {
    let tensors = tensors.map(|t| Tensor {
        name: t.name.to_owned(),
        ty: t.type_name.to_owned(),
        shape: t.shape.to_vec(),
        bytes: t.bytes.len(),
    });
    Report {
        path: path.display().to_string(),
        format: format.into(),
        metadata: Vec::new(),
        tensors: tensors.collect(),
        warnings: Vec::new(),
    }
}

fn whole(file: &ModelFile, full: bool) -> Result<Report> {
    let format = match &file.container {
        Container::Gguf(g) if g.parts.len() > 1 => format!("GGUF v{}, {} parts", g.version, g.parts.len()),
        Container::Gguf(g) => format!("GGUF v{}", g.version),
        Container::HuggingFace { tensors, .. } => format!("Hugging Face folder, {} safetensors", tensors.files.len()),
        Container::Npy { .. } => "folder of .npy files".into(),
    };
    let mut report = tensors_only(&file.path, &format, file.tensors());
    match &file.container {
        Container::Gguf(gguf) => report.metadata = gguf_metadata(gguf, full),
        Container::HuggingFace { config, .. } | Container::Npy { config, .. } => {
            for (key, value) in config.members() {
                report.metadata.push((key.clone(), kind(value).into(), value.clone()));
            }
        }
    }
    if let Container::Gguf(gguf) = &file.container {
        for (part, unused) in gguf.parts.iter().map(|p| (&p.path, p.unused)).filter(|(_, n)| *n > 0) {
            report.warnings.push(format!("{}: {unused} bytes of it belong to no tensor", part.display()));
        }
    }
    // a vocabulary without weights is a file people use; only its vocabulary can be wrong
    let faults = if report.tensors.is_empty() { file.check_vocabulary() } else { models::check(file) };
    report.warnings.extend(faults.iter().map(|f| f.to_string()));
    Ok(report)
}

fn gguf_metadata(gguf: &Gguf, full: bool) -> Vec<(String, String, Json)> {
    let mut rows = Vec::new();
    for (key, value) in gguf.metadata.iter() {
        let ty = match value {
            Value::Array(a) => format!("{}[{}]", a.element().name(), a.len()),
            other => other.ty().name().to_owned(),
        };
        rows.push((key.to_owned(), ty, gguf_value(value, full)));
    }
    rows
}

fn gguf_value(value: Value<'_>, full: bool) -> Json {
    match value {
        Value::String(s) => Json::from(s),
        Value::Bool(b) => Json::from(b),
        Value::F32(v) => float(v as f64),
        Value::F64(v) => float(v),
        Value::Array(a) => array(a, if full { usize::MAX } else { 8 }),
        other => other
            .integer()
            .and_then(|n| i64::try_from(n).ok().map(Json::from).or(u64::try_from(n).ok().map(Json::from)))
            .unwrap_or(Json::Null),
    }
}

fn array(a: Array<'_>, most: usize) -> Json {
    match a.as_bytes() {
        Some(strings) => strings.take(most).map(|s| Json::from(String::from_utf8_lossy(s))).collect(),
        None => a.scalars().take(most).map(|v| gguf_value(v, true)).collect(),
    }
}

/// JSON has no NaN and no infinity: those become their names.
fn float(v: f64) -> Json {
    // the shortest text that reads back as the same f32, so that 1e-5 does not become 9.99999974e-06
    let short = if (v as f32) as f64 == v { format!("{}", v as f32).parse().unwrap_or(v) } else { v };
    serde_json::Number::from_f64(short).map_or_else(|| Json::from(v.to_string()), Json::Number)
}

fn kind(value: &Json) -> &'static str {
    match value {
        Json::Null => "null",
        Json::Bool(_) => "bool",
        Json::Number(_) => "number",
        Json::String(_) => "string",
        Json::Array(_) => "array",
        Json::Object(_) => "object",
    }
}

/// Tensors, parameters and bytes of a type, or of all.
#[derive(Default, Clone, Copy)]
struct Total {
    tensors: usize,
    parameters: u128,
    bytes: u128,
}

impl Total {
    fn add(&mut self, t: &Tensor) {
        self.tensors += 1;
        self.parameters += t.shape.iter().map(|&n| n as u128).product::<u128>();
        self.bytes += t.bytes as u128;
    }

    fn bits(self) -> f64 {
        if self.parameters == 0 { 0.0 } else { self.bytes as f64 * 8.0 / self.parameters as f64 }
    }

    fn json(self) -> Json {
        json!({
            "tensors": self.tensors,
            "parameters": u64::try_from(self.parameters).unwrap_or(u64::MAX),
            "bytes": u64::try_from(self.bytes).unwrap_or(u64::MAX),
            "bits_per_weight": (self.bits() * 1e4).round() / 1e4,
        })
    }
}

impl Report {
    fn totals(&self) -> (Total, BTreeMap<&str, Total>) {
        let (mut all, mut by_type) = (Total::default(), BTreeMap::<&str, Total>::new());
        for t in &self.tensors {
            all.add(t);
            by_type.entry(&t.ty).or_default().add(t);
        }
        (all, by_type)
    }

    fn json(&self) -> Json {
        let (all, by_type) = self.totals();
        let mut totals = all.json();
        totals["by_type"] = by_type.into_iter().map(|(ty, t)| (ty.to_owned(), t.json())).collect::<Map<_, _>>().into();
        let metadata: Map<_, _> =
            self.metadata.iter().map(|(k, ty, v)| (k.clone(), json!({"type": ty, "value": v}))).collect();
        let tensors: Vec<_> = self
            .tensors
            .iter()
            .map(|t| json!({"name": t.name, "type": t.ty, "shape": t.shape, "bytes": t.bytes}))
            .collect();
        json!({
            "path": self.path,
            "format": self.format,
            "metadata": metadata,
            "tensors": tensors,
            "totals": totals,
            "warnings": self.warnings,
        })
    }

    fn text(&self) -> String {
        let mut out = String::new();
        let (all, by_type) = self.totals();
        // writing to a String cannot fail
        let _ = writeln!(out, "{}: {}", plain(&self.path), self.format);
        if !self.metadata.is_empty() {
            let _ = writeln!(out, "\nmetadata ({})", self.metadata.len());
            let (key, ty) = (width(self.metadata.iter().map(|m| &m.0)), width(self.metadata.iter().map(|m| &m.1)));
            for (k, t, value) in &self.metadata {
                let _ = writeln!(out, "  {:key$}  {t:ty$}  {}", plain(k), shorten(t, value));
            }
        }
        if !self.tensors.is_empty() {
            let _ = writeln!(out, "\ntensors ({})", self.tensors.len());
            let shapes: Vec<String> = self.tensors.iter().map(|t| shape(&t.shape)).collect();
            let (name, ty) = (width(self.tensors.iter().map(|t| &t.name)), width(self.tensors.iter().map(|t| &t.ty)));
            let dims = width(shapes.iter());
            for (t, shape) in self.tensors.iter().zip(&shapes) {
                let size = units::bytes(t.bytes as f64);
                let _ = writeln!(out, "  {:name$}  {:ty$}  {shape:>dims$}  {size:>9}", plain(&t.name), t.ty);
            }
            let _ = writeln!(out, "\ntotals");
            let rows = by_type.into_iter().chain([("all", all)]);
            for (ty, t) in rows {
                let _ = writeln!(
                    out,
                    "  {ty:9} {:>6} tensors  {:>8} parameters  {:>9}  {:.4} bits per weight",
                    t.tensors,
                    units::count(t.parameters),
                    units::bytes(t.bytes as f64),
                    t.bits()
                );
            }
        }
        if !self.warnings.is_empty() {
            let _ = writeln!(out, "\nwarnings ({})", self.warnings.len());
            for w in &self.warnings {
                let _ = writeln!(out, "  {}", plain(w));
            }
        }
        out
    }
}

fn width<'s>(texts: impl Iterator<Item = &'s String>) -> usize {
    texts.map(|t| plain(t).chars().count()).max().unwrap_or(0).min(64)
}

/// `2048 × 5632`, rows first; a scalar has no dimensions.
pub(crate) fn shape(shape: &[usize]) -> String {
    match shape {
        [] => "scalar".into(),
        dims => dims.iter().map(usize::to_string).collect::<Vec<_>>().join(" × "),
    }
}

/// A value on one line. `ty` says how long an array is that is shown only in part.
fn shorten(ty: &str, value: &Json) -> String {
    let text = match value {
        Json::String(s) => plain(s),
        other => plain(&other.to_string()),
    };
    let shown = value.as_array().map(Vec::len);
    let whole = ty.rsplit_once('[').and_then(|(_, n)| n.trim_end_matches(']').parse::<usize>().ok());
    match (shown, whole) {
        (Some(shown), Some(whole)) if shown < whole => {
            let start = cut(text.trim_end_matches(']'));
            format!("{}, …]", start.trim_end_matches('…'))
        }
        (Some(_), Some(_)) => text,
        _ => cut(&text),
    }
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(100) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_read_back_and_names_stand_for_the_rest() {
        assert_eq!(float(1e-5f32 as f64), json!(1e-5));
        assert_eq!(float(f64::NAN), Json::from("NaN"));
        assert_eq!(float(0.1).to_string(), "0.1");
    }

    #[test]
    fn arrays_shown_in_part_say_so() {
        assert_eq!(shorten("i32[9]", &json!([1, 2, 3])), "[1,2,3, …]");
        assert_eq!(shorten("i32[3]", &json!([1, 2, 3])), "[1,2,3]");
        assert_eq!(shape(&[2, 3]), "2 × 3");
    }
}
