//! The formats in which a weight matrix can lie in a file.
//!
//! A matrix is rows of *blocks*; a block is [`Block::LEN`] consecutive values of one row in [`Block::BYTES`] bytes, and
//! decodes without looking at its neighbours. Plain numbers are blocks of one value. Everything here reads bytes at any
//! alignment, because a mapped file promises none.
//!
//! [`Format`] names a format at run time; a type that implements [`Block`] is the same format at compile time.
//! `with_format!` turns the first into the second; the list below is the only place that names them all.
//!
//! # The families
//!
//! Every block keeps small integer *codes* and the *scale* that turns them back into weights. The families differ in how
//! the scale is stored and in what a code means (q is a code, d and m are floats, s and n are small integers):
//!
//! | family | formats | a value is | the idea |
//! |---|---|---|---|
//! | plain | F32 F16 BF16 F64, I8 to I64 | the number | |
//! | legacy | Q4_0 Q5_0 Q8_0, Q2_0 | d · (q − offset) | one f16 scale for 32 (64) values, steps on both sides of zero |
//! | | Q4_1 Q5_1 | d · q + m | steps from a minimum up, for values that lie to one side |
//! | | Q1_0 | ± d | signs alone |
//! | K | Q3_K Q6_K | (d · s) · (q − offset) | 256 values: groups of 16 or 32 with small integer scales of their own, |
//! | | Q2_K Q4_K Q5_K | (d · s) · q − (m · n) | and one f16 for all of those; the cost of a scale per group nearly vanishes |
//! | IQ, four bits | IQ4_NL IQ4_XS | d · level(q), (d · s) · level(q) | unequal steps, closer together near zero, where weights are |
//! | IQ, codebook | IQ2_XXS IQ2_XS IQ2_S IQ3_XXS IQ3_S | (d · s) · ± point(q) | one code for eight (four) values at once: a vector from a list of likely ones, and signs |
//! | | IQ1_S IQ1_M | (d · s) · (point(q) ± ⅛) | the same with levels −1, 0, 1 and no signs |
//! | ternary | TQ1_0 TQ2_0 | d · (q − 1) | for models trained with weights −1, 0, 1: five to a byte, or four |
//! | microscaling | MXFP4 | 2ᵉ · float(q) | four-bit floats; the scale is a bare exponent for 32 |
//! | | NVFP4 | s · float(q) | or an eight-bit float for 16 |
//! | activations | Q8_1 Q8_K | d · q | what the other side of a dot product is rounded to, with sums; not for weights, but with an id |
//!
//! Legacy codes of one block lie low nibbles first, then high; K and ternary codes lie in runs of 32 neighbours that share
//! a shift. Both let one mask unpack many neighbours at once. Each file of `formats/` draws its bytes, decodes them to floats
//! (the definition) and, for integer dot products, unpacks them to codes and scales (`unpack.rs`).
//!
//! # Exactness
//!
//! A decoded value is defined to the bit. Scale and code have so few bits between them that, short of the ends of f32's
//! range, every product is exact; only the sum with a minimum rounds (and Q8_K, whose scale is a whole f32, and plain
//! numbers wider than an f32). The decoders are checked against the gguf package and llama.cpp in `tests/formats.rs`.
#![allow(non_camel_case_types)] // Q4_K and IQ4_XS are the names people know; Q4K and Iq4Xs would be ours alone.

mod encode;
mod grids;
mod search;

pub use encode::{Encode, Unencodable, encode_row};

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
    /// 32 values, one f16 scale and the f16 sum, 8-bit signed steps.
    Q8_1 = 9, "Q8_1", q8_1;
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
    /// 256 values, one f32 scale and sums of groups of 16, 8-bit signed steps.
    Q8_K = 15, "Q8_K", q8_k;
    /// 256 values in groups of 32 with 4-bit scales, signed points of a codebook of 256.
    IQ2_XXS = 16, "IQ2_XXS", iq2_xxs;
    /// 256 values in groups of 16 with 4-bit scales, signed points of a codebook of 512.
    IQ2_XS = 17, "IQ2_XS", iq2_xs;
    /// 256 values in groups of 32 with 4-bit scales, signed points of four values of a codebook of 256.
    IQ3_XXS = 18, "IQ3_XXS", iq3_xxs;
    /// 256 values in groups of 32 with 3-bit scales, points of a ternary codebook of 2,048.
    IQ1_S = 19, "IQ1_S", iq1_s;
    /// 32 values, one f16 scale, 4-bit choices from a table of unequal steps.
    IQ4_NL = 20, "IQ4_NL", iq4_nl;
    /// 256 values in groups of 32 with 4-bit scales, signed points of four values of a codebook of 512.
    IQ3_S = 21, "IQ3_S", iq3_s;
    /// 256 values in groups of 16 with 4-bit scales, signed points of a codebook of 1,024.
    IQ2_S = 22, "IQ2_S", iq2_s;
    /// 256 values in groups of 32 with 6-bit scales, 4-bit choices from the table of IQ4_NL.
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
    /// 256 values in groups of 16 with 3-bit scales, points of the codebook of IQ1_S.
    IQ1_M = 29, "IQ1_M", iq1_m;
    /// The upper half of an f32.
    BF16 = 30, "BF16", bf16;
    /// 256 ternary digits, five to the byte, one f16 scale.
    TQ1_0 = 34, "TQ1_0", tq1_0;
    /// 256 ternary digits of two bits, one f16 scale.
    TQ2_0 = 35, "TQ2_0", tq2_0;
    /// 32 four-bit floats, one power of two as scale.
    MXFP4 = 39, "MXFP4", mxfp4;
    /// 64 four-bit floats in groups of 16, an 8-bit float as the scale of each.
    NVFP4 = 40, "NVFP4", nvfp4;
    /// 128 signs, one f16 scale.
    Q1_0 = 41, "Q1_0", q1_0;
    /// 64 values, one f16 scale, 2-bit steps from −1 to 2.
    Q2_0 = 42, "Q2_0", q2_0;
}

pub(crate) mod unpack;

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
    f16_to_f32(u16_at(bytes, at))
}

/// The f32 equal to the f16 of these bits.
///
/// Exponent and mantissa move into their places in an f32. There a normal number's exponent is too small by the difference
/// of the biases, 127 − 15 = 112, and that of infinities and NaNs, all ones, by twice that. A subnormal is mantissa · 2⁻²⁴,
/// which is (1 + mantissa / 2¹⁰) · 2⁻¹⁴ less 2⁻¹⁴, exactly. Written out here because
/// a library asks the processor for its conversion instruction at every call, which costs more than the conversion.
#[inline]
pub(crate) fn f16_to_f32(bits: u16) -> f32 {
    let sign = u32::from(bits & 0x8000) << 16;
    let magnitude = u32::from(bits & 0x7FFF) << 13;
    let smallest_normal = (127 - 14) << 23;
    let subnormal = f32::from_bits(magnitude | smallest_normal) - f32::from_bits(smallest_normal);
    let rebias = if magnitude >= 31 << 23 { 224 << 23 } else { 112 << 23 };
    let wide = if magnitude < 1 << 23 { subnormal.to_bits() } else { magnitude + rebias };
    f32::from_bits(sign | wide)
}

/// The little-endian u16 at byte `at`.
fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

/// The little-endian u32 at byte `at`.
fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

/// What tests of several files need.
#[cfg(test)]
pub(crate) mod testing {
    use super::*;

    /// Rows of random blocks of a format, each block drawn again until its values are finite and not huge.
    pub(crate) fn random_rows(format: Format, n_in: usize, n_out: usize) -> Vec<u8> {
        let mut state = 0x1234_5678_9abc_def1u64;
        let mut values = vec![0.0; format.block_len()];
        let mut rows = Vec::new();
        while rows.len() < n_out * format.row_bytes(n_in).unwrap() {
            let block: Vec<u8> = (0..format.block_bytes())
                .map(|_| {
                    state ^= state << 13;
                    state ^= state >> 7;
                    state ^= state << 17;
                    (state >> 56) as u8
                })
                .collect();
            format.decode(&block, &mut values);
            if values.iter().all(|v| v.abs() < 1e20) {
                rows.extend(block);
            }
        }
        rows
    }
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

    #[test]
    fn widening_is_exact_for_all_halves() {
        for bits in 0..=u16::MAX {
            let (ours, theirs) = (f16_to_f32(bits), half::f16::from_bits(bits).to_f32());
            assert!(ours.to_bits() == theirs.to_bits() || ours.is_nan() && theirs.is_nan(), "{bits:#06x}: {ours:e}");
        }
    }
}
