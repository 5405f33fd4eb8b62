//! What the user chose.

use super::Sampler;
use crate::{Error, ErrorKind, Result};

/// The parameters of a [`Chain`](super::Chain). The names and meanings are llama.cpp's.
#[derive(Clone, Debug, PartialEq)]
pub struct Params {
    /// The seed of the generator; every number is valid.
    pub seed: u64,
    /// The order of the samplers. One that is left out is off.
    pub samplers: Vec<Sampler>,
    /// The cuts by probability (top-p, min-p, typical-p, XTC) leave at least this many; 0 and 1 leave one.
    pub min_keep: usize,
    /// Added to logits before anything else; −∞ forbids a token.
    pub logit_bias: Vec<(u32, f32)>,
    /// How many of the last tokens the penalties look back on; 0 turns them off, −1 is the whole context.
    pub penalty_last_n: i32,
    /// Divides positive logits of repeated tokens and multiplies negative ones; 1 is off.
    pub penalty_repeat: f32,
    /// Subtracted for every occurrence; 0 is off.
    pub penalty_freq: f32,
    /// Subtracted once; 0 is off.
    pub penalty_present: f32,
    /// The strength of DRY; 0 is off.
    pub dry_multiplier: f32,
    /// How fast DRY grows with the length of the repetition.
    pub dry_base: f32,
    /// Repetitions up to this length are free.
    pub dry_allowed_length: usize,
    /// How many of the last tokens DRY looks back on; 0 turns it off, −1 is the whole context.
    pub dry_penalty_last_n: i32,
    /// Strings that end a repetition.
    pub dry_sequence_breakers: Vec<String>,
    /// Standard deviations below the best logit; 0 and less is off.
    pub top_n_sigma: f32,
    /// How many of the most probable; 0 and less is off.
    pub top_k: i32,
    /// The probability of the typical set; 1 is off.
    pub typ_p: f32,
    /// The probability of the nucleus; 1 is off.
    pub top_p: f32,
    /// The least probability, as a share of the best's; 0 is off.
    pub min_p: f32,
    /// How often XTC removes the top choices; 0 is off.
    pub xtc_probability: f32,
    /// The probability that makes a token a top choice; above ½ is off.
    pub xtc_threshold: f32,
    /// The temperature; 0 is greedy.
    pub temperature: f32,
    /// How far dynamic temperature may depart from `temperature`; 0 is off.
    pub dynatemp_range: f32,
    /// How entropy becomes dynamic temperature.
    pub dynatemp_exponent: f32,
    /// 0: off. 1 or 2: this version of mirostat, in place of the samplers.
    pub mirostat: u8,
    /// Mirostat's target surprise τ, in bits.
    pub mirostat_tau: f32,
    /// Mirostat's learning rate η.
    pub mirostat_eta: f32,
}

impl Default for Params {
    fn default() -> Self {
        Params {
            seed: 42,
            samplers: Sampler::ORDER.to_vec(),
            min_keep: 0,
            logit_bias: Vec::new(),
            penalty_last_n: 64,
            penalty_repeat: 1.0,
            penalty_freq: 0.0,
            penalty_present: 0.0,
            dry_multiplier: 0.0,
            dry_base: 1.75,
            dry_allowed_length: 2,
            dry_penalty_last_n: 64,
            dry_sequence_breakers: ["\n", ":", "\"", "*"].map(String::from).to_vec(),
            top_n_sigma: -1.0,
            top_k: 40,
            typ_p: 1.0,
            top_p: 0.9,
            min_p: 0.0,
            xtc_probability: 0.0,
            xtc_threshold: 0.1,
            temperature: 0.8,
            dynatemp_range: 0.0,
            dynatemp_exponent: 1.0,
            mirostat: 0,
            mirostat_tau: 5.0,
            mirostat_eta: 0.1,
        }
    }
}

impl Params {
    /// Whether every value means something, for a vocabulary of this size.
    pub fn check(&self, vocab: usize) -> Result<()> {
        match self.fault(vocab) {
            Some((name, what)) => Err(Error::new(ErrorKind::Request, format!("{name} {what}"))),
            None => Ok(()),
        }
    }

    /// The first parameter that means nothing and what is wrong with it, two parts of one sentence: whoever shows it may know
    /// the parameter under another name.
    pub fn fault(&self, vocab: usize) -> Option<(&'static str, String)> {
        let share = "must be from 0 to 1";
        let not_negative = "must be a number of at least 0";
        let finite = "must be a finite number";
        let within = |v: f32| (0.0..=1.0).contains(&v);
        let at_least_0 = |v: f32| v.is_finite() && v >= 0.0;
        let rules = [
            (
                "penalty_repeat",
                self.penalty_repeat,
                self.penalty_repeat.is_normal() && self.penalty_repeat > 0.0,
                "must be a number above 0",
            ),
            ("penalty_freq", self.penalty_freq, self.penalty_freq.is_finite(), finite),
            ("penalty_present", self.penalty_present, self.penalty_present.is_finite(), finite),
            ("dry_multiplier", self.dry_multiplier, at_least_0(self.dry_multiplier), not_negative),
            (
                "dry_base",
                self.dry_base,
                self.dry_base.is_finite() && self.dry_base >= 1.0,
                "must be a number of at least 1",
            ),
            ("top_n_sigma", self.top_n_sigma, self.top_n_sigma.is_finite(), finite),
            ("typ_p", self.typ_p, within(self.typ_p), share),
            ("top_p", self.top_p, within(self.top_p), share),
            ("min_p", self.min_p, within(self.min_p), share),
            ("xtc_probability", self.xtc_probability, within(self.xtc_probability), share),
            ("xtc_threshold", self.xtc_threshold, within(self.xtc_threshold), share),
            (
                "temperature",
                self.temperature,
                at_least_0(self.temperature),
                "must be a number of at least 0 (0 is greedy)",
            ),
            ("dynatemp_range", self.dynatemp_range, at_least_0(self.dynatemp_range), not_negative),
            ("dynatemp_exponent", self.dynatemp_exponent, at_least_0(self.dynatemp_exponent), not_negative),
            ("mirostat_tau", self.mirostat_tau, at_least_0(self.mirostat_tau), not_negative),
            ("mirostat_eta", self.mirostat_eta, at_least_0(self.mirostat_eta), not_negative),
        ];
        for (name, value, fine, rule) in rules {
            if !fine {
                return Some((name, format!("is {value}: it {rule}")));
            }
        }
        for (name, n) in [("penalty_last_n", self.penalty_last_n), ("dry_penalty_last_n", self.dry_penalty_last_n)] {
            if n < -1 {
                return Some((name, format!("is {n}: it must be a number of tokens, or -1 for the whole context")));
            }
        }
        if self.mirostat > 2 {
            return Some(("mirostat", format!("is {}: it must be 0 (off), 1 or 2", self.mirostat)));
        }
        for &(id, bias) in &self.logit_bias {
            if id as usize >= vocab {
                return Some(("logit_bias", format!("names token {id}, and the vocabulary has {vocab}")));
            }
            if bias.is_nan() || bias == f32::INFINITY {
                let what = format!("of token {id} is {bias}: it must be a finite number, or -inf to forbid it");
                return Some(("logit_bias", what));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_the_documented_ones() {
        let p = Params::default();
        assert_eq!((p.temperature, p.top_k, p.top_p, p.min_p, p.seed), (0.8, 40, 0.9, 0.0, 42));
        assert_eq!(super::super::DEFAULT_TOKENS, 256);
        assert!(p.check(1).is_ok());
    }

    #[test]
    fn each_impossible_value_is_named() {
        let message = |change: &dyn Fn(&mut Params)| {
            let mut p = Params::default();
            change(&mut p);
            p.check(100).unwrap_err().to_string()
        };
        assert_eq!(message(&|p| p.top_p = 1.5), "top_p is 1.5: it must be from 0 to 1");
        assert_eq!(message(&|p| p.min_p = f32::NAN), "min_p is NaN: it must be from 0 to 1");
        assert_eq!(
            message(&|p| p.temperature = -1.0),
            "temperature is -1: it must be a number of at least 0 (0 is greedy)"
        );
        assert_eq!(message(&|p| p.penalty_repeat = 0.0), "penalty_repeat is 0: it must be a number above 0");
        assert!(message(&|p| p.penalty_repeat = 1e-45).starts_with("penalty_repeat is "), "its inverse is no f32");
        assert_eq!(message(&|p| p.dry_base = 0.5), "dry_base is 0.5: it must be a number of at least 1");
        assert_eq!(message(&|p| p.top_n_sigma = f32::INFINITY), "top_n_sigma is inf: it must be a finite number");
        assert!(message(&|p| p.penalty_last_n = -2).contains("-1 for the whole context"));
        assert!(message(&|p| p.mirostat = 3).contains("0 (off), 1 or 2"));
        assert_eq!(
            message(&|p| p.logit_bias = vec![(100, 1.0)]),
            "logit_bias names token 100, and the vocabulary has 100"
        );
        assert!(message(&|p| p.logit_bias = vec![(1, f32::INFINITY)]).contains("-inf to forbid it"));
    }
}
