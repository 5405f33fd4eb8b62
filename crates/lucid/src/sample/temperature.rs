//! Temperature: `l ← l / T`. Below 1 the likely becomes likelier, above 1 less so; 0 keeps the best alone.
//!
//! Dynamic temperature chooses T by how sure the model is:
//!
//! ```text
//! T = low + (high − low) · (H / ln n)^exponent        low = max(0, T₀ − range), high = T₀ + range
//! ```
//!
//! H is the entropy of the n candidates, ln n the greatest it could be: one clear favourite gives `low`, no preference
//! gives `high`.

use super::{
    Candidate, Candidates,
    math::{ln, pow},
};

/// Divides by `t`, or by the dynamic temperature when `range` is above 0.
pub fn temperature(c: &mut Candidates, t: f32, range: f32, exponent: f32) {
    if range <= 0.0 {
        return fixed(c, t as f64);
    }
    if c.len() <= 1 {
        return;
    }
    let low = (t as f64 - range as f64).max(0.0);
    let high = t as f64 + range as f64;
    let log_sum = c.softmax();
    // rounding may carry the quotient past its ends
    let unsure = (c.entropy(log_sum) / ln(c.len() as f64)).clamp(0.0, 1.0);
    fixed(c, low + (high - low) * pow(unsure, exponent as f64));
}

fn fixed(c: &mut Candidates, t: f64) {
    if t <= 0.0 {
        if let Some(&best) = c.items.iter().min_by(|a, b| Candidate::order(a, b)) {
            c.items.clear();
            c.items.push(best);
        }
    } else if t != 1.0 {
        c.items.iter_mut().for_each(|c| c.set_logit(|l| l / t));
    }
}

#[cfg(test)]
mod tests {
    use super::super::candidates::tests::{ids, of, vocabulary};
    use super::*;

    #[test]
    fn zero_is_the_best_and_the_first_of_equals() {
        let mut c = Candidates::new(&[1.0, 5.0, -2.0, 5.0]).unwrap();
        temperature(&mut c, 0.0, 0.0, 1.0);
        assert_eq!(ids(&c), [1]);
        let mut c = vocabulary();
        temperature(&mut c, 0.0, 0.0, 1.0);
        let mut sorted = vocabulary();
        sorted.sort();
        assert_eq!(c.items, sorted.items[..1]);
    }

    #[test]
    fn it_divides_and_stays_finite() {
        let mut c = Candidates::new(&[1.0, -3.0, f32::NEG_INFINITY, 1e38]).unwrap();
        temperature(&mut c, 0.5, 0.0, 1.0);
        assert_eq!(c.items.iter().map(|c| c.logit).collect::<Vec<_>>(), [2.0, -6.0, f32::NEG_INFINITY, 2e38]);
        temperature(&mut c, 1e-9, 0.0, 1.0);
        assert_eq!(c.items[3].logit, f32::MAX);
    }

    #[test]
    fn dynamic_temperature_follows_entropy() {
        let spread = |p: &[f32], range, exponent| {
            let mut c = of(p);
            let before = c.items[0].logit - c.items[1].logit;
            temperature(&mut c, 1.0, range, exponent);
            before / (c.items[0].logit - c.items[1].logit)
        };
        // H = ½ ln 2 + ½ ln 4 = 1.0397, ln 3 = 1.0986: T = 0.5 + 1 · 0.9464
        let t = spread(&[0.5, 0.25, 0.25], 0.5, 1.0);
        assert!((t - 1.446_395).abs() < 1e-6, "{t}");
        assert_eq!(spread(&[0.5, 0.25, 0.25], 0.5, 0.0), 1.5, "an exponent of 0 is always sure to be unsure");
        let mut equal = of(&[0.25; 4]);
        let logit = equal.items[0].logit;
        temperature(&mut equal, 1.0, 1.0, 1.0);
        assert!((logit / equal.items[0].logit - 2.0).abs() < 4.0 * f32::EPSILON, "no preference: the highest");
        let mut sure = Candidates::new(&[0.0, 1e30]).unwrap();
        temperature(&mut sure, 0.5, 1.0, 1.0);
        assert_eq!(ids(&sure), [1], "certain: the lowest, here 0");
    }
}
