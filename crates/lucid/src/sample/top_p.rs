//! Top-p (nucleus): keeps the fewest of the most probable that together reach p, in order.

use super::Candidates;

/// How many are sorted before it is known whether they suffice. They nearly always do.
const FEW: usize = 256;

/// Keeps the nucleus of probability `p`, and at least `min_keep` and one. 1 and more is off.
pub fn top_p(c: &mut Candidates, p: f32, min_keep: usize) {
    if p >= 1.0 {
        return;
    }
    c.softmax();
    for sorted in [FEW, usize::MAX] {
        c.sort_front(sorted);
        let mut sum = 0.0;
        let enough = c.items.iter().take(sorted).position(|c| {
            sum += c.p;
            sum >= p as f64
        });
        if let Some(last) = enough
            && (last + 1).max(min_keep) <= sorted
        {
            c.sort_front((last + 1).max(min_keep));
            c.items.truncate((last + 1).max(min_keep));
            c.sorted = true;
            return;
        }
    }
    // rounding kept the sum of all below p: all stay
}

#[cfg(test)]
mod tests {
    use super::super::candidates::tests::{ids, of, vocabulary};
    use super::*;

    #[test]
    fn the_fewest_that_reach_p() {
        let at = |p, min_keep| {
            let mut c = of(&[0.1, 0.2, 0.3, 0.4]);
            top_p(&mut c, p, min_keep);
            ids(&c)
        };
        assert_eq!(at(0.0, 0), [3]);
        assert_eq!(at(0.39, 0), [3]);
        assert_eq!(at(0.41, 0), [3, 2]);
        assert_eq!(at(0.41, 3), [3, 2, 1]);
        assert_eq!(at(0.91, 0), [3, 2, 1, 0]);
        assert_eq!(at(0.0, 99), [3, 2, 1, 0]);
        assert_eq!(at(1.0, 0), [0, 1, 2, 3], "off: nothing moves");
    }

    #[test]
    fn a_few_or_all_sorted_first_is_the_same() {
        for (p, min_keep) in [(0.3, 0), (0.9, 0), (0.3, 300), (0.3, 2000), (0.999999, 0)] {
            let mut c = vocabulary();
            top_p(&mut c, p, min_keep);
            let mut all = vocabulary();
            all.softmax(); // the sums in one order: the probabilities are the same bits
            all.sort();
            let mut sum = 0.0;
            let falls_short = |c: &&super::super::Candidate| {
                let before = sum;
                sum += c.p;
                before < p as f64
            };
            let reach = all.items.iter().take_while(falls_short).count();
            assert_eq!(c.items, all.items[..reach.max(min_keep).min(1000)], "{p} {min_keep}");
            assert!(c.sorted);
        }
    }
}
