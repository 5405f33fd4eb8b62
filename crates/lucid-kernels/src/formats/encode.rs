//! Writing formats: which can be written, what is refused, and how importance becomes weights.

use std::fmt;

use super::{Block, Format, blocks};

/// A block format that Lucid can also write.
pub trait Encode: Block {
    /// The largest magnitude that is accepted. For most formats it is the largest f16, their scale: a weight beyond it is a
    /// damaged file rather than a weight.
    const LARGEST: f32 = 65504.0;

    /// Encodes one block: `x` is [`Block::LEN`] long and so are `weights`, `out` is [`Block::BYTES`] long.
    ///
    /// Weights say how much the squared error of each value counts; they are above zero and at most one. Values must be
    /// finite and no larger than [`Self::LARGEST`]; others give meaningless bytes.
    fn encode(x: &[f32], weights: Option<&[f32]>, out: &mut [u8]);
}

macro_rules! encoders {
    ($($variant:ident)*) => {
        impl Format {
            /// Whether Lucid writes this format, besides reading it.
            pub const fn can_encode(self) -> bool {
                matches!(self, $(Format::$variant)|*)
            }

            /// Encodes one row into whole blocks.
            ///
            /// `importance` weighs the squared error of each column (the mean square of the activation it meets, from an
            /// importance matrix). Only its proportions within a block matter; columns of importance zero follow the others.
            ///
            /// # Errors
            /// If the format is not written, or a value or an importance is not one that can be used. `out` is untouched.
            ///
            /// # Panics
            /// If the row is not a whole number of blocks, or `importance` or `out` is not as long as it must be.
            pub fn encode(self, row: &[f32], importance: Option<&[f32]>, out: &mut [u8]) -> Result<(), Unencodable> {
                match self {
                    $(Format::$variant => encode_row::<blocks::$variant>(row, importance, out),)*
                    _ => Err(Unencodable::Format(self)),
                }
            }
        }
    };
}

encoders! { F32 F16 BF16 Q4_0 Q4_1 Q5_0 Q5_1 Q8_0 Q2_K Q3_K Q4_K Q5_K Q6_K IQ4_NL IQ4_XS TQ1_0 TQ2_0 MXFP4 }

/// Why a row was not encoded. The sentence fits behind the name of a tensor.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Unencodable {
    /// Lucid does not write this format.
    Format(Format),
    /// A value is not finite, or larger than the format holds.
    Value {
        /// The column.
        index: usize,
        /// The value.
        value: f32,
        /// The largest magnitude that would have been accepted.
        largest: f32,
    },
    /// An importance is negative or not finite.
    Importance {
        /// The column.
        index: usize,
        /// The importance.
        value: f32,
    },
}

impl fmt::Display for Unencodable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Unencodable::Format(format) => write!(f, "Lucid reads {} and does not write it", format.name()),
            Unencodable::Value { index, value, largest } if value.is_finite() => {
                write!(f, "column {index} holds {value:e}, and the format takes at most {largest:e}")
            }
            Unencodable::Value { index, value, .. } => write!(f, "column {index} holds {value}, which is no weight"),
            Unencodable::Importance { index, value } => {
                write!(f, "the importance of column {index} is {value:e}, and must be finite and not negative")
            }
        }
    }
}

impl std::error::Error for Unencodable {}

/// [`Format::encode`] for a format known at compile time.
///
/// # Errors
/// If a value or an importance is not one that can be used.
///
/// # Panics
/// If the row is not a whole number of blocks, or `importance` or `out` is not as long as it must be.
pub fn encode_row<E: Encode>(x: &[f32], importance: Option<&[f32]>, out: &mut [u8]) -> Result<(), Unencodable> {
    let name = E::FORMAT.name();
    assert_eq!(x.len() % E::LEN, 0, "{} values are no whole number of {name} blocks", x.len());
    assert_eq!(x.len() / E::LEN * E::BYTES, out.len(), "{name} output of the wrong length");
    if let Some(index) = first_outside(x, -E::LARGEST, E::LARGEST) {
        return Err(Unencodable::Value { index, value: x[index], largest: E::LARGEST });
    }
    let blocks = x.chunks_exact(E::LEN).zip(out.chunks_exact_mut(E::BYTES));
    let Some(importance) = importance else {
        blocks.for_each(|(x, out)| E::encode(x, None, out));
        return Ok(());
    };
    assert_eq!(importance.len(), x.len(), "{name} importance of the wrong length");
    if let Some(index) = first_outside(importance, 0.0, f32::MAX) {
        return Err(Unencodable::Importance { index, value: importance[index] });
    }
    let mut weights = vec![0.0; E::LEN];
    for ((x, out), importance) in blocks.zip(importance.chunks_exact(E::LEN)) {
        proportions(importance, &mut weights);
        E::encode(x, Some(&weights), out);
    }
    Ok(())
}

/// The importance of a block in proportion to its largest, so that no sum of weighted squares overflows.
///
/// No weight is zero: where nothing matters the values themselves still decide, and nothing is divided by zero.
fn proportions(importance: &[f32], weights: &mut [f32]) {
    const FAINT: f32 = 1e-10;
    let largest = importance.iter().fold(0f32, |a, &b| a.max(b));
    for (w, v) in weights.iter_mut().zip(importance) {
        *w = if largest > 0.0 { (v / largest).max(FAINT) } else { 1.0 };
    }
}

/// The index of the first value that is NaN or outside `low..=high`.
fn first_outside(x: &[f32], low: f32, high: f32) -> Option<usize> {
    let inside = |v: &f32| (low..=high).contains(v);
    // Looking at all of them is faster than stopping early would be: there is almost never one.
    if x.iter().fold(true, |all, v| all & inside(v)) { None } else { x.iter().position(|v| !inside(v)) }
}
