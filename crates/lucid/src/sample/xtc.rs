//! XTC ("exclude top choices"): with a chance of `probability`, removes the most probable tokens but the last of those
//! that reach the threshold. What remains is still likely, and rarely the obvious.

use super::{Candidates, Rng};

/// Removes, or not, as the generator says. A probability of 0 or a threshold above ½ (which two tokens cannot reach) is off,
/// and draws nothing. Fewer than `min_keep` are never left.
pub fn xtc(c: &mut Candidates, probability: f32, threshold: f32, min_keep: usize, rng: &mut Rng) {
    if probability <= 0.0 || threshold > 0.5 || c.len() < 2 || rng.uniform() > probability as f64 {
        return;
    }
    c.sort();
    c.softmax();
    let reach = c.items.partition_point(|c| c.p >= threshold as f64);
    let removed = reach.saturating_sub(1);
    if c.len() - removed >= min_keep {
        c.items.drain(..removed);
    }
}

#[cfg(test)]
mod tests {
    use super::super::candidates::tests::{ids, of};
    use super::*;

    fn at(probability: f32, threshold: f32, min_keep: usize) -> Vec<u32> {
        let mut c = of(&[0.4, 0.3, 0.2, 0.1]);
        xtc(&mut c, probability, threshold, min_keep, &mut Rng::new(0)); // its first number is 0.3999…
        ids(&c)
    }

    #[test]
    fn the_last_that_reaches_the_threshold_is_the_first_that_stays() {
        assert_eq!(at(0.5, 0.25, 0), [1, 2, 3]);
        assert_eq!(at(0.5, 0.15, 0), [2, 3]);
        assert_eq!(at(0.5, 0.15, 3), [0, 1, 2, 3], "two are fewer than three");
        assert_eq!(at(0.5, 0.35, 0), [0, 1, 2, 3], "one alone stays");
        assert_eq!(at(0.5, 0.5, 0), [0, 1, 2, 3], "none reaches it");
        assert_eq!(at(0.5, 0.0, 0), [3], "all do");
    }

    #[test]
    fn chance_decides() {
        assert_eq!(at(0.40, 0.25, 0), [1, 2, 3]);
        assert_eq!(at(0.39, 0.25, 0), [0, 1, 2, 3]);
        assert_eq!(at(0.0, 0.25, 0), [0, 1, 2, 3]);
        assert_eq!(at(1.0, 0.51, 0), [0, 1, 2, 3]);
        let mut rng = Rng::new(0);
        xtc(&mut of(&[0.5, 0.5]), 0.0, 0.1, 0, &mut rng);
        assert_eq!(rng, Rng::new(0), "off, it draws nothing");
    }
}
