//! A prefix tree over bytes: every entry that a text begins with, in one walk.

/// A set of byte strings with a number each.
///
/// The children of a node are numbered in a row, in the order of their bytes. A node with up to eight of them holds these
/// bytes in one integer, which is compared with a byte of text in one go; one with more has a table.
#[derive(Clone, Debug)]
pub(super) struct Trie {
    nodes: Vec<Node>,
    /// For nodes with more than eight children: the child for each byte, or `NONE`.
    tables: Vec<[u32; 256]>,
    /// Bytes of the longest entry.
    pub(super) depth: usize,
}

#[derive(Clone, Copy, Debug)]
struct Node {
    /// The bytes of the children, the first in the lowest place; places that are left over repeat it.
    bytes: u64,
    /// The first child, or which table, or `NONE`: a leaf.
    first: u32,
    /// The number of the entry that ends here, or `NONE`.
    value: u32,
}

/// No node, no entry.
const NONE: u32 = u32::MAX;
/// `Node::first` is a table.
const TABLE: u32 = 1 << 31;
/// The lowest and the highest bit of every byte.
const LOW: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x8080_8080_8080_8080;

impl Trie {
    /// The tree of `entries`; of equal ones, the first counts. Empty ones are left out.
    pub(super) fn new(mut entries: Vec<(&[u8], u32)>) -> Trie {
        entries.retain(|(text, _)| !text.is_empty());
        entries.sort_by_key(|(text, _)| *text); // stable
        let leaf = Node { bytes: 0, first: NONE, value: NONE };
        let deepest = entries.iter().map(|(text, _)| text.len()).max();
        let mut trie = Trie { nodes: vec![leaf], tables: Vec::new(), depth: deepest.unwrap_or_default() };
        // depth first, so that what is walked through in one go lies together
        let mut open = vec![(0, 0, entries.len(), 0)];
        while let Some((node, mut from, to, depth)) = open.pop() {
            let mut value = NONE;
            while from < to && entries[from].0.len() == depth {
                value = if value == NONE { entries[from].1 } else { value };
                from += 1;
            }
            let known = trie.nodes.len();
            let mut children = Vec::new();
            while from < to {
                let byte = entries[from].0[depth];
                let group = from + entries[from..to].partition_point(|(text, _)| text[depth] == byte);
                open.push((known + children.len(), from, group, depth + 1));
                children.push(byte);
                from = group;
            }
            trie.nodes.resize(known + children.len(), leaf);
            let (bytes, first) = trie.edges(&children, known as u32);
            trie.nodes[node] = Node { bytes, first, value };
        }
        trie
    }

    /// How a node knows its children, the first of which is `known`.
    fn edges(&mut self, children: &[u8], known: u32) -> (u64, u32) {
        match children {
            [] => (0, NONE),
            [first, ..] if children.len() <= 8 => {
                let mut bytes = [*first; 8];
                bytes[..children.len()].copy_from_slice(children);
                (u64::from_le_bytes(bytes), known)
            }
            _ => {
                let mut table = [NONE; 256];
                children.iter().zip(known..).for_each(|(&byte, child)| table[byte as usize] = child);
                self.tables.push(table);
                (0, TABLE | (self.tables.len() - 1) as u32)
            }
        }
    }

    /// The entries that `text` begins with, shortest first: length and number.
    pub(super) fn prefixes(&self, text: &[u8]) -> impl Iterator<Item = (usize, u32)> {
        let mut node = self.nodes[0];
        let mut bytes = text.iter().enumerate();
        std::iter::from_fn(move || {
            for (at, &byte) in bytes.by_ref() {
                node = self.nodes[self.child(node, byte)?];
                if node.value != NONE {
                    return Some((at + 1, node.value));
                }
            }
            None
        })
    }

    /// Whether an entry begins with this byte.
    pub(super) fn begins_with(&self, byte: u8) -> bool {
        self.child(self.nodes[0], byte).is_some()
    }

    fn child(&self, node: Node, byte: u8) -> Option<usize> {
        if node.first & TABLE == 0 {
            // where the bytes agree there is a zero now, and the lowest zero is the only one whose mark can be trusted
            let differing = node.bytes ^ (LOW * u64::from(byte));
            let zeros = differing.wrapping_sub(LOW) & !differing & HIGH;
            return (zeros != 0).then(|| (node.first + zeros.trailing_zeros() / 8) as usize);
        }
        if node.first == NONE {
            return None;
        }
        Some(self.tables[(node.first ^ TABLE) as usize][byte as usize]).filter(|&n| n != NONE).map(|n| n as usize)
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

    /// Nodes with one child, with eight, with nine and with all, beside a search through the list.
    #[test]
    fn nodes_of_every_width_find_their_children() {
        let mut entries: Vec<Vec<u8>> = Vec::new();
        for (first, width) in [(0, 1), (1, 2), (7, 8), (8, 9), (127, 128), (255, 256)] {
            entries.extend((0..width).map(|i| vec![first as u8, (i * 255 / width.max(2)) as u8]));
            entries.extend((0..width).map(|i| vec![first as u8, (255 - i) as u8, 0]));
        }
        let mut sorted = entries.clone();
        sorted.sort();
        sorted.dedup();
        let trie = Trie::new(sorted.iter().zip(0..).map(|(e, i)| (&e[..], i)).collect());
        for text in (0..1u32 << 16).flat_map(|n| [[(n >> 8) as u8, n as u8, 0], [(n >> 8) as u8, n as u8, 255]]) {
            let listed = |len: usize| sorted.binary_search_by(|e| e[..].cmp(&text[..len])).ok();
            let expected: Vec<_> = (1..=3).filter_map(|len| Some((len, listed(len)? as u32))).collect();
            assert_eq!(trie.prefixes(&text).collect::<Vec<_>>(), expected, "{text:?}");
        }
    }
}
