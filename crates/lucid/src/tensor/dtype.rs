//! What a tensor can hold: numbers, or packed blocks of a format known at run time.

use half::{bf16, f16};
use lucid_kernels::formats::Format;

/// What a tensor holds.
pub trait DType: 'static {}

/// Blocks of a quantised or plain [`Format`] that is known only when the file is open.
#[derive(Clone, Copy, Debug)]
pub struct Packed;

impl DType for Packed {}

/// A number that can be computed with: f32, f64, f16 or bf16.
pub trait Element: DType + bytemuck::Pod + PartialOrd + Send + Sync {
    /// The format of one such number in a file.
    const FORMAT: Format;

    /// The value, exactly.
    fn to_f64(self) -> f64;

    /// The nearest number to `x`.
    fn from_f64(x: f64) -> Self;
}

macro_rules! element {
    ($($type:ident $format:ident: $to:expr, $from:expr;)*) => {$(
        impl DType for $type {}

        impl Element for $type {
            const FORMAT: Format = Format::$format;

            fn to_f64(self) -> f64 {
                ($to)(self)
            }

            fn from_f64(x: f64) -> Self {
                ($from)(x)
            }
        }
    )*};
}

element! {
    f32 F32: |x| x as f64, |x| x as f32;
    f64 F64: |x| x, |x| x;
    f16 F16: f16::to_f64, f16::from_f64;
    bf16 BF16: bf16::to_f64, bf16::from_f64;
}
