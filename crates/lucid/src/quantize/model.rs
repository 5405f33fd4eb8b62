//! What the choice of formats depends on: a few numbers of the model, and its tensors' names and shapes.

use lucid_kernels::formats::Format;

use crate::{
    error::{Error, ErrorKind, Result},
    file::gguf::{Gguf, Metadata, Value},
};

/// The numbers of a model that the rules ask for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Model {
    /// `general.architecture`.
    pub arch: String,
    /// `block_count`, with the layers that predict further tokens.
    pub layers: usize,
    /// `nextn_predict_layers`: how many of them those are.
    pub extra_layers: usize,
    /// Query heads of the first layer.
    pub heads: usize,
    /// Key and value heads of the first layer; as many as query heads when the file does not say.
    pub kv_heads: usize,
    /// Experts; 0 in a dense model.
    pub experts: usize,
}

/// One tensor as it lies in the file.
#[derive(Clone, Debug, PartialEq)]
pub struct Source {
    /// Its name.
    pub name: String,
    /// Its dimensions, outermost first.
    pub shape: Vec<usize>,
    /// Its format.
    pub format: Format,
}

impl Source {
    /// Values in a row.
    pub(super) fn row(&self) -> usize {
        self.shape.last().copied().unwrap_or(1)
    }
}

/// The tensors of a file, in its order.
///
/// # Errors
/// One has a type that Lucid does not know.
pub fn tensors(source: &Gguf) -> Result<Vec<Source>> {
    let tensor = |t: crate::file::TensorInfo| match t.format {
        Some(format) => Ok(Source { name: t.name.to_owned(), shape: t.shape.to_vec(), format }),
        None => {
            let what = format!("tensor {}: Lucid does not read {}", t.name, t.type_name);
            Err(Error::file(ErrorKind::Unsupported, &source.path, what))
        }
    };
    source.tensors().map(tensor).collect()
}

impl Model {
    /// Reads them from a file's keys.
    ///
    /// # Errors
    /// The architecture or its number of layers is missing, or a key is no number.
    pub fn of(metadata: &Metadata) -> Result<Model> {
        let arch = metadata.string("general.architecture")?.to_owned();
        let key = |name: &str| format!("{arch}.{name}");
        // Vision encoders count their layers under other names, and no rule asks for them.
        let layers = match &*arch {
            "clip" => 0,
            _ => metadata.usize(&key("block_count"))?,
        };
        let heads = first(metadata, &key("attention.head_count"))?.unwrap_or(0);
        Ok(Model {
            layers,
            extra_layers: metadata.find(&key("nextn_predict_layers"))?.unwrap_or(0),
            heads,
            kv_heads: first(metadata, &key("attention.head_count_kv"))?.unwrap_or(heads),
            experts: metadata.find(&key("expert_count"))?.unwrap_or(0),
            arch,
        })
    }

    /// Query heads that share one key and value head, in the first layer.
    pub(super) fn queries_per_key(&self) -> usize {
        self.heads.checked_div(self.kv_heads).unwrap_or(0)
    }

    /// The class of models of 70 billion parameters, which llama.cpp knows by their number of layers.
    pub(super) fn is_class_70b(&self) -> bool {
        let layers = self.layers.saturating_sub(self.extra_layers);
        match &*self.arch {
            "llama" | "llama-embed" => layers == 80 && self.heads != self.kv_heads && self.experts != 8,
            "deci" | "olmo" | "qwen2" => layers == 80,
            "jais2" => layers == 68,
            _ => false,
        }
    }
}

/// A number, or the first of an array: some models give a number per layer.
fn first(metadata: &Metadata, key: &str) -> Result<Option<usize>> {
    match metadata.get(key) {
        Some(Value::Array(_)) => Ok(metadata.u32s(key)?.next().map(|n| n as usize)),
        _ => metadata.find(key),
    }
}
