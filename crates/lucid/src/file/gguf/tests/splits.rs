use super::{folder, refused};
use crate::{
    ErrorKind,
    file::gguf::{Draft, Gguf, Value, Writer},
};
use lucid_kernels::formats::Format;
use std::path::{Path, PathBuf};

/// Writes part `no` (from 0) with one tensor of two floats, both of the value `no`.
fn part(path: &Path, no: u16, count: u16, tensors: i32, tensor: &str) {
    let mut draft = Draft::new();
    draft.set("general.name", Value::String(["first", "later"][usize::from(no > 0)])).unwrap();
    draft.set("split.no", Value::U16(no)).unwrap();
    draft.set("split.count", Value::U16(count)).unwrap();
    draft.set("split.tensors.count", Value::I32(tensors)).unwrap();
    draft.tensor(tensor, &[2], Format::F32).unwrap();
    let mut writer = Writer::create(path, &draft).unwrap();
    writer.write(tensor, &[f32::from(no).to_le_bytes(), f32::from(no).to_le_bytes()].concat()).unwrap();
    writer.finish().unwrap();
}

fn name(folder: &Path, no: u16, count: u16) -> PathBuf {
    folder.join(format!("m-{:05}-of-{count:05}.gguf", no + 1))
}

/// Three good parts in a folder of their own.
fn three(test: &str) -> PathBuf {
    let folder = folder(test);
    (0..3).for_each(|no| part(&name(&folder, no, 3), no, 3, 3, ["c", "a", "b"][no as usize]));
    folder
}

#[test]
fn any_part_opens_the_whole() {
    let folder = three("whole");
    for no in 0..3 {
        let model = Gguf::open(&name(&folder, no, 3)).unwrap();
        assert_eq!((&model.path, model.parts.len()), (&name(&folder, 0, 3), 3));
        assert_eq!(model.metadata.string("general.name").unwrap(), "first");
        assert_eq!(model.tensors().map(|t| t.name).collect::<Vec<_>>(), ["c", "a", "b"]);
        for (i, t) in ["c", "a", "b"].iter().enumerate() {
            assert_eq!(model.tensor(t).unwrap().bytes[..4], (i as f32).to_le_bytes(), "{t}");
        }
    }
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn faults_of_splits() {
    let folder = three("faults");
    let open = |no| Gguf::open(&name(&folder, no, 3));
    let check = |case: &str, kind, words: &[&str]| {
        let error = refused(open(0), case);
        assert_eq!(error.kind(), kind, "{case}: {error}");
        words.iter().for_each(|w| assert!(error.to_string().contains(w), "{case}: no {w:?} in: {error}"));
    };

    std::fs::remove_file(name(&folder, 1, 3)).unwrap();
    check("a part is missing", ErrorKind::Io, &["m-00002-of-00003.gguf", "part 2 of 3"]);
    part(&name(&folder, 1, 3), 1, 3, 3, "b");
    check("a tensor in two parts", ErrorKind::Structure, &["m-00003-of-00003.gguf", "\"b\"", "m-00002-of-00003.gguf"]);
    part(&name(&folder, 1, 3), 2, 3, 3, "a");
    check("a part in the wrong place", ErrorKind::Structure, &["m-00002-of-00003.gguf", "part 3 of 3", "part 2 of 3"]);
    part(&name(&folder, 1, 3), 1, 4, 3, "a");
    check("a part of another split", ErrorKind::Structure, &["m-00002-of-00003.gguf", "part 2 of 4", "part 2 of 3"]);
    std::fs::write(name(&folder, 1, 3), "GGUF").unwrap();
    check("a part that is damaged", ErrorKind::Structure, &["m-00002-of-00003.gguf", "the version"]);
    part(&name(&folder, 1, 3), 1, 3, 3, "a");
    part(&name(&folder, 0, 3), 0, 3, 4, "c");
    check("a tensor is missing", ErrorKind::Structure, &["m-00001-of-00003.gguf", "promises 4 tensors", "hold 3"]);

    std::fs::remove_file(name(&folder, 0, 3)).unwrap();
    let error = refused(open(2), "the first part is missing");
    assert!(error.to_string().contains("m-00001-of-00003.gguf: cannot open the first of 3 parts"), "{error}");

    let renamed = folder.join("renamed.gguf");
    std::fs::rename(name(&folder, 2, 3), &renamed).unwrap();
    let error = refused(Gguf::open(&renamed), "a part under another name");
    assert!(error.to_string().contains("does not end in -00003-of-00003.gguf"), "{error}");
    let error = refused(Gguf::parse(Path::new("m"), std::fs::read(&renamed).unwrap()), "a part in memory");
    assert!(error.to_string().contains("part 3 of 3 of a split model"), "{error}");
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn positions() {
    let read = |no, count| {
        let mut draft = Draft::new();
        draft.set("split.no", no).unwrap();
        draft.set("split.count", count).unwrap();
        Gguf::parse(Path::new("m"), draft.header().unwrap())
    };
    assert_eq!(read(Value::U16(0), Value::U16(1)).unwrap().parts.len(), 1);
    assert_eq!(read(Value::U16(0), Value::U16(0)).unwrap().parts.len(), 1, "as merging leaves it");
    for (no, count, words) in [
        (Value::U16(1), Value::U16(1), "split.no is 1"),
        (Value::U64(u64::MAX), Value::U64(u64::MAX), "split.no is 18446744073709551615"),
        (Value::I16(-1), Value::U16(3), "split.no is i16 -1"),
        (Value::U16(0), Value::String("3"), "split.count is string \"3\""),
    ] {
        let error = refused(read(no, count), words);
        assert_eq!(error.kind(), ErrorKind::Structure);
        assert!(error.to_string().contains(words), "{error}");
    }
}
