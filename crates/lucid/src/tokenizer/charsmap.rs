//! SentencePiece's table of normalisations: which text is written how, compiled into one blob.
//!
//! ```text
//! ┌──────────┬──────────────────────────┬─────────────────────────────────────────────┐
//! │ size u32 │ double array: size bytes │ what is written instead, each ended by a 0  │
//! └──────────┴──────────────────────────┴─────────────────────────────────────────────┘
//!   a unit of the array (u32):  31 bit value of a leaf
//!                               or  offset (22 bits)  wide?  leaf follows?  label (8 bits)
//! ```
//!
//! The array is a prefix tree over bytes. The child of a node for byte `b` stands at `node ^ offset(node) ^ b`, and is one
//! when its label is `b`; the value of a node that has one stands at `node ^ offset(node)`, and is a place in the texts.

/// The table. What is damaged in it maps nothing; no walk leaves it or goes on for long.
#[derive(Debug)]
pub(super) struct Charsmap {
    units: Vec<u32>,
    texts: Vec<u8>,
}

/// Real keys have at most some 20 bytes; a damaged array can lead in circles.
const LONGEST_KEY: usize = 64;

impl Charsmap {
    /// Reads a blob. An empty one is no table.
    pub(super) fn new(blob: &[u8]) -> Result<Option<Charsmap>, String> {
        if blob.is_empty() {
            return Ok(None);
        }
        let wrong = || "the character map is damaged: its size and that of its array do not agree".to_owned();
        let (size, rest) = blob.split_first_chunk().ok_or_else(wrong)?;
        let (array, texts) = rest.split_at_checked(u32::from_le_bytes(*size) as usize).ok_or_else(wrong)?;
        let (units, over) = array.as_chunks();
        if units.is_empty() || !over.is_empty() || texts.last() != Some(&0) {
            return Err(wrong());
        }
        Ok(Some(Charsmap {
            units: units.iter().map(|unit| u32::from_le_bytes(*unit)).collect(),
            texts: texts.to_vec(),
        }))
    }

    /// What is written for the longest key that `text` begins with, and the length of that key.
    pub(super) fn longest(&self, text: &str) -> Option<(usize, &str)> {
        // a key may end within a character only in a damaged table
        self.prefixes(text.as_bytes()).filter(|&(len, _)| text.is_char_boundary(len)).last()
    }

    /// What is written for the shortest key that `text` begins with.
    pub(super) fn shortest(&self, text: &str) -> Option<&str> {
        self.prefixes(text.as_bytes()).next().map(|(_, written)| written)
    }

    /// Whether a key may go on after these bytes, or end with them.
    pub(super) fn begins_with(&self, bytes: &[u8]) -> bool {
        let mut base = self.root();
        bytes.iter().all(|&byte| {
            self.step(base, byte).is_some_and(|(next, _)| {
                base = next;
                true
            })
        })
    }

    /// What is written for the keys that `text` begins with, shortest first, and how long they are.
    fn prefixes(&self, text: &[u8]) -> impl Iterator<Item = (usize, &str)> {
        let mut bytes = text.iter().take(LONGEST_KEY).enumerate();
        let mut base = self.root();
        std::iter::from_fn(move || {
            for (at, &byte) in bytes.by_ref() {
                let (next, ends) = self.step(base, byte)?;
                base = next;
                if ends {
                    let value = self.units.get(base).map(|value| (value & 0x7fff_ffff) as usize)?;
                    let written = self.texts.get(value..)?.split(|&b| b == 0).next()?;
                    return Some((at + 1, std::str::from_utf8(written).ok()?));
                }
            }
            None
        })
    }

    fn root(&self) -> usize {
        self.units.first().map_or(0, |&unit| offset(unit))
    }

    /// Where the children of a child lie, and whether a key ends there. `base` is where it lies with its siblings.
    fn step(&self, base: usize, byte: u8) -> Option<(usize, bool)> {
        let node = base ^ byte as usize;
        let unit = *self.units.get(node)?;
        // the highest bit marks values, which are no nodes
        let is_child = byte != 0 && unit & (1 << 31 | 0xff) == u32::from(byte);
        is_child.then(|| (node ^ offset(unit), unit & 1 << 8 != 0))
    }
}

/// How far the children of a node are from it.
fn offset(unit: u32) -> usize {
    (unit >> 10 << ((unit & 1 << 9) >> 6)) as usize
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A table of two keys, "a" written "xy" and "ab" written "", laid out by hand: the root's children start at 256.
    pub(in crate::tokenizer) fn table() -> Vec<u8> {
        let mut units = vec![0u32; 1024];
        units[0] = 256 << 10;
        let a = 256 ^ b'a' as usize;
        units[a] = 512 << 10 | 1 << 8 | u32::from(b'a');
        let base = a ^ 512;
        units[base] = 1 << 31 | 1; // at "xy"
        let b = base ^ b'b' as usize;
        units[b] = 4 << 10 | 1 << 8 | u32::from(b'b');
        units[b ^ 4] = 1 << 31; // at the empty text
        let mut blob = 4096u32.to_le_bytes().to_vec();
        blob.extend(units.iter().flat_map(|unit| unit.to_le_bytes()));
        blob.extend(b"\0xy\0");
        blob
    }

    #[test]
    fn keys_are_found_by_prefix() {
        let map = Charsmap::new(&table()).unwrap().unwrap();
        assert_eq!(map.longest("abc"), Some((2, "")));
        assert_eq!(map.shortest("abc"), Some("xy"));
        assert_eq!(map.longest("a"), Some((1, "xy")));
        assert_eq!(map.longest("b"), None);
        assert_eq!(map.longest(""), None);
        assert_eq!(map.longest("\0"), None);
        let beginnings: [&[u8]; 5] = [b"", b"a", b"ab", b"abc", b"b"];
        assert_eq!(beginnings.map(|text| map.begins_with(text)), [true, true, true, false, false]);
    }

    #[test]
    fn damage_is_refused_or_maps_nothing() {
        assert!(Charsmap::new(&[]).unwrap().is_none());
        let whole = table();
        for cut in [1, 3, 4, 100, 4100, whole.len() - 1] {
            assert!(Charsmap::new(&whole[..cut]).is_err(), "{cut}");
        }
        // every byte in turn replaced: whatever is found, the search ends
        for at in 4..whole.len() - 1 {
            let mut blob = whole.clone();
            blob[at] ^= 0xff;
            if let Ok(Some(map)) = Charsmap::new(&blob) {
                assert!(map.prefixes("abab".as_bytes()).count() <= 4);
            }
        }
        // a leaf that is its own child
        let mut units = [0u32; 256];
        units[0] = 0;
        units[b'a' as usize] = u32::from(b'a') << 10 | 1 << 8 | u32::from(b'a');
        let mut blob = 1024u32.to_le_bytes().to_vec();
        blob.extend(units.iter().flat_map(|unit| unit.to_le_bytes()));
        blob.push(0);
        let map = Charsmap::new(&blob).unwrap().unwrap();
        assert!(map.prefixes("a".repeat(1000).as_bytes()).count() <= LONGEST_KEY);
    }
}
