//! The thirteen types of metadata, and arrays as views of the bytes where they lie.

use std::fmt;

/// The type of a metadata value. The discriminants are GGUF's ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Type {
    /// An unsigned byte.
    U8 = 0,
    /// A signed byte.
    I8,
    /// 16 bits, unsigned.
    U16,
    /// 16 bits, signed.
    I16,
    /// 32 bits, unsigned.
    U32,
    /// 32 bits, signed.
    I32,
    /// A 32-bit float.
    F32,
    /// One byte, 0 or 1.
    Bool,
    /// A length (u64) and as many bytes.
    String,
    /// A type (u32), a length (u64) and as many values of the type.
    Array,
    /// 64 bits, unsigned.
    U64,
    /// 64 bits, signed.
    I64,
    /// A 64-bit float.
    F64,
}

impl Type {
    /// Every type, in the order of the ids.
    pub const ALL: [Type; 13] = [
        Type::U8,
        Type::I8,
        Type::U16,
        Type::I16,
        Type::U32,
        Type::I32,
        Type::F32,
        Type::Bool,
        Type::String,
        Type::Array,
        Type::U64,
        Type::I64,
        Type::F64,
    ];

    /// The type with this id.
    pub fn from_id(id: u32) -> Option<Type> {
        Self::ALL.get(usize::try_from(id).ok()?).copied()
    }

    /// The name that messages use.
    pub fn name(self) -> &'static str {
        ["u8", "i8", "u16", "i16", "u32", "i32", "f32", "bool", "string", "array", "u64", "i64", "f64"][self as usize]
    }

    /// Bytes of a value; `None` for strings and arrays, which say their own length.
    pub fn size(self) -> Option<usize> {
        match self {
            Type::U8 | Type::I8 | Type::Bool => Some(1),
            Type::U16 | Type::I16 => Some(2),
            Type::U32 | Type::I32 | Type::F32 => Some(4),
            Type::U64 | Type::I64 | Type::F64 => Some(8),
            Type::String | Type::Array => None,
        }
    }
}

/// A metadata value, borrowed from the file.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'f> {
    /// An unsigned byte.
    U8(u8),
    /// A signed byte.
    I8(i8),
    /// 16 bits, unsigned.
    U16(u16),
    /// 16 bits, signed.
    I16(i16),
    /// 32 bits, unsigned.
    U32(u32),
    /// 32 bits, signed.
    I32(i32),
    /// A 32-bit float.
    F32(f32),
    /// True or false.
    Bool(bool),
    /// Text.
    String(&'f str),
    /// Values of one type.
    Array(Array<'f>),
    /// 64 bits, unsigned.
    U64(u64),
    /// 64 bits, signed.
    I64(i64),
    /// A 64-bit float.
    F64(f64),
}

impl<'f> Value<'f> {
    /// The scalar of type `ty` in the first bytes of `bytes`; `None` for strings, arrays, and too few bytes.
    pub(super) fn scalar(ty: Type, bytes: &[u8]) -> Option<Value<'static>> {
        Some(match ty {
            Type::U8 => Value::U8(*bytes.first()?),
            Type::I8 => Value::I8(*bytes.first()? as i8),
            Type::U16 => Value::U16(u16::from_le_bytes(*bytes.first_chunk()?)),
            Type::I16 => Value::I16(i16::from_le_bytes(*bytes.first_chunk()?)),
            Type::U32 => Value::U32(u32::from_le_bytes(*bytes.first_chunk()?)),
            Type::I32 => Value::I32(i32::from_le_bytes(*bytes.first_chunk()?)),
            Type::F32 => Value::F32(f32::from_le_bytes(*bytes.first_chunk()?)),
            Type::Bool => Value::Bool(*bytes.first()? != 0),
            Type::U64 => Value::U64(u64::from_le_bytes(*bytes.first_chunk()?)),
            Type::I64 => Value::I64(i64::from_le_bytes(*bytes.first_chunk()?)),
            Type::F64 => Value::F64(f64::from_le_bytes(*bytes.first_chunk()?)),
            Type::String | Type::Array => return None,
        })
    }

    /// Its type.
    pub fn ty(self) -> Type {
        match self {
            Value::U8(_) => Type::U8,
            Value::I8(_) => Type::I8,
            Value::U16(_) => Type::U16,
            Value::I16(_) => Type::I16,
            Value::U32(_) => Type::U32,
            Value::I32(_) => Type::I32,
            Value::F32(_) => Type::F32,
            Value::Bool(_) => Type::Bool,
            Value::String(_) => Type::String,
            Value::Array(_) => Type::Array,
            Value::U64(_) => Type::U64,
            Value::I64(_) => Type::I64,
            Value::F64(_) => Type::F64,
        }
    }

    /// Its value, when it is an integer of any width.
    pub fn integer(self) -> Option<i128> {
        match self {
            Value::U8(v) => Some(v.into()),
            Value::I8(v) => Some(v.into()),
            Value::U16(v) => Some(v.into()),
            Value::I16(v) => Some(v.into()),
            Value::U32(v) => Some(v.into()),
            Value::I32(v) => Some(v.into()),
            Value::U64(v) => Some(v.into()),
            Value::I64(v) => Some(v.into()),
            Value::F32(_) | Value::F64(_) | Value::Bool(_) | Value::String(_) | Value::Array(_) => None,
        }
    }
}

/// A type that a [`Value`] can be read as: integers of any width where the value fits, floats of either width, and
/// otherwise only the value's own type.
pub trait FromValue<'f>: Sized {
    /// What a message says was expected.
    const EXPECTED: &'static str;

    /// The value, if it is of a fitting type and in range.
    fn from_value(value: Value<'f>) -> Option<Self>;
}

macro_rules! from_value {
    ($($ty:ty, $expected:literal: $value:ident => $read:expr;)*) => {
        $(impl<'f> FromValue<'f> for $ty {
            const EXPECTED: &'static str = $expected;

            fn from_value($value: Value<'f>) -> Option<Self> { $read }
        })*
    };
}

from_value! {
    u32, "an integer from 0 to 2^32 - 1": v => v.integer()?.try_into().ok();
    i32, "an integer of 32 bits": v => v.integer()?.try_into().ok();
    u64, "an integer from 0 to 2^64 - 1": v => v.integer()?.try_into().ok();
    i64, "an integer of 64 bits": v => v.integer()?.try_into().ok();
    usize, "a non-negative integer": v => v.integer()?.try_into().ok();
    f32, "a float": v => match v { Value::F32(v) => Some(v), Value::F64(v) => Some(v as f32), _ => None };
    f64, "a float": v => match v { Value::F32(v) => Some(v.into()), Value::F64(v) => Some(v), _ => None };
    bool, "a bool": v => match v { Value::Bool(v) => Some(v), _ => None };
    &'f str, "a string": v => match v { Value::String(v) => Some(v), _ => None };
    Array<'f>, "an array": v => match v { Value::Array(v) => Some(v), _ => None };
}

/// What a value is, for messages: `i32 -4`, `string`, `array of 3 u32`.
impl fmt::Display for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.ty().name())?;
        match self {
            Value::F32(v) => write!(f, " {v}"),
            Value::F64(v) => write!(f, " {v}"),
            Value::Bool(v) => write!(f, " {v}"),
            Value::String(v) => write!(f, " {}", super::quoted(v)),
            Value::Array(v) => write!(f, " of {} {}", v.len, v.element.name()),
            integer => integer.integer().map_or(Ok(()), |v| write!(f, " {v}")),
        }
    }
}

/// An array of metadata: a view of the bytes where they lie, decoded as it is walked.
///
/// Strings are packed one after another, each a length (u64) and its bytes; other values lie densely, at any alignment.
#[derive(Clone, Copy, PartialEq)]
pub struct Array<'f> {
    pub(super) element: Type,
    pub(super) len: usize,
    pub(super) bytes: &'f [u8],
}

impl<'f> Array<'f> {
    /// The type of its values; never [`Type::Array`].
    pub fn element(self) -> Type {
        self.element
    }

    /// How many values there are.
    pub fn len(self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        self.len == 0
    }

    /// The strings as the bytes they are: some vocabularies hold tokens that are not UTF-8. `None` when these are no strings.
    pub fn as_bytes(self) -> Option<impl ExactSizeIterator<Item = &'f [u8]>> {
        (self.element == Type::String).then_some(Strings { bytes: self.bytes, left: self.len })
    }

    /// The strings, each checked. `None` when these are no strings.
    pub fn as_strings(
        self,
    ) -> Option<impl ExactSizeIterator<Item = std::result::Result<&'f str, std::str::Utf8Error>>> {
        Some(self.as_bytes()?.map(std::str::from_utf8))
    }

    /// The floats; f64 is rounded. `None` when these are no floats.
    pub fn as_f32s(self) -> Option<impl ExactSizeIterator<Item = f32>> {
        matches!(self.element, Type::F32 | Type::F64)
            .then(|| self.scalars().map(|v| f32::from_value(v).unwrap_or_default()))
    }

    /// The booleans. `None` when these are none.
    pub fn as_bools(self) -> Option<impl ExactSizeIterator<Item = bool>> {
        (self.element == Type::Bool).then(|| self.scalars().map(|v| v == Value::Bool(true)))
    }

    /// The integers of any width. `None` when these are no integers, or one does not fit.
    pub fn as_u32s(self) -> Option<impl ExactSizeIterator<Item = u32>> {
        self.integers()
    }

    /// The integers of any width. `None` when these are no integers, or one does not fit.
    pub fn as_i32s(self) -> Option<impl ExactSizeIterator<Item = i32>> {
        self.integers()
    }

    /// The integers of any width. `None` when these are no integers, or one does not fit.
    pub fn as_usizes(self) -> Option<impl ExactSizeIterator<Item = usize>> {
        self.integers()
    }

    /// All are looked at first, so that the walk itself cannot fail; should the file be rewritten between the two, a value
    /// that no longer fits reads as 0.
    fn integers<T: TryFrom<i128> + Default>(self) -> Option<impl ExactSizeIterator<Item = T>> {
        let read = |v: Value<'_>| v.integer().and_then(|v| T::try_from(v).ok());
        let integers = !matches!(self.element, Type::F32 | Type::F64 | Type::Bool | Type::String | Type::Array);
        (integers && self.scalars().all(|v| read(v).is_some()))
            .then(|| self.scalars().map(move |v| read(v).unwrap_or_default()))
    }

    /// The values of an array of scalars; none of an array of strings.
    pub fn scalars(self) -> impl ExactSizeIterator<Item = Value<'static>> {
        let (bytes, size) = match self.element.size() {
            Some(size) => (self.bytes, size),
            None => (&[][..], 1),
        };
        bytes.chunks_exact(size).map(move |v| Value::scalar(self.element, v).unwrap_or(Value::U8(0)))
    }
}

macro_rules! array_of {
    ($($ty:ty: $element:ident)*) => {
        $(impl<'f> From<&'f [$ty]> for Array<'f> {
            /// The values as they lie in memory, which on every machine that Lucid runs on is as they lie in a file.
            fn from(values: &'f [$ty]) -> Array<'f> {
                Array { element: Type::$element, len: values.len(), bytes: bytemuck::cast_slice(values) }
            }
        })*
    };
}

array_of! { u8: U8 i8: I8 u16: U16 i16: I16 u32: U32 i32: I32 f32: F32 bool: Bool u64: U64 i64: I64 f64: F64 }

impl fmt::Debug for Array<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}; {}]", self.element.name(), self.len)
    }
}

/// The strings of an array. The lengths were checked when the file was opened; should it be rewritten meanwhile, a
/// string that no longer fits is empty.
struct Strings<'f> {
    bytes: &'f [u8],
    left: usize,
}

impl<'f> Iterator for Strings<'f> {
    type Item = &'f [u8];

    fn next(&mut self) -> Option<&'f [u8]> {
        self.left = self.left.checked_sub(1)?;
        Some(next_string(&mut self.bytes).unwrap_or_default())
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Strings<'_> {}

/// Takes one string off the front of `bytes`: a length (u64) and as many bytes.
pub(super) fn next_string<'f>(bytes: &mut &'f [u8]) -> Option<&'f [u8]> {
    let (len, rest) = bytes.split_first_chunk()?;
    let len = usize::try_from(u64::from_le_bytes(*len)).ok()?;
    let (string, rest) = rest.split_at_checked(len)?;
    *bytes = rest;
    Some(string)
}
