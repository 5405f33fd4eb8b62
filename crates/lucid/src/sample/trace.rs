//! Why this token: what each sampler did, for `--explain-sampling`.

use super::Candidate;

/// The story of one token.
#[derive(Clone, Debug, PartialEq)]
pub struct Trace {
    /// What each sampler did that was not off, in order.
    pub steps: Vec<Step>,
    /// Those that were left for the draw, with their probabilities.
    pub candidates: Vec<Candidate>,
    /// The token drawn.
    pub token: u32,
    /// The two greatest logits of the model, before any sampler, and their tokens; one for a vocabulary of one.
    pub top: Vec<(u32, f32)>,
    /// Whether those two are closer than the error bound: exact arithmetic might have put the second first.
    pub close: bool,
}

/// What one sampler did.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// Its name, as `--samplers` has it.
    pub sampler: &'static str,
    /// Its parameters, for people.
    pub setting: String,
    /// How many candidates it met.
    pub before: usize,
    /// Those it removed, the most probable first, with the logits they had.
    pub removed: Vec<Candidate>,
    /// The logits it changed one by one, by id. Temperature, which scales them all, is not listed.
    pub moved: Vec<Moved>,
}

/// A logit that a sampler changed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Moved {
    /// The token.
    pub id: u32,
    /// Its logit before.
    pub from: f32,
    /// Its logit after.
    pub to: f32,
}

impl Step {
    /// Compares the candidates before and after.
    pub(super) fn new(sampler: &'static str, setting: String, before: &[Candidate], after: &[Candidate]) -> Step {
        let mut now = after.to_vec();
        now.sort_unstable_by_key(|c| c.id);
        let (mut removed, mut moved) = (Vec::new(), Vec::new());
        for c in before {
            match now.binary_search_by_key(&c.id, |c| c.id) {
                Err(_) => removed.push(*c),
                Ok(at) if now[at].logit != c.logit => moved.push(Moved { id: c.id, from: c.logit, to: now[at].logit }),
                Ok(_) => {}
            }
        }
        removed.sort_unstable_by(Candidate::order);
        moved.sort_unstable_by_key(|m| m.id);
        if sampler == "temperature" {
            moved.clear();
        }
        Step { sampler, setting, before: before.len(), removed, moved }
    }
}

/// The two greatest logits and whether they are closer than `bound`.
pub(super) fn top_two(logits: &[f32], bound: f32) -> (Vec<(u32, f32)>, bool) {
    let mut top: Vec<(u32, f32)> = Vec::with_capacity(3);
    for (id, &logit) in (0..).zip(logits) {
        let at = top.iter().position(|&(_, best)| logit > best).unwrap_or(top.len());
        if at < 2 {
            top.insert(at, (id, logit));
            top.truncate(2);
        }
    }
    let close = matches!(top[..], [(_, a), (_, b)] if a as f64 - (b as f64) < bound as f64);
    (top, close)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_top_two_and_their_distance() {
        assert_eq!(top_two(&[1.0, 3.0, 2.5, 3.0], 0.1), (vec![(1, 3.0), (3, 3.0)], true));
        assert_eq!(top_two(&[1.0, 3.0, 2.5], 0.5), (vec![(1, 3.0), (2, 2.5)], false), "as far apart as the bound");
        assert!(top_two(&[1.0, 3.0, 2.5], 0.6).1);
        assert_eq!(top_two(&[3.0, f32::NEG_INFINITY], 1e30), (vec![(0, 3.0), (1, f32::NEG_INFINITY)], false));
        assert_eq!(top_two(&[3.0], 1.0), (vec![(0, 3.0)], false));
    }
}
