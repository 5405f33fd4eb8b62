//! Min-p: keeps `pᵢ ≥ p · p_max`, which is `lᵢ ≥ l_max + ln p`: no softmax is needed, and the order stays.

use super::{Candidates, math::ln};

/// Keeps what is at least `p` times as probable as the best, and at least `min_keep`. 0 is off.
pub fn min_p(c: &mut Candidates, p: f32, min_keep: usize) {
    if p <= 0.0 {
        return;
    }
    // p above 1 would remove the best too
    let least = c.max() as f64 + ln(p as f64).min(0.0);
    let kept = c.items.iter().filter(|c| c.logit as f64 >= least).count();
    if kept < min_keep {
        return c.keep_best(min_keep);
    }
    c.items.retain(|c| c.logit as f64 >= least);
}

#[cfg(test)]
mod tests {
    use super::super::candidates::tests::{ids, of};
    use super::*;

    #[test]
    fn relative_to_the_best_in_the_order_given() {
        let at = |p, min_keep| {
            let mut c = of(&[0.2, 0.4, 0.1, 0.3]);
            min_p(&mut c, p, min_keep);
            ids(&c)
        };
        assert_eq!(at(0.26, 0), [0, 1, 3]);
        assert_eq!(at(0.74, 0), [1, 3]);
        assert_eq!(at(0.76, 0), [1]);
        assert_eq!(at(7.0, 0), [1]);
        assert_eq!(at(0.76, 3), [1, 3, 0]);
        assert_eq!(at(0.76, 9), [1, 3, 0, 2]);
        assert_eq!(at(0.0, 0), [0, 1, 2, 3]);
    }

    #[test]
    fn forbidden_tokens_go() {
        let mut c = Candidates::new(&[f32::NEG_INFINITY, 0.0, -700.0]).unwrap();
        min_p(&mut c, f32::MIN_POSITIVE, 0);
        assert_eq!(ids(&c), [1], "ln of the smallest normal f32 is -87.3");
    }
}
