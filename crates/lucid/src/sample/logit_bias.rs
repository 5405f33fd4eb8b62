//! Logit bias: `l ← l + b` for the tokens that the user names; −∞ forbids a token.

use super::Candidates;

/// Adds each `(token, bias)`. A token named twice gets both.
pub fn logit_bias(c: &mut Candidates, biases: &[(u32, f32)]) {
    for &(id, bias) in biases {
        // before anything is removed a token stands at its id; after, it has to be looked for
        let at = match c.items.get(id as usize) {
            Some(found) if found.id == id => Some(id as usize),
            _ => c.items.iter().position(|c| c.id == id),
        };
        let Some(found) = at.and_then(|at| c.items.get_mut(at)) else { continue };
        match bias == f32::NEG_INFINITY {
            true => found.logit = bias,
            false => found.set_logit(|l| l + bias as f64),
        }
        c.sorted = false;
    }
}

#[cfg(test)]
mod tests {
    use super::super::candidates::tests::{ids, of};
    use super::*;

    #[test]
    fn biases_add_and_forbid() {
        let mut c = Candidates::new(&[1.0, 2.0, 3.0, 4.0]).unwrap();
        logit_bias(&mut c, &[(1, 0.5), (3, f32::NEG_INFINITY), (1, 1.0), (0, -3e38), (0, -3e38), (3, 100.0), (9, 1.0)]);
        let logits: Vec<f32> = c.items.iter().map(|c| c.logit).collect();
        assert_eq!(logits, [f32::MIN, 3.5, 3.0, f32::NEG_INFINITY]);
    }

    #[test]
    fn a_token_is_found_wherever_it_stands() {
        let mut c = of(&[0.1, 0.2, 0.3, 0.4]);
        c.sort();
        logit_bias(&mut c, &[(0, 10.0)]);
        assert_eq!((c.items[3].id, c.sorted), (0, false));
        c.sort();
        assert_eq!(ids(&c), [0, 3, 2, 1]);
    }
}
