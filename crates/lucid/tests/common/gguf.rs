//! Small valid GGUF files, and what must hold of any file that is accepted. For the property tests and the fuzzer.

use lucid::file::gguf::{Array, Draft, Gguf, Type, Value};
use lucid_kernels::formats::Format;
use std::{collections::HashSet, path::Path};

/// Valid files to start mutating from: between them they hold every type of value, several formats, every rank, holes.
pub fn seeds() -> Vec<(&'static str, Vec<u8>)> {
    let mut scalars = Draft::new();
    let values = [
        ("u8", Value::U8(1)),
        ("i8", Value::I8(-1)),
        ("u16", Value::U16(2)),
        ("i16", Value::I16(-2)),
        ("u32", Value::U32(3)),
        ("i32", Value::I32(-3)),
        ("f32", Value::F32(0.5)),
        ("bool", Value::Bool(true)),
        ("general.architecture", Value::String("llama")),
        ("u64", Value::U64(4)),
        ("i64", Value::I64(-4)),
        ("f64", Value::F64(-0.25)),
    ];
    values.iter().for_each(|(key, value)| scalars.set(key, *value).unwrap());

    let mut arrays = Draft::new();
    arrays.set_strings("tokenizer.ggml.tokens", [&b"<s>"[..], b"a", b"\xff", b""]).unwrap();
    arrays.set("tokenizer.ggml.scores", Value::Array(Array::from(&[0.0f32, -1.0, -2.0, f32::NAN][..]))).unwrap();
    arrays.set("tokenizer.ggml.token_type", Value::Array(Array::from(&[3i32, 1, 6, 1][..]))).unwrap();
    arrays.set("flags", Value::Array(Array::from(&[true, false][..]))).unwrap();
    arrays.set("none", Value::Array(Array::from(&[0u64; 0][..]))).unwrap();

    let mut tensors = Draft::new();
    tensors.set("general.alignment", Value::U32(16)).unwrap();
    tensors.set("split.count", Value::U16(1)).unwrap();
    tensors.tensor("token_embd.weight", &[2, 32], Format::Q8_0).unwrap();
    tensors.tensor("blk.0.attn_norm.weight", &[5], Format::F32).unwrap();
    tensors.tensor("scalar", &[], Format::F16).unwrap();
    tensors.tensor("cube", &[1, 2, 3, 4], Format::I8).unwrap();

    let mut blocks = Draft::new();
    blocks.tensor("q4_0", &[1, 64], Format::Q4_0).unwrap();
    blocks.tensor("bf16", &[2, 3, 2], Format::BF16).unwrap();

    let whole = |draft: Draft, data: usize| {
        let mut bytes = draft.header().unwrap();
        bytes.resize(bytes.len() + data, 0x5a);
        bytes
    };
    let mut holes = whole(blocks.clone(), 160);
    // The offset of the second tensor, 64 after the 36 bytes of the first: one place further, with a hole before it.
    let offset = holes.windows(8).rposition(|w| w == 64u64.to_le_bytes()).unwrap();
    holes[offset..offset + 8].copy_from_slice(&128u64.to_le_bytes());
    let mut second = whole(scalars.clone(), 0);
    second[4] = 2;
    vec![
        ("empty", whole(Draft::new(), 0)),
        ("scalars", whole(scalars, 0)),
        ("version-2", second),
        ("arrays", whole(arrays, 0)),
        ("tensors", whole(tensors, 80 + 32 + 16 + 32)),
        ("blocks", whole(blocks, 64 + 24)),
        ("holes", holes),
    ]
}

/// Reads `bytes`. When they are accepted, everything that the reader promises is checked, and the file is written again
/// and read back.
///
/// # Panics
/// If a promise is broken.
pub fn check(bytes: &[u8]) -> bool {
    let path = Path::new("checked.gguf");
    let bytes = bytes.to_vec();
    let (begin, len) = (bytes.as_ptr() as usize, bytes.len());
    let file = match Gguf::parse(path, bytes) {
        Ok(file) => file,
        Err(error) => {
            assert!(error.to_string().starts_with("checked.gguf: ") && !error.to_string().contains('\n'), "{error}");
            return false;
        }
    };
    assert!(file.version == 2 || file.version == 3);
    assert!(file.alignment.is_power_of_two() && file.parts.len() == 1);

    let (mut end, mut names) = (begin, HashSet::new());
    for t in file.tensors() {
        let start = t.bytes.as_ptr() as usize;
        assert!(start >= end && start + t.bytes.len() <= begin + len, "{} lies outside or overlaps", t.name);
        end = start + t.bytes.len();
        let row = t.format.unwrap().row_bytes(t.shape.last().copied().unwrap_or(1)).unwrap();
        let rows: usize = t.shape.iter().rev().skip(1).product();
        assert_eq!(t.bytes.len(), row * rows, "{}", t.name);
        assert!(t.shape.len() <= 4 && !t.shape.contains(&0) && !t.bytes.is_empty());
        assert!(names.insert(t.name), "{} twice", t.name);
        let found = file.tensor(t.name).unwrap();
        assert_eq!((found.bytes.as_ptr(), found.shape), (t.bytes.as_ptr(), t.shape));
    }

    let mut keys = HashSet::new();
    for (key, value) in file.metadata.iter() {
        assert!(!key.is_empty() && keys.insert(key), "{key} twice");
        let found = file.metadata.get(key).unwrap();
        assert_eq!(format!("{found:?}"), format!("{value:?}")); // Debug, because NaN is unequal to itself
        if let Value::Array(array) = value {
            walk(array);
        }
        // Whatever the type, a typed reading answers.
        let md = &file.metadata;
        let _ = (md.u32(key), md.usize(key), md.f32(key), md.bool(key), md.string(key).map(str::len));
        let _ = (md.u32s(key).map(|v| v.count()), md.f32s(key).map(|v| v.count()), md.strings(key).map(|v| v.count()));
    }
    if file.alignment <= 4096 {
        rewrite(&file);
    }
    true
}

/// An array holds as many values as it says.
fn walk(array: Array<'_>) {
    match array.element() {
        Type::String => assert_eq!(array.as_bytes().unwrap().count(), array.len()),
        _ => assert_eq!(array.scalars().count(), array.len()),
    }
    let integers = array.as_u32s().map(|v| v.count());
    assert!(integers.is_none_or(|n| n == array.len()));
}

/// Written and read back, the file says the same.
fn rewrite(file: &Gguf) {
    let header = |file: &Gguf| {
        let mut draft = Draft::new();
        draft.set_all(&file.metadata).unwrap();
        file.tensors().for_each(|t| draft.tensor(t.name, t.shape, t.format.unwrap()).unwrap());
        draft.header().unwrap()
    };
    let first = header(file);
    let mut bytes = first.clone();
    for t in file.tensors() {
        bytes.extend(t.bytes);
        bytes.resize(bytes.len().next_multiple_of(file.alignment), 0);
    }
    let again = Gguf::parse(Path::new("again.gguf"), bytes).unwrap();
    assert_eq!(header(&again), first, "metadata and tensors");
    assert_eq!((again.alignment, again.parts[0].unused), (file.alignment, 0));
    for (a, b) in file.tensors().zip(again.tensors()) {
        assert_eq!((a.name, a.shape, a.format, a.bytes), (b.name, b.shape, b.format, b.bytes));
    }
}
