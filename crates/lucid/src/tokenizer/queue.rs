//! Which of many merges comes next: the lowest rank, and of equal ranks the leftmost.
//!
//! A heap does for words. A piece of a million letters would make it jump around in megabytes of memory; there, merges wait
//! in one list for each rank instead. Such a list is written nearly in order and read in order, so that it costs as much per
//! merge however long the piece is.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap},
};

/// Entries in order. Made anew for every piece; `clear` keeps its memory.
#[derive(Debug)]
pub(super) struct Queue<T> {
    /// Where all entries are, unless there are many.
    heap: BinaryHeap<Reverse<T>>,
    many: Option<Box<Many<T>>>,
}

/// Entries by rank.
#[derive(Debug)]
struct Many<T> {
    /// The rank whose entries are being taken.
    rank: u32,
    /// Its entries in order, and how many of them are taken.
    now: Vec<T>,
    taken: usize,
    /// More of them, that came since.
    late: BinaryHeap<Reverse<T>>,
    /// Those of the other ranks, in no order.
    later: HashMap<u32, Vec<T>>,
    /// The ranks that `later` has.
    ranks: BinaryHeap<Reverse<u32>>,
}

/// What is ordered by a rank before anything else.
pub(super) trait Ranked: Copy + Ord {
    fn rank(&self) -> u32;
}

impl<T: Ord> Default for Queue<T> {
    fn default() -> Self {
        Queue { heap: BinaryHeap::new(), many: None }
    }
}

/// From so many symbols on a piece is long.
const LONG: usize = 4096;

impl<T: Ranked> Queue<T> {
    /// Empties it, for a piece of `len` symbols.
    pub(super) fn begin(&mut self, len: usize) {
        self.heap.clear();
        self.many = (len >= LONG).then(|| {
            Box::new(Many {
                rank: 0,
                now: Vec::new(),
                taken: 0,
                late: BinaryHeap::new(),
                later: HashMap::new(),
                ranks: BinaryHeap::new(),
            })
        });
    }

    pub(super) fn push(&mut self, entry: T) {
        match &mut self.many {
            None => self.heap.push(Reverse(entry)),
            Some(many) => many.push(entry),
        }
    }

    pub(super) fn pop(&mut self) -> Option<T> {
        match &mut self.many {
            None => self.heap.pop().map(|Reverse(entry)| entry),
            Some(many) => many.pop(),
        }
    }
}

impl<T: Ranked> Many<T> {
    fn push(&mut self, entry: T) {
        let rank = entry.rank();
        if rank == self.rank {
            return self.late.push(Reverse(entry));
        }
        self.later.entry(rank).or_insert_with(|| {
            self.ranks.push(Reverse(rank));
            Vec::new()
        });
        if let Some(list) = self.later.get_mut(&rank) {
            list.push(entry);
        }
    }

    fn pop(&mut self) -> Option<T> {
        loop {
            let is_done = self.taken == self.now.len() && self.late.is_empty();
            match self.ranks.peek() {
                Some(&Reverse(rank)) if is_done || rank < self.rank => self.turn_to(rank),
                _ if is_done => return None,
                _ => break,
            }
        }
        let now = self.now.get(self.taken);
        if let Some(Reverse(late)) = self.late.peek()
            && now.is_none_or(|now| late < now)
        {
            return self.late.pop().map(|Reverse(entry)| entry);
        }
        self.taken += 1;
        now.copied()
    }

    /// Takes the entries of `rank` from here on, and puts back what is left of those before.
    fn turn_to(&mut self, rank: u32) {
        self.ranks.pop();
        let mut left = self.now.split_off(self.taken);
        left.extend(self.late.drain().map(|Reverse(entry)| entry));
        if !left.is_empty() {
            self.later.insert(self.rank, left);
            self.ranks.push(Reverse(self.rank));
        }
        self.rank = rank;
        self.taken = 0;
        self.now = self.later.remove(&rank).unwrap_or_default();
        self.now.sort(); // it is made of runs in order, which this sort makes use of
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Ranked for (u32, u32) {
        fn rank(&self) -> u32 {
            self.0
        }
    }

    #[test]
    fn many_entries_come_in_the_order_of_the_heap() {
        let (mut few, mut many) = (Queue::default(), Queue::default());
        few.begin(1);
        many.begin(LONG);
        assert!(few.many.is_none() && many.many.is_some());
        let mut state = 1u64;
        let mut draw = |n: u64| {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            ((state >> 33) % n) as u32
        };
        for round in 0..20_000 {
            // fuller and emptier, with ranks lower than the one that is being taken, and equal to it
            if draw(100) < if round % 4000 < 2000 { 70 } else { 30 } {
                let entry = (draw(12), draw(500));
                few.push(entry);
                many.push(entry);
            } else {
                assert_eq!(few.pop(), many.pop());
            }
        }
        while let Some(entry) = few.pop() {
            assert_eq!(many.pop(), Some(entry));
        }
        assert_eq!(many.pop(), None);
        many.push((3, 1));
        assert_eq!((many.pop(), many.pop()), (Some((3, 1)), None));
    }
}
