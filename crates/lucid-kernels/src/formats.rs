//! The formats in which a weight matrix can lie in a file.
//!
//! A matrix is rows of *blocks*; a block is [`Block::LEN`] consecutive values of one row in [`Block::BYTES`] bytes, and
//! decodes without looking at its neighbours. Plain numbers are blocks of one value. Everything here reads bytes at any
//! alignment, because a mapped file promises none.
//!
//! [`Format`] names a format at run time; a type that implements [`Block`] is the same format at compile time.
//! `with_format!` turns the first into the second; the list below is the only place that names them all.
#![allow(non_camel_case_types)] // Q4_K and IQ4_XS are the names people know; Q4K and Iq4Xs would be ours alone.

macro_rules! formats {
    ($($(#[$doc:meta])* $variant:ident = $id:literal, $name:literal, $module:ident;)*) => {
        $(mod $module;)*

        /// A format by name, as found in a file.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Format { $($(#[$doc])* $variant,)* }

        /// The types behind the names: one per [`Format`], of the same spelling.
        pub mod blocks { $(pub use super::$module::$variant;)* }

        impl Format {
            /// Every format, in the order of the GGUF type ids.
            pub const ALL: &[Format] = &[$(Format::$variant),*];

            /// The GGUF type id.
            pub const fn id(self) -> u32 { match self { $(Format::$variant => $id),* } }

            /// The name people write: `Q4_K`.
            pub const fn name(self) -> &'static str { match self { $(Format::$variant => $name),* } }
        }

        /// `with_format!(format, B => expression)` is `expression` with the type `B` bound to the [`Block`] that the run-time
        /// `format` names: `with_format!(f, B => B::BYTES)`.
        macro_rules! with_format {
            ($format:expr, $block:ident => $body:expr) => {
                match $format {
                    $($crate::formats::Format::$variant => {
                        type $block = $crate::formats::blocks::$variant;
                        $body
                    })*
                }
            };
        }
    };
}

formats! {
    /// 32-bit IEEE floats.
    F32 = 0, "F32", f32;
    /// 16-bit IEEE floats.
    F16 = 1, "F16", f16;
    /// 32 values, one f16 scale, 4-bit signed steps.
    Q4_0 = 2, "Q4_0", q4_0;
    /// 32 values, an f16 scale and an f16 minimum, 4-bit steps.
    Q4_1 = 3, "Q4_1", q4_1;
    /// 32 values, one f16 scale, 5-bit signed steps.
    Q5_0 = 6, "Q5_0", q5_0;
    /// 32 values, an f16 scale and an f16 minimum, 5-bit steps.
    Q5_1 = 7, "Q5_1", q5_1;
    /// 32 values, one f16 scale, 8-bit signed steps.
    Q8_0 = 8, "Q8_0", q8_0;
    /// 256 values in groups of 16 with 4-bit scales and minima, 2-bit steps.
    Q2_K = 10, "Q2_K", q2_k;
    /// 256 values in groups of 16 with 6-bit scales, 3-bit signed steps.
    Q3_K = 11, "Q3_K", q3_k;
    /// 256 values in groups of 32 with 6-bit scales and minima, 4-bit steps.
    Q4_K = 12, "Q4_K", q4_k;
    /// 256 values in groups of 32 with 6-bit scales and minima, 5-bit steps.
    Q5_K = 13, "Q5_K", q5_k;
    /// 256 values in groups of 16 with 8-bit scales, 6-bit signed steps.
    Q6_K = 14, "Q6_K", q6_k;
    /// 32 values, one f16 scale, 4-bit choices from a table of unequal steps.
    IQ4_NL = 20, "IQ4_NL", iq4_nl;
    /// 256 values in groups of 32 with 6-bit scales, 4-bit choices from the same table.
    IQ4_XS = 23, "IQ4_XS", iq4_xs;
    /// Signed 8-bit integers.
    I8 = 24, "I8", i8;
    /// Signed 16-bit integers.
    I16 = 25, "I16", i16;
    /// Signed 32-bit integers.
    I32 = 26, "I32", i32;
    /// Signed 64-bit integers.
    I64 = 27, "I64", i64;
    /// 64-bit IEEE floats.
    F64 = 28, "F64", f64;
    /// The upper half of an f32.
    BF16 = 30, "BF16", bf16;
    /// 256 ternary digits, five to the byte, one f16 scale.
    TQ1_0 = 34, "TQ1_0", tq1_0;
    /// 256 ternary digits of two bits, one f16 scale.
    TQ2_0 = 35, "TQ2_0", tq2_0;
    /// 32 four-bit floats, one power of two as scale.
    MXFP4 = 39, "MXFP4", mxfp4;
}

/// One block of weights: how many values in how many bytes, and how to read them.
pub trait Block {
    /// The same format as a run-time value.
    const FORMAT: Format;
    /// Values in a block.
    const LEN: usize;
    /// Bytes of a block.
    const BYTES: usize;

    /// Writes the values of one block: `bytes` is [`Self::BYTES`] long, `out` is [`Self::LEN`] long.
    fn decode(bytes: &[u8], out: &mut [f32]);
}

/// A block format that Lucid can also write.
pub trait Encode: Block {
    /// Encodes one row: `x` is a multiple of [`Block::LEN`], `out` holds exactly its blocks.
    ///
    /// `importance` weighs the squared error of each column (the mean square of the activation it meets, from an
    /// importance matrix); it is as long as `x`. Values must be finite.
    fn encode_row(x: &[f32], importance: Option<&[f32]>, out: &mut [u8]);
}

impl Format {
    /// The format with this GGUF type id.
    pub fn from_id(id: u32) -> Option<Format> {
        Self::ALL.iter().copied().find(|f| f.id() == id)
    }

    /// The format of this name, in any case.
    pub fn from_name(name: &str) -> Option<Format> {
        Self::ALL.iter().copied().find(|f| f.name().eq_ignore_ascii_case(name))
    }

    /// The name of a format that once had this GGUF type id and that no current file holds, to say so in an error.
    ///
    /// Q4_2 and Q4_3 lived for some weeks of 2023; the others are Q4_0 and IQ4_NL with their rows interleaved for one
    /// processor, which programs now do as they load.
    pub const fn removed_name(id: u32) -> Option<&'static str> {
        Some(match id {
            4 => "Q4_2",
            5 => "Q4_3",
            31 => "Q4_0_4_4",
            32 => "Q4_0_4_8",
            33 => "Q4_0_8_8",
            36 => "IQ4_NL_4_4",
            37 => "IQ4_NL_4_8",
            38 => "IQ4_NL_8_8",
            _ => return None,
        })
    }

    /// Values in a block.
    pub fn block_len(self) -> usize {
        with_format!(self, B => B::LEN)
    }

    /// Bytes of a block.
    pub fn block_bytes(self) -> usize {
        with_format!(self, B => B::BYTES)
    }

    /// Bytes of a row of `n` values; `None` when `n` is no multiple of the block, or the size does not fit.
    pub fn row_bytes(self, n: usize) -> Option<usize> {
        if !n.is_multiple_of(self.block_len()) {
            return None;
        }
        (n / self.block_len()).checked_mul(self.block_bytes())
    }

    /// Bits per value.
    pub fn bits(self) -> f64 {
        self.block_bytes() as f64 * 8.0 / self.block_len() as f64
    }

    /// Whether this is a float or block format that can hold weights, rather than integers.
    pub fn is_weight(self) -> bool {
        !matches!(self, Format::I8 | Format::I16 | Format::I32 | Format::I64)
    }

    /// Decodes whole blocks: `out` receives as many values as `bytes` holds.
    ///
    /// # Panics
    /// If `bytes` is not a whole number of blocks, or `out` is not as long as they are.
    pub fn decode(self, bytes: &[u8], out: &mut [f32]) {
        with_format!(self, B => decode_row::<B>(bytes, out))
    }
}

/// Decodes whole blocks of a format known at compile time.
///
/// # Panics
/// If `bytes` is not a whole number of blocks, or `out` is not as long as they are.
pub fn decode_row<B: Block>(bytes: &[u8], out: &mut [f32]) {
    assert_eq!(bytes.len() % B::BYTES, 0, "{} bytes are no whole number of {} blocks", bytes.len(), B::FORMAT.name());
    assert_eq!(bytes.len() / B::BYTES * B::LEN, out.len(), "{} output of the wrong length", B::FORMAT.name());
    for (block, values) in bytes.chunks_exact(B::BYTES).zip(out.chunks_exact_mut(B::LEN)) {
        B::decode(block, values);
    }
}

/// The little-endian f16 at byte `at`, as f32: the scale of most blocks.
fn f16_at(bytes: &[u8], at: usize) -> f32 {
    half::f16::from_bits(u16_at(bytes, at)).to_f32()
}

/// The little-endian u16 at byte `at`.
fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

/// The little-endian u32 at byte `at`.
fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_ids_lead_back_to_the_format() {
        for &f in Format::ALL {
            assert_eq!(Format::from_id(f.id()), Some(f));
            assert_eq!(Format::from_name(&f.name().to_lowercase()), Some(f));
            assert_eq!(with_format!(f, B => B::FORMAT), f);
        }
    }

    #[test]
    fn an_id_is_a_format_or_a_removed_one_or_unknown() {
        for id in 0..100 {
            assert!(Format::from_id(id).is_none() || Format::removed_name(id).is_none(), "id {id} is both");
        }
        assert_eq!(Format::from_id(4), None);
        assert_eq!(Format::removed_name(4), Some("Q4_2"));
        assert_eq!(Format::removed_name(43), None);
    }

    #[test]
    fn all_is_in_the_order_of_the_ids() {
        assert!(Format::ALL.is_sorted_by_key(|f| f.id()));
    }

    #[test]
    fn rows_are_whole_blocks() {
        assert_eq!(Format::Q8_0.row_bytes(64), Some(68));
        assert_eq!(Format::Q8_0.row_bytes(33), None);
        assert_eq!(Format::F64.row_bytes(usize::MAX), None);
    }
}
