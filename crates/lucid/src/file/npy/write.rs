//! Writing arrays.

use super::header::Header;
use crate::{Error, ErrorKind, Result, file::partial::Partial};
use half::f16;
use std::{borrow::Cow, marker::PhantomData, path::Path};

/// A number that numpy has too.
pub trait Scalar: bytemuck::Pod {
    /// Its type in a header: `<f4`.
    const DESCR: &'static str;

    /// Appends its bytes, lowest first.
    fn put(self, bytes: &mut Vec<u8>);
}

macro_rules! scalar {
    ($($type:ident $descr:literal;)*) => {$(
        impl Scalar for $type {
            const DESCR: &'static str = $descr;

            fn put(self, bytes: &mut Vec<u8>) {
                bytes.extend_from_slice(&self.to_le_bytes());
            }
        }
    )*};
}

scalar! {
    f32 "<f4"; f16 "<f2"; f64 "<f8";
    i64 "<i8"; i32 "<i4"; i16 "<i2"; i8 "|i1";
    u64 "<u8"; u32 "<u4"; u16 "<u2"; u8 "|u1";
}

/// The bytes of these values in a file: the values themselves, wherever the machine stores numbers as files do.
fn little_endian<T: Scalar>(values: &[T]) -> Cow<'_, [u8]> {
    if cfg!(target_endian = "little") {
        return Cow::Borrowed(bytemuck::cast_slice(values));
    }
    let mut bytes = Vec::with_capacity(size_of_val(values));
    values.iter().for_each(|v| v.put(&mut bytes));
    Cow::Owned(bytes)
}

/// An array to be written: a name, a type, a shape and the bytes of its values.
#[derive(Clone, Debug)]
pub struct Array<'a> {
    /// Its name within an .npz file.
    pub name: &'a str,
    /// The element type as numpy writes it: `<f4`.
    pub descr: &'a str,
    /// The dimensions, outermost first.
    pub shape: &'a [usize],
    /// The values, little-endian, the last dimension innermost.
    pub bytes: Cow<'a, [u8]>,
}

impl<'a> Array<'a> {
    /// The array of these values.
    pub fn new<T: Scalar>(name: &'a str, shape: &'a [usize], values: &'a [T]) -> Self {
        Array { name, descr: T::DESCR, shape, bytes: little_endian(values) }
    }

    /// The header that goes before the bytes, once they are known to be as many as it promises.
    pub(super) fn header(&self) -> Result<Vec<u8>> {
        let (header, size) = Header::encode(self.descr, self.shape)?;
        if size != self.bytes.len() {
            let shape = crate::file::shown(self.shape);
            let why = format!("{} of shape {shape} takes {size} bytes, not {}", self.descr, self.bytes.len());
            return Err(Error::new(ErrorKind::Shape, why));
        }
        Ok(header)
    }
}

/// Writes one array; its name plays no part. The file appears at `path` when it is complete.
pub fn write(path: &Path, array: &Array) -> Result<()> {
    let header = array.header().map_err(|e| Error::file(e.kind(), path, e))?;
    let mut out = Partial::create(path)?;
    out.write(&header)?;
    out.write(&array.bytes)?;
    out.finish()
}

/// Writes `values` as a float32 array of this shape.
pub fn write_f32(path: &Path, shape: &[usize], values: &[f32]) -> Result<()> {
    write(path, &Array::new("", shape, values))
}

/// An array written piece by piece: its shape is promised first, its values follow in order.
///
/// The file appears at its path with [`Writer::finish`]; a writer that is dropped leaves nothing.
#[derive(Debug)]
pub struct Writer<T> {
    path: std::path::PathBuf,
    out: Partial,
    /// Bytes still missing.
    left: usize,
    values: PhantomData<T>,
}

impl<T: Scalar> Writer<T> {
    /// Begins the array of this shape that will stand at `path`.
    pub fn create(path: &Path, shape: &[usize]) -> Result<Self> {
        let (header, left) = Header::encode(T::DESCR, shape).map_err(|e| Error::file(e.kind(), path, e))?;
        let mut out = Partial::create(path)?;
        out.write(&header)?;
        Ok(Writer { path: path.to_path_buf(), out, left, values: PhantomData })
    }

    /// Appends values.
    pub fn push(&mut self, values: &[T]) -> Result<()> {
        match self.left.checked_sub(size_of_val(values)) {
            Some(left) => self.left = left,
            None => {
                let room = self.left / size_of::<T>();
                return self
                    .miscounted(format!("{} more values than its shape has, which has room for {room}", values.len()));
            }
        }
        self.out.write(&little_endian(values))
    }

    /// Gives the file its name. All values that its shape promised must be there.
    pub fn finish(self) -> Result<()> {
        match self.left / size_of::<T>() {
            0 => self.out.finish(),
            missing => self.miscounted(format!("{missing} values fewer than its shape has")),
        }
    }

    fn miscounted(&self, what: String) -> Result<()> {
        Err(Error::file(ErrorKind::Shape, &self.path, what))
    }
}
