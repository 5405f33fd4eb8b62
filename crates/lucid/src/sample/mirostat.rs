//! Mirostat 1: chooses k so that the surprise of the text stays near a target τ, in bits.
//!
//! ```text
//! s = Σ tᵢ bᵢ / Σ tᵢ²      tᵢ = ln((i + 2)/(i + 1)), bᵢ = ln(pᵢ / pᵢ₊₁), over the 100 most probable: Zipf's exponent
//! k = (ε · 2^μ / (1 − N^−ε))^(1/s)           ε = s − 1, N the vocabulary
//! draw among the k best;   μ ← μ − η · (surprise of the token drawn − τ)
//! ```

use super::{
    Candidates, Rng, draw,
    math::{ln, log2, pow},
};

/// How many of the most probable tell the exponent.
const M: usize = 100;

/// The controller: τ, η, and μ, which follows the text.
#[derive(Clone, Debug)]
pub struct Mirostat {
    vocab: usize,
    tau: f64,
    eta: f64,
    /// The greatest surprise aimed at, in bits. Begins at 2τ.
    pub mu: f64,
}

impl Mirostat {
    /// For a vocabulary, the target surprise and the learning rate.
    pub fn new(vocab: usize, tau: f32, eta: f32) -> Mirostat {
        Mirostat { vocab, tau: tau as f64, eta: eta as f64, mu: 2.0 * tau as f64 }
    }

    /// Cuts and draws: the index of the token drawn.
    pub fn draw(&mut self, c: &mut Candidates, rng: &mut Rng) -> usize {
        c.sort();
        let k = self.k(c);
        c.items.truncate(k.max(1));
        let drawn = draw(c, rng);
        learn(&mut self.mu, self.tau, self.eta, c, drawn);
        drawn
    }

    fn k(&self, c: &Candidates) -> usize {
        let (mut tb, mut tt) = (0.0, 0.0);
        for (i, pair) in c.items.windows(2).take(M - 1).enumerate() {
            if !pair[1].logit.is_finite() {
                break;
            }
            let t = ln((i + 2) as f64 / (i + 1) as f64);
            tb += t * (pair[0].logit as f64 - pair[1].logit as f64);
            tt += t * t;
        }
        if tt == 0.0 {
            return 1; // a single token is allowed
        }
        let s = tb / tt;
        let epsilon = s - 1.0;
        let n = self.vocab as f64;
        let spread = pow(2.0, self.mu);
        let base = match epsilon.abs() < 1e-9 {
            true => spread / ln(n), // the limit: 1 − n^−ε is ε ln n there
            false => epsilon * spread / (1.0 - pow(n, -epsilon)),
        };
        pow(base, 1.0 / s) as usize // saturates; NaN is 0
    }
}

/// Moves μ by how far the surprise of the token drawn was off.
pub(super) fn learn(mu: &mut f64, tau: f64, eta: f64, c: &Candidates, drawn: usize) {
    if let Some(drawn) = c.items.get(drawn) {
        *mu -= eta * (-log2(drawn.p) - tau);
    }
}

#[cfg(test)]
mod tests {
    use super::super::candidates::tests::{of, vocabulary};
    use super::*;

    #[test]
    fn k_follows_the_formula() {
        // p proportional to 1/(i + 1)²: every bᵢ = 2 tᵢ, so s = 2 whatever M is; ε = 1
        let p: Vec<f32> = (1..=50).map(|i| 1.0 / (i * i) as f32).collect();
        let m = Mirostat { vocab: 50, tau: 3.0, eta: 0.1, mu: 6.0 };
        let mut c = of(&p);
        c.sort();
        // (1 · 2⁶ / (1 − 1/50))^½ = 8.08
        assert_eq!(m.k(&c), 8);
        // p proportional to 1/(i + 1): s = 1 but for rounding; 2⁴ / ln 50 = 4.09
        let p: Vec<f32> = (1..=50).map(|i| 1.0 / i as f32).collect();
        let mut c = of(&p);
        c.sort();
        assert_eq!(Mirostat { mu: 4.0, ..m }.k(&c), 4);
    }

    #[test]
    fn surprise_settles_at_the_target() {
        let mut rng = Rng::new(1);
        let mut m = Mirostat::new(1000, 4.0, 0.1);
        let mut sum = 0.0;
        for i in 0..2000 {
            let mut c = vocabulary();
            let drawn = m.draw(&mut c, &mut rng);
            if i >= 1000 {
                sum += -c.items[drawn].p.log2();
            }
        }
        // over 1000 tokens the errors sum to (μ₁₀₀₀ − μ₂₀₀₀)/η, and μ stays within 0 and 10 = log₂ 1000
        assert!((sum / 1000.0 - 4.0).abs() < 10.0 / 0.1 / 1000.0, "{}", sum / 1000.0);
    }

    #[test]
    fn degenerate_candidates_do_not_break_it() {
        for logits in [&[0.0][..], &[5.0, f32::NEG_INFINITY], &[1.0; 5], &[f32::MAX, f32::MIN, 0.0]] {
            let mut c = Candidates::new(logits).unwrap();
            let mut m = Mirostat::new(logits.len(), 5.0, 0.1);
            let drawn = m.draw(&mut c, &mut Rng::new(0));
            assert!(c.items[drawn].p > 0.0 && m.mu.is_finite(), "{logits:?}");
        }
    }
}
