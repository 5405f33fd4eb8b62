use super::folder;
use crate::{
    ErrorKind,
    file::gguf::{Array, Draft, Gguf, Value, Writer},
};
use lucid_kernels::formats::Format;
use std::path::Path;

/// Keys of several types and two tensors, of 40 and 34 bytes.
fn draft() -> Draft {
    let mut draft = Draft::new();
    draft.set("general.architecture", Value::String("llama")).unwrap();
    draft.set("general.alignment", Value::U32(64)).unwrap();
    draft.set_strings("tokens", [&b"a"[..], b"\xff", b""]).unwrap();
    draft.set("scores", Value::Array(Array::from(&[0.5f32, -1.0, 2.0][..]))).unwrap();
    draft.set("flags", Value::Array(Array::from(&[true, false][..]))).unwrap();
    draft.tensor("norm", &[10], Format::F32).unwrap();
    draft.tensor("matrix", &[1, 32], Format::Q8_0).unwrap();
    draft
}

const NORM: [u8; 40] = [7; 40];
const MATRIX: [u8; 34] = [9; 34];

fn files(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|f| f.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[test]
fn what_is_written_reads_back() {
    let folder = folder("write");
    let path = folder.join("a.gguf");
    let mut writer = Writer::create(&path, &draft()).unwrap();
    writer.write("norm", &NORM[..13]).unwrap();
    writer.write("norm", &NORM[13..]).unwrap();
    writer.write("matrix", &MATRIX).unwrap();
    assert!(!path.exists(), "no file under the name before it is whole");
    writer.finish().unwrap();
    assert_eq!(files(&folder), ["a.gguf"]);

    let file = Gguf::open(&path).unwrap();
    assert_eq!((file.version, file.alignment, file.parts[0].unused), (3, 64, 0));
    let keys: Vec<&str> = file.metadata.iter().map(|(k, _)| k).collect();
    assert_eq!(keys, ["general.architecture", "general.alignment", "tokens", "scores", "flags"]);
    assert_eq!(file.metadata.strings("tokens").unwrap().collect::<Vec<_>>(), [&b"a"[..], b"\xff", b""]);
    assert_eq!(file.metadata.f32s("scores").unwrap().collect::<Vec<_>>(), [0.5, -1.0, 2.0]);
    let tensors: Vec<_> = file.tensors().map(|t| (t.name, t.shape, t.format, t.bytes)).collect();
    let norm = ("norm", &[10][..], Some(Format::F32), &NORM[..]);
    let matrix = ("matrix", &[1, 32][..], Some(Format::Q8_0), &MATRIX[..]);
    assert_eq!(tensors, [norm, matrix]);

    // Copied from the file just read, replacing it while it is mapped: the same bytes again.
    let before = std::fs::read(&path).unwrap();
    let mut copy = Draft::new();
    copy.set_all(&file.metadata).unwrap();
    file.tensors().for_each(|t| copy.tensor(t.name, t.shape, t.format.unwrap()).unwrap());
    let mut writer = Writer::create(&path, &copy).unwrap();
    file.tensors().for_each(|t| writer.write(t.name, t.bytes).unwrap());
    writer.finish().unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), before);
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_writer_that_is_dropped_leaves_nothing() {
    let folder = folder("drop");
    let path = folder.join("a.gguf");
    std::fs::write(&path, "the old file").unwrap();
    let mut writer = Writer::create(&path, &draft()).unwrap();
    writer.write("norm", &NORM).unwrap();
    assert_eq!(files(&folder).len(), 2);
    drop(writer);
    assert_eq!(files(&folder), ["a.gguf"]);

    let mut writer = Writer::create(&path, &draft()).unwrap();
    writer.write("norm", &NORM).unwrap();
    writer.write("matrix", &MATRIX[..33]).unwrap();
    let error = writer.finish().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Shape);
    assert!(error.to_string().contains("\"matrix\" has 34 bytes, and 33 are written"), "{error}");
    assert_eq!(files(&folder), ["a.gguf"]);
    assert_eq!(std::fs::read(&path).unwrap(), b"the old file");
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn tensors_are_written_whole_and_in_order() {
    let folder = folder("order");
    let create = || Writer::create(&folder.join("a.gguf"), &draft()).unwrap();
    let too_much = create().write("norm", &[0; 41]).unwrap_err();
    assert!(too_much.to_string().contains("\"norm\" has 40 bytes, and 41 are written"), "{too_much}");
    let other = create().write("matrix", &MATRIX).unwrap_err();
    assert!(other.to_string().contains("\"matrix\" is written when \"norm\" is next"), "{other}");
    let mut writer = create();
    writer.write("norm", &NORM).unwrap();
    writer.write("matrix", &MATRIX).unwrap();
    let after = writer.write("matrix", &MATRIX).unwrap_err();
    assert!(after.to_string().contains("after the last"), "{after}");
    drop(writer);
    assert!(files(&folder).is_empty());
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn keys_can_be_replaced_and_left_out() {
    let mut draft = draft();
    draft.set("general.architecture", Value::String("qwen3")).unwrap();
    draft.remove("tokens");
    draft.remove("absent");
    draft.set("scores", Value::U8(1)).unwrap();
    draft.remove("general.alignment");
    let mut bytes = draft.header().unwrap();
    assert_eq!(bytes.len() % 32, 0);
    bytes.resize(bytes.len() + 64 + 34, 0);
    let file = Gguf::parse(Path::new("test"), bytes).unwrap();
    let found: Vec<_> = file.metadata.iter().collect();
    let flags = Value::Array(Array::from(&[true, false][..]));
    assert_eq!(found, [("general.architecture", Value::String("qwen3")), ("scores", Value::U8(1)), ("flags", flags)]);
    assert_eq!(file.alignment, 32);
}

#[test]
fn what_no_reader_would_accept_is_not_written() {
    let mut draft = draft();
    let long = "k".repeat(65_536);
    let cases = [
        (draft.set("", Value::U8(0)), "\"\" is empty"),
        (draft.set(&long, Value::U8(0)), "65536 bytes long"),
        (draft.set("general.alignment", Value::U32(24)), "general.alignment cannot be u32 24"),
        (draft.set("general.alignment", Value::U64(32)), "general.alignment cannot be u64 32"),
        (draft.tensor("", &[1], Format::F32), "is empty"),
        (draft.tensor(&"n".repeat(65), &[1], Format::F32), "65 bytes long"),
        (draft.tensor("norm", &[1], Format::F32), "\"norm\" is declared twice"),
        (draft.tensor("t", &[1; 5], Format::F32), "5 dimensions"),
        (draft.tensor("t", &[0], Format::F32), "dimension of 0"),
        (draft.tensor("t", &[1, 33], Format::Q8_0), "33 values"),
        (draft.tensor("t", &[1 << 40, 1 << 40], Format::F32), "counted"),
    ];
    for (result, words) in cases {
        let error = result.err().unwrap_or_else(|| panic!("accepted, instead of: {words}"));
        assert_eq!(error.kind(), ErrorKind::Structure);
        assert!(error.to_string().contains(words), "{error}");
    }
    draft.tensor("t", &[1 << 61], Format::F32).unwrap();
    draft.tensor("u", &[1 << 61], Format::F32).unwrap();
    assert!(draft.header().unwrap_err().to_string().contains("\"u\" ends beyond what can be counted"));
}

#[test]
fn targets_that_cannot_be_replaced() {
    let folder = folder("targets");
    let refused = |path: &Path| Writer::create(path, &draft()).err().unwrap_or_else(|| panic!("{path:?} accepted"));
    assert!(refused(&folder).to_string().contains("no regular file"));
    assert_eq!(refused(&folder.join("absent/a.gguf")).kind(), ErrorKind::Io);
    #[cfg(unix)]
    assert!(refused(Path::new("/dev/null")).to_string().contains("no regular file"));
    assert!(files(&folder).is_empty());
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_model_in_several_files_reads_back_as_one() {
    let folder = folder("split");
    let path = folder.join("big.gguf");
    let mut whole = draft();
    for i in 0..3 {
        whole.tensor(&format!("t{i}"), &[8], Format::F32).unwrap();
    }
    // norm 40, matrix 34, then three of 32 bytes: at most 70 a file is norm | matrix t0 | t1 t2
    whole.split(70);
    let mut writer = Writer::create(&path, &whole).unwrap();
    writer.write("norm", &NORM).unwrap();
    writer.write("matrix", &MATRIX).unwrap();
    for i in 0..3u8 {
        writer.write(&format!("t{i}"), &[i; 32]).unwrap();
    }
    writer.finish().unwrap();
    let names = ["big-00001-of-00003.gguf", "big-00002-of-00003.gguf", "big-00003-of-00003.gguf"];
    assert_eq!(files(&folder), names);
    for name in names {
        let file = Gguf::open(&folder.join(name)).unwrap();
        assert_eq!((file.parts.len(), file.alignment, file.tensors().len()), (3, 64, 5));
        assert_eq!(file.metadata.string("general.architecture").unwrap(), "llama");
        assert_eq!(file.tensor("norm").unwrap().bytes, NORM);
        assert_eq!(file.tensor("matrix").unwrap().bytes, MATRIX);
        assert_eq!(file.tensor("t2").unwrap().bytes, [2; 32]);
    }

    // what fits one file keeps its name, and an unfinished writer leaves nothing
    let mut small = draft();
    small.split(1000);
    drop(Writer::create(&path, &whole).unwrap());
    let mut writer = Writer::create(&path, &small).unwrap();
    writer.write("norm", &NORM).unwrap();
    writer.write("matrix", &MATRIX).unwrap();
    writer.finish().unwrap();
    assert_eq!(files(&folder), [&names[..], &["big.gguf"]].concat());
    assert!(Gguf::open(&path).unwrap().metadata.get("split.count").is_none());
    std::fs::remove_dir_all(folder).unwrap();
}
