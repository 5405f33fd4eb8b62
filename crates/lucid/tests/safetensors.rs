//! The safetensors reader against the reference reader: the same files are valid, and their tensors are the same.

#[path = "common/safetensors.rs"]
mod common;

use common::{agreed, file};
use lucid::{ErrorKind, file::safetensors::Safetensors};
use lucid_kernels::formats::Format;
use proptest::prelude::*;
use safetensors::tensor::TensorView;
use std::fs;

/// Every element type: its name and its size in bits.
const DTYPES: &[(&str, usize)] = &[
    ("F64", 64),
    ("F32", 32),
    ("F16", 16),
    ("BF16", 16),
    ("I64", 64),
    ("I32", 32),
    ("I16", 16),
    ("I8", 8),
    ("U64", 64),
    ("U32", 32),
    ("U16", 16),
    ("U8", 8),
    ("BOOL", 8),
    ("C64", 64),
    ("F8_E5M2", 8),
    ("F8_E4M3", 8),
    ("F8_E8M0", 8),
    ("F8_E4M3FNUZ", 8),
    ("F8_E5M2FNUZ", 8),
    ("F6_E2M3", 6),
    ("F6_E3M2", 6),
    ("F4", 4),
];

#[test]
fn oddities_that_are_valid() {
    let u8x4 = r#""dtype":"U8","shape":[4],"data_offsets":[0,4]"#;
    for (what, header, data_len) in [
        ("no tensors", "{}".to_string(), 0),
        ("blanks around", format!(" \n\t\r{{\"a\":{{{u8x4}}}}}  \n "), 4),
        ("the fields as an array", r#"{"a":["U8",[4],[0,4]]}"#.into(), 4),
        ("the dtype as an object", r#"{"a":{"dtype":{"U8":null},"shape":[4],"data_offsets":[0,4]}}"#.into(), 4),
        ("fields in another order", r#"{"a":{"data_offsets":[0,4],"shape":[4],"dtype":"U8"}}"#.into(), 4),
        ("an unknown field", format!(r#"{{"a":{{"x":[{{"y":1e308}},-0.5,null,true,"\ud83d\ude00"],{u8x4}}}}}"#), 4),
        ("an unknown field twice", format!(r#"{{"a":{{"x":1,"x":2,{u8x4}}}}}"#), 4),
        ("a scalar", r#"{"a":{"dtype":"F32","shape":[],"data_offsets":[0,4]}}"#.into(), 4),
        ("no values", r#"{"a":{"dtype":"F32","shape":[3,0],"data_offsets":[0,0]}}"#.into(), 0),
        ("two of no values at one place", r#"{"a":["F32",[0],[0,0]],"b":["F32",[0],[0,0]]}"#.into(), 0),
        ("no values between values", r#"{"c":["U8",[2],[2,4]],"a":["U8",[2],[0,2]],"b":["U8",[0],[2,2]]}"#.into(), 4),
        ("the last of one name, out of place before", r#"{"a":["U8",[9],[7,1]],"a":["U8",[4],[0,4]]}"#.into(), 4),
        ("metadata null", format!(r#"{{"__metadata__":null,"a":{{{u8x4}}}}}"#), 4),
        ("metadata of one key twice", r#"{"__metadata__":{"k":"1","j":"3","k":"2"}}"#.into(), 0),
        ("metadata spelled otherwise", r#"{"\u005f_metadata__":{"k":"1"}}"#.into(), 0),
        ("an empty name", r#"{"":["U8",[1],[0,1]]}"#.into(), 1),
        ("escapes in a name", r#"{"a\u0000\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00":["U8",[1],[0,1]]}"#.into(), 1),
        ("two names in other spelling", r#"{"\u0061":["U8",[9],[0,1]],"a":["U8",[1],[0,1]]}"#.into(), 1),
        ("four bits, an even number", r#"{"a":["F4",[2,3],[0,3]]}"#.into(), 3),
        ("six bits, a multiple of four", r#"{"a":["F6_E2M3",[4],[0,3]],"b":["F6_E3M2",[4],[3,6]]}"#.into(), 6),
        (
            "a zero after a size that fits only without the type's",
            r#"{"a":["F32",[18446744073709551615,0],[0,0]]}"#.into(),
            0,
        ),
        ("a zero before sizes whose product wraps", r#"{"a":["U8",[0,18446744073709551615,2],[0,0]]}"#.into(), 0),
        ("nesting to the limit", format!(r#"{{"a":{{"x":{}{},{u8x4}}}}}"#, "[".repeat(125), "]".repeat(125)), 4),
    ] {
        if let Err(e) = agreed(&file(&header, data_len)) {
            panic!("{what}: {e}");
        }
    }
}

#[test]
fn every_dtype_has_its_size() {
    for &(name, bits) in DTYPES {
        let file = file(&format!(r#"{{"a":["{name}",[8],[0,{bits}]]}}"#), bits);
        let format = agreed(&file).expect(name).table.tensor(&file, "a").unwrap().format;
        // Where a format of this name exists it is the same thing, and Lucid knows it.
        assert_eq!(format, Format::from_name(name));
        assert!(format.is_none_or(|f| f.row_bytes(8) == Some(bits)), "{name}");
    }
}

#[test]
fn refusals_name_what_is_wrong() {
    let tensor = |fields: &str| format!(r#"{{"x":{fields}}}"#);
    let deep = format!(r#"{{"a":{{"x":{}{}}}}}"#, "[".repeat(126), "]".repeat(126));
    let cases: &[(&str, usize, &str)] = &[
        ("", 0, "an object should stand where its end stands"),
        ("[]", 0, "an object should stand where '[' stands"),
        ("{}x", 0, "at byte 2 of the JSON text, nothing more"),
        ("{} \u{feff}", 0, "nothing more"),
        ("{}\0\0", 0, "nothing more"),
        ("{", 0, "a string should stand where its end"),
        (r#"{"a""#, 0, "a colon"),
        (r#"{"a":["U8",[1],[0,1]],}"#, 1, "a string should stand where '}'"),
        (r#"{"a":["U8",[1,],[0,1]]}"#, 1, "tensor \"a\": at byte 14 of the JSON text, a number"),
        (r#"{"a":["U8",[1],[0,1]]"#, 1, "a comma or '}'"),
        (r#"{a:1}"#, 0, "a string should stand where 'a'"),
        ("{\"a\nb\":1}", 0, "the rest of a string should stand where '\\n'"),
        (r#"{"\x":1}"#, 0, "a valid escape"),
        (r#"{"\ud800":1}"#, 0, "a valid escape"),
        (r#"{"\ud800\u0041":1}"#, 0, "a valid escape"),
        (r#"{"\udc00":1}"#, 0, "a valid escape"),
        (r#"{"\u+123":1}"#, 0, "a valid escape"),
        (
            r#"{"__metadata__":{"a":1}}"#,
            0,
            "__metadata__: at byte 21 of the JSON text, a string should stand where '1'",
        ),
        (r#"{"__metadata__":[]}"#, 0, "__metadata__: at byte 16"),
        (r#"{"__metadata__":{},"__metadata__":{}}"#, 0, "__metadata__ appears twice"),
        (r#"{"__metadata__":null,"__metadata__":{}}"#, 0, "__metadata__ appears twice"),
        (&deep, 0, "nests deeper than 127 levels"),
        (&tensor("null"), 0, "tensor \"x\": at byte 5"),
        (&tensor("{}"), 0, "tensor \"x\": it lacks a dtype, a shape or data_offsets"),
        (&tensor(r#"["U8",[1]]"#), 1, "tensor \"x\": it lacks"),
        (&tensor(r#"["U8",[1],[0,1],0]"#), 1, "more than a dtype"),
        (&tensor(r#"{"dtype":"U8","dtype":"U8","shape":[1],"data_offsets":[0,1]}"#), 1, "appear twice"),
        (&tensor(r#"{"dtype":"U8","y":1e309,"shape":[1],"data_offsets":[0,1]}"#), 1, "a valid number"),
        (&tensor(r#"["U9",[1],[0,1]]"#), 1, "tensor \"x\": unknown dtype \"U9\""),
        (&tensor(r#"["u8",[1],[0,1]]"#), 1, "unknown dtype \"u8\""),
        (&tensor(r#"[{"U8":0},[1],[0,1]]"#), 1, "null should stand where '0'"),
        (&tensor(r#"[{"U8":null,"I8":null},[1],[0,1]]"#), 1, "two dtypes"),
        (&tensor(r#"[{},[1],[0,1]]"#), 1, "no dtype"),
        (&tensor(r#"["U8",[1.0],[0,1]]"#), 1, "an unsigned 64-bit integer should stand where '1'"),
        (&tensor(r#"["U8",[-1],[0,1]]"#), 1, "an unsigned 64-bit integer should stand where '-'"),
        (&tensor(r#"["U8",[-0],[0,0]]"#), 0, "an unsigned 64-bit integer"),
        (&tensor(r#"["U8",[01],[0,1]]"#), 1, "a valid number"),
        (&tensor(r#"["U8",[18446744073709551616],[0,1]]"#), 1, "an unsigned 64-bit integer"),
        (&tensor(r#"["U8",1,[0,1]]"#), 1, "an array"),
        (&tensor(r#"["U8",[1],[0,1,2]]"#), 1, "more than two data_offsets"),
        (&tensor(r#"["U8",[1],[0]]"#), 1, "fewer than two data_offsets"),
        (
            &tensor(r#"["U8",[2],[0,1]]"#),
            1,
            "tensor \"x\": U8 of shape [2] takes 2 bytes, its data_offsets are 0 and 1",
        ),
        (
            &tensor(r#"["U8",[1],[1,2]]"#),
            2,
            "its data begins at byte 1, but that of the tensors before it ends at byte 0",
        ),
        (&tensor(r#"["U8",[1],[1,0]]"#), 1, "its data begins at byte 1"),
        (&tensor(r#"["U8",[4294967296,4294967296],[0,0]]"#), 0, "does not fit the address space"),
        (&tensor(r#"["F32",[4611686018427387904],[0,0]]"#), 0, "does not fit the address space"),
        (&tensor(r#"["U8",[18446744073709551615,2,0],[0,0]]"#), 0, "does not fit the address space"),
        (&tensor(r#"["U8",[2305843009213693951],[0,2305843009213693951]]"#), 0, "but the file holds 0 bytes of data"),
        (&tensor(r#"["F4",[3],[0,2]]"#), 2, "F4 of shape [3] does not fill whole bytes"),
        (&tensor(r#"["U8",[1],[0,1]]"#), 2, "the tensors take 1 bytes, but the file holds 2 bytes of data"),
        (
            &tensor(r#"["U8",[2],[0,2]]"#),
            1,
            "tensor \"x\": its data ends at byte 2, but the file holds 1 bytes of data",
        ),
        (r#"{"a":["U8",[2],[0,2]],"b":["U8",[2],[1,3]]}"#, 3, "tensor \"b\": its data begins at byte 1, but"),
        (r#"{"a":["U8",[2],[0,2]],"b":["U8",[2],[3,5]]}"#, 5, "tensor \"b\": its data begins at byte 3, but"),
        (r#"{"a":["U9",[1],[0,1]],"a":["U8",[1],[0,1]]}"#, 1, "tensor \"a\": unknown dtype \"U9\""),
        (r#"{"a":["U8",[1],[0,1]],"a":["U8",[1],[1,2]]}"#, 2, "its data begins at byte 1"),
    ];
    // Eight times 2⁶¹ - 1 bytes, then the header: a sum that wraps.
    let wraps: Vec<String> = (0..8u64)
        .map(|i| {
            let size = (1 << 61) - 1;
            format!(r#""{i}":["U8",[{size}],[{},{}]]"#, i * size, (i + 1) * size)
        })
        .collect();
    let wraps = format!("{{{}}}", wraps.join(","));
    let wraps = [(&wraps[..], 0, "tensor \"0\": its data ends at byte 2305843009213693951")];
    for (header, data_len, sentence) in cases.iter().chain(&wraps) {
        let e = agreed(&file(header, *data_len)).expect_err(header);
        assert_eq!(e.kind(), ErrorKind::Structure);
        assert!(e.to_string().contains(sentence), "{header}: {e}");
    }
}

#[test]
fn header_lengths_that_lie() {
    let whole = file(r#"{"a":["U8",[1],[0,1]]}"#, 1);
    for cut in 0..whole.len() {
        assert!(agreed(&whole[..cut]).is_err(), "cut to {cut} bytes");
    }
    for (length, sentence) in [
        (u64::MAX, "its header would be 18446744073709551615 bytes long, the limit is 100000000"),
        (u64::MAX - 7, "the limit is"),
        (100_000_001, "the limit is"),
        (100_000_000, "the header is 100000000 bytes long, but the file ends after 23 of them"),
        (24, "but the file ends after 23 of them"),
    ] {
        let mut lying = whole.clone();
        lying[..8].copy_from_slice(&length.to_le_bytes());
        let e = agreed(&lying).expect_err(sentence).to_string();
        assert!(e.contains(sentence), "{e}");
    }
    let mut latin1 = whole.clone();
    latin1[10] = 0xe9;
    assert!(agreed(&latin1).expect_err("UTF-8").to_string().contains("no UTF-8 from its byte 2 on"));
}

/// The data section begins wherever the header ends: at every offset within a cache line the same bytes come back.
#[test]
fn data_at_every_alignment() {
    for pad in 0..64 {
        let header = format!("{}{}", r#"{"a":["F32",[2],[0,8]],"b":["U8",[3],[8,11]]}"#, " ".repeat(pad));
        let file = file(&header, 11);
        let read = agreed(&file).unwrap();
        assert_eq!(read.table.tensor(&file, "a").unwrap().bytes, [0, 1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(read.table.tensor(&file, "b").unwrap().bytes, [8, 9, 10]);
    }
}

#[test]
fn what_the_crate_writes_is_read() {
    let data: Vec<u8> = (0..96).collect();
    let dtypes = [safetensors::Dtype::F32, safetensors::Dtype::BF16, safetensors::Dtype::U8, safetensors::Dtype::C64];
    let views = dtypes.iter().zip(["w", "b.é\"\n", "", "z"]).map(|(&dtype, name)| {
        let bytes = dtype.bitsize() / 8 * 6;
        (name, TensorView::new(dtype, vec![2, 3], &data[..bytes]).unwrap())
    });
    let metadata = [("format".to_string(), "pt".to_string())].into();
    let dir = std::env::temp_dir().join(format!("lucid-{}-written", std::process::id()));
    fs::create_dir_all(&dir).unwrap();
    let path = dir.join("model.safetensors");
    safetensors::serialize_to_file(views, Some(metadata), &path).unwrap();

    let ours = Safetensors::open(&path).unwrap();
    assert_eq!(ours.metadata, [("format".to_string(), "pt".to_string())]);
    assert_eq!(ours.tensors().map(|t| t.name).collect::<Vec<_>>(), ["z", "w", "b.é\"\n", ""]);
    let w = ours.tensor("w").unwrap();
    assert_eq!((w.type_name, w.format, w.shape, w.bytes), ("F32", Some(Format::F32), &[2, 3][..], &data[..24]));
    assert!(ours.tensor("x").is_none());
    fs::remove_dir_all(dir).unwrap();
}

// --- Generated headers: mostly valid, then bent.

/// One tensor of a generated header and how it is written.
#[derive(Clone, Debug)]
struct Generated {
    name: &'static str,
    dtype: usize,
    shape: Vec<usize>,
    style: usize,
}

fn generated() -> impl Strategy<Value = Generated> {
    let name = prop::sample::select(vec!["a", "b", r"\u0061", "ü", "", "long.name.0.weight", r"\ud83d\ude00", r"\n"]);
    (name, 0..DTYPES.len(), prop::collection::vec(0..5usize, 0..4), 0..6usize)
        .prop_map(|(name, dtype, shape, style)| Generated { name, dtype, shape, style })
}

/// The header of these tensors, which lie one after the other, and the length of their data.
fn header_of(tensors: &[Generated]) -> (String, usize) {
    let mut end = 0;
    let mut parts = Vec::new();
    for t in tensors {
        let (dtype, bits) = DTYPES[t.dtype];
        let start = end;
        end += t.shape.iter().product::<usize>() * bits / 8;
        let shape = format!("{:?}", t.shape);
        let value = match t.style {
            0 => format!(r#"["{dtype}",{shape},[{start},{end}]]"#),
            1 => format!(r#"{{"data_offsets" : [{start} , {end}] , "dtype" : "{dtype}" , "shape" : {shape} }}"#),
            2 => format!(r#"{{"dtype":{{"{dtype}":null}},"shape":{shape},"data_offsets":[{start},{end}]}}"#),
            3 => format!(r#"{{"dtype":"{dtype}","z":[1.5,{{}}],"shape":{shape},"data_offsets":[{start},{end}]}}"#),
            _ => format!(r#"{{"dtype":"{dtype}","shape":{shape},"data_offsets":[{start},{end}]}}"#),
        };
        parts.push(format!("\"{}\":{value}", t.name));
    }
    if tensors.len() % 3 == 1 {
        parts.insert(tensors.len() / 2, r#""__metadata__":{"format":"pt"}"#.to_string());
    }
    (format!("{{{}}}", parts.join(",")), end)
}

/// Cuts JSON text into signs, strings, and runs of anything else.
fn tokens(text: &str) -> Vec<&str> {
    let mut rest = text;
    let mut tokens = Vec::new();
    while let Some(first) = rest.chars().next() {
        let end = match first {
            '{' | '}' | '[' | ']' | ',' | ':' | ' ' => 1,
            '"' => rest[1..].find('"').map_or(rest.len(), |i| i + 2),
            _ => rest.find(['{', '}', '[', ']', ',', ':', ' ', '"']).unwrap_or(rest.len()),
        };
        tokens.push(&rest[..end]);
        rest = &rest[end..];
    }
    tokens
}

const BENT: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\"",
    "\\",
    "\n",
    "\t",
    "\u{b}",
    "\0",
    "null",
    "true",
    "nul",
    "{}",
    "[]",
    "\"\"",
    "0",
    "1",
    "2",
    "8",
    "00",
    "-0",
    "-1",
    "1.0",
    "1e0",
    "0e999",
    "1e308",
    "1.7976931348623157e308",
    "1.7976931348623159e308",
    "1e309",
    "18446744073709551615",
    "18446744073709551616",
    "9223372036854775808",
    "2305843009213693952",
    "4294967296",
    "1.",
    ".1",
    "+1",
    "1e",
    "-",
    "\"dtype\"",
    "\"shape\"",
    "\"data_offsets\"",
    "\"__metadata__\"",
    "\"F32\"",
    "\"U8\"",
    "\"F4\"",
    "\"f32\"",
    "{\"F32\":null}",
    "{\"F32\":{}}",
    "\"\\u0041\"",
    "\"\\ud800\"",
    "\"\\udc00\"",
    "\"\\ud83d\\ude00\"",
    "\"\\u00\"",
    "\"\\q\"",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(debug_assertions) { 20_000 } else { 100_000 }))]

    /// Generated headers with a few tokens replaced, inserted, doubled, removed or swapped: both readers agree.
    #[test]
    fn agrees_with_the_crate_on_bent_headers(
        tensors in prop::collection::vec(generated(), 0..5),
        bends in prop::collection::vec((0..6usize, any::<prop::sample::Index>(), any::<prop::sample::Index>()), 0..4),
        lie in prop::sample::select(vec![0i64, 0, 0, 0, 0, 0, 1, -1, 8]),
    ) {
        let (text, data_len) = header_of(&tensors);
        let mut tokens = tokens(&text);
        for (how, at, other) in bends {
            let bent = BENT[other.index(BENT.len())];
            let at = at.index(tokens.len().max(1));
            match how {
                _ if tokens.is_empty() => tokens.push(bent),
                0 | 1 => tokens[at] = bent,
                2 => tokens.insert(at, bent),
                3 => tokens.insert(at, tokens[other.index(tokens.len())]),
                4 => drop(tokens.remove(at)),
                _ => { let other = other.index(tokens.len()); tokens.swap(at, other) }
            }
        }
        let mut file = file(&tokens.concat(), data_len);
        let length = (file.len() - 8 - data_len) as i64;
        file[..8].copy_from_slice(&(length + lie).to_le_bytes());
        let _ = agreed(&file);
    }

    /// Any bytes at all.
    #[test]
    fn agrees_with_the_crate_on_noise(length in 0..40u64, noise in prop::collection::vec(any::<u8>(), 0..60)) {
        let mut file = length.to_le_bytes().to_vec();
        file.extend(noise);
        let _ = agreed(&file);
    }
}

/// The generator of the test above is worth something only if many of its headers are valid and many are not.
#[test]
fn unbent_headers_are_mostly_valid() {
    use proptest::{strategy::ValueTree, test_runner::TestRunner};
    let mut runner = TestRunner::deterministic();
    let strategy = prop::collection::vec(generated(), 0..5);
    let valid = (0..1000)
        .filter(|_| {
            let (header, data_len) = header_of(&strategy.new_tree(&mut runner).unwrap().current());
            agreed(&file(&header, data_len)).is_ok()
        })
        .count();
    assert!((400..1000).contains(&valid), "{valid} of 1000");
}
