//! Penalties: tokens among the last n become less likely.
//!
//! ```text
//! l ← l / repeat          where l > 0
//! l ← l · repeat          where l ≤ 0
//! l ← l − count · frequency − presence
//! ```
//!
//! for every token that occurs, `count` times. `repeat` 1, `frequency` 0 and `presence` 0 change nothing. The tokens of the
//! prompt count as well: whoever runs the chain says which.

use super::Candidates;
use std::collections::VecDeque;

/// The penalties and the tokens they look back on.
#[derive(Clone, Debug)]
pub struct Penalties {
    repeat: f32,
    frequency: f32,
    presence: f32,
    window: usize,
    recent: VecDeque<u32>,
    /// By token: how often it occurs in `recent`.
    counts: Vec<u32>,
}

impl Penalties {
    /// Penalties over the last `window` tokens of a vocabulary.
    pub fn new(vocab: usize, window: usize, repeat: f32, frequency: f32, presence: f32) -> Penalties {
        let off = window == 0 || (repeat == 1.0 && frequency == 0.0 && presence == 0.0);
        let (window, counts) = if off { (0, Vec::new()) } else { (window, vec![0; vocab]) };
        Penalties { repeat, frequency, presence, window, recent: VecDeque::with_capacity(window), counts }
    }

    /// Whether they do nothing.
    pub fn off(&self) -> bool {
        self.window == 0
    }

    /// A token joined the text.
    pub fn accept(&mut self, token: u32) {
        if self.off() {
            return;
        }
        if self.recent.len() == self.window
            && let Some(oldest) = self.recent.pop_front()
            && let Some(count) = self.counts.get_mut(oldest as usize)
        {
            *count -= 1;
        }
        self.recent.push_back(token);
        if let Some(count) = self.counts.get_mut(token as usize) {
            *count += 1;
        }
    }

    /// Penalises.
    pub fn apply(&self, c: &mut Candidates) {
        if self.off() || self.recent.is_empty() {
            return;
        }
        let (repeat, frequency, presence) = (self.repeat as f64, self.frequency as f64, self.presence as f64);
        for c in &mut c.items {
            let count = self.counts.get(c.id as usize).copied().unwrap_or(0);
            if count > 0 {
                c.set_logit(|l| {
                    let l = if l > 0.0 { l / repeat } else { l * repeat };
                    l - count as f64 * frequency - presence
                });
            }
        }
        c.sorted = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn penalised(penalties: &Penalties) -> Vec<f32> {
        let mut c = Candidates::new(&[4.0, -4.0, 0.0, f32::NEG_INFINITY]).unwrap();
        penalties.apply(&mut c);
        c.items.iter().map(|c| c.logit).collect()
    }

    #[test]
    fn each_penalty_by_itself() {
        let with = |repeat, frequency, presence| {
            let mut p = Penalties::new(4, 8, repeat, frequency, presence);
            [0, 1, 3, 1].into_iter().for_each(|t| p.accept(t));
            penalised(&p)
        };
        let none = f32::NEG_INFINITY;
        assert_eq!(with(2.0, 0.0, 0.0), [2.0, -8.0, 0.0, none]);
        assert_eq!(with(1.0, 0.5, 0.0), [3.5, -5.0, 0.0, none]);
        assert_eq!(with(1.0, 0.0, 0.5), [3.5, -4.5, 0.0, none]);
        assert_eq!(with(1.0, 0.0, 0.0), [4.0, -4.0, 0.0, none]);
        assert_eq!(with(2.0, 3e38, 3e38), [f32::MIN, f32::MIN, 0.0, none], "a penalty forbids nothing");
    }

    #[test]
    fn tokens_leave_the_window() {
        let mut p = Penalties::new(4, 2, 2.0, 0.0, 0.0);
        let none = f32::NEG_INFINITY;
        p.accept(0);
        p.accept(1);
        assert_eq!(penalised(&p), [2.0, -8.0, 0.0, none]);
        p.accept(2);
        assert_eq!(penalised(&p), [4.0, -8.0, 0.0, none]);
        p.accept(77); // not in the vocabulary, so never a candidate
        p.accept(77);
        assert_eq!(penalised(&p), [4.0, -4.0, 0.0, none]);
        assert!(Penalties::new(4, 0, 2.0, 1.0, 1.0).off());
    }
}
