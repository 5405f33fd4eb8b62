//! Carrying a plan out: reading, encoding and writing at the same time, in pieces of a few megabytes.
//!
//! ```text
//! file ── read ──▶ [piece n+1]      [piece n] ◀── all workers       [piece n−1] ── write ──▶ OUT.partial
//! ```
//!
//! Three buffers go round. While the workers encode one piece, this thread writes the piece before it and reads the next, so
//! memory is three pieces and what the workers hold, whatever the size of the file. A piece is whole rows, since encoders
//! look at whole rows; who encodes which rows does not matter to the result, so that the file is the same for any number of
//! threads.
//!
//! The input is read rather than mapped: pages of a mapping count as this program's memory until the system wants them
//! back, and a file that shrinks, or a disk that fails, is then an error and no signal.

use std::{
    fs::{self, File},
    io::{Read, Seek, SeekFrom},
    ops::Range,
    path::{Path, PathBuf},
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use super::{Assigned, Imatrix, Mix, Plan};
use crate::{
    error::{Error, ErrorKind, Result},
    file::gguf::{Draft, Gguf, Value, Writer},
};
use lucid_kernels::formats::{Format, Unencodable};

/// Bytes of a piece, before or after encoding, whichever is more; a single row may be more.
const PIECE_BYTES: usize = 16 << 20;
/// Values that a worker takes at a time.
const CHUNK_VALUES: usize = 1 << 16;
/// The version of the block formats that `general.quantization_version` counts: 2 since June 2023, and in all files since.
const QUANTIZATION_VERSION: u32 = 2;
/// How far [`run`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The index of the tensor in the plan that was written, or a part of it.
    pub tensor: usize,
    /// Whether that was the last of it.
    pub complete: bool,
    /// Bytes of the source that are dealt with, over all tensors.
    pub bytes: usize,
}

/// Writes `source` as `plan` says to the file `out`, with at most `threads` threads encoding.
///
/// Whatever happens, a file `out` is the whole new one, or what was there before. `progress` is called after each piece is
/// written. Setting `cancel`, for good, ends the work within the time of a few rows.
///
/// # Errors
/// [`Plan::check`] refuses; `out` is a file that `source` is read from; a weight is not finite, or not in the format it gets;
/// reading or writing fails; `cancel` was set.
pub fn run(
    source: &Gguf,
    plan: &Plan,
    imatrix: Option<&Imatrix>,
    out: &Path,
    threads: usize,
    cancel: &AtomicBool,
    progress: &mut dyn FnMut(Progress),
) -> Result<()> {
    plan.check(imatrix)?;
    refuse_source(source, out)?;
    let jobs = plan.tensors.iter().enumerate().map(|(i, t)| Job::new(i, t, imatrix)).collect::<Result<Vec<_>>>()?;
    // A link keeps pointing where it points.
    let out = fs::canonicalize(out).unwrap_or_else(|_| out.to_owned());
    let mut writer = Writer::create(&out, &draft(source, plan, imatrix)?)?;
    // The parts of a split output have names of their own. Nothing bears them before the writer is finished.
    writer.targets().try_for_each(|target| refuse_source(source, target))?;
    let mut reader = Reader { source, open: None };
    let mut pieces = jobs.iter().flat_map(Job::pieces);
    let (mut reading, mut encoding, mut writing) = (Buffer::default(), Buffer::default(), Buffer::default());
    let mut bytes = 0;
    loop {
        if cancel.load(Ordering::Relaxed) {
            return Err(Error::file(ErrorKind::Request, &out, "interrupted, so nothing was written"));
        }
        encoding.encode(threads, cancel, || {
            if let Some(piece) = writing.piece.take() {
                let job = piece.job;
                writer.write(&job.tensor.name, &writing.to)?;
                bytes += writing.from.len();
                progress(Progress { tensor: job.index, complete: piece.units.end == job.units, bytes });
            }
            reading.piece = pieces.next();
            reader.fill(&mut reading)
        })?;
        if reading.piece.is_none() && encoding.piece.is_none() {
            return writer.finish();
        }
        // What was read is encoded next, what was encoded is written next, and what was written makes room.
        (reading, encoding, writing) = (writing, reading, encoding);
    }
}

/// Refuses an output that is one of the files that are read, under whatever name.
///
/// # Errors
/// It is.
pub fn refuse_source(source: &Gguf, out: &Path) -> Result<()> {
    match source.parts.iter().find(|part| same_file(&part.path, out)) {
        Some(part) => {
            let what =
                format!("this is the input itself ({}); choose another name for the output", part.path.display());
            Err(Error::file(ErrorKind::Request, out, what))
        }
        None => Ok(()),
    }
}

/// Whether two paths lead to one file; not when either does not exist.
fn same_file(a: &Path, b: &Path) -> bool {
    #[cfg(unix)]
    if let (Ok(a), Ok(b)) = (fs::metadata(a), fs::metadata(b)) {
        use std::os::unix::fs::MetadataExt;
        return (a.dev(), a.ino()) == (b.dev(), b.ino());
    }
    matches!((fs::canonicalize(a), fs::canonicalize(b)), (Ok(a), Ok(b)) if a == b)
}

/// The header of the output: the keys of the input, what was done to it, and the tensors in their order.
fn draft(source: &Gguf, plan: &Plan, imatrix: Option<&Imatrix>) -> Result<Draft> {
    let mut draft = Draft::new();
    if let Some(bytes) = plan.part_bytes {
        draft.split(bytes);
    }
    draft.set_all(&source.metadata)?;
    for key in ["split.no", "split.count", "split.tensors.count"] {
        draft.remove(key);
    }
    if plan.mix != Mix::COPY {
        draft.set("general.quantization_version", Value::U32(QUANTIZATION_VERSION))?;
        draft.set("general.file_type", Value::U32(plan.mix.file_type()))?;
    }
    if let Some(m) = imatrix {
        draft.set("quantize.imatrix.file", Value::String(&m.path.to_string_lossy()))?;
        if let Some(dataset) = m.datasets.first() {
            draft.set("quantize.imatrix.dataset", Value::String(dataset))?;
        }
        draft.set("quantize.imatrix.entries_count", Value::U32(u32::try_from(m.len()).unwrap_or(u32::MAX)))?;
        if m.chunks > 0 {
            draft.set("quantize.imatrix.chunks_count", Value::U32(m.chunks))?;
        }
    }
    for t in &plan.tensors {
        draft.tensor(&t.name, &t.shape, t.to)?;
    }
    Ok(draft)
}

/// One tensor's work. Its *units* are what cannot be divided: rows where it is encoded, blocks where it is copied.
struct Job<'p> {
    index: usize,
    tensor: &'p Assigned,
    weights: Option<&'p [f32]>,
    /// Values of a unit.
    values: usize,
    /// Bytes of a unit, before and after.
    from: usize,
    to: usize,
    units: usize,
}

/// Some units of one tensor.
struct Piece<'p> {
    job: &'p Job<'p>,
    units: Range<usize>,
}

impl<'p> Job<'p> {
    fn new(index: usize, tensor: &'p Assigned, imatrix: Option<&'p Imatrix>) -> Result<Job<'p>> {
        let values = if tensor.changes() { tensor.row() } else { tensor.from.block_len() };
        let (Some(from), Some(to)) = (tensor.from.row_bytes(values), tensor.to.row_bytes(values)) else {
            let what = format!("tensor {}: rows of {values} values are no whole blocks", tensor.name);
            return Err(Error::new(ErrorKind::Shape, what));
        };
        let weights = imatrix.map(|m| m.columns(tensor)).transpose()?.flatten();
        Ok(Job { index, tensor, weights, values, from, to, units: tensor.len() / values })
    }

    fn pieces(&'p self) -> impl Iterator<Item = Piece<'p>> {
        let step = (PIECE_BYTES / self.from.max(self.to)).max(1);
        (0..self.units).step_by(step).map(move |at| Piece { job: self, units: at..(at + step).min(self.units) })
    }
}

impl Piece<'_> {
    /// Encodes or copies some units, the first of which is number `at` of the tensor. `values` is room to decode them in.
    fn encode(&self, at: usize, from: &[u8], to: &mut [u8], values: &mut Vec<f32>) -> Result<()> {
        let Job { tensor, weights, values: unit, .. } = *self.job;
        if !tensor.from.is_weight() {
            to.copy_from_slice(from);
            return Ok(());
        }
        values.resize(from.len() / self.job.from * unit, 0.0);
        tensor.from.decode(from, values);
        if !tensor.changes() {
            to.copy_from_slice(from);
            return match values.iter().position(|v| !v.is_finite()) {
                Some(i) => Err(self.fault(at * unit + i, values[i], tensor.from)),
                None => Ok(()),
            };
        }
        let rows_per_matrix = tensor.shape.iter().rev().nth(1).copied().unwrap_or(1);
        for (i, (row, to)) in (at..).zip(values.chunks(unit).zip(to.chunks_mut(self.job.to))) {
            let weights = weights.map(|w| &w[i / rows_per_matrix * unit..][..unit]);
            tensor.to.encode(row, weights, to).map_err(|refusal| match refusal {
                Unencodable::Value { index, value, .. } => self.fault(i * unit + index, value, tensor.to),
                other => Error::new(ErrorKind::Unsupported, format!("tensor {}: {other}", tensor.name)),
            })?;
        }
        Ok(())
    }

    /// The value number `i` of the tensor is one that `format` does not hold.
    fn fault(&self, mut i: usize, value: f32, format: Format) -> Error {
        let tensor = self.job.tensor;
        let mut place: Vec<usize> = tensor.shape.iter().rev().map(|n| (i % n, i /= n).0).collect();
        place.reverse();
        let what = match value.is_finite() {
            true => format!("more than {} holds: choose BF16 or F32 for it with --tensor-type", format.name()),
            false => "which is no weight: the file is damaged, or the training diverged".into(),
        };
        Error::new(ErrorKind::Value, format!("tensor {}: the value at {place:?} is {value}, {what}", tensor.name))
    }
}

/// A piece on its way, with the bytes it had and those it gets.
#[derive(Default)]
struct Buffer<'p> {
    piece: Option<Piece<'p>>,
    from: Vec<u8>,
    to: Vec<u8>,
}

impl Buffer<'_> {
    /// Encodes the piece on `threads` threads, and calls `meanwhile` on this one.
    fn encode(&mut self, threads: usize, cancel: &AtomicBool, meanwhile: impl FnOnce() -> Result<()>) -> Result<()> {
        let Some(piece) = &self.piece else { return meanwhile() };
        let job = piece.job;
        self.to.resize(piece.units.len() * job.to, 0);
        let step = (CHUNK_VALUES / job.values).max(1);
        let chunks = self.from.chunks(step * job.from).zip(self.to.chunks_mut(step * job.to)).enumerate();
        let workers = threads.clamp(1, chunks.len().max(1));
        let queue = Mutex::new(chunks);
        // Chunks are taken in order and finished once taken, so the first fault of the piece is among those reported.
        let work = || {
            let mut values = Vec::new();
            loop {
                let next = queue.lock().expect("nothing panics while it holds the queue").next();
                // A piece left unfinished is not written: whoever looks at `cancel` next gives up.
                let Some((i, (from, to))) = next.filter(|_| !cancel.load(Ordering::Relaxed)) else { return Ok(()) };
                let at = piece.units.start + i * step;
                piece.encode(at, from, to, &mut values).map_err(|error| (i, error))?;
            }
        };
        thread::scope(|scope| {
            let workers: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
            let meanwhile = meanwhile();
            let results =
                workers.into_iter().map(|w| w.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
            let faults = results.filter_map(|r: std::result::Result<(), _>| r.err());
            match faults.min_by_key(|(i, _)| *i) {
                Some((_, error)) => Err(error),
                None => meanwhile,
            }
        })
    }
}

/// The files of the input, of which one is open at a time.
struct Reader<'p> {
    source: &'p Gguf,
    open: Option<(PathBuf, File)>,
}

impl Reader<'_> {
    /// Reads the bytes of the buffer's piece, if it has one.
    fn fill(&mut self, buffer: &mut Buffer) -> Result<()> {
        let Some(Piece { job, units }) = &buffer.piece else { return Ok(()) };
        let name = &job.tensor.name;
        let Some((path, bytes)) = self.source.place(name) else {
            let what = format!("tensor {name} of the plan is not in it");
            return Err(Error::file(ErrorKind::Request, &self.source.path, what));
        };
        let file = match &mut self.open {
            Some((open, file)) if open == path => file,
            _ => {
                let file = File::open(path).map_err(|e| Error::io(path, "cannot open", e))?;
                &mut self.open.insert((path.to_owned(), file)).1
            }
        };
        buffer.from.resize(units.len() * job.from, 0);
        let at = SeekFrom::Start((bytes.start + units.start * job.from) as u64);
        let read = file.seek(at).and_then(|_| file.read_exact(&mut buffer.from));
        read.map_err(|e| Error::io(path, &format!("cannot read tensor {name}"), e))
    }
}
