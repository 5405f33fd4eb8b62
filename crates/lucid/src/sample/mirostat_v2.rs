//! Mirostat 2: removes the tokens whose surprise exceeds μ, and steers μ so that the surprise of the text stays near τ.
//!
//! ```text
//! keep −log₂ pᵢ ≤ μ, at least the best;   draw;   μ ← μ − η · (surprise of the token drawn − τ)
//! ```

use super::{Candidates, Rng, draw, mirostat::learn};
use std::f64::consts::LN_2;

/// The controller: τ, η, and μ, which follows the text.
#[derive(Clone, Debug)]
pub struct MirostatV2 {
    tau: f64,
    eta: f64,
    /// The greatest surprise allowed, in bits. Begins at 2τ.
    pub mu: f64,
}

impl MirostatV2 {
    /// For the target surprise and the learning rate.
    pub fn new(tau: f32, eta: f32) -> MirostatV2 {
        MirostatV2 { tau: tau as f64, eta: eta as f64, mu: 2.0 * tau as f64 }
    }

    /// Cuts and draws: the index of the token drawn.
    pub fn draw(&mut self, c: &mut Candidates, rng: &mut Rng) -> usize {
        c.sort();
        let log_sum = c.softmax();
        let kept = c.items.partition_point(|c| log_sum - c.logit as f64 <= self.mu * LN_2);
        c.items.truncate(kept.max(1));
        let drawn = draw(c, rng);
        learn(&mut self.mu, self.tau, self.eta, c, drawn);
        drawn
    }
}

#[cfg(test)]
mod tests {
    use super::super::candidates::tests::{ids, of, vocabulary};
    use super::*;

    #[test]
    fn surprising_tokens_go() {
        let at = |mu| {
            let mut c = of(&[0.125, 0.5, 0.25, 0.125]); // 3, 1, 2 and 3 bits
            MirostatV2 { tau: 1.0, eta: 0.0, mu }.draw(&mut c, &mut Rng::new(0));
            ids(&c)
        };
        assert_eq!(at(2.5), [1, 2]);
        assert_eq!(at(3.5), [1, 2, 0, 3]);
        assert_eq!(at(1.5), [1]);
        assert_eq!(at(-4.0), [1], "the best stays");
    }

    #[test]
    fn mu_learns_from_what_was_drawn() {
        let mut m = MirostatV2::new(5.0, 0.125);
        assert_eq!(m.mu, 10.0);
        m.draw(&mut Candidates::new(&[0.0]).unwrap(), &mut Rng::new(0));
        assert_eq!(m.mu, 10.625, "a certain token has no surprise: 10 − ⅛ · (0 − 5)");
    }

    #[test]
    fn surprise_settles_at_the_target() {
        let mut rng = Rng::new(1);
        let mut m = MirostatV2::new(4.0, 0.1);
        let mut sum = 0.0;
        for i in 0..2000 {
            let mut c = vocabulary();
            let drawn = m.draw(&mut c, &mut rng);
            if i >= 1000 {
                sum += -c.items[drawn].p.log2();
            }
        }
        // as for mirostat 1
        assert!((sum / 1000.0 - 4.0).abs() < 10.0 / 0.1 / 1000.0, "{}", sum / 1000.0);
    }
}
