//! Writing a GGUF file with its matrices in other formats.
//!
//! Two steps, so that the first can be looked at before the second takes its minutes:
//!
//! 1. [`plan`] decides what every tensor becomes. It reads names, shapes and four numbers of the model, no weights.
//! 2. [`run`] reads, encodes and writes, a few megabytes at a time, whatever the size of the file.
//!
//! ```no_run
//! # fn main() -> lucid::Result<()> {
//! use lucid::{file::gguf::Gguf, quantize::*};
//! # use std::{path::Path, sync::atomic::AtomicBool};
//! let source = Gguf::open(Path::new("model-f16.gguf"))?;
//! let options = Options::new(Mix::from_name("Q4_K_M")?);
//! let plan = plan(&Model::of(&source.metadata)?, &tensors(&source)?, &options, false)?;
//! run(&source, &plan, None, Path::new("model-q4_k_m.gguf"), 2, &AtomicBool::new(false), &mut |_| {})?;
//! # Ok(())
//! # }
//! ```

mod imatrix;
mod mix;
mod model;
mod rules;
mod run;

use std::borrow::Cow;

use lucid_kernels::formats::Format;
use regex::Regex;

use crate::error::{Error, ErrorKind, Result};
pub use imatrix::Imatrix;
pub use mix::{Mix, weight_format};
pub use model::{Model, Source, tensors};
use rules::{Question, Role};
pub use run::{Progress, refuse_source, run};

/// What the user asks for.
#[derive(Clone, Debug)]
pub struct Options {
    /// The TYPE.
    pub mix: Mix,
    /// The mix's base format for every tensor: no rules.
    pub pure: bool,
    /// The format of `output.weight`, and of the embedding where that is the output too.
    pub output: Option<Format>,
    /// The format of the token embedding.
    pub embedding: Option<Format>,
    /// Formats by name, the first match first.
    pub tensor_types: Vec<TensorType>,
    /// Whether tensors that are quantised already may be quantised again.
    pub allow_requantize: bool,
    /// The most bytes of tensors in one file of the output, which then may be several.
    pub part_bytes: Option<usize>,
}

/// `PATTERN=TYPE`: the format of the tensors whose name matches a regular expression.
#[derive(Clone, Debug)]
pub struct TensorType {
    pattern: Regex,
    format: Format,
}

/// What becomes of every tensor.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The mix that was asked for.
    pub mix: Mix,
    /// The tensors in the order of the file.
    pub tensors: Vec<Assigned>,
    /// The patterns of `--tensor-type` that decided nothing.
    pub idle_patterns: Vec<String>,
    /// Whether tensors that are quantised already may be quantised again.
    pub allow_requantize: bool,
    /// The most bytes of tensors in one file of the output, which then may be several.
    pub part_bytes: Option<usize>,
}

/// One tensor and what it becomes.
#[derive(Clone, Debug, PartialEq)]
pub struct Assigned {
    /// Its name.
    pub name: String,
    /// Its dimensions, outermost first.
    pub shape: Vec<usize>,
    /// The format it has.
    pub from: Format,
    /// The format it gets. Equal to `from`: the bytes are copied.
    pub to: Format,
    /// The rule or flag that chose a format other than the mix's own; empty when none did.
    pub why: Cow<'static, str>,
    /// The format that was chosen first, when the rows are no whole number of its blocks.
    pub instead_of: Option<Format>,
}

impl Options {
    /// The mix and nothing else.
    pub fn new(mix: Mix) -> Options {
        Options {
            mix,
            pure: false,
            output: None,
            embedding: None,
            tensor_types: Vec::new(),
            allow_requantize: false,
            part_bytes: None,
        }
    }
}

impl TensorType {
    /// Reads `PATTERN=TYPE`. The pattern is searched for anywhere in the name, in any case.
    ///
    /// # Errors
    /// There is no `=`, the pattern is no regular expression, or the format is none that Lucid writes.
    pub fn parse(text: &str) -> Result<TensorType> {
        let request = |what: String| Error::new(ErrorKind::Request, format!("{text:?}: {what}"));
        let (pattern, format) = text.rsplit_once('=').ok_or_else(|| request("no PATTERN=TYPE".into()))?;
        if pattern.is_empty() {
            return Err(request("the pattern is empty".into()));
        }
        // Bounded, since the pattern may come from a script that somebody else wrote.
        let pattern = regex::RegexBuilder::new(pattern).case_insensitive(true).size_limit(1 << 20).build();
        let pattern = pattern.map_err(|e| request(format!("{e}")))?;
        Ok(TensorType { pattern, format: weight_format(format)? })
    }
}

/// Decides what every tensor becomes. Nothing is read but names, shapes and formats.
///
/// The choice is llama-quantize's, with one exception: where the TYPE is F16, BF16 or F32, that program ignores
/// `--tensor-type` without a word, and Lucid does as told.
///
/// # Errors
/// The request contradicts itself. What stands in the way of carrying the plan out is [`Plan::check`]'s to say, so that the
/// plan can be shown nevertheless.
pub fn plan(model: &Model, tensors: &[Source], options: &Options, importance: bool) -> Result<Plan> {
    let flags =
        options.pure || options.output.is_some() || options.embedding.is_some() || !options.tensor_types.is_empty();
    if options.mix == Mix::COPY && (flags || importance) {
        let what = "COPY leaves every tensor as it is, so no flag that chooses formats goes with it";
        return Err(Error::new(ErrorKind::Request, what));
    }
    let mut chooser = Chooser::new(model, tensors, options, importance);
    let mut assigned: Vec<Assigned> = tensors.iter().map(Assigned::unchanged).collect();
    for i in in_layer_order(tensors) {
        let tensor = &tensors[i];
        let keep = match options.mix {
            Mix::COPY => Some(""),
            _ if !tensor.format.is_weight() => Some("integers"),
            _ => rules::untouched(&model.arch, &tensor.name, &tensor.shape),
        };
        match keep {
            Some(why) => assigned[i].why = why.into(),
            None => {
                let (chosen, why) = chooser.choose(tensor);
                let fallback = rules::fallback(chosen, tensor.row());
                assigned[i].to = fallback.unwrap_or(chosen);
                assigned[i].instead_of = fallback.map(|_| chosen);
                assigned[i].why = why;
            }
        }
    }
    let Options { mix, allow_requantize, part_bytes, .. } = *options;
    Ok(Plan { mix, tensors: assigned, idle_patterns: chooser.idle_patterns(), allow_requantize, part_bytes })
}

/// The state of going through the tensors: what came before decides, too.
struct Chooser<'a> {
    model: &'a Model,
    options: &'a Options,
    importance: bool,
    /// Whether there is no output matrix but the embedding.
    tied: bool,
    /// How many value matrices there are.
    values: usize,
    /// How many matrices the rules have seen.
    seen: Seen,
    /// Which of the patterns decided something.
    used: Vec<bool>,
}

/// How many matrices of each kind the rules have seen.
#[derive(Default)]
struct Seen {
    values: usize,
    downs: usize,
    others: usize,
}

impl<'a> Chooser<'a> {
    fn new(model: &'a Model, tensors: &[Source], options: &'a Options, importance: bool) -> Self {
        let of_role = |role| tensors.iter().filter(|t| Role::of(&t.name) == role).count();
        Chooser {
            model,
            options,
            importance,
            tied: of_role(Role::Output) == 0,
            values: of_role(Role::Value),
            seen: Seen::default(),
            used: vec![false; options.tensor_types.len()],
        }
    }

    /// The format for one tensor, and who decided.
    fn choose(&mut self, tensor: &Source) -> (Format, Cow<'static, str>) {
        let options = self.options;
        let role = Role::of(&tensor.name);
        let pattern = options.tensor_types.iter().position(|t| t.pattern.is_match(&tensor.name));
        // The table that Gemma 3n reads per layer follows the flag for embeddings unless a pattern names it.
        let own_table = tensor.name == "per_layer_token_embd.weight" && pattern.is_some();
        match (role, options.embedding, options.output) {
            (Role::Embedding, Some(format), _) if !own_table => return (format, "--token-embedding-type".into()),
            (Role::Output, _, Some(format)) => return (format, "--output-tensor-type".into()),
            _ => {}
        }
        if let Some(i) = pattern {
            self.used[i] = true;
            let TensorType { pattern, format } = &options.tensor_types[i];
            return (*format, format!("--tensor-type {pattern}").into());
        }
        if options.pure || is_float(options.mix.base()) {
            return (options.mix.base(), "".into());
        }
        if let (true, Role::Embedding, Some(format)) = (self.tied, role, options.output) {
            return (format, "--output-tensor-type, tied".into());
        }
        let (format, why) = rules::choose(&self.question(tensor, role));
        (format, why.into())
    }

    /// What the rules need to know; counts the tensor.
    fn question<'t>(&'t mut self, tensor: &'t Source, role: Role) -> Question<'t> {
        let (counter, count) = match role {
            Role::Value => (&mut self.seen.values, self.values),
            Role::Down => (&mut self.seen.downs, self.model.layers),
            _ => (&mut self.seen.others, 0),
        };
        let mut index = *counter;
        *counter += 1;
        // Old files hold every expert's matrix by itself, so that counting them does not count layers.
        if role == Role::Down && self.model.experts > 1 {
            index = layer(&tensor.name).unwrap_or(index);
        }
        Question {
            model: self.model,
            mix: self.options.mix,
            name: &tensor.name,
            role,
            row: tensor.row(),
            stacked: tensor.shape.iter().rev().nth(2).is_some_and(|&n| n > 1),
            tied: self.tied,
            importance: self.importance,
            index,
            count,
        }
    }

    fn idle_patterns(&self) -> Vec<String> {
        let idle = self.options.tensor_types.iter().zip(&self.used).filter(|(_, used)| !**used);
        idle.map(|(t, _)| t.pattern.as_str().to_owned()).collect()
    }
}

/// The longest row that is encoded: it has to be in memory as a whole.
const LONGEST_ROW: usize = 1 << 24;

/// Whether a format is plain numbers rather than blocks.
fn is_float(format: Format) -> bool {
    matches!(format, Format::F16 | Format::BF16 | Format::F32 | Format::F64)
}

/// The number in `blk.12.…`.
fn layer(name: &str) -> Option<usize> {
    name.strip_prefix("blk.")?.split('.').next()?.parse().ok()
}

/// The order in which the rules count: by layer, those outside first, then by name. Files differ in their order.
fn in_layer_order(tensors: &[Source]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..tensors.len()).collect();
    order.sort_by_key(|&i| (layer(&tensors[i].name), &tensors[i].name));
    order
}

impl Assigned {
    fn unchanged(tensor: &Source) -> Assigned {
        let Source { name, shape, format } = tensor.clone();
        Assigned { name, shape, from: format, to: format, why: "".into(), instead_of: None }
    }

    /// Values in a row.
    pub fn row(&self) -> usize {
        self.shape.last().copied().unwrap_or(1)
    }

    /// How many values it has.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many matrices it stacks: those of experts lie in one tensor.
    pub fn matrices(&self) -> usize {
        self.shape.iter().rev().skip(2).product()
    }

    /// Bytes before and after.
    pub fn bytes(&self) -> [usize; 2] {
        [self.from, self.to].map(|f| self.len() / f.block_len() * f.block_bytes())
    }

    /// Whether its values are encoded anew, rather than copied.
    pub fn changes(&self) -> bool {
        self.from != self.to
    }

    /// Whether an importance matrix helps to encode it.
    pub fn weighs(&self) -> bool {
        self.changes() && !is_float(self.to)
    }
}

impl Plan {
    /// Checks that nothing but a bad weight or a full disk can stand in the way of carrying the plan out. [`run`] does so
    /// first.
    ///
    /// # Errors
    /// A tensor is quantised already and may not be again; has no encoder, or rows too long for one; needs an importance
    /// matrix, or got one of another model.
    pub fn check(&self, imatrix: Option<&Imatrix>) -> Result<()> {
        for t in self.tensors.iter().filter(|t| t.changes()) {
            let error = |kind, what: String| Err(Error::new(kind, format!("tensor {}: {what}", t.name)));
            let [from, to] = [t.from.name(), t.to.name()];
            if !is_float(t.from) && !self.allow_requantize {
                let what = format!(
                    "it is {from}, quantised already; to make it {to}, start from the original file, or accept the double \
                     loss with --allow-requantize"
                );
                return error(ErrorKind::Request, what);
            }
            if !t.to.can_encode() {
                return error(ErrorKind::Unsupported, format!("Lucid does not write {to}"));
            }
            if t.row() > LONGEST_ROW {
                let what = format!("a row of {} values is more than Lucid encodes ({LONGEST_ROW})", t.row());
                return error(ErrorKind::Unsupported, what);
            }
            let weights = imatrix.map(|m| m.columns(t)).transpose()?.flatten();
            // At two bits everywhere, nothing is left to lose. Tables of rows meet no activations to be weighed by.
            let table = matches!(Role::of(&t.name), Role::Embedding | Role::Output);
            if self.mix == Mix::Q2_K_S && t.to == Format::Q2_K && !table && weights.is_none() {
                let what =
                    "Q2_K_S needs an importance matrix with an entry for it: give one with --imatrix, or choose Q2_K";
                return error(ErrorKind::Request, what.into());
            }
        }
        Ok(())
    }

    /// Bytes of all tensors before and after.
    pub fn bytes(&self) -> [usize; 2] {
        self.tensors.iter().map(Assigned::bytes).fold([0; 2], |[a, b], [x, y]| [a + x, b + y])
    }

    /// Values of all tensors.
    pub fn len(&self) -> usize {
        self.tensors.iter().map(Assigned::len).sum()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
