//! Locally typical sampling: keeps the tokens whose surprise is closest to the expected one, until they make up p.
//!
//! ```text
//! H = Σ pᵢ · (−ln pᵢ)          take tokens by growing | −ln pᵢ − H |          until Σ p > p
//! ```
//!
//! A surprise grows as the probability falls. So, sorted, the tokens taken are neighbours: they spread from where surprise
//! crosses H, and no second sorting is needed.

use super::Candidates;

/// Keeps the typical set of probability `p`, and at least `min_keep`. 1 and more is off.
pub fn typ_p(c: &mut Candidates, p: f32, min_keep: usize) {
    if p >= 1.0 || c.len() <= 1 {
        return;
    }
    c.sort();
    let log_sum = c.softmax();
    let entropy = c.entropy(log_sum);
    let surprise = |i: usize| log_sum - c.items[i].logit as f64;
    // taken are from..to; the next is the one before or the one after, whichever is closer, the more probable of equals
    let mut to = c.items.partition_point(|c| log_sum - (c.logit as f64) < entropy);
    let mut from = to;
    let mut sum = 0.0;
    while to - from < c.len() {
        let before = (from > 0).then(|| (surprise(from - 1) - entropy).abs());
        let after = (to < c.len()).then(|| (surprise(to) - entropy).abs());
        let back = before.is_some_and(|b| after.is_none_or(|a| b <= a));
        let next = if back {
            from -= 1;
            from
        } else {
            to += 1;
            to - 1
        };
        sum += c.items[next].p;
        if sum > p as f64 && to - from >= min_keep {
            break;
        }
    }
    c.items.truncate(to);
    c.items.drain(..from);
}

#[cfg(test)]
mod tests {
    use super::super::candidates::tests::{ids, of, vocabulary};
    use super::*;

    #[test]
    fn the_too_probable_may_go() {
        let at = |p, min_keep| {
            let mut c = of(&[0.2, 0.4, 0.2, 0.2]); // H = 1.33, surprises 1.61 and 0.92
            typ_p(&mut c, p, min_keep);
            ids(&c)
        };
        assert_eq!(at(0.1, 0), [0]);
        assert_eq!(at(0.1, 2), [0, 2]);
        assert_eq!(at(0.5, 0), [0, 2, 3]);
        assert_eq!(at(0.7, 0), [1, 0, 2, 3]);
        assert_eq!(at(0.1, 99), [1, 0, 2, 3]);
        assert_eq!(at(1.0, 0), [0, 1, 2, 3], "off: nothing moves");
    }

    /// What the definition says, with a second sorting.
    #[test]
    fn neighbours_are_the_closest() {
        for p in [0.0, 0.2, 0.5, 0.9, 0.999] {
            let mut c = vocabulary();
            c.sort();
            let log_sum = c.softmax();
            let entropy = c.entropy(log_sum);
            let mut by_distance = c.items.clone();
            by_distance.sort_by(|a, b| {
                let d = |c: &super::super::Candidate| (log_sum - c.logit as f64 - entropy).abs();
                d(a).total_cmp(&d(b))
            });
            let mut sum = 0.0;
            let falls_short = |c: &&super::super::Candidate| {
                let before = sum;
                sum += c.p;
                before <= p as f64
            };
            let wanted = by_distance.iter().take_while(falls_short).count();
            typ_p(&mut c, p, 0);
            assert_eq!(c.len(), wanted, "{p}");
            // equal logits are interchangeable: compare logits
            let mut ours: Vec<f32> = c.items.iter().map(|c| c.logit).collect();
            let mut theirs: Vec<f32> = by_distance[..wanted].iter().map(|c| c.logit).collect();
            ours.sort_by(f32::total_cmp);
            theirs.sort_by(f32::total_cmp);
            assert_eq!(ours, theirs, "{p}");
        }
    }

    #[test]
    fn a_certain_token_is_typical() {
        let mut c = Candidates::new(&[f32::NEG_INFINITY, 3.0, f32::NEG_INFINITY]).unwrap();
        typ_p(&mut c, 0.5, 0);
        assert_eq!(ids(&c), [1]);
    }
}
