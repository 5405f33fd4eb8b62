//! The GGUF reader on files that are nearly valid, and the writer on whatever can be written.

#[path = "common/gguf.rs"]
mod common;

use lucid::file::gguf::{Array, Draft, Gguf, Value};
use lucid_kernels::formats::Format;
use proptest::{collection::vec, prelude::*, sample::Index};
use std::{collections::HashSet, path::Path};

/// One change to the bytes of a file.
#[derive(Clone, Debug)]
enum Mutation {
    Set(Index, u8),
    /// Eight bytes that are a count, length, size or offset somebody hopes is not checked.
    Number(Index, u64),
    Truncate(Index),
    Insert(Index, Vec<u8>),
    Remove(Index, usize),
    Swap(Index, Index),
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let numbers = prop_oneof![
        0u64..40,
        any::<u64>(),
        (0u32..64, 0u64..3).prop_map(|(bit, less)| (1u64 << bit).wrapping_sub(less)),
        (0u64..256).prop_map(|n| 0u64.wrapping_sub(n)),
    ];
    prop_oneof![
        4 => (any::<Index>(), any::<u8>()).prop_map(|(at, v)| Mutation::Set(at, v)),
        4 => (any::<Index>(), 0u8..20).prop_map(|(at, v)| Mutation::Set(at, v)),
        4 => (any::<Index>(), numbers).prop_map(|(at, v)| Mutation::Number(at, v)),
        1 => any::<Index>().prop_map(Mutation::Truncate),
        1 => (any::<Index>(), vec(any::<u8>(), 1..40)).prop_map(|(at, v)| Mutation::Insert(at, v)),
        1 => (any::<Index>(), 1usize..40).prop_map(|(at, n)| Mutation::Remove(at, n)),
        1 => (any::<Index>(), any::<Index>()).prop_map(|(a, b)| Mutation::Swap(a, b)),
    ]
}

fn apply(bytes: &mut Vec<u8>, mutation: &Mutation) {
    if bytes.is_empty() {
        return;
    }
    match mutation {
        Mutation::Set(at, v) => {
            let at = at.index(bytes.len());
            bytes[at] = *v;
        }
        Mutation::Number(at, v) => {
            let at = at.index(bytes.len());
            bytes[at..].iter_mut().zip(v.to_le_bytes()).for_each(|(b, v)| *b = v);
        }
        Mutation::Truncate(at) => bytes.truncate(at.index(bytes.len())),
        Mutation::Insert(at, v) => {
            let at = at.index(bytes.len());
            bytes.splice(at..at, v.iter().copied());
        }
        Mutation::Remove(at, n) => {
            let at = at.index(bytes.len());
            bytes.drain(at..bytes.len().min(at + n));
        }
        Mutation::Swap(a, b) => {
            let (a, b) = (a.index(bytes.len()), b.index(bytes.len()));
            bytes.swap(a, b);
        }
    }
}

/// Any value; the bytes of arrays are kept beside.
#[derive(Clone, Debug)]
enum Owned {
    Integer(i64),
    Float(f32),
    Bool(bool),
    Text(String),
    Strings(Vec<Vec<u8>>),
    Floats(Vec<f32>),
    Shorts(Vec<u16>),
}

fn owned() -> impl Strategy<Value = Owned> {
    prop_oneof![
        any::<i64>().prop_map(Owned::Integer),
        any::<f32>().prop_map(Owned::Float),
        any::<bool>().prop_map(Owned::Bool),
        ".{0,20}".prop_map(Owned::Text),
        vec(vec(any::<u8>(), 0..6), 0..6).prop_map(Owned::Strings),
        vec(any::<f32>(), 0..6).prop_map(Owned::Floats),
        vec(any::<u16>(), 0..6).prop_map(Owned::Shorts),
    ]
}

/// A format, blocks in a row, and the outer sizes.
fn tensor() -> impl Strategy<Value = (Format, usize, Vec<usize>)> {
    (prop::sample::select(Format::ALL), 1usize..3, vec(1usize..4, 0..4))
}

/// Failures are shown shrunk; no file keeps them.
fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(cases(20_000))]

    #[test]
    fn a_mutated_file_is_refused_or_consistent(which in any::<Index>(), mutations in vec(mutation(), 1..5)) {
        let seeds = common::seeds();
        let mut bytes = seeds[which.index(seeds.len())].1.clone();
        mutations.iter().for_each(|m| apply(&mut bytes, m));
        common::check(&bytes);
    }
}

proptest! {
    #![proptest_config(cases(2_000))]

    #[test]
    fn what_is_written_reads_back(
        keys in vec((".{1,12}", owned()), 0..8),
        tensors in vec((".{1,12}", tensor()), 0..6),
        alignment in (3u32..13).prop_map(|bits| 1u32 << bits),
        data in any::<u8>(),
    ) {
        let (mut draft, mut expected, mut names) = (Draft::new(), Vec::new(), HashSet::new());
        draft.set("general.alignment", Value::U32(alignment)).unwrap();
        for (key, value) in &keys {
            match value {
                Owned::Integer(v) => draft.set(key, Value::I64(*v)).unwrap(),
                Owned::Float(v) => draft.set(key, Value::F32(*v)).unwrap(),
                Owned::Bool(v) => draft.set(key, Value::Bool(*v)).unwrap(),
                Owned::Text(v) => draft.set(key, Value::String(v)).unwrap(),
                Owned::Strings(v) => draft.set_strings(key, v).unwrap(),
                Owned::Floats(v) => draft.set(key, Value::Array(Array::from(&v[..]))).unwrap(),
                Owned::Shorts(v) => draft.set(key, Value::Array(Array::from(&v[..]))).unwrap(),
            }
        }
        for (name, (format, blocks, outer)) in &tensors {
            let mut shape = outer.clone();
            shape.push(blocks * format.block_len());
            if name.len() <= 64 && names.insert(name) {
                draft.tensor(name, &shape, *format).unwrap();
                expected.push((name, shape, *format));
            }
        }
        let mut bytes = draft.header().unwrap();
        for (_, shape, format) in &expected {
            let rows: usize = shape[..shape.len() - 1].iter().product();
            let len = rows * format.row_bytes(shape[shape.len() - 1]).unwrap();
            bytes.resize((bytes.len() + len).next_multiple_of(alignment as usize), data);
        }
        prop_assert!(common::check(&bytes));
        let file = Gguf::parse(Path::new("written"), bytes).unwrap();
        prop_assert_eq!(file.alignment, alignment as usize);
        let found: Vec<_> = file.tensors().map(|t| (t.name.to_owned(), t.shape.to_vec(), t.format)).collect();
        let expected: Vec<_> = expected.into_iter().map(|(n, s, f)| (n.clone(), s, Some(f))).collect();
        prop_assert_eq!(found, expected);
        // The last value of a key that was set twice is the one that stays.
        for (key, value) in keys.iter().rev().filter({
            let mut seen = HashSet::new();
            move |(key, _)| seen.insert(key.clone())
        }) {
            let md = &file.metadata;
            match value {
                Owned::Integer(v) => prop_assert_eq!(md.find::<i64>(key).unwrap(), Some(*v)),
                Owned::Float(v) => prop_assert_eq!(md.f32(key).unwrap().to_bits(), v.to_bits()),
                Owned::Bool(v) => prop_assert_eq!(md.bool(key).unwrap(), *v),
                Owned::Text(v) => prop_assert_eq!(md.string(key).unwrap(), v),
                Owned::Strings(v) => prop_assert!(md.strings(key).unwrap().eq(v.iter().map(|s| &s[..]))),
                Owned::Floats(v) => {
                    prop_assert!(md.f32s(key).unwrap().map(f32::to_bits).eq(v.iter().map(|x| x.to_bits())))
                }
                Owned::Shorts(v) => prop_assert!(md.u32s(key).unwrap().eq(v.iter().map(|&x| u32::from(x)))),
            }
        }
    }
}

#[test]
fn the_files_to_mutate_are_valid() {
    for (name, bytes) in common::seeds() {
        assert!(common::check(&bytes), "{name}");
    }
}
