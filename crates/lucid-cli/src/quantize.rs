//! `lucid quantize`: a GGUF file with its matrices in other formats.

use crate::{
    inspect::shape,
    output::{plain, print},
    units,
};
use anyhow::{Context, bail};
use clap::{Args as _, error::ErrorKind};
use indicatif::{ProgressBar, ProgressStyle};
use lucid::{
    file::gguf::Gguf,
    quantize::{
        Assigned, Imatrix, Mix, Model, Options, Plan, Progress, TensorType, plan, refuse_source, tensors, weight_format,
    },
};
use lucid_kernels::formats::Format;
use std::{
    collections::BTreeMap,
    fmt::Write as _,
    io::{IsTerminal, Write as _, stderr},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Instant,
};

/// Arguments of `lucid quantize`.
#[derive(clap::Args)]
#[command(after_help = after_help())]
pub(crate) struct Args {
    /// The file to read: F32, F16 or BF16, or with --allow-requantize any other; any part of a split model
    #[arg(value_name = "IN")]
    input: PathBuf,
    /// The file to write (with --dry-run it may be left out)
    #[arg(value_name = "OUT")]
    output: PathBuf,
    /// What to quantise to, in any case: one of the names below
    #[arg(value_name = "TYPE", required_unless_present = "dry_run", value_parser = Mix::from_name)]
    ty: Option<Mix>,
    /// Every matrix in the format of TYPE: no finer ones for the sensitive
    #[arg(long)]
    pure: bool,
    /// An importance matrix, GGUF or legacy .dat: errors are weighed by how much each column is used
    #[arg(long, value_name = "FILE")]
    imatrix: Option<PathBuf>,
    /// A format for the tensors whose name matches a regular expression; repeatable, the first match decides
    #[arg(long, value_name = "PATTERN=FORMAT", value_parser = TensorType::parse)]
    tensor_type: Vec<TensorType>,
    /// The format of output.weight, and of the embedding where that is the output too
    #[arg(long, value_name = "FORMAT", value_parser = weight_format)]
    output_tensor_type: Option<Format>,
    /// The format of the token embedding
    #[arg(long, value_name = "FORMAT", value_parser = weight_format)]
    token_embedding_type: Option<Format>,
    /// Quantise again what is quantised already, and lose twice
    #[arg(long)]
    allow_requantize: bool,
    /// Several files, OUT-00001-of-0000N.gguf, of at most this many bytes of tensors each: 500M, 2G (M and G are 10⁶ and 10⁹)
    #[arg(long, value_name = "SIZE", value_parser = part_bytes)]
    split_max_size: Option<usize>,
    /// Only show what every tensor would become, and the sizes
    #[arg(long)]
    dry_run: bool,
    /// Threads that encode; the file does not depend on it [default: all processors]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
}

fn after_help() -> String {
    let mut text = String::from("TYPE, fewest bits first:\n");
    for mix in Mix::ALL {
        let _ = writeln!(text, "  {:<9}  {}", mix.name(), mix.about());
    }
    text.push_str(
        "Q3_K, Q4_K and Q5_K mean their _M. A matrix whose rows are no whole number of blocks gets the next format that
fits, and a line says so.

Examples:
  lucid quantize model-f16.gguf model-q4_k_m.gguf Q4_K_M
  lucid quantize --dry-run model-f16.gguf Q5_K_M                       what it would be, without doing it
  lucid quantize --imatrix imatrix.gguf in.gguf out.gguf IQ4_XS        weighed by an importance matrix
  lucid quantize --tensor-type 'ffn_down=Q6_K' in.gguf out.gguf Q4_K_S
  lucid quantize model-00001-of-00004.gguf whole.gguf COPY             join a split model
  lucid quantize --split-max-size 4G whole.gguf model.gguf COPY        split one",
    );
    text
}

/// `2G`, `500M`: a number of bytes, in units of the letter.
fn part_bytes(text: &str) -> Result<usize, String> {
    let (digits, unit) = match text.char_indices().last() {
        Some((at, 'M' | 'm')) => (&text[..at], 1_000_000),
        Some((at, 'G' | 'g')) => (&text[..at], 1_000_000_000),
        _ => (text, 1),
    };
    let bytes = digits.parse::<usize>().ok().and_then(|n| n.checked_mul(unit)).filter(|&n| n > 0);
    bytes.ok_or_else(|| "expected a size such as 500M or 2G".into())
}

/// Plans, says what is worth saying, and does it.
pub(crate) fn run(args: Args) -> anyhow::Result<()> {
    let (output, mix) = output_and_type(&args);
    if args.input.is_dir() {
        bail!("{}: this is a folder, and quantize reads a GGUF file", args.input.display());
    }
    let source = Gguf::open(&args.input)?;
    if let Some(output) = output {
        refuse_source(&source, output)?;
    }
    let imatrix = args.imatrix.as_deref().map(Imatrix::read).transpose()?;
    let options = Options {
        mix,
        pure: args.pure,
        output: args.output_tensor_type,
        embedding: args.token_embedding_type,
        tensor_types: args.tensor_type.clone(),
        allow_requantize: args.allow_requantize,
        part_bytes: args.split_max_size,
    };
    let model = Model::of(&source.metadata)?;
    let plan = plan(&model, &tensors(&source)?, &options, imatrix.is_some())?;
    for note in notes(&plan, imatrix.as_ref()) {
        say(&note);
    }
    match output {
        _ if args.dry_run => dry_run(&plan, imatrix.as_ref()),
        Some(output) => write(&args, &source, &plan, imatrix.as_ref(), output),
        None => Ok(()), // `output_and_type` lets nothing else through
    }
}

/// OUT and TYPE. With `--dry-run` one word after IN is enough, the TYPE, as llama-quantize takes it.
fn output_and_type(args: &Args) -> (Option<&Path>, Mix) {
    if let Some(mix) = args.ty {
        return (Some(&args.output), mix);
    }
    match Mix::from_name(args.output.to_str().unwrap_or_default()) {
        Ok(mix) => (None, mix),
        Err(fault) => {
            Args::augment_args(clap::Command::new("lucid quantize")).error(ErrorKind::InvalidValue, fault).exit()
        }
    }
}

/// What the user should know about a plan beside the list of tensors.
fn notes(plan: &Plan, imatrix: Option<&Imatrix>) -> Vec<String> {
    let mut notes = Vec::new();
    let mut fallbacks: BTreeMap<(Format, Format, usize), Vec<&str>> = BTreeMap::new();
    for t in &plan.tensors {
        if let Some(wanted) = t.instead_of {
            fallbacks.entry((wanted, t.to, t.shape.last().copied().unwrap_or(1))).or_default().push(&t.name);
        }
    }
    for ((wanted, to, row), names) in fallbacks {
        let (block, wanted, to) = (wanted.block_len(), wanted.name(), to.name());
        let rows = format!("rows of {row} values are no whole blocks of {block}");
        notes.push(format!("{wanted} falls back to {to}, because {rows}: {}", some(&names)));
    }
    if let Some(m) = imatrix {
        let mut note = format!("{}: an importance matrix with {} entries", m.path.display(), m.len());
        if m.chunks > 0 {
            let _ = write!(note, ", from {} chunks", m.chunks);
        }
        if let Some(dataset) = m.datasets.first() {
            let _ = write!(note, " of {}", plain(dataset));
        }
        notes.push(note);
        let missing = m.missing(plan);
        if !missing.is_empty() {
            notes.push(format!("it has no entry for {}, quantised without", some(&missing)));
        }
    }
    for pattern in &plan.idle_patterns {
        notes.push(format!("--tensor-type {}: no tensor is decided by this pattern", plain(pattern)));
    }
    notes
}

/// The first few of many names, and how many there are.
fn some(names: &[&str]) -> String {
    const SHOWN: usize = 4;
    let shown: Vec<String> = names.iter().take(SHOWN).map(|n| plain(n)).collect();
    let more = if names.len() > SHOWN { " and others" } else { "" };
    match names.len() {
        1 => shown[0].clone(),
        n => format!("{n} tensors ({}{more})", shown.join(", ")),
    }
}

/// Shows the plan, and whether it could be carried out.
fn dry_run(plan: &Plan, imatrix: Option<&Imatrix>) -> anyhow::Result<()> {
    let columns = Columns::of(plan);
    let mut text = String::new();
    for i in 0..plan.tensors.len() {
        let _ = writeln!(text, "{}", columns.line(plan, i));
    }
    let _ = writeln!(text, "{}", summary(plan));
    print(&text)?;
    if let Err(fault) = plan.check(imatrix) {
        say(&format!("without --dry-run this is refused: {fault}"));
    }
    Ok(())
}

/// Carries the plan out, with a bar on a terminal and a line per tensor elsewhere.
fn write(args: &Args, source: &Gguf, plan: &Plan, imatrix: Option<&Imatrix>, output: &Path) -> anyhow::Result<()> {
    let cancel = Arc::new(AtomicBool::new(false));
    let flag = cancel.clone();
    ctrlc::set_handler(move || flag.store(true, Ordering::Relaxed)).context("cannot catch Ctrl-C")?;
    let processors = || thread::available_parallelism().map_or(1, usize::from);
    let threads = args.threads.map_or_else(processors, usize::from);
    let started = Instant::now();
    let columns = Columns::of(plan);
    let bar = stderr().is_terminal().then(|| {
        let style = ProgressStyle::with_template("{bar:30} {percent:>3}%  {eta:>4} left  {wide_msg}");
        ProgressBar::new(plan.bytes()[0] as u64).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
    });
    let result = lucid::quantize::run(source, plan, imatrix, output, threads, &cancel, &mut |p: Progress| match &bar {
        Some(bar) => {
            bar.set_position(p.bytes as u64);
            bar.set_message(plain(&plan.tensors[p.tensor].name));
        }
        None if p.complete => say(&columns.line(plan, p.tensor)),
        None => {}
    });
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
    result?;
    say(&format!("{}: {}; {:.1} s", output.display(), summary(plan), started.elapsed().as_secs_f64()));
    Ok(())
}

/// A line on stderr. That nobody reads it any more is no reason to stop.
fn say(line: &str) {
    let _ = writeln!(stderr(), "{line}");
}

/// How wide the columns of the list of tensors are.
struct Columns {
    name: usize,
    shape: usize,
}

impl Columns {
    fn of(plan: &Plan) -> Columns {
        let widest = |width: fn(&Assigned) -> usize| plan.tensors.iter().map(width).max().unwrap_or(0).min(60);
        Columns { name: widest(|t| plain(&t.name).chars().count()), shape: widest(|t| shape(&t.shape).chars().count()) }
    }

    /// `[ 12/201] blk.0.attn_v.weight  256 × 2048  F16 → Q6_K  1.05 MB → 430.1 kB  values: ends and every third`
    fn line(&self, plan: &Plan, i: usize) -> String {
        let (t, of) = (&plan.tensors[i], plan.tensors.len());
        let [before, after] = t.bytes().map(|n| units::bytes(n as f64));
        let digits = of.to_string().len();
        let mut line = format!(
            "[{:>digits$}/{of}] {:name$}  {:>shape$}  ",
            i + 1,
            plain(&t.name),
            shape(&t.shape),
            name = self.name,
            shape = self.shape,
        );
        let _ = match t.changes() {
            true => write!(line, "{} → {}  {before} → {after}", t.from.name(), t.to.name()),
            false => write!(line, "{}  {before}", t.from.name()),
        };
        if let Some(wanted) = t.instead_of {
            let _ = write!(line, "  {} does not fit", wanted.name());
        }
        if !t.why.is_empty() {
            let _ = write!(line, "  {}", t.why);
        }
        line
    }
}

/// `2.20 GB → 667.8 MB, 16.0 → 4.85 bits per weight, 201 tensors: 45 F32, 136 Q4_K, 20 Q6_K`
fn summary(plan: &Plan) -> String {
    let [before, after] = plan.bytes();
    let bits = |bytes: usize| bytes as f64 * 8.0 / plan.len().max(1) as f64;
    let mut counts: BTreeMap<Format, usize> = BTreeMap::new();
    for t in &plan.tensors {
        *counts.entry(t.to).or_default() += 1;
    }
    let counts: Vec<String> = counts.iter().map(|(format, n)| format!("{n} {}", format.name())).collect();
    let separator = if counts.is_empty() { "" } else { ": " };
    let sizes = [before, after].map(|n| units::bytes(n as f64)).join(" → ");
    let (before, after) = (bits(before), bits(after));
    format!(
        "{sizes}, {before:.2} → {after:.2} bits per weight, {} tensors{separator}{}",
        plan.tensors.len(),
        counts.join(", ")
    )
}
