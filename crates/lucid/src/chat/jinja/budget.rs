//! What a template may spend: steps, and memory counted in steps.

use super::{Run, Stop};
use std::cell::Cell;

/// What rendering may cost, whatever it is given: about half a second, and no more than some 300 MB.
const BASE: u64 = 8_000_000;

/// For every step that converting the variables took. A long conversation may take longer than a short one.
const PER_INPUT: u64 = 40;

/// How deep evaluation may nest: macros that call each other above all. Real templates reach 60.
const LEVELS: usize = 400;

/// How many bytes cost as much as evaluating a node.
const BYTES: usize = 32;

/// What is left.
#[derive(Debug)]
pub(super) struct Budget {
    steps: Cell<u64>,
    level: Cell<usize>,
}

impl Budget {
    /// Enough to convert variables of any size: they are the user's own.
    pub(super) fn unlimited() -> Budget {
        Budget { steps: Cell::new(u64::MAX), level: Cell::new(0) }
    }

    /// The budget of a template, after `input` was spent on what it is given.
    pub(super) fn after(input: &Budget) -> Budget {
        let spent = u64::MAX - input.steps.get();
        Budget { steps: Cell::new(BASE.saturating_add(spent.saturating_mul(PER_INPUT))), level: Cell::new(0) }
    }

    /// Spends `n` steps.
    pub(super) fn steps(&self, n: usize) -> Run<()> {
        match self.steps.get().checked_sub(n as u64) {
            Some(left) => {
                self.steps.set(left);
                Ok(())
            }
            None => exhausted("takes more steps or memory than a template may have"),
        }
    }

    /// Spends what building, copying or searching `n` bytes costs. To be called before they are built.
    pub(super) fn bytes(&self, n: usize) -> Run<()> {
        self.steps(1 + n / BYTES)
    }

    /// Spends what searching `n` bytes for a text costs, or taking them apart: more than copying them.
    pub(super) fn search(&self, n: usize) -> Run<()> {
        self.steps(1 + n / 8)
    }

    /// Spends what a list of `n` values costs.
    pub(super) fn values(&self, n: usize) -> Run<()> {
        self.steps(n.saturating_mul(2))
    }

    /// Goes one level deeper, and comes back with [`leave`](Budget::leave).
    pub(super) fn enter(&self) -> Run<()> {
        self.level.set(self.level.get() + 1);
        match self.level.get() > LEVELS {
            true => exhausted(format!("nests deeper than {LEVELS} levels when it runs: a macro that calls itself?")),
            false => self.steps(1),
        }
    }

    /// Comes back from one level deeper. After an error nobody does: it ends everything.
    pub(super) fn leave(&self) {
        self.level.set(self.level.get() - 1);
    }
}

/// The error of asking for too much.
pub(super) fn exhausted<T>(what: impl Into<String>) -> Run<T> {
    Err(Stop::Exhausted(what.into()))
}
