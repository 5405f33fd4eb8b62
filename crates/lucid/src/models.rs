//! The architectures, one file each, and what they share: finding the architecture of a file, and loading its tensors.

pub mod llama;

use crate::{
    Error, ErrorKind, Result,
    backend::{Backend, Stored, SupportsDType},
    file::{ModelFile, TensorInfo},
    kv::{Cache, Span},
    ops::Ctx,
    tensor::{Gain, Packed, Tensor, Weight, dim::Dim},
};
use llama::Llama;
use std::cell::Cell;

/// The architectures Lucid can run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arch {
    /// LLaMA and what shares its layout.
    Llama,
}

impl Arch {
    /// The architecture that a file says it is.
    pub fn of(file: &ModelFile) -> Result<Arch> {
        let name = file.architecture()?;
        match name {
            "llama" => Ok(Arch::Llama),
            other => {
                let what = format!("the architecture {other:?} is not supported; Lucid runs llama");
                Err(Error::file(ErrorKind::Unsupported, &file.path, what))
            }
        }
    }
}

/// A loaded model, or a contiguous range of its layers.
pub enum Model<'a, B: Backend> {
    /// A LLaMA.
    Llama(Llama<'a, B>),
}

impl<'a, B: Backend> Model<'a, B> {
    /// Loads a whole model. Matrices stay where they lie in the file.
    pub fn load(loader: &Loader<'a, B>) -> Result<Self> {
        let config = config(loader.file)?;
        let all = 0..config.layers;
        Ok(Model::Llama(Llama::load(loader, config, all)?))
    }

    /// Begins a sequence that may grow to `context` tokens.
    pub fn begin(&self, backend: &B, context: usize) -> Result<Cache<B>> {
        self.begin_many(backend, 1, context)
    }

    /// Begins several sequences that are computed together, each of which may grow to `context` tokens.
    pub fn begin_many(&self, backend: &B, sequences: usize, context: usize) -> Result<Cache<B>> {
        match self {
            Model::Llama(m) => m.begin(backend, sequences, context),
        }
    }

    /// Logits of the next tokens of the first sequence, row by row: of all of them, or of the last alone.
    pub fn logits(&self, cx: &Ctx<'_, B>, tokens: &[u32], cache: &mut Cache<B>, last: bool) -> Result<Vec<f32>> {
        let mut logits = Vec::new();
        let span = Span { sequence: 0, tokens: tokens.len() };
        self.step(cx, tokens, &[span], cache, last, &mut logits)?;
        Ok(logits)
    }

    /// One step of several sequences: `tokens` holds those of each span after those of the one before. `logits` becomes those
    /// of all rows, or of the last of each span.
    pub fn step(
        &self,
        cx: &Ctx<'_, B>,
        tokens: &[u32],
        spans: &[Span],
        cache: &mut Cache<B>,
        last: bool,
        logits: &mut Vec<f32>,
    ) -> Result<()> {
        match self {
            Model::Llama(m) => cx.read_into(&m.forward(cx, tokens, spans, cache, last)?, logits),
        }
    }

    /// Words of the vocabulary.
    pub fn vocab(&self) -> usize {
        match self {
            Model::Llama(m) => m.config.vocab.0,
        }
    }

    /// The context length it was trained for.
    pub fn context(&self) -> usize {
        match self {
            Model::Llama(m) => m.config.context,
        }
    }

    /// Its layers.
    pub fn layers(&self) -> usize {
        match self {
            Model::Llama(m) => m.config.layers,
        }
    }
}

/// The sizes and constants of the model in `file`.
pub fn config(file: &ModelFile) -> Result<llama::Config> {
    match Arch::of(file)? {
        Arch::Llama => llama::Config::read(file),
    }
}

/// Everything about `file` that loading it would refuse, as far as it can be told without computing: an empty list is a
/// model that loads.
pub fn check(file: &ModelFile) -> Vec<Error> {
    let mut faults = file.check_vocabulary();
    match config(file) {
        Ok(config) => faults.extend(config.check_tensors(file)),
        Err(fault) => faults.push(fault),
    }
    faults
}

/// Turns named tensors of a file into typed weights on a backend.
pub struct Loader<'a, B> {
    /// The file.
    pub file: &'a ModelFile,
    /// Where its tensors go.
    pub backend: &'a B,
    /// Bytes of norms and biases that were converted to f32 because the file stores another type: the only bytes of
    /// weights that are not used where they lie.
    pub converted: Cell<usize>,
}

impl<'a, B: Backend> Loader<'a, B> {
    /// A loader of this file's tensors. The file's vocabulary is checked first, whoever asks.
    pub fn new(backend: &'a B, file: &'a ModelFile) -> Result<Self> {
        match file.check_vocabulary().into_iter().next() {
            Some(fault) => Err(fault),
            None => Ok(Loader { file, backend, converted: Cell::new(0) }),
        }
    }

    /// The matrix called `name` in GGUF's terms, which must have this shape.
    pub fn matrix<O: Dim, I: Dim>(&self, name: &str, shape: (O, I)) -> Result<Weight<'a, B, O, I>> {
        let stored = fit(self.file, self.file.require(name)?, &[shape.0.size(), shape.1.size()])?;
        Ok(Tensor { data: SupportsDType::<Packed>::load(self.backend, stored)?, shape })
    }

    /// The vector called `name` in GGUF's terms, which must have this size.
    pub fn vector<D: Dim>(&self, name: &str, size: D) -> Result<Gain<'a, B, D>> {
        let stored = fit(self.file, self.file.require(name)?, &[size.size()])?;
        if stored.format != lucid_kernels::formats::Format::F32 {
            self.converted.set(self.converted.get() + 4 * size.size());
        }
        Ok(Tensor { data: SupportsDType::<f32>::load(self.backend, stored)?, shape: (size,) })
    }

    /// The vector called `name`, if the file has one.
    pub fn optional_vector<D: Dim>(&self, name: &str, size: D) -> Result<Option<Gain<'a, B, D>>> {
        self.file.tensor(name).map(|_| self.vector(name, size)).transpose()
    }
}

/// The bytes of a tensor if it has this shape and a format that holds weights.
pub(crate) fn fit<'a>(file: &ModelFile, tensor: TensorInfo<'a>, shape: &[usize]) -> Result<Stored<'a>> {
    let refuse = |kind, what: String| Err(Error::file(kind, &file.path, format!("tensor {}: {what}", tensor.name)));
    if tensor.shape != shape {
        let what = format!("its shape is {:?}, but the model's sizes ask for {shape:?}", tensor.shape);
        return refuse(ErrorKind::Value, what);
    }
    match tensor.format {
        Some(format) if format.is_weight() => Ok(Stored { format, bytes: tensor.bytes }),
        _ => refuse(ErrorKind::Unsupported, format!("weights of type {} are not supported", tensor.type_name)),
    }
}
