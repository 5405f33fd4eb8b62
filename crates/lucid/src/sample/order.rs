//! The samplers by name, and their order.

use crate::{Error, ErrorKind, Result};

/// A sampler whose place in the chain the user may choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sampler {
    /// Repeat, frequency and presence penalties.
    Penalties,
    /// The penalty on continuing a repetition.
    Dry,
    /// A number of standard deviations below the best logit.
    TopNSigma,
    /// The k most probable.
    TopK,
    /// Locally typical sampling.
    TypP,
    /// The nucleus.
    TopP,
    /// A share of the best's probability.
    MinP,
    /// Exclude top choices.
    Xtc,
    /// Temperature, fixed or dynamic.
    Temperature,
}

/// sampler, name, other names beside those with `-` or nothing for `_`, letter
const NAMES: [(Sampler, &str, &[&str], char); 9] = [
    (Sampler::Penalties, "penalties", &[], 'e'),
    (Sampler::Dry, "dry", &[], 'd'),
    (Sampler::TopNSigma, "top_n_sigma", &[], 's'),
    (Sampler::TopK, "top_k", &[], 'k'),
    (Sampler::TypP, "typ_p", &["typ", "typical", "typical_p"], 'y'),
    (Sampler::TopP, "top_p", &["nucleus"], 'p'),
    (Sampler::MinP, "min_p", &[], 'm'),
    (Sampler::Xtc, "xtc", &[], 'x'),
    (Sampler::Temperature, "temperature", &["temp"], 't'),
];

impl Sampler {
    /// Every sampler, in the order that a chain has unless the user says otherwise.
    pub const ORDER: [Sampler; 9] = [
        Sampler::Penalties,
        Sampler::Dry,
        Sampler::TopNSigma,
        Sampler::TopK,
        Sampler::TypP,
        Sampler::TopP,
        Sampler::MinP,
        Sampler::Xtc,
        Sampler::Temperature,
    ];

    /// Its name, as `--samplers` takes it.
    pub fn name(self) -> &'static str {
        NAMES[self as usize].1
    }

    /// Its letter, as `--sampling-seq` takes it.
    pub fn letter(self) -> char {
        NAMES[self as usize].3
    }

    /// An order written as names: `penalties;top_k;temperature`. A sampler left out is off; one named twice runs twice. Case
    /// does not matter, and `top-k` and `topk` are `top_k`.
    pub fn from_names(text: &str) -> Result<Vec<Sampler>> {
        text.split(';').filter(|name| !name.trim().is_empty()).map(Sampler::from_name).collect()
    }

    fn from_name(name: &str) -> Result<Sampler> {
        let plain = |s: &str| s.replace(['_', '-'], "").to_ascii_lowercase();
        let wanted = plain(name.trim());
        let named = |entry: &&(Sampler, &str, &[&str], char)| {
            plain(entry.1) == wanted || entry.2.iter().any(|other| plain(other) == wanted)
        };
        NAMES.iter().find(named).map(|entry| entry.0).ok_or_else(|| {
            let known = NAMES.map(|entry| entry.1).join(", ");
            Error::new(ErrorKind::Request, format!("there is no sampler {:?}; there are {known}", name.trim()))
        })
    }

    /// An order written as letters: `edskypmxt` is [`Sampler::ORDER`].
    pub fn from_letters(text: &str) -> Result<Vec<Sampler>> {
        let sampler = |letter: char| {
            NAMES.iter().find(|entry| entry.3 == letter).map(|entry| entry.0).ok_or_else(|| {
                let known = NAMES.map(|entry| format!("{} {}", entry.3, entry.1)).join(", ");
                Error::new(ErrorKind::Request, format!("no sampler has the letter {letter:?}; the letters are {known}"))
            })
        };
        text.chars().map(sampler).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_order_and_unambiguous() {
        assert_eq!(NAMES.map(|entry| entry.0), Sampler::ORDER);
        let mut names: Vec<String> =
            NAMES.iter().flat_map(|e| e.2.iter().chain([&e.1])).map(|n| n.replace('_', "")).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), 14);
    }

    #[test]
    fn orders_are_read_both_ways() {
        let all = "penalties;dry;top_n_sigma;top_k;typ_p;top_p;min_p;xtc;temperature";
        assert_eq!(Sampler::from_names(all).unwrap(), Sampler::ORDER);
        assert_eq!(Sampler::from_letters("edskypmxt").unwrap(), Sampler::ORDER);
        assert_eq!(Sampler::ORDER.map(Sampler::name).join(";"), all);
        assert_eq!(Sampler::ORDER.map(Sampler::letter).iter().collect::<String>(), "edskypmxt");
        use Sampler::*;
        assert_eq!(
            Sampler::from_names("Top-K; nucleus;temp;typ;MINP;;").unwrap(),
            [TopK, TopP, Temperature, TypP, MinP]
        );
        assert_eq!(Sampler::from_letters("tkk").unwrap(), [Temperature, TopK, TopK]);
        assert_eq!(Sampler::from_names("").unwrap(), []);
    }

    #[test]
    fn unknown_names_are_errors() {
        let message = |r: Result<Vec<Sampler>>| r.unwrap_err().to_string();
        assert!(
            message(Sampler::from_names("top_k;infill")).starts_with("there is no sampler \"infill\"; there are pen")
        );
        assert!(
            message(Sampler::from_letters("kz")).starts_with("no sampler has the letter 'z'; the letters are e pen")
        );
    }
}
