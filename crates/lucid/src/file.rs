//! What lies on disk: containers of tensors and metadata, mapped and distrusted.

pub mod gguf;
pub mod npy;
pub mod safetensors;

use lucid_kernels::formats::Format;

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
