//! numpy's files: what numpy wrote is read, what is written numpy would have written, and what lies is refused.

#[path = "common/npy.rs"]
mod common;
#[path = "common/fixtures.rs"]
mod fixtures;

use common::{read_archive, read_header};
use half::f16;
use lucid::{
    ErrorKind,
    file::{
        TensorInfo,
        npy::{Archive, Array, Npy, NpyFolder, Npz, Writer, write, write_f32, write_npz},
    },
};
use lucid_kernels::formats::Format;
use proptest::prelude::*;
use std::{
    fs,
    path::{Path, PathBuf},
};

/// An empty folder of this test's own.
fn tempdir(test: &str) -> PathBuf {
    let dir = std::env::temp_dir().join(format!("lucid-{}-{test}", std::process::id()));
    fs::create_dir_all(&dir).unwrap();
    dir
}

/// A file that numpy wrote: `scripts/make_npy_goldens.py`.
fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/npy").join(name)
}

/// n values counting up from 0, as the goldens do.
fn count<T>(n: usize, number: impl Fn(usize) -> T) -> Vec<T> {
    (0..n).map(number).collect()
}

#[test]
fn reads_what_numpy_writes() {
    let f4: Vec<u8> = count(6, |i| (i as f32).to_le_bytes()).concat();
    let f2: Vec<u8> = count(6, |i| f16::from_f32(i as f32).to_le_bytes()).concat();
    let f8: Vec<u8> = count(5, |i| (i as f64).to_le_bytes()).concat();
    let i4: Vec<u8> = count(4, |i| (i as i32).to_le_bytes()).concat();
    type Case<'a> = (&'a str, &'a [usize], &'a str, Option<Format>, &'a [u8]);
    let cases: &[Case] = &[
        ("f4", &[2, 3], "<f4", Some(Format::F32), &f4),
        ("f2", &[2, 1, 3], "<f2", Some(Format::F16), &f2),
        ("f8", &[5], "<f8", Some(Format::F64), &f8),
        ("u1", &[4], "|u1", None, &[0, 1, 2, 3]),
        ("bool", &[2], "|b1", None, &[0, 1]),
        ("scalar", &[], "<f4", Some(Format::F32), &7f32.to_le_bytes()),
        ("empty", &[3, 0], "<i8", Some(Format::I64), &[]),
        ("v2", &[2, 2], "<i4", Some(Format::I32), &i4),
        ("v3", &[2, 2], "<i4", Some(Format::I32), &i4),
    ];
    for &(name, shape, descr, format, bytes) in cases {
        let npy = Npy::open(&golden(&format!("{name}.npy"))).unwrap();
        let t = npy.tensor();
        assert_eq!((t.name, t.shape, t.type_name, t.format, t.bytes), (name, shape, descr, format, bytes));
    }
    for (name, sentence) in [
        ("fortran", "fortran.npy: not supported: an array in Fortran order"),
        ("big-endian", "not supported: big-endian values \">f4\""),
        ("records", "not supported: an array of records"),
    ] {
        let e = Npy::open(&golden(&format!("{name}.npy"))).unwrap_err();
        assert_eq!(e.kind(), ErrorKind::Unsupported);
        assert!(e.to_string().contains(sentence), "{e}");
    }
}

#[test]
fn writes_the_very_bytes_that_numpy_writes() {
    let dir = tempdir("npy-bytes");
    let path = dir.join("x.npy");
    let f2 = count(6, |i| f16::from_f32(i as f32));
    let (f4, f8, u1) = (count(6, |i| i as f32), count(5, |i| i as f64), count(4, |i| i as u8));
    for (name, array) in [
        ("f4", Array::new("", &[2, 3], &f4)),
        ("f2", Array::new("", &[2, 1, 3], &f2)),
        ("f8", Array::new("", &[5], &f8)),
        ("u1", Array::new("", &[4], &u1)),
        ("scalar", Array::new("", &[], &[7f32])),
        ("empty", Array::new::<i64>("", &[3, 0], &[])),
    ] {
        write(&path, &array).unwrap();
        assert!(fs::read(&path).unwrap() == fs::read(golden(&format!("{name}.npy"))).unwrap(), "{name}");
    }
    write_f32(&path, &[2, 3], &f4).unwrap();
    assert!(fs::read(&path).unwrap() == fs::read(golden("f4.npy")).unwrap());
    assert_eq!(fs::read_dir(&dir).unwrap().count(), 1, "nothing but the file is left");
    fs::remove_dir_all(dir).unwrap();
}

#[test]
fn a_writer_keeps_its_promise_or_leaves_nothing() {
    let dir = tempdir("npy-writer");
    let path = dir.join("x.npy");
    let left = || fs::read_dir(&dir).unwrap().count();
    let values = count(6, |i| i as f32);

    let mut writer = Writer::<f32>::create(&path, &[2, 3]).unwrap();
    writer.push(&values[..4]).unwrap();
    assert!(!path.exists(), "not before it is complete");
    writer.push(&values[4..]).unwrap();
    writer.finish().unwrap();
    assert!(fs::read(&path).unwrap() == fs::read(golden("f4.npy")).unwrap());

    fs::write(&path, "old").unwrap();
    let mut writer = Writer::<f32>::create(&path, &[2, 3]).unwrap();
    writer.push(&values[..5]).unwrap();
    let e = writer.push(&values[4..]).unwrap_err();
    assert_eq!(
        (e.kind(), e.to_string().contains("2 more values than its shape has, which has room for 1")),
        (ErrorKind::Shape, true)
    );
    let e = writer.finish().unwrap_err();
    assert!(e.to_string().ends_with("x.npy: 1 values fewer than its shape has"), "{e}");
    assert_eq!((fs::read(&path).unwrap(), left()), (b"old".to_vec(), 1));

    drop(Writer::<f32>::create(&path, &[2, 3]).unwrap());
    assert_eq!(left(), 1);
    let e = write_f32(&path, &[2, 2], &values).unwrap_err();
    assert!(e.to_string().ends_with("x.npy: <f4 of shape [2, 2] takes 16 bytes, not 24"), "{e}");
    let e = Writer::<f64>::create(&path, &[usize::MAX, 2]).unwrap_err();
    assert_eq!(e.kind(), ErrorKind::Shape);
    assert_eq!(write_f32(&dir, &[6], &values).unwrap_err().kind(), ErrorKind::Io, "a folder is no file");
    assert_eq!(write_f32(&dir.join("no/x.npy"), &[6], &values).unwrap_err().kind(), ErrorKind::Io);
    assert_eq!((fs::read(&path).unwrap(), left()), (b"old".to_vec(), 1));
    fs::remove_dir_all(dir).unwrap();
}

/// The bytes of a written archive of this array.
fn zip(test: &str, array: Array) -> Vec<u8> {
    let dir = tempdir(test);
    write_npz(&dir.join("x.npz"), &[array]).unwrap();
    let bytes = fs::read(dir.join("x.npz")).unwrap();
    fs::remove_dir_all(dir).unwrap();
    bytes
}

/// With `LUCID_NPY_OUT=folder` the files stay there, for `scripts/make_npy_goldens.py --check folder`.
#[test]
fn reads_what_it_writes() {
    let kept = std::env::var_os("LUCID_NPY_OUT").map(PathBuf::from);
    let dir = kept.clone().unwrap_or_else(|| tempdir("npy-round-trip"));
    let f4 = count(12, |i| i as f32);
    let f8 = count(3, |i| i as f64);
    let u2 = count(70_000, |i| i as u16);
    let long = count(1, |_| 0i16);
    let arrays = [
        Array::new("f4-3x4", &[3, 4], &f4),
        Array::new("f4-", &[], &f4[..1]),
        Array::new("f8-3", &[3], &f8),
        Array::new("u2-7x10000", &[7, 10_000], &u2),
        Array::new("i8-0", &[0], &[0i64; 0]),
        Array::new("i2-1x1x1x1x1x1x1x1x1x1x1x1x1x1x1x1x1x1x1x1x1x1x1x1x1x1x1x1x1x1x1x1", &[1; 32], &long),
    ];
    let same = |t: TensorInfo, array: &Array| {
        assert_eq!((t.name, t.shape, t.type_name), (array.name, array.shape, array.descr));
        assert!(t.bytes == &*array.bytes, "{}", t.name);
    };
    for array in &arrays {
        let path = dir.join(format!("{}.npy", array.name));
        write(&path, array).unwrap();
        same(Npy::open(&path).unwrap().tensor(), array);
    }
    let folder = NpyFolder::open(&dir).unwrap();
    assert!(folder.tensors().map(|t| t.name).is_sorted());
    arrays.iter().for_each(|a| same(folder.tensor(a.name).unwrap(), a));
    assert!(folder.tensor("absent").is_none());

    write_npz(&dir.join("all.npz"), &arrays).unwrap();
    let npz = Npz::open(&dir.join("all.npz")).unwrap();
    assert_eq!(npz.tensors().count(), arrays.len());
    arrays.iter().for_each(|a| same(npz.tensor(a.name).unwrap(), a));
    npz.verify().unwrap();

    if kept.is_none() {
        fs::remove_dir_all(dir).unwrap();
    }
}

#[test]
fn names_in_an_archive_are_checked_on_writing() {
    let dir = tempdir("npz-names");
    let path = dir.join("x.npz");
    let twice = [Array::new("a", &[1], &[1f32]), Array::new("a", &[1], &[2f32])];
    assert!(write_npz(&path, &twice).unwrap_err().to_string().ends_with("two arrays are called \"a\""));
    let long = "n".repeat(65_532);
    assert!(write_npz(&path, &[Array::new(&long, &[1], &[1f32])]).is_err());
    let wrong = write_npz(&path, &[Array::new("a", &[2], &[1f32])]).unwrap_err();
    assert!(wrong.to_string().ends_with("array \"a\": <f4 of shape [2] takes 8 bytes, not 4"), "{wrong}");
    assert_eq!(fs::read_dir(&dir).unwrap().count(), 0);

    let name = &long[..65_531];
    write_npz(&path, &[Array::new(name, &[1], &[1f32])]).unwrap();
    assert_eq!(Npz::open(&path).unwrap().tensor(name).unwrap().bytes, 1f32.to_le_bytes());
    write_npz(&path, &[]).unwrap();
    assert_eq!(Npz::open(&path).unwrap().tensors().count(), 0);
    fs::remove_dir_all(dir).unwrap();
}

#[test]
fn a_folder_without_arrays_is_refused() {
    let dir = tempdir("npy-empty");
    let e = NpyFolder::open(&dir).unwrap_err().to_string();
    assert!(e.ends_with("no .npy file is in this folder"), "{e}");
    fs::write(dir.join("w.npy"), "junk").unwrap();
    let e = NpyFolder::open(&dir).unwrap_err().to_string();
    assert!(e.ends_with("w.npy: it does not begin like a .npy file"), "{e}");
    assert_eq!(NpyFolder::open(&dir.join("absent")).unwrap_err().kind(), ErrorKind::Io);
    fs::remove_dir_all(dir).unwrap();
}

#[test]
fn reads_numpys_archives() {
    for (name, n) in [("stored.npz", 3), ("compressed.npz", 4)] {
        let npz = Npz::open(&golden(name)).unwrap();
        assert_eq!(npz.tensors().count(), n, "{name}");
        let w = npz.tensor("w").unwrap();
        assert_eq!((w.shape, w.type_name), (&[2, 3][..], "<f4"));
        assert_eq!(w.bytes, count(6, |i| (i as f32).to_le_bytes()).concat());
        assert_eq!(npz.tensor("b.ü").unwrap().bytes, [0, 0, 1, 0, 2, 0]);
        assert_eq!(npz.tensor("0").unwrap().bytes, 7f64.to_le_bytes());
        npz.verify().unwrap();
    }
    let npz = Npz::open(&golden("compressed.npz")).unwrap();
    assert_eq!(npz.tensor("zeros").unwrap().bytes, [0; 20_000]);
}

#[test]
fn reads_files_from_elsewhere() {
    let Some(fixtures) = fixtures::fixtures("reads_files_from_elsewhere") else { return };
    let numbers = |from: i64| (from..from + 10).flat_map(i64::to_le_bytes).collect::<Vec<_>>();
    let npy = Npy::open(&fixtures.join("formats/test.npy")).unwrap();
    assert_eq!((npy.tensor().shape, npy.tensor().format), (&[10][..], Some(Format::I64)));
    assert_eq!(npy.tensor().bytes, numbers(0));
    let npz = Npz::open(&fixtures.join("formats/test.npz")).unwrap();
    assert_eq!(npz.tensors().map(|t| t.name).collect::<Vec<_>>(), ["x", "x_plus_one"]);
    assert_eq!(npz.tensor("x").unwrap().bytes, numbers(0));
    assert_eq!(npz.tensor("x_plus_one").unwrap().bytes, numbers(1));
    npz.verify().unwrap();
}

// --- Hostile files.

/// A version 1 file of this header text and so many zero bytes.
fn npy(text: &str, size: usize) -> Vec<u8> {
    [b"\x93NUMPY\x01\x00", &(text.len() as u16).to_le_bytes()[..], text.as_bytes(), &vec![0; size]].concat()
}

#[test]
fn header_texts() {
    let good: &[(&str, usize, &str, &[usize])] = &[
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }\n", 8, "<f4", &[2]),
        ("{\"shape\":(2 , 1),\"fortran_order\":False,\"descr\":\"f4\"}", 8, "<f4", &[2, 1]),
        (" {'descr':'=f4','fortran_order':True,'shape':(2L,)} ", 8, "<f4", &[2]),
        ("{'descr': '>u1', 'fortran_order': False, 'shape': (3,)}", 3, "|u1", &[3]),
        ("{'descr': '<i1', 'fortran_order': False, 'shape': ()}", 1, "|i1", &[]),
        ("{'descr': '<c16', 'fortran_order': False, 'shape': (1,)}", 16, "<c16", &[1]),
    ];
    for &(text, size, descr, shape) in good {
        let header = read_header(&npy(text, size)).expect(text);
        assert_eq!((header.descr, &*header.shape, header.size), (descr, shape, size), "{text}");
    }
    let with =
        |descr: &str, order: &str, shape: &str| format!("{{'descr':{descr},'fortran_order':{order},'shape':{shape}}}");
    let shape = |shape: &str| with("'<f4'", "False", shape);
    let bad: &[(&str, ErrorKind, &str)] = &[
        ("", ErrorKind::Structure, "'{' should stand where its end stands"),
        ("{}", ErrorKind::Structure, "lacks descr, fortran_order or shape"),
        ("{'descr':'<f4','shape':(1,)}", ErrorKind::Structure, "lacks descr"),
        ("{'descr':'<f4','descr':'<f4'}", ErrorKind::Structure, "the header says descr twice"),
        ("{'x':1}", ErrorKind::Structure, "unknown key \"x\""),
        ("{'descr'}", ErrorKind::Structure, "':' should stand where '}' stands"),
        ("{'descr:'<f4'}", ErrorKind::Structure, "':' should stand where '<'"),
        ("{'descr", ErrorKind::Structure, "a plain string should stand where '\\''"),
        ("{'des\\cr':1}", ErrorKind::Structure, "a plain string"),
        ("{'descr\n':1}", ErrorKind::Structure, "a plain string"),
        ("{'descré':1}", ErrorKind::Structure, "a plain string"),
        (&with("'<f4'", "False", "(1,)}"), ErrorKind::Structure, "nothing more should stand where '}'"),
        (&with("'<f4'", "0", "(1,)"), ErrorKind::Structure, "True or False should stand where '0'"),
        (&with("'<f4'", "True", "(1,1)"), ErrorKind::Unsupported, "Fortran order"),
        (&with("4", "False", "(1,)"), ErrorKind::Structure, "a string should stand where '4'"),
        (&with("[('a','<f4')]", "False", "(1,)"), ErrorKind::Unsupported, "an array of records"),
        (&with("'<V2'", "False", "(1,)"), ErrorKind::Unsupported, "the element type \"<V2\""),
        (&with("'|O'", "False", "(1,)"), ErrorKind::Unsupported, "the element type \"|O\""),
        (&with("'>f4'", "False", "(1,)"), ErrorKind::Unsupported, "big-endian values \">f4\""),
        (&with("'<>f4'", "False", "(1,)"), ErrorKind::Unsupported, "the element type \"<>f4\""),
        (&with("'<<f4'", "False", "(1,)"), ErrorKind::Unsupported, "the element type \"<<f4\""),
        (&with("''", "False", "(1,)"), ErrorKind::Unsupported, "the element type \"\""),
        (&shape("(1)"), ErrorKind::Structure, "a comma should stand where ')'"),
        (&shape("[1]"), ErrorKind::Structure, "'(' should stand where '['"),
        (&shape("(1,"), ErrorKind::Structure, "an unsigned 64-bit integer should stand where '}'"),
        (&shape("(,)"), ErrorKind::Structure, "an unsigned 64-bit integer should stand where ','"),
        (&shape("(-1,)"), ErrorKind::Structure, "an unsigned 64-bit integer should stand where '-'"),
        (&shape("(1.0,)"), ErrorKind::Structure, "a comma should stand where '.'"),
        (&shape("(1_0,)"), ErrorKind::Structure, "a comma should stand where '_'"),
        (&shape("(18446744073709551616,)"), ErrorKind::Structure, "an unsigned 64-bit integer"),
        (&shape("(4294967296,4294967296)"), ErrorKind::Structure, "does not fit the address space"),
        (&shape("(4611686018427387904,)"), ErrorKind::Structure, "does not fit the address space"),
        (&shape(&format!("({})", "1,".repeat(65))), ErrorKind::Unsupported, "more than 64 dimensions"),
        (&shape("(2,)"), ErrorKind::Structure, "<f4 of shape [2] takes 8 bytes, but 4 follow the header"),
        (&shape("(0,)"), ErrorKind::Unsupported, "more than one array in a file; 4 bytes follow the first"),
    ];
    for (text, kind, sentence) in bad {
        let e = read_header(&npy(text, 4)).expect_err(text);
        assert!(e.to_string().contains(sentence), "{text}: {e}");
        assert_eq!(e.kind(), *kind, "{text}: {e}");
    }
    assert!(read_header(&npy(&shape(&format!("({})", "1,".repeat(64))), 4)).is_ok(), "as many as numpy allows");
}

#[test]
fn starts_and_lengths_that_lie() {
    let whole = fs::read(golden("f4.npy")).unwrap();
    for cut in 0..whole.len() {
        assert_eq!(read_header(&whole[..cut]).expect_err("cut").kind(), ErrorKind::Structure, "cut to {cut}");
    }
    for (at, bytes, sentence) in [
        (0, &[0x94][..], "does not begin like a .npy file"),
        (6, &[4], "version 4.0 of the .npy format"),
        (6, &[1, 1], "version 1.1 of the .npy format"),
        (6, &[0], "version 0.0"),
        (8, &[0xff, 0xff], "ends within its header"),
        (6, &[2, 0, 0xff, 0xff, 0xff, 0xff], "a header of 4294967295 bytes; the limit is 65536"),
        (6, &[3, 0, 0, 0, 1, 0], "ends within its header"),
    ] {
        let mut lying = whole.clone();
        lying[at..at + bytes.len()].copy_from_slice(bytes);
        let e = read_header(&lying).expect_err(sentence).to_string();
        assert!(e.contains(sentence), "{e}");
    }
}

#[test]
fn archives_cut_short_or_with_one_byte_wrong() {
    for name in ["stored.npz", "compressed.npz"] {
        let whole = fs::read(golden(name)).unwrap();
        read_archive(&whole).unwrap();
        for cut in 0..whole.len() {
            read_archive(&whole[..cut]).expect_err("an archive without its end");
        }
        let mut bent = whole.clone();
        for at in 0..whole.len() {
            for xor in [1, 0x80, 0xff] {
                bent[at] = whole[at] ^ xor;
                let _ = read_archive(&bent);
            }
            bent[at] = whole[at];
        }
    }
}

#[test]
fn archives_that_lie() {
    let stored = fs::read(golden("stored.npz")).unwrap();
    let compressed = fs::read(golden("compressed.npz")).unwrap();
    // Where the first record of each kind begins.
    let find = |file: &[u8], sign: &[u8]| file.windows(4).position(|w| w == sign).unwrap();
    let local = |file: &[u8]| find(file, b"PK\x03\x04");
    let listed = |file: &[u8]| find(file, b"PK\x01\x02");
    let end = |file: &[u8]| find(file, b"PK\x05\x06");
    // A file, the record in it to overwrite, from which byte of it, with which bytes; and what is said of it then.
    type Case<'a> = (&'a [u8], &'a dyn Fn(&[u8]) -> usize, usize, &'a [u8], ErrorKind, &'a str);
    let cases: &[Case] = &[
        (&stored, &end, 0, b"Q", ErrorKind::Structure, "no zip archive: it has no end record"),
        (&stored, &end, 20, &[1], ErrorKind::Structure, "it has no end record"),
        (&stored, &end, 4, &[1], ErrorKind::Unsupported, "in several parts"),
        (&stored, &end, 10, &[4], ErrorKind::Structure, "its directory lists fewer files than its end record counts"),
        (&stored, &end, 10, &[2], ErrorKind::Structure, "bytes of its directory follow the last entry"),
        (&stored, &end, 12, &[0xff; 3], ErrorKind::Structure, "does not lie before its end record"),
        (&stored, &end, 16, &[0xfe; 4], ErrorKind::Structure, "does not lie before its end record"),
        (&stored, &end, 16, &[0xff; 4], ErrorKind::Structure, "does not lie before its end record"),
        (&stored, &listed, 8, &[1], ErrorKind::Unsupported, "array \"w\": not supported: an encrypted archive"),
        (&stored, &listed, 10, &[9], ErrorKind::Unsupported, "zip compression method 9"),
        (&stored, &listed, 10, &[8], ErrorKind::Structure, "disagree about its name or compression"),
        (&stored, &local, 8, &[8], ErrorKind::Structure, "disagree about its name or compression"),
        (&stored, &local, 30, b"v", ErrorKind::Structure, "disagree about its name"),
        (&stored, &listed, 20, &[0xfe; 4], ErrorKind::Structure, "its file would be 4278124286 bytes long"),
        (&stored, &listed, 20, &[0xff; 4], ErrorKind::Structure, "its file would be 4294967295 bytes long"),
        (&stored, &listed, 24, &[1], ErrorKind::Structure, "array \"w\": it is stored, but 1"),
        (&stored, &listed, 28, &[0xff, 0xff], ErrorKind::Structure, "a zip record is cut short"),
        (&stored, &listed, 42, &[1], ErrorKind::Structure, "its file does not begin where the directory says"),
        (&stored, &listed, 42, &[0xfe; 4], ErrorKind::Structure, "its file does not begin where"),
        (&stored, &listed, 46 + 4, b"q", ErrorKind::Unsupported, "a file \"w.npq\", which is no array"),
        (&compressed, &listed, 16, &[0; 4], ErrorKind::Structure, "its checksum does not match its bytes"),
        (
            &compressed,
            &listed,
            24,
            &[0, 1, 0, 0],
            ErrorKind::Structure,
            "array \"zeros\": it inflates to more than 256 bytes",
        ),
        (&compressed, &listed, 24, &[0, 0, 1, 0], ErrorKind::Structure, "it inflates to 20128 bytes, not 65536"),
        (&compressed, &listed, 24, &[0, 0, 0, 9], ErrorKind::Structure, "bytes cannot inflate to 150994944"),
    ];
    for (whole, place, at, bytes, kind, sentence) in cases {
        let mut lying = whole.to_vec();
        let at = place(whole) + at;
        lying[at..at + bytes.len()].copy_from_slice(bytes);
        let e = read_archive(&lying).expect_err(sentence);
        assert!(e.to_string().contains(sentence), "{sentence}: {e}");
        assert_eq!(e.kind(), *kind, "{e}");
    }

    let mut damaged = stored.clone();
    let value = stored.windows(4).position(|w| w == 5f32.to_le_bytes()).unwrap();
    damaged[value] ^= 1;
    let e = Archive::parse(&damaged).unwrap().verify(&damaged).unwrap_err();
    assert!(e.to_string().contains("array \"w\": its checksum does not match its bytes"), "{e}");
}

/// Two entries of the directory that share one file, under one name or with one hidden in the other.
#[test]
fn arrays_do_not_overlap() {
    let inner = zip("npz-inner", Array::new("in", &[2], &[1u8, 2]));
    let directory = |file: &[u8]| {
        let start = file.windows(4).position(|w| w == b"PK\x01\x02").unwrap();
        let end = file.windows(4).position(|w| w == b"PK\x05\x06").unwrap();
        (start, end)
    };
    // The same entry twice.
    let (start, end) = directory(&inner);
    let mut twice = [&inner[..end], &inner[start..]].concat();
    let at = twice.len() - 22;
    twice[at + 8] = 2;
    twice[at + 10] = 2;
    twice[at + 12] *= 2;
    assert!(read_archive(&twice).unwrap_err().to_string().contains("array \"in\" is there twice"));

    // An array whose values are a local header and its file, and an entry that points into them.
    let local = &inner[..start];
    let bytes = zip("npz-outer", Array::new("out", &[local.len()], local));
    let (outer_start, outer_end) = directory(&bytes);
    let mut entry = inner[start..end].to_vec();
    let offset = outer_start - local.len();
    entry[42..46].copy_from_slice(&(offset as u32).to_le_bytes());
    let size = outer_end - outer_start + entry.len();
    let mut hidden = [&bytes[..outer_end], &entry, &bytes[outer_end..]].concat();
    let at = hidden.len() - 22;
    hidden[at + 8] = 2;
    hidden[at + 10] = 2;
    hidden[at + 12..at + 16].copy_from_slice(&(size as u32).to_le_bytes());
    assert!(read_archive(&hidden).unwrap_err().to_string().contains("two of its files overlap"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(5_000))]

    /// A header with a few bytes replaced is read or refused, never worse; what is read is within the file.
    #[test]
    fn bent_headers(bends in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6), version in 1..4u8) {
        let mut file = fs::read(golden(if version == 1 { "f4.npy" } else { "v3.npy" })).unwrap();
        for (at, byte) in bends {
            let at = at.index(file.len());
            file[at] = byte;
        }
        let _ = read_header(&file);
    }

    /// The same for archives, several bytes at a time.
    #[test]
    fn bent_archives(
        bends in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 2..6),
        name in prop::sample::select(vec!["stored.npz", "compressed.npz"]),
    ) {
        let mut file = fs::read(golden(name)).unwrap();
        for (at, byte) in bends {
            let at = at.index(file.len());
            file[at] = byte;
        }
        let _ = read_archive(&file);
    }

}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))] // each waits for the disk

    /// What is written for any shape is read back.
    #[test]
    fn any_shape(shape in prop::collection::vec(0..9usize, 0..6)) {
        let values: Vec<i16> = (0..shape.iter().product::<usize>()).map(|i| i as i16).collect();
        let dir = tempdir("npy-shape");
        write(&dir.join("x.npy"), &Array::new("x", &shape, &values)).unwrap();
        let file = fs::read(dir.join("x.npy")).unwrap();
        let header = read_header(&file).unwrap();
        prop_assert_eq!(header.start % 64, 0);
        prop_assert_eq!(&header.shape, &shape);
        prop_assert_eq!(&file[header.start..], values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<_>>());
    }
}
