//! Top-nσ: keeps `lᵢ ≥ max − n·σ`, where σ is the standard deviation of the logits. Noise among the many unlikely tokens
//! does not depend on temperature, and neither does this cut.

use super::Candidates;

/// Keeps what is within `n` standard deviations of the best. 0 and less is off. Forbidden tokens do not count, and go.
pub fn top_n_sigma(c: &mut Candidates, n: f32) {
    if n <= 0.0 || c.len() <= 1 {
        return;
    }
    let logits = || c.items.iter().map(|c| c.logit as f64).filter(|l| l.is_finite());
    let count = logits().count() as f64;
    let mean = logits().sum::<f64>() / count;
    let variance = logits().map(|l| (l - mean) * (l - mean)).sum::<f64>() / count;
    let max = c.max() as f64;
    let least = max - n as f64 * variance.sqrt();
    // the best stays even where `least` is NaN: the variance of two logits near 10³⁸ and −10³⁸ is finite, n·σ need not be
    c.items.retain(|c| c.logit as f64 == max || (c.logit as f64 >= least && c.logit.is_finite()));
}

#[cfg(test)]
mod tests {
    use super::super::candidates::tests::ids;
    use super::*;

    #[test]
    fn sigma_is_of_the_whole() {
        // mean 0, variance (4 + 1 + 0 + 1 + 4)/5 = 2
        let at = |n: f32| {
            let mut c = Candidates::new(&[2.0, 1.0, 0.0, -1.0, f32::NEG_INFINITY, -2.0]).unwrap();
            top_n_sigma(&mut c, n);
            ids(&c)
        };
        assert_eq!(at(0.7), [0]); // 2 − 0.7·1.414 = 1.01
        assert_eq!(at(0.71), [0, 1]); // 0.996
        assert_eq!(at(1.42), [0, 1, 2]);
        assert_eq!(at(100.0), [0, 1, 2, 3, 5]);
        assert_eq!(at(0.0), [0, 1, 2, 3, 4, 5]);
        assert_eq!(at(-1.0), [0, 1, 2, 3, 4, 5]);
    }

    #[test]
    fn the_best_always_stays() {
        for n in [1e-30, 1.0, f32::MAX] {
            let mut c = Candidates::new(&[f32::MAX, f32::MIN, f32::NEG_INFINITY]).unwrap();
            top_n_sigma(&mut c, n);
            assert_eq!(c.items[0].id, 0, "{n}");
        }
        let mut one = Candidates::new(&[5.0, 5.0]).unwrap();
        top_n_sigma(&mut one, 1.0);
        assert_eq!(one.len(), 2, "σ = 0: equals stay");
    }
}
