//! Where a tensor's values are: owned by it, seen through a view, or lying in a mapped file.

use super::{DType, Element, dim::Shape};
use crate::Result;
use lucid_kernels::formats::Format;

/// A backend can hold tensors of element type `T`: its own buffer type for them, chosen at compile time.
pub trait SupportsDType<T: DType>: Sized + 'static {
    /// A buffer of the backend's own, freed when dropped.
    type Storage: 'static;

    /// A tensor of a file, loaded: on a CPU the mapped bytes themselves, on a device its copy of them.
    type Loaded<'a>;

    /// Loads a tensor that lies in a file.
    fn load<'a>(&self, stored: Stored<'a>) -> Result<Self::Loaded<'a>>;
}

/// The bytes of a tensor as they lie in a file, at any alignment.
#[derive(Clone, Copy, Debug)]
pub struct Stored<'a> {
    /// How the bytes encode values.
    pub format: Format,
    /// The bytes: whole rows of whole blocks.
    pub bytes: &'a [u8],
}

/// Backends whose buffers are memory of this program.
pub trait Host<T: Element>: SupportsDType<T> {
    /// The values of a buffer.
    fn slice(storage: &Self::Storage) -> &[T];

    /// A buffer of these values.
    fn from_vec(values: Vec<T>) -> Self::Storage;
}

/// Where the values of a tensor are.
pub trait Store {
    /// What a tensor of element type `T` on backend `B` holds.
    type Data<'a, T: DType, B: SupportsDType<T> + 'a>;
}

/// A buffer of the backend, freed with the tensor.
#[derive(Debug)]
pub struct Owned;

/// A view of somebody else's buffer: a slice or a rearrangement, without a copy.
#[derive(Debug)]
pub struct Ref;

/// Bytes of a mapped file, or what the backend made of them when they were loaded.
#[derive(Debug)]
pub struct Load;

impl Store for Owned {
    type Data<'a, T: DType, B: SupportsDType<T> + 'a> = B::Storage;
}

impl Store for Ref {
    type Data<'a, T: DType, B: SupportsDType<T> + 'a> = View<'a, B::Storage>;
}

impl Store for Load {
    type Data<'a, T: DType, B: SupportsDType<T> + 'a> = B::Loaded<'a>;
}

/// Part of a buffer: where it begins, and how far apart neighbours along each axis are.
#[derive(Debug)]
pub struct View<'a, S> {
    /// The buffer.
    pub storage: &'a S,
    /// The first value.
    pub offset: usize,
    /// The distance between neighbours along each axis.
    pub strides: [usize; 3],
}

impl<S> Clone for View<'_, S> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<S> Copy for View<'_, S> {}

/// Stores whose values can be read as a view: [`Owned`] and [`Ref`].
pub trait Readable: Store {
    /// The view that shows all of `data`, which has this shape.
    fn view<'s, T: DType, B: SupportsDType<T>, D: Shape>(
        data: &'s Self::Data<'_, T, B>,
        shape: D,
    ) -> View<'s, B::Storage>;
}

impl Readable for Owned {
    fn view<'s, T: DType, B: SupportsDType<T>, D: Shape>(data: &'s B::Storage, shape: D) -> View<'s, B::Storage> {
        View { storage: data, offset: 0, strides: shape.strides() }
    }
}

impl Readable for Ref {
    fn view<'s, T: DType, B: SupportsDType<T>, D: Shape>(data: &'s View<'_, B::Storage>, _: D) -> View<'s, B::Storage> {
        *data
    }
}
