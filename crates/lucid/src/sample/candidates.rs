//! The tokens that may still come next: what samplers read and cut.

use super::math::{exp, ln};
use crate::{Error, ErrorKind, Result};
use std::cmp::Ordering;

/// A token that may come next.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Candidate {
    /// Its id.
    pub id: u32,
    /// Its logit, as the samplers so far left it. −∞ is a token that is forbidden; NaN and +∞ never occur.
    pub logit: f32,
    /// Its probability among the candidates of the last [`Candidates::softmax`].
    pub p: f64,
}

impl Candidate {
    /// The order of preference: the greater logit first, among equals the lower id.
    pub(super) fn order(&self, other: &Candidate) -> Ordering {
        other.logit.partial_cmp(&self.logit).unwrap_or(Ordering::Equal).then(self.id.cmp(&other.id))
    }

    /// Changes the logit, kept within the finite numbers; a forbidden token stays so.
    pub(super) fn set_logit(&mut self, to: impl FnOnce(f64) -> f64) {
        if self.logit.is_finite() {
            self.logit = to(self.logit as f64).clamp(f32::MIN as f64, f32::MAX as f64) as f32;
        }
    }
}

/// The candidates of one token. There is at least one, of a finite logit, after [`Candidates::fill`] and every sampler.
#[derive(Clone, Debug, Default)]
pub struct Candidates {
    /// The tokens.
    pub items: Vec<Candidate>,
    /// Whether the most probable come first.
    pub sorted: bool,
}

impl Candidates {
    /// Every token of the vocabulary, with its logit.
    pub fn new(logits: &[f32]) -> Result<Candidates> {
        let mut candidates = Candidates::default();
        candidates.fill(logits)?;
        Ok(candidates)
    }

    /// The same, in the memory that is there. A logit of NaN or +∞ is refused, as is a vocabulary of −∞ alone.
    pub fn fill(&mut self, logits: &[f32]) -> Result<()> {
        self.sorted = false;
        self.items.clear();
        if let Some(id) = logits.iter().position(|l| l.is_nan() || *l == f32::INFINITY) {
            let what =
                format!("the model's logit of token {id} is {}: its weights, or the input, are broken", logits[id]);
            return Err(Error::new(ErrorKind::Value, what));
        }
        self.items.extend(logits.iter().zip(0..).map(|(&logit, id)| Candidate { id, logit, p: 0.0 }));
        self.check()
    }

    /// Whether some token is allowed.
    pub(super) fn check(&self) -> Result<()> {
        match self.items.iter().any(|c| c.logit.is_finite()) {
            true => Ok(()),
            false => Err(Error::new(ErrorKind::Request, "no token is allowed to come next: the logit of each is -inf")),
        }
    }

    /// How many are left.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether none is left, which only happens before the first [`Candidates::fill`].
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// The greatest logit.
    pub fn max(&self) -> f32 {
        match (self.sorted, self.items.first()) {
            (true, Some(first)) => first.logit,
            _ => self.items.iter().fold(f32::NEG_INFINITY, |max, c| max.max(c.logit)),
        }
    }

    /// Puts the most probable first.
    pub fn sort(&mut self) {
        if !self.sorted {
            self.items.sort_unstable_by(Candidate::order); // no two are equal, so unstable is stable
            self.sorted = true;
        }
    }

    /// Puts the `n` most probable first, in order, and leaves the others behind them in any.
    pub(super) fn sort_front(&mut self, n: usize) {
        if n >= self.len() {
            self.sort();
        } else if !self.sorted && n > 0 {
            self.items.select_nth_unstable_by(n - 1, Candidate::order);
            self.items[..n].sort_unstable_by(Candidate::order);
        }
    }

    /// Keeps the `n` most probable, in order.
    pub(super) fn keep_best(&mut self, n: usize) {
        if self.sorted {
            return self.items.truncate(n);
        }
        // One pass: those that may be among the best gather at the front; when twice as many as needed have, the better
        // half stays. Of a large vocabulary most are worse than the worst kept and cost one comparison.
        let room = n.saturating_mul(2).max(64);
        let mut gathered = 0;
        let mut worst: Option<Candidate> = None;
        for i in 0..self.len() {
            let c = self.items[i];
            if worst.is_some_and(|w| c.order(&w).is_gt()) {
                continue;
            }
            self.items[gathered] = c;
            gathered += 1;
            if gathered == room && n > 0 {
                worst = Some(*self.items[..room].select_nth_unstable_by(n - 1, Candidate::order).1);
                gathered = n;
            }
        }
        self.items.truncate(gathered);
        self.sort();
        self.items.truncate(n);
    }

    /// The probability of each: `pᵢ = exp(lᵢ − max) / Σⱼ exp(lⱼ − max)`, summed in the order they stand. Returns
    /// `L = ln Σ exp(lⱼ)`, so that `L − lᵢ = −ln pᵢ`, the surprise of a token, needs no logarithm of its own.
    pub fn softmax(&mut self) -> f64 {
        let max = self.max() as f64;
        if max == f64::NEG_INFINITY {
            return max; // nothing is allowed, or nothing is there: every p stays
        }
        let mut sum = 0.0;
        for c in &mut self.items {
            c.p = exp(c.logit as f64 - max);
            sum += c.p;
        }
        for c in &mut self.items {
            c.p /= sum;
        }
        max + ln(sum)
    }

    /// `H = Σ pᵢ · (−ln pᵢ)`, in nats. Needs a softmax, and what it returned.
    pub(super) fn entropy(&self, log_sum: f64) -> f64 {
        self.items.iter().filter(|c| c.p > 0.0).map(|c| c.p * (log_sum - c.logit as f64)).sum()
    }
}

/// What samplers' tests share.
#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Candidates of these probabilities.
    pub(in crate::sample) fn of(p: &[f32]) -> Candidates {
        Candidates::new(&p.iter().map(|p| p.ln()).collect::<Vec<_>>()).unwrap()
    }

    pub(in crate::sample) fn ids(c: &Candidates) -> Vec<u32> {
        c.items.iter().map(|c| c.id).collect()
    }

    /// A shuffled vocabulary of 1000 with ties and forbidden tokens, the same every time.
    pub(in crate::sample) fn vocabulary() -> Candidates {
        let logit =
            |i: u32| if i.is_multiple_of(97) { f32::NEG_INFINITY } else { (i * 7919 % 331) as f32 * 0.05 - 8.0 };
        Candidates::new(&(0..1000).map(logit).collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn probabilities_sum_to_one_and_surprise_is_their_logarithm() {
        for mut c in [of(&[0.1, 0.2, 0.3, 0.4]), vocabulary()] {
            let log_sum = c.softmax();
            let n = c.len() as f64;
            let sum: f64 = c.items.iter().map(|c| c.p).sum();
            // n quotients and n sums, each rounded once
            assert!((sum - 1.0).abs() <= 2.0 * n * f64::EPSILON);
            let mut total = 0.0;
            for c in c.items.iter().filter(|c| c.p > 0.0) {
                let surprise = log_sum - c.logit as f64;
                total += surprise * c.p;
                // the logits here are below 20 in size, and exp and ln within 2⁻⁵¹
                assert!((surprise + c.p.ln()).abs() < 20.0 * 4.0 * f64::EPSILON, "{surprise} {}", c.p);
            }
            assert_eq!(total, c.entropy(log_sum));
        }
        let mut uniform = of(&[0.25; 4]);
        let log_sum = uniform.softmax();
        assert!((uniform.entropy(log_sum) - 4f64.ln()).abs() < 4.0 * f64::EPSILON);
    }

    #[test]
    fn the_best_are_the_first_of_all_sorted() {
        let mut all = vocabulary();
        all.sort();
        for n in [1, 2, 40, 63, 64, 65, 400, 999, 1000, 2000] {
            let mut best = vocabulary();
            best.keep_best(n);
            assert_eq!(best.items, all.items[..n.min(1000)], "{n}");
            let mut front = vocabulary();
            front.sort_front(n);
            assert_eq!(front.items[..n.min(1000)], all.items[..n.min(1000)], "{n}");
            assert_eq!(front.len(), 1000);
        }
    }

    #[test]
    fn ties_go_to_the_lowest_id() {
        let mut c = Candidates::new(&[1.0, 3.0, 0.0, 3.0, -0.0, 3.0]).unwrap();
        c.sort();
        assert_eq!(ids(&c), [1, 3, 5, 0, 2, 4], "and the two zeros are equal");
    }

    #[test]
    fn broken_logits_are_refused_by_id() {
        let message = |logits: &[f32]| Candidates::new(logits).unwrap_err().to_string();
        assert!(message(&[0.0, f32::NAN]).contains("logit of token 1 is NaN"));
        assert!(message(&[f32::INFINITY]).contains("logit of token 0 is inf"));
        assert!(message(&[f32::NEG_INFINITY; 3]).contains("no token is allowed"));
        assert!(message(&[]).contains("no token is allowed"));
    }

    #[test]
    fn forbidden_tokens_have_no_probability() {
        let mut c = Candidates::new(&[f32::NEG_INFINITY, 0.0, f32::MIN, 0.0]).unwrap();
        c.softmax();
        assert_eq!(c.items.iter().map(|c| c.p).collect::<Vec<_>>(), [0.0, 0.5, 0.0, 0.5]);
    }
}
