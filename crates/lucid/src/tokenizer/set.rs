//! A set of characters: one bit each, with equal blocks stored once.

use regex_syntax::{
    ParserBuilder,
    hir::{Class, HirKind},
};
use std::collections::HashMap;

/// Code points per block.
const BLOCK: usize = 256;

/// A set of characters. Looking one up is two loads, or one for ASCII.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Set {
    ascii: u128,
    /// For every 256 code points, which block holds their bits.
    index: Box<[u16]>,
    blocks: Vec<[u64; BLOCK / 64]>,
}

impl Set {
    /// The class that `source` writes: `[^\s\p{L}]`, `\p{N}`, `a`.
    pub(super) fn parse(source: &str, ignore_case: bool) -> Result<Set, String> {
        let wrong = || format!("{source} is no class of characters");
        let hir = ParserBuilder::new().case_insensitive(ignore_case).build().parse(source).map_err(|_| wrong())?;
        match hir.kind() {
            HirKind::Class(Class::Unicode(class)) => Ok(Set::new(class.iter().map(|r| (r.start(), r.end())))),
            HirKind::Literal(literal) => {
                let mut chars = std::str::from_utf8(&literal.0).map_err(|_| wrong())?.chars();
                match (chars.next(), chars.next()) {
                    (Some(c), None) => Ok(Set::new([(c, c)].into_iter())),
                    _ => Err(wrong()),
                }
            }
            _ => Err(wrong()),
        }
    }

    /// The characters from the first to the last of each range.
    fn new(ranges: impl Iterator<Item = (char, char)>) -> Set {
        let mut bits = vec![[0u64; BLOCK / 64]; (char::MAX as usize + 1) / BLOCK];
        for (first, last) in ranges {
            let (first, last) = (first as usize, last as usize);
            for word in first / 64..=last / 64 {
                let low = first.max(word * 64) % 64;
                let high = last.min(word * 64 + 63) % 64;
                bits[word / 4][word % 4] |= (u64::MAX << low) & (u64::MAX >> (63 - high));
            }
        }
        let ascii = u128::from(bits[0][0]) | u128::from(bits[0][1]) << 64;
        // most blocks are empty, and many of the rest full
        let mut blocks = Vec::new();
        let mut known = HashMap::new();
        let mut number = |block| {
            *known.entry(block).or_insert_with(|| {
                blocks.push(block);
                blocks.len() as u16 - 1 // of at most 4352
            })
        };
        let index = bits.into_iter().map(&mut number).collect();
        Set { ascii, index, blocks }
    }

    /// Whether the ASCII character `byte` is in it.
    pub(super) fn has_ascii(&self, byte: u8) -> bool {
        self.ascii >> (byte & 0x7f) & 1 == 1
    }

    /// Whether `c` is in it.
    pub(super) fn has(&self, c: char) -> bool {
        let c = c as usize;
        let block = &self.blocks[self.index[c / BLOCK] as usize];
        block[c % BLOCK / 64] >> (c % 64) & 1 == 1
    }
}
