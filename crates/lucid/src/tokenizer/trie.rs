//! A prefix tree over bytes: every entry that a text begins with, in one walk.

use std::collections::VecDeque;

/// A set of byte strings with a number each. The children of a node lie side by side, sorted.
#[derive(Clone, Debug)]
pub(super) struct Trie {
    /// Where the edges of each node begin; one entry more than there are nodes.
    edges: Vec<u32>,
    labels: Vec<u8>,
    targets: Vec<u32>,
    /// The number of the entry that ends at each node.
    values: Vec<Option<u32>>,
    /// The children of the root, where most walks end.
    root: Box<[u32; 256]>,
}

/// No node.
const NONE: u32 = u32::MAX;

impl Trie {
    /// The tree of `entries`; of equal ones, the first counts. Empty ones are left out.
    pub(super) fn new(mut entries: Vec<(&[u8], u32)>) -> Trie {
        entries.retain(|(text, _)| !text.is_empty());
        entries.sort_by_key(|(text, _)| *text); // stable
        let mut trie = Trie {
            edges: Vec::new(),
            labels: Vec::new(),
            targets: Vec::new(),
            values: Vec::new(),
            root: [NONE; 256].into(),
        };
        // level by level, so that the children of a node are numbered in a row
        let mut open = VecDeque::from([(0, entries.len(), 0)]);
        let mut nodes = 1;
        while let Some((mut from, to, depth)) = open.pop_front() {
            let mut value = None;
            while from < to && entries[from].0.len() == depth {
                value = value.or(Some(entries[from].1));
                from += 1;
            }
            trie.values.push(value);
            trie.edges.push(trie.labels.len() as u32);
            while from < to {
                let label = entries[from].0[depth];
                let group = from + entries[from..to].partition_point(|(text, _)| text[depth] == label);
                trie.labels.push(label);
                trie.targets.push(nodes);
                nodes += 1;
                open.push_back((from, group, depth + 1));
                from = group;
            }
        }
        trie.edges.push(trie.labels.len() as u32);
        for edge in 0..trie.edges[1] as usize {
            trie.root[trie.labels[edge] as usize] = trie.targets[edge];
        }
        trie
    }

    /// The entries that `text` begins with, shortest first: length and number.
    pub(super) fn prefixes(&self, text: &[u8]) -> impl Iterator<Item = (usize, u32)> {
        let mut node = 0;
        let mut len = 0;
        std::iter::from_fn(move || {
            loop {
                node = self.child(node, *text.get(len)?)?;
                len += 1;
                if let Some(value) = self.values[node as usize] {
                    return Some((len, value));
                }
            }
        })
    }

    fn child(&self, node: u32, label: u8) -> Option<u32> {
        if node == 0 {
            return Some(self.root[label as usize]).filter(|&n| n != NONE);
        }
        let (from, to) = (self.edges[node as usize] as usize, self.edges[node as usize + 1] as usize);
        let at = self.labels[from..to].binary_search(&label).ok()?;
        Some(self.targets[from + at])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_prefix_is_found_shortest_first() {
        let entries = ["he", "hers", "his", "she", "h", "he", ""];
        let trie = Trie::new(entries.iter().zip(0..).map(|(e, i)| (e.as_bytes(), i)).collect());
        let found = |text: &str| trie.prefixes(text.as_bytes()).collect::<Vec<_>>();
        assert_eq!(found("hers"), [(1, 4), (2, 0), (4, 1)]);
        assert_eq!(found("she"), [(3, 3)]);
        assert_eq!(found("x"), []);
        assert_eq!(found(""), []);
        assert_eq!(Trie::new(Vec::new()).prefixes(b"a").count(), 0);
    }
}
