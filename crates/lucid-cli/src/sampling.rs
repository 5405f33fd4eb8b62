//! The flags of sampling, under the names that users know from llama.cpp. `run` and `chat` share them.

use lucid::{
    Result,
    sample::{Breakers, Chain, Params, Sampler},
    tokenizer::{Encode, Tokenizer},
};
use std::hash::{BuildHasher, RandomState};

/// How the next token is chosen.
#[derive(clap::Args, Clone, Debug)]
#[command(next_help_heading = "Sampling")]
pub(crate) struct Sampling {
    /// 0 always takes the most likely token
    #[arg(short, long, visible_alias = "temp", value_name = "T", default_value_t = 0.8, allow_negative_numbers = true)]
    temperature: f32,
    /// Only the K most likely tokens; 0 is off
    #[arg(long, value_name = "K", default_value_t = 40, allow_negative_numbers = true)]
    top_k: i32,
    /// Only the most likely tokens that together have this probability; 1 is off
    #[arg(long, value_name = "P", default_value_t = 0.9, allow_negative_numbers = true)]
    top_p: f32,
    /// Only tokens at least this likely, as a share of the most likely; 0 is off
    #[arg(long, value_name = "P", default_value_t = 0.0, allow_negative_numbers = true)]
    min_p: f32,
    /// Where the random numbers begin: the same seed gives the same text. -1 takes a random one, and says which
    #[arg(short, long, value_name = "N", default_value = "42", allow_hyphen_values = true, value_parser = seed)]
    seed: Seed,
    /// Add V to the logit of a token; -inf forbids it. Repeatable
    #[arg(short, long, value_name = "ID=V", value_parser = logit_bias)]
    logit_bias: Vec<(u32, f32)>,
    /// Do not stop where the model would, and never draw the tokens that say so
    #[arg(long)]
    pub ignore_eos: bool,
    /// Divide the logits of recent tokens by this; 1 is off
    #[arg(long, value_name = "X", default_value_t = 1.0, allow_negative_numbers = true)]
    repeat_penalty: f32,
    /// Subtract this from the logits of recent tokens; 0 is off
    #[arg(long, value_name = "X", default_value_t = 0.0, allow_negative_numbers = true)]
    presence_penalty: f32,
    /// Subtract this for every time a recent token occurred; 0 is off
    #[arg(long, value_name = "X", default_value_t = 0.0, allow_negative_numbers = true)]
    frequency_penalty: f32,
    /// How many tokens are recent; 0 is off, -1 is the whole context
    #[arg(long, value_name = "N", default_value_t = 64, allow_negative_numbers = true)]
    repeat_last_n: i32,
    /// Against repeating whole sequences: how strongly; 0 is off
    #[arg(long, value_name = "X", default_value_t = 0.0, allow_negative_numbers = true)]
    dry_multiplier: f32,
    /// How fast that grows with the length of the repetition
    #[arg(long, value_name = "X", default_value_t = 1.75, allow_negative_numbers = true)]
    dry_base: f32,
    /// Repetitions of up to so many tokens are free
    #[arg(long, value_name = "N", default_value_t = 2)]
    dry_allowed_length: usize,
    /// How far it looks back; 0 is off, -1 is the whole context
    #[arg(long, value_name = "N", default_value_t = 64, allow_negative_numbers = true)]
    dry_penalty_last_n: i32,
    /// A string that ends a repetition, in place of newline, colon, quote and star; "none" for none. Repeatable
    #[arg(long, value_name = "S")]
    dry_sequence_breaker: Vec<String>,
    /// Only tokens within N standard deviations of the best logit; -1 is off
    #[arg(long, value_name = "N", default_value_t = -1.0, allow_negative_numbers = true)]
    top_n_sigma: f32,
    /// Only tokens about as surprising as can be expected; 1 is off
    #[arg(long, visible_alias = "typical-p", value_name = "P", default_value_t = 1.0, allow_negative_numbers = true)]
    typical: f32,
    /// How often the likeliest tokens are excluded; 0 is off
    #[arg(long, value_name = "P", default_value_t = 0.0, allow_negative_numbers = true)]
    xtc_probability: f32,
    /// From which probability on they may be; above 0.5 is off
    #[arg(long, value_name = "P", default_value_t = 0.1, allow_negative_numbers = true)]
    xtc_threshold: f32,
    /// How far the temperature may move with the model's uncertainty; 0 is off
    #[arg(long, value_name = "X", default_value_t = 0.0, allow_negative_numbers = true)]
    dynatemp_range: f32,
    /// How uncertainty becomes temperature
    #[arg(long, value_name = "X", default_value_t = 1.0, allow_negative_numbers = true)]
    dynatemp_exp: f32,
    /// Mirostat in place of the samplers: 1 or 2; 0 is off
    #[arg(long, value_name = "N", default_value_t = 0)]
    mirostat: u8,
    /// Its learning rate
    #[arg(long, value_name = "X", default_value_t = 0.1, allow_negative_numbers = true)]
    mirostat_lr: f32,
    /// Its target surprise, in bits
    #[arg(long, value_name = "X", default_value_t = 5.0, allow_negative_numbers = true)]
    mirostat_ent: f32,
    /// The samplers that run, in order: "penalties;dry;top_n_sigma;top_k;typ_p;top_p;min_p;xtc;temperature"
    #[arg(long, value_name = "NAMES", value_parser = Order::names)]
    samplers: Option<Order>,
    /// The same by letters: "edskypmxt"
    #[arg(long, value_name = "LETTERS", conflicts_with = "samplers", value_parser = Order::letters)]
    sampling_seq: Option<Order>,
    /// The cuts by probability leave at least so many tokens
    #[arg(long, value_name = "N", default_value_t = 0)]
    min_keep: usize,
}

/// A seed, or a wish for a random one.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Seed {
    Given(u64),
    Random,
}

/// An order of samplers; a name for the list, because clap takes a plain `Vec` for a repeatable flag.
#[derive(Clone, Debug)]
struct Order(Vec<Sampler>);

impl Order {
    fn names(text: &str) -> Result<Order> {
        Sampler::from_names(text).map(Order)
    }

    fn letters(text: &str) -> Result<Order> {
        Sampler::from_letters(text).map(Order)
    }
}

fn seed(text: &str) -> std::result::Result<Seed, String> {
    match text.parse() {
        Ok(n) => Ok(Seed::Given(n)),
        Err(_) if text == "-1" => Ok(Seed::Random),
        Err(_) => Err("expected a whole number from 0 to 2^64 - 1, or -1 for a random one".into()),
    }
}

/// `ID=V`: a token and what is added to its logit.
fn logit_bias(text: &str) -> std::result::Result<(u32, f32), String> {
    let parsed = text.split_once('=').and_then(|(id, v)| Some((id.trim().parse().ok()?, v.trim().parse().ok()?)));
    parsed.filter(|(_, v): &(u32, f32)| !v.is_nan()).ok_or_else(|| "expected ID=V such as 15043=-1.5 or 2=-inf".into())
}

impl Sampling {
    /// Whether every value means something, for a vocabulary of this size where it is known. The sentence names the flag at
    /// fault.
    pub fn check(&self, vocab: Option<usize>) -> std::result::Result<(), String> {
        check(&self.params(), vocab.unwrap_or(usize::MAX))
    }

    /// Whether the user left the seed to chance, and must be told which it is.
    pub fn random_seed(&self) -> bool {
        self.seed == Seed::Random
    }

    /// The parameters as the library has them. A random seed is drawn here, so call it once.
    pub fn params(&self) -> Params {
        let none = |list: &[String]| matches!(list, [one] if one == "none");
        let defaults = Params::default();
        Params {
            seed: match self.seed {
                Seed::Given(seed) => seed,
                Seed::Random => RandomState::new().hash_one("seed"),
            },
            samplers: self.samplers.as_ref().or(self.sampling_seq.as_ref()).map_or(defaults.samplers, |o| o.0.clone()),
            min_keep: self.min_keep,
            logit_bias: self.logit_bias.clone(),
            penalty_last_n: self.repeat_last_n,
            penalty_repeat: self.repeat_penalty,
            penalty_freq: self.frequency_penalty,
            penalty_present: self.presence_penalty,
            dry_multiplier: self.dry_multiplier,
            dry_base: self.dry_base,
            dry_allowed_length: self.dry_allowed_length,
            dry_penalty_last_n: self.dry_penalty_last_n,
            dry_sequence_breakers: match self.dry_sequence_breaker.as_slice() {
                [] => defaults.dry_sequence_breakers,
                list if none(list) => Vec::new(),
                list => list.to_vec(),
            },
            top_n_sigma: self.top_n_sigma,
            top_k: self.top_k,
            typ_p: self.typical,
            top_p: self.top_p,
            min_p: self.min_p,
            xtc_probability: self.xtc_probability,
            xtc_threshold: self.xtc_threshold,
            temperature: self.temperature,
            dynatemp_range: self.dynatemp_range,
            dynatemp_exponent: self.dynatemp_exp,
            mirostat: self.mirostat,
            mirostat_tau: self.mirostat_ent,
            mirostat_eta: self.mirostat_lr,
        }
    }
}

/// Whether the parameters mean something for a vocabulary of this size, in the words of who typed flags.
fn check(params: &Params, vocab: usize) -> std::result::Result<(), String> {
    match params.fault(vocab) {
        Some((parameter, what)) => Err(format!("{} {what}", flag(parameter))),
        None => Ok(()),
    }
}

/// The flag that sets a parameter.
fn flag(parameter: &str) -> String {
    let name = match parameter {
        "penalty_repeat" => "repeat-penalty",
        "penalty_freq" => "frequency-penalty",
        "penalty_present" => "presence-penalty",
        "penalty_last_n" => "repeat-last-n",
        "typ_p" => "typical",
        "dynatemp_exponent" => "dynatemp-exp",
        "mirostat_tau" => "mirostat-ent",
        "mirostat_eta" => "mirostat-lr",
        alike => &alike.replace('_', "-"),
    };
    format!("--{name}")
}

/// A fresh chain of these parameters for a model.
pub(crate) fn chain(params: &Params, tokenizer: &Tokenizer, vocab: usize, context: usize) -> anyhow::Result<Chain> {
    check(params, vocab).map_err(anyhow::Error::msg)?;
    let breakers = match params.dry_multiplier > 0.0 {
        true => breakers(&params.dry_sequence_breakers, tokenizer)?,
        false => Breakers::default(),
    };
    Ok(Chain::new(params, vocab, context, breakers)?)
}

fn breakers(strings: &[String], tokenizer: &Tokenizer) -> Result<Breakers> {
    let texts = (0..tokenizer.vocab_size() as u32).map(|id| tokenizer.token_bytes(id).unwrap_or_default());
    let plain = Encode { bos: false, special: false };
    let tokenize = |bytes: &[u8]| tokenizer.encode(&String::from_utf8_lossy(bytes), plain).unwrap_or_default();
    Breakers::new(strings, texts, tokenize)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        sampling: Sampling,
    }

    fn params(args: &[&str]) -> Params {
        Cli::try_parse_from([&["x"], args].concat()).unwrap().sampling.params()
    }

    #[test]
    fn the_flags_defaults_are_the_librarys() {
        assert_eq!(params(&[]), Params::default());
    }

    #[test]
    fn every_flag_reaches_its_parameter() {
        let all = "--temp 0.5 --top-k 7 --top-p 0.6 --min-p 0.05 --seed 18446744073709551615 --logit-bias 5=-inf \
            -l 6=1.5 --repeat-penalty 1.1 --presence-penalty 0.2 --frequency-penalty -0.3 --repeat-last-n -1 \
            --dry-multiplier 0.8 --dry-base 1.5 --dry-allowed-length 3 --dry-penalty-last-n 99 \
            --dry-sequence-breaker . --dry-sequence-breaker ! --top-n-sigma 1.2 --typical 0.7 --xtc-probability 0.4 \
            --xtc-threshold 0.3 --dynatemp-range 0.15 --dynatemp-exp 1.25 --mirostat 2 --mirostat-lr 0.01 \
            --mirostat-ent 4 --samplers temperature;top-k --min-keep 2";
        let expected = Params {
            seed: u64::MAX,
            samplers: vec![Sampler::Temperature, Sampler::TopK],
            min_keep: 2,
            logit_bias: vec![(5, f32::NEG_INFINITY), (6, 1.5)],
            penalty_last_n: -1,
            penalty_repeat: 1.1,
            penalty_freq: -0.3,
            penalty_present: 0.2,
            dry_multiplier: 0.8,
            dry_base: 1.5,
            dry_allowed_length: 3,
            dry_penalty_last_n: 99,
            dry_sequence_breakers: vec![".".into(), "!".into()],
            top_n_sigma: 1.2,
            top_k: 7,
            typ_p: 0.7,
            top_p: 0.6,
            min_p: 0.05,
            xtc_probability: 0.4,
            xtc_threshold: 0.3,
            temperature: 0.5,
            dynatemp_range: 0.15,
            dynatemp_exponent: 1.25,
            mirostat: 2,
            mirostat_tau: 4.0,
            mirostat_eta: 0.01,
        };
        assert_eq!(params(&all.split_whitespace().collect::<Vec<_>>()), expected);
        assert_eq!(params(&["--sampling-seq", "tk"]).samplers, [Sampler::Temperature, Sampler::TopK]);
        assert!(params(&["--dry-sequence-breaker", "none"]).dry_sequence_breakers.is_empty());
    }

    /// Every flag that takes a number, given one that it cannot mean.
    #[test]
    fn what_a_flag_cannot_mean_is_told_by_the_name_of_the_flag() {
        let wrong = [
            ("temperature", "-1"),
            ("top-p", "7"),
            ("min-p", "NaN"),
            ("logit-bias", "5=inf"),
            ("repeat-penalty", "0"),
            ("presence-penalty", "inf"),
            ("frequency-penalty", "NaN"),
            ("repeat-last-n", "-2"),
            ("dry-multiplier", "-1"),
            ("dry-base", "0.5"),
            ("dry-penalty-last-n", "-2"),
            ("top-n-sigma", "inf"),
            ("typical", "-0.1"),
            ("xtc-probability", "2"),
            ("xtc-threshold", "2"),
            ("dynatemp-range", "-1"),
            ("dynatemp-exp", "-1"),
            ("mirostat", "3"),
            ("mirostat-lr", "-1"),
            ("mirostat-ent", "-1"),
        ];
        for (flag, value) in wrong {
            let args = ["x".to_owned(), format!("--{flag}={value}")];
            let message = Cli::try_parse_from(args).unwrap().sampling.check(None).unwrap_err();
            assert!(message.starts_with(&format!("--{flag} ")), "{flag}: {message}");
        }
        let any = |flag: &str| ["top-k", "seed", "min-keep", "dry-allowed-length"].contains(&flag); // a whole number
        let known = <Cli as clap::CommandFactory>::command();
        let numbers = known.get_arguments().filter(|arg| arg.get_action().takes_values());
        let names = numbers.filter_map(|arg| arg.get_long()).filter(|flag| !any(flag));
        let texts = ["dry-sequence-breaker", "samplers", "sampling-seq"];
        for name in names.filter(|name| !texts.contains(name)) {
            assert!(wrong.iter().any(|(flag, _)| *flag == name), "--{name} is not in the list above");
        }
    }

    #[test]
    fn a_random_seed_is_a_new_one_every_time() {
        assert_ne!(params(&["--seed", "-1"]).seed, params(&["--seed", "-1"]).seed);
        for bad in ["-2", "1.5", "x", "18446744073709551616"] {
            assert!(Cli::try_parse_from(["x", "--seed", bad]).is_err(), "{bad}");
        }
        for bad in ["5", "5=", "=1", "5=x", "5=nan", "-1=2"] {
            assert!(Cli::try_parse_from(["x", "--logit-bias", bad]).is_err(), "{bad}");
        }
    }
}
