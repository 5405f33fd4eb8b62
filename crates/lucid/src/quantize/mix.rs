//! The TYPE of the command line: a format for most tensors and, for some, a recipe of better ones.

use lucid_kernels::formats::Format;

use crate::error::{Error, ErrorKind, Result};

macro_rules! mixes {
    ($(#[doc = $about:literal] $variant:ident = $file_type:literal, $base:ident;)*) => {
        /// What to quantise to. `Q4_K` is a format; `Q4_K_M` is a mix, which gives most tensors that format and the
        /// sensitive ones a finer one.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[allow(non_camel_case_types, reason = "spelled as people write them")]
        pub enum Mix { $(#[doc = $about] $variant,)* }

        impl Mix {
            /// Every mix, those of fewer bits first among their kind.
            pub const ALL: &[Mix] = &[$(Mix::$variant),*];

            /// The name people write.
            pub const fn name(self) -> &'static str { match self { $(Mix::$variant => stringify!($variant)),* } }

            /// The format of the tensors that no rule singles out.
            pub const fn base(self) -> Format { match self { $(Mix::$variant => Format::$base),* } }

            /// What `general.file_type` says of such a file.
            pub const fn file_type(self) -> u32 { match self { $(Mix::$variant => $file_type),* } }

            /// One line for `--help`.
            pub fn about(self) -> &'static str { match self { $(Mix::$variant => $about),* }.trim() }
        }
    };
}

mixes! {
    /// 1.7 bits: ternary digits, for models trained that way
    TQ1_0 = 36, TQ1_0;
    /// 2.1 bits: the same in a faster layout
    TQ2_0 = 37, TQ2_0;
    /// 2.6 bits, smallest; wants an importance matrix
    Q2_K_S = 21, Q2_K;
    /// about 3 bits: 2-bit steps, the sensitive matrices in 3 and 4
    Q2_K = 10, Q2_K;
    /// 3.4 bits throughout
    Q3_K_S = 11, Q3_K;
    /// about 3.9 bits: sensitive matrices in 4 and 5
    Q3_K_M = 12, Q3_K;
    /// about 4.3 bits: sensitive matrices in 5
    Q3_K_L = 13, Q3_K;
    /// 4.25 bits of unequal steps
    IQ4_XS = 30, IQ4_XS;
    /// 4.5 bits of unequal steps, in blocks of 32
    IQ4_NL = 25, IQ4_NL;
    /// 4.5 bits, the plainest
    Q4_0 = 2, Q4_0;
    /// 5 bits, with an offset per block
    Q4_1 = 3, Q4_1;
    /// 4.5 bits, the first layers finer
    Q4_K_S = 14, Q4_K;
    /// about 4.8 bits: the usual choice; half of the sensitive matrices in 6
    Q4_K_M = 15, Q4_K;
    /// 5.5 bits, plain
    Q5_0 = 8, Q5_0;
    /// 6 bits, with an offset per block
    Q5_1 = 9, Q5_1;
    /// 5.5 bits throughout
    Q5_K_S = 16, Q5_K;
    /// about 5.7 bits: half of the sensitive matrices in 6
    Q5_K_M = 17, Q5_K;
    /// 6.6 bits: hard to tell from the original
    Q6_K = 18, Q6_K;
    /// 8.5 bits: as good as the original
    Q8_0 = 7, Q8_0;
    /// 4-bit floats for the experts, Q8_0 for the rest
    MXFP4_MOE = 38, MXFP4;
    /// 16 bits, range ±65504
    F16 = 1, F16;
    /// 16 bits with the range of F32
    BF16 = 32, BF16;
    /// 32 bits
    F32 = 0, F32;
    /// every tensor as it is: joins a split file, changes nothing
    COPY = 0, F32;
}

/// Other names that people write, and what they mean.
const ALIASES: &[(&str, Mix)] =
    &[("Q3_K", Mix::Q3_K_M), ("Q4_K", Mix::Q4_K_M), ("Q5_K", Mix::Q5_K_M), ("MXFP4", Mix::MXFP4_MOE)];

/// Types that exist and that Lucid has no encoder for.
const NOT_WRITTEN: &[&str] = &[
    "Q1_0", "Q2_0", "IQ1_S", "IQ1_M", "IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ2_M", "IQ3_XXS", "IQ3_XS", "IQ3_S", "IQ3_M",
    "NVFP4",
];

impl Mix {
    /// The mix of this name in any case, or of this `general.file_type` number.
    ///
    /// # Errors
    /// The name is unknown, or names a type that Lucid does not write; the sentence lists those it does.
    pub fn from_name(name: &str) -> Result<Mix> {
        let known = Mix::ALL.iter().copied().find(|m| m.name().eq_ignore_ascii_case(name));
        let alias = || ALIASES.iter().find(|(a, _)| a.eq_ignore_ascii_case(name)).map(|&(_, m)| m);
        // F32 comes before COPY, which shares its number: 0 is F32.
        let number = || name.parse().ok().and_then(|n: u32| Mix::ALL.iter().copied().find(|m| m.file_type() == n));
        known.or_else(alias).or_else(number).ok_or_else(|| {
            let exists = NOT_WRITTEN.iter().find(|n| n.eq_ignore_ascii_case(name));
            let fault = match exists {
                Some(n) => format!("Lucid does not write {n}"),
                None => format!("there is no type {name:?}"),
            };
            let kind = if exists.is_some() { ErrorKind::Unsupported } else { ErrorKind::Request };
            Error::new(kind, format!("{fault}; it writes {}", names()))
        })
    }
}

/// The names of all mixes, in one line.
fn names() -> String {
    Mix::ALL.iter().map(|m| m.name()).collect::<Vec<_>>().join(", ")
}

/// The format of this name, in any case, if it can hold weights and Lucid can write it: the TYPE of `--tensor-type`.
///
/// # Errors
/// The name is unknown, names a mix, or names a format without an encoder; the sentence lists what can be written.
pub fn weight_format(name: &str) -> Result<Format> {
    if let Some(format) = Format::from_name(name).filter(|f| f.can_encode()) {
        return Ok(format);
    }
    let known: Vec<_> = Format::ALL.iter().filter(|f| f.can_encode()).map(|f| f.name()).collect();
    let fault = match Mix::ALL.iter().find(|m| m.name().eq_ignore_ascii_case(name)) {
        Some(mix) => format!("{} is a mix, and one tensor has one format, such as {}", mix.name(), mix.base().name()),
        None if Format::from_name(name).is_some() || NOT_WRITTEN.iter().any(|n| n.eq_ignore_ascii_case(name)) => {
            format!("Lucid does not write {}", name.to_uppercase())
        }
        None => format!("there is no format {name:?}"),
    };
    Err(Error::new(ErrorKind::Request, format!("{fault}; the formats are {}", known.join(", "))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_numbers_and_aliases_lead_to_the_mix() {
        for &mix in Mix::ALL {
            assert_eq!(Mix::from_name(&mix.name().to_lowercase()).unwrap(), mix);
            if mix != Mix::COPY {
                assert_eq!(Mix::from_name(&mix.file_type().to_string()).unwrap(), mix);
            }
        }
        assert_eq!(Mix::from_name("q4_k").unwrap(), Mix::Q4_K_M);
        assert_eq!(Mix::from_name("mxfp4").unwrap(), Mix::MXFP4_MOE);
    }

    #[test]
    fn a_refusal_lists_what_can_be_written() {
        for (name, start) in [("iq3_m", "Lucid does not write IQ3_M; it writes "), ("q9", "there is no type \"q9\"; ")]
        {
            let sentence = Mix::from_name(name).unwrap_err().to_string();
            assert!(sentence.starts_with(start) && sentence.contains("Q4_K_M"), "{sentence}");
        }
        let mix = weight_format("Q4_K_M").unwrap_err().to_string();
        assert!(mix.starts_with("Q4_K_M is a mix, and one tensor has one format, such as Q4_K; "), "{mix}");
        assert!(weight_format("i8").unwrap_err().to_string().starts_with("Lucid does not write I8; "));
        assert_eq!(weight_format("q4_k").unwrap(), Format::Q4_K);
    }

    #[test]
    fn every_mix_can_be_written() {
        for mix in Mix::ALL {
            assert!(mix.base().can_encode(), "{}", mix.name());
        }
    }
}
