//! Top-k: keeps the k most probable, in order. 0 is off.

use super::Candidates;

/// Keeps the `k` best.
pub fn top_k(c: &mut Candidates, k: usize) {
    if k > 0 {
        c.keep_best(k);
    }
}

#[cfg(test)]
mod tests {
    use super::super::candidates::tests::{ids, of, vocabulary};
    use super::*;

    #[test]
    fn the_best_in_order() {
        let at = |k| {
            let mut c = of(&[0.1, 0.4, 0.2, 0.3]);
            top_k(&mut c, k);
            ids(&c)
        };
        assert_eq!(at(1), [1]);
        assert_eq!(at(3), [1, 3, 2]);
        assert_eq!(at(9), [1, 3, 2, 0]);
        assert_eq!(at(0), [0, 1, 2, 3], "off: nothing moves");
    }

    #[test]
    fn twice_is_the_smaller() {
        let mut c = vocabulary();
        top_k(&mut c, 300);
        top_k(&mut c, 7);
        let mut once = vocabulary();
        top_k(&mut once, 7);
        assert_eq!(c.items, once.items);
    }
}
