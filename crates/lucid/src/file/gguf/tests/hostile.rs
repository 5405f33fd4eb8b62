use super::{Bytes, folder, refused};
use crate::{
    ErrorKind::{self, Io, Structure, Unsupported},
    file::gguf::{
        Gguf,
        Type::{self, *},
    },
};
use lucid_kernels::formats::Format;
use std::path::Path;

/// The id of the tensor type; the type of metadata values of the same name is [`F32_`].
const F32: u32 = Format::F32.id();
const F32_: Type = Type::F32;
const Q8_0: u32 = Format::Q8_0.id();

/// What is wrong, the file, the kind of the error, and words of its sentence.
type Case = (&'static str, Bytes, ErrorKind, &'static [&'static str]);

fn check(cases: Vec<Case>) {
    for (case, bytes, kind, words) in cases {
        let error = refused(bytes.read(), case);
        assert_eq!(error.kind(), kind, "{case}: {error}");
        let sentence = error.to_string();
        assert!(sentence.starts_with("test.gguf: "), "{case}: {sentence}");
        assert!(!sentence.contains('\n') && sentence.len() < 400, "{case}: {sentence}");
        for word in words {
            assert!(sentence.contains(word), "{case}: no {word:?} in: {sentence}");
        }
    }
}

/// The fixed part of a file with this version.
fn version(v: u32) -> Bytes {
    Bytes(b"GGUF".to_vec()).u32(v).u64(0).u64(0)
}

#[test]
fn other_files_and_versions() {
    let start = |bytes: &[u8]| Bytes(bytes.to_vec());
    check(vec![
        ("nothing", start(b""), Structure, &["not a GGUF file", "empty"]),
        ("two bytes", start(b"GG"), Structure, &["not a GGUF file", "\"GG\""]),
        ("a zip", start(b"PK\x03\x04 and more"), Structure, &["not a GGUF file", r#""PK\x03\x04""#]),
        ("llama.cpp of 2023", start(b"tjgg\x03\0\0\0"), Structure, &["not a GGUF file", "GGML"]),
        ("a pointer", start(b"version https://git-lfs.github.com/spec/v1\n"), Structure, &["Git LFS pointer"]),
        ("magic only", start(b"GGUF"), Structure, &["ends at byte 4", "the version"]),
        ("version 0", version(0), Structure, &["version 0"]),
        ("version 1", version(1), Unsupported, &["GGUF version 1 is not supported; convert it"]),
        ("version 4", version(4), Unsupported, &["GGUF version 4", "2 and 3"]),
        ("version of all ones", version(u32::MAX), Unsupported, &["version 4294967295"]),
        ("big-endian 3", version(0x0300_0000), Unsupported, &["big-endian"]),
        ("big-endian 2", version(0x0200_0000), Unsupported, &["big-endian"]),
    ]);
}

#[test]
fn counts_that_the_file_cannot_hold() {
    let header = Bytes::header;
    let array = |element, len| header(0, 1).array("a.b", element, len);
    check(vec![
        ("2^63 tensors", header(1 << 63, 0), Structure, &["9223372036854775808 tensors", "0 bytes follow"]),
        ("2^64 - 1 keys", header(0, u64::MAX), Structure, &["18446744073709551615 metadata keys"]),
        ("a tensor too many", header(4, 0).data(99), Structure, &["4 tensors", "99 bytes"]),
        ("a key too many", header(0, 3).data(41), Structure, &["3 metadata keys", "41 bytes"]),
        ("a hundred thousand keys", header(0, 100_000).data(2_000_000), Structure, &["100000 metadata keys", "65536"]),
        ("a million tensors", header(1_000_000, 0).data(26_000_000), Structure, &["1000000 tensors", "131072"]),
        ("key of 2^63 bytes", header(0, 1).u64(1 << 63).data(8), Structure, &["metadata key 0", "9223372036854775808"]),
        ("key past the end", header(0, 1).u64(9).data(8), Structure, &["metadata key 0", "9 bytes long", "8 are left"]),
        ("name past the end", header(1, 0).u64(32).data(31), Structure, &["tensor 0", "32 bytes long", "31 are left"]),
        (
            "string of 2^64 - 1 bytes",
            header(0, 1).key("a.b", String).u64(u64::MAX),
            Structure,
            &["\"a.b\"", "18446744073709551615", "0 are left", "at byte 39"],
        ),
        ("array of 2^63 u8", array(U8, 1 << 63), Structure, &["\"a.b\"", "9223372036854775808 u8"]),
        ("bytes of an array wrap", array(U64, 1 << 61).data(8), Structure, &["\"a.b\"", "2305843009213693952 u64"]),
        ("array one too long", array(F32_, 3).data(11), Structure, &["3 f32", "11 bytes"]),
        ("array of 2^60 strings", array(String, 1 << 60).data(8), Structure, &["1152921504606846976 string"]),
        ("string of an array past the end", array(String, 2).string("x").u64(1), Structure, &["string 1", "\"a.b\""]),
        ("string of an array of 2^63", array(String, 1).u64(1 << 63), Structure, &["string 0", "\"a.b\""]),
    ]);
}

#[test]
fn keys_and_values() {
    let one = || Bytes::header(0, 1);
    let long = std::string::String::from_utf8(vec![b'k'; 65_536]).unwrap();
    let nested = (0..50_000).fold(one().key("a.b", Array), |b, _| b.u32(Array as u32).u64(1));
    check(vec![
        ("empty key", one().key("", U8).data(9), Structure, &["metadata key 0", "empty"]),
        ("key too long", one().key(&long, U8).data(1), Structure, &["65536 bytes long", "65535"]),
        ("key no UTF-8", one().string(b"a\xffb").u32(0).data(1), Structure, &["metadata key 0", "UTF-8", "at byte 33"]),
        ("type 13", one().string("a.b").u32(13).data(9), Structure, &["\"a.b\"", "unknown type 13"]),
        ("type 2^32 - 1", one().string("a.b").u32(u32::MAX).data(9), Structure, &["unknown type 4294967295"]),
        (
            "string no UTF-8",
            one().key("a.b", String).string(b"ok\xc3("),
            Structure,
            &["\"a.b\"", "UTF-8", "at byte 49"],
        ),
        ("bool of 2", one().key("a.b", Bool).bytes(&[2]), Structure, &["\"a.b\"", "bool of value 2", "0 or 1"]),
        ("bools", one().array("a.b", Bool, 3).bytes(&[0, 1, 2]), Structure, &["bool 2", "\"a.b\"", "value 2;"]),
        ("array of type 13", one().key("a.b", Array).u32(13).u64(0), Structure, &["\"a.b\"", "unknown type 13"]),
        ("array of arrays", one().array("a.b", Array, 0).data(9), Structure, &["\"a.b\"", "array of arrays"]),
        ("50,000 arrays deep", nested, Structure, &["\"a.b\"", "array of arrays"]),
        (
            "a key twice",
            Bytes::header(0, 3).key("a.b", U8).data(1).key("a.c", U8).data(1).key("a.b", Bool).data(1),
            Structure,
            &["\"a.b\"", "twice"],
        ),
        (
            "a key with control characters",
            Bytes::header(0, 2).key("a\n\x1b[2J", U8).data(1).key("a\n\x1b[2J", U8).data(1),
            Structure,
            &[r#""a\n\u{1b}[2J""#, "twice"],
        ),
    ]);
}

#[test]
fn alignments() {
    let alignment = |n| Bytes::header(0, 1).key("general.alignment", U32).u32(n);
    check(vec![
        ("0", alignment(0), Structure, &["general.alignment", "u32 0", "power of two"]),
        ("3", alignment(3), Structure, &["general.alignment", "u32 3", "power of two"]),
        ("4", alignment(4), Structure, &["general.alignment", "u32 4", "from 8"]),
        ("2^22", alignment(1 << 22), Structure, &["general.alignment", "2097152"]),
        ("2^30", alignment(1 << 30), Structure, &["general.alignment", "2097152"]),
        ("u64", Bytes::header(0, 1).key("general.alignment", U64).u64(32), Structure, &["u64 32", "must be a u32"]),
        ("text", Bytes::header(0, 1).key("general.alignment", String).string("32"), Structure, &["must be a u32"]),
    ]);
    for n in [8, 16, 32, 4096, 1 << 21] {
        assert_eq!(alignment(n).read().unwrap().alignment, n as usize);
    }
}

#[test]
fn shapes_and_types() {
    let one = |sizes: &[u64], ty| Bytes::header(1, 0).tensor("t", sizes, ty, 0).pad(32).data(64);
    let rank = |n| Bytes::header(1, 0).string("t").u32(n).data(99);
    let name = |name: &str| Bytes::header(1, 0).tensor(name, &[4], F32, 0).pad(32).data(32);
    check(vec![
        ("rank 5", one(&[1; 5], F32), Structure, &["\"t\"", "5 dimensions", "at most 4"]),
        ("rank 2^32 - 1", rank(u32::MAX), Structure, &["\"t\"", "4294967295 dimensions"]),
        ("a zero", one(&[4, 0], F32), Structure, &["\"t\"", "dimension of 0", "[0, 4]"]),
        ("minus one", one(&[u64::MAX, 1], F32), Structure, &["\"t\"", "dimension of -1"]),
        ("2^63", one(&[4, 1 << 63], F32), Structure, &["\"t\"", "dimension of -9223372036854775808"]),
        ("a product of 2^64", one(&[1 << 32, 1 << 32], F32), Structure, &["\"t\"", "more elements"]),
        ("a product of 2^64 + 32", one(&[(1 << 59) + 1, 32], F32), Structure, &["\"t\"", "more elements"]),
        ("a product of 2^63", one(&[1 << 31, 1 << 30, 4], F32), Structure, &["\"t\"", "more elements"]),
        ("2^62 elements of 4 bytes", one(&[1 << 31, 1 << 31], F32), Structure, &["\"t\"", "more bytes"]),
        ("2^61 elements of 4 bytes", one(&[1 << 31, 1 << 30], F32), Structure, &["\"t\"", "past the end"]),
        ("2^61 elements of 8 bytes", one(&[1 << 61], Format::F64.id()), Structure, &["\"t\"", "more bytes"]),
        ("33 in blocks of 32", one(&[33, 1], Q8_0), Structure, &["\"t\"", "33 values", "32 in a block of Q8_0"]),
        ("a scalar in blocks", one(&[], Q8_0), Structure, &["\"t\"", "rows of 1 values"]),
        ("Q4_2", one(&[32], 4), Structure, &["\"t\"", "Q4_2", "removed"]),
        ("Q4_3", one(&[32], 5), Structure, &["\"t\"", "Q4_3", "removed"]),
        ("Q4_0_8_8", one(&[32], 33), Structure, &["\"t\"", "Q4_0_8_8", "removed"]),
        ("IQ4_NL_4_4", one(&[32], 36), Structure, &["\"t\"", "IQ4_NL_4_4", "removed"]),
        ("type 1000", one(&[32], 1000), Structure, &["\"t\"", "unknown type 1000"]),
        ("type 2^32 - 1", one(&[32], u32::MAX), Structure, &["\"t\"", "unknown type 4294967295"]),
        ("no name", name(""), Structure, &["tensor 0", "empty"]),
        ("a name of 65 bytes", name(&"n".repeat(65)), Structure, &["tensor 0", "65 bytes long", "64"]),
        (
            "name no UTF-8",
            Bytes::header(1, 0).string(b"\xc0\x80").u32(1).data(99),
            Structure,
            &["tensor 0", "UTF-8", "at byte 32"],
        ),
    ]);
    assert_eq!(name(&"n".repeat(64)).read().unwrap().tensors().len(), 1);
    let scalar = one(&[], F32).read().unwrap();
    let t = scalar.tensor("t").unwrap();
    assert_eq!((t.shape, t.bytes), (&[][..], &[0, 1, 2, 3][..]));
}

#[test]
fn places() {
    // Two tensors of 8 floats, which is 32 bytes, at these offsets, in a data section of 96 bytes.
    let two = |a, b| Bytes::header(2, 0).tensor("a", &[8], F32, a).tensor("b", &[4, 2], F32, b).pad(32).data(96);
    let one = |offset| Bytes::header(1, 0).tensor("a", &[8], F32, offset);
    check(vec![
        ("unaligned", two(0, 33), Structure, &["\"b\"", "offset 33", "aligned to 32"]),
        ("half aligned", two(0, 48), Structure, &["\"b\"", "offset 48", "aligned to 32"]),
        ("past the end", two(0, 96), Structure, &["\"b\"", "offset 96", "past the end", "96 bytes long"]),
        ("far past the end", two(0, 1 << 40), Structure, &["\"b\"", "past the end"]),
        ("offset 2^63", two(0, 1 << 63), Structure, &["\"b\"", "past the end"]),
        ("offset and length wrap", two(0, u64::MAX - 31), Structure, &["\"b\"", "past the end"]),
        ("the same place", two(32, 32), Structure, &["\"b\"", "overlaps tensor \"a\"", "32 to 64"]),
        ("out of order", two(64, 0), Structure, &["\"b\"", "before tensor \"a\"", "must rise"]),
        ("the same name", two_named("w", "w"), Structure, &["tensor \"w\"", "twice"]),
        ("no data", one(0), Structure, &["ends at byte 57", "data section at byte 64"]),
        ("padding only", one(0).pad(32), Structure, &["\"a\"", "past the end", "0 bytes long"]),
        ("a byte short", one(0).pad(32).data(31), Structure, &["\"a\"", "past the end", "31 bytes long"]),
    ]);
    let overlap = Bytes::header(2, 0).tensor("a", &[16], F32, 0).tensor("b", &[8], F32, 32).pad(32).data(96);
    check(vec![("the second half", overlap, Structure, &["\"b\"", "overlaps tensor \"a\"", "0 to 64"])]);

    let hole = two(0, 64).read().unwrap();
    assert_eq!(hole.parts[0].unused, 32, "a hole is allowed");
    assert_eq!(hole.tensor("b").unwrap().bytes[0], 64);
    assert_eq!(hole.tensor("b").unwrap().shape, [2, 4]);
    assert_eq!(two(0, 32).read().unwrap().parts[0].unused, 32, "so are bytes after the last tensor");
    let unpadded = Bytes::header(1, 0).tensor("a", &[1], F32, 0).pad(32).data(4).read().unwrap();
    assert_eq!(unpadded.parts[0].unused, 0, "and the last tensor need not be padded");
    let bare = Bytes::header(0, 0).read().unwrap();
    assert_eq!((bare.tensors().len(), bare.metadata.len()), (0, 0), "nor is a header without tensors");
}

fn two_named(a: &str, b: &str) -> Bytes {
    Bytes::header(2, 0).tensor(a, &[8], F32, 0).tensor(b, &[8], F32, 32).pad(32).data(64)
}

#[test]
fn a_file_cut_anywhere_is_refused() {
    let whole = Bytes::header(2, 4)
        .key("general.alignment", U32)
        .u32(16)
        .key("a.s", String)
        .string("text")
        .array("a.a", String, 2)
        .string("x")
        .string("")
        .array("a.f", F32_, 2)
        .data(8)
        .tensor("a", &[4, 2], F32, 0)
        .tensor("b", &[32], Q8_0, 32)
        .pad(16)
        .data(32 + 34);
    assert_eq!(Bytes(whole.0.clone()).read().unwrap().tensors().len(), 2);
    for n in 0..whole.0.len() {
        let error = refused(Bytes(whole.0[..n].to_vec()).read(), &format!("cut at {n}"));
        assert_eq!(error.kind(), Structure, "cut at {n}: {error}");
    }
}

#[test]
fn paths_that_are_no_files() {
    let folder = folder("paths");
    let missing = refused(Gguf::open(&folder.join("none.gguf")), "missing");
    assert_eq!((missing.kind(), missing.to_string().contains("none.gguf: cannot open")), (Io, true), "{missing}");
    let directory = refused(Gguf::open(&folder), "a directory");
    assert_eq!(directory.kind(), Io);
    let cause = std::error::Error::source(&directory).map(|e| e.to_string());
    assert_eq!(cause.as_deref(), Some("not a regular file"));
    let empty = folder.join("empty.gguf");
    std::fs::write(&empty, b"").unwrap();
    assert!(refused(Gguf::open(&empty), "empty").to_string().contains("it is empty"));
    #[cfg(unix)]
    {
        // Opening a pipe that nobody writes to would wait for ever.
        let pipe = folder.join("pipe.gguf");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        assert_eq!(refused(Gguf::open(&pipe), "a pipe").kind(), Io);
        assert_eq!(refused(Gguf::open(Path::new("/dev/zero")), "a device").kind(), Io);
    }
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn more_text_than_any_vocabulary_has() {
    let text = |n: usize| Bytes::header(0, 1).array("a.b", Type::String, n as u64).bytes(&vec![0; 8 * n]);
    // the key's own name is text too
    assert!(text((40 << 20) / 8 - 1).read().is_ok());
    let long = Bytes::header(0, 1).key("a.b", Type::String).u64(50 << 20).bytes(&vec![b' '; 50 << 20]);
    check(vec![
        ("empty strings", text((40 << 20) / 8), Structure, &["\"a.b\"", "more than 40 MB of text"]),
        ("one string", long, Structure, &["\"a.b\"", "more than 40 MB of text"]),
    ]);
}
