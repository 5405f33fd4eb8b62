//! What lies on disk: containers of tensors and metadata, mapped and distrusted.

pub mod gguf;
pub mod json;
mod model;
pub mod npy;
pub(crate) mod partial;
pub mod safetensors;

use lucid_kernels::formats::Format;
pub use model::{Container, Magic, ModelFile};

/// One tensor of a file: a name, a shape, and the bytes where they lie.
#[derive(Clone, Copy, Debug)]
pub struct TensorInfo<'f> {
    /// The name the file gives it.
    pub name: &'f str,
    /// Its dimensions, outermost first: a matrix is `[rows, columns]`. Empty for a scalar.
    pub shape: &'f [usize],
    /// The file's own name of its element type.
    pub type_name: &'f str,
    /// The format of its rows, where Lucid knows one.
    pub format: Option<Format>,
    /// Its bytes in the mapping, at whatever alignment they lie.
    pub bytes: &'f [u8],
}

/// A name from a file in quotes, for an error: control characters escaped, a long one cut.
pub(crate) fn quoted(name: &str) -> String {
    match name.char_indices().nth(80) {
        Some((end, _)) => format!("{:?}…", &name[..end]),
        None => format!("{name:?}"),
    }
}

/// A shape for an error: `[2, 3]`, a long one cut.
pub(crate) fn shown(shape: &[usize]) -> String {
    match shape.get(..8) {
        Some(start) if shape.len() > 8 => format!("{start:?} and {} more", shape.len() - 8),
        _ => format!("{shape:?}"),
    }
}
