//! Importance matrices in both formats, sound and otherwise.

use std::{fs, path::PathBuf};

use lucid::{
    Result,
    file::gguf::{Draft, Value, Writer},
    quantize::{Imatrix, Mix, Model, Options, Plan, Source, plan},
};
use lucid_kernels::formats::Format;

fn path(test: &str) -> PathBuf {
    std::env::temp_dir().join(format!("lucid-imatrix-{}-{test}", std::process::id()))
}

/// Reads a file of these bytes.
fn read(test: &str, bytes: &[u8]) -> Result<Imatrix> {
    let path = path(test);
    fs::write(&path, bytes).unwrap();
    let imatrix = Imatrix::read(&path);
    fs::remove_file(&path).unwrap();
    imatrix
}

/// A GGUF file of these tensors of F32.
fn gguf(test: &str, tensors: &[(&str, &[usize], &[f32])]) -> Vec<u8> {
    let path = path(&format!("{test}.gguf"));
    let mut draft = Draft::new();
    draft.set("general.type", Value::String("imatrix")).unwrap();
    draft.set_strings("imatrix.datasets", ["wiki.txt", "code.txt"]).unwrap();
    draft.set("imatrix.chunk_count", Value::U32(135)).unwrap();
    tensors.iter().for_each(|(name, shape, _)| draft.tensor(name, shape, Format::F32).unwrap());
    let mut writer = Writer::create(&path, &draft).unwrap();
    for (name, _, values) in tensors {
        writer.write(name, &values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<_>>()).unwrap();
    }
    writer.finish().unwrap();
    let bytes = fs::read(&path).unwrap();
    fs::remove_file(&path).unwrap();
    bytes
}

/// A legacy file: entries of a name, a number of calls and values, and what follows them.
fn legacy(entries: &[(&str, i32, &[f32])], tail: &[u8]) -> Vec<u8> {
    let mut out = (entries.len() as i32).to_le_bytes().to_vec();
    for (name, calls, values) in entries {
        out.extend((name.len() as i32).to_le_bytes());
        out.extend(name.as_bytes());
        out.extend(calls.to_le_bytes());
        out.extend((values.len() as i32).to_le_bytes());
        out.extend(values.iter().flat_map(|v| v.to_le_bytes()));
    }
    [&out, tail].concat()
}

/// A plan for tensors of these names and shapes, from F32 to Q4_0.
fn planned(tensors: &[(&str, &[usize])]) -> Plan {
    let source =
        |&(name, shape): &(&str, &[usize])| Source { name: name.into(), shape: shape.to_vec(), format: Format::F32 };
    let tensors: Vec<Source> = tensors.iter().map(source).collect();
    plan(&Model { arch: "llama".into(), ..Model::default() }, &tensors, &Options::new(Mix::Q4_0), true).unwrap()
}

#[test]
fn sums_are_divided_by_their_counts() {
    let values: Vec<f32> = (0..64).map(|i| i as f32).collect();
    let file = gguf(
        "sums",
        &[
            ("blk.0.ffn_up_exps.weight.in_sum2", &[2, 32], &values),
            ("blk.0.ffn_up_exps.weight.counts", &[2, 1], &[4.0, 0.0]),
            ("blk.0.attn_q.weight.in_sum2", &[1, 32], &values[..32]),
            ("blk.0.attn_q.weight.counts", &[1, 1], &[2.0]),
        ],
    );
    let imatrix = read("sums", &file).unwrap();
    assert_eq!((imatrix.len(), imatrix.chunks, imatrix.datasets.len()), (2, 135, 2));
    let plan = planned(&[
        ("blk.0.ffn_up_exps.weight", &[2, 5, 32]),
        ("blk.0.attn_q.weight", &[8, 32]),
        ("blk.0.attn_norm.weight", &[32]),
    ]);
    let [experts, query, norm] = [0, 1, 2].map(|i| imatrix.columns(&plan.tensors[i]).unwrap());
    let expected: Vec<f32> = (0..64).map(|i| if i < 32 { i as f32 / 4.0 } else { 1.0 }).collect();
    assert_eq!(experts.unwrap(), expected);
    assert_eq!(query.unwrap()[31], 15.5);
    assert_eq!(norm, None, "what is copied is not weighed");
    assert!(imatrix.missing(&plan).is_empty());
}

#[test]
fn legacy_sums_are_divided_by_the_calls() {
    let values: Vec<f32> = (0..32).map(|i| i as f32).collect();
    let tail = [&9i32.to_le_bytes()[..], &4i32.to_le_bytes(), b"text"].concat();
    let entries: &[(&str, i32, &[f32])] = &[("blk.0.attn_q.weight", 8, &values), ("blk.0.attn_k.weight", 0, &values)];
    let plan = planned(&[
        ("blk.0.attn_q.weight", &[8, 32]),
        ("blk.0.attn_k.weight", &[8, 32]),
        ("blk.0.attn_v.weight", &[8, 32]),
    ]);
    for (tail, chunks, datasets) in [(&tail[..], 9, vec!["text".to_owned()]), (&tail[..4], 9, vec![]), (&[], 0, vec![])]
    {
        let imatrix = read("legacy", &legacy(entries, tail)).unwrap();
        assert_eq!((imatrix.chunks, &imatrix.datasets), (chunks, &datasets));
        assert_eq!(imatrix.columns(&plan.tensors[0]).unwrap().unwrap()[31], 31.0 / 8.0);
        assert_eq!(imatrix.columns(&plan.tensors[1]).unwrap().unwrap()[31], 31.0, "no calls: as it is");
        assert_eq!(imatrix.missing(&plan), ["blk.0.attn_v.weight"]);
    }
}

#[test]
fn an_entry_of_another_length_is_an_error() {
    let entries: &[(&str, i32, &[f32])] =
        &[("blk.0.attn_q.weight", 1, &[1.0; 64]), ("token_embd.weight", 1, &[1.0; 3])];
    let imatrix = read("length", &legacy(entries, &[])).unwrap();
    let plan =
        planned(&[("token_embd.weight", &[8, 32]), ("output.weight", &[8, 32]), ("blk.0.attn_q.weight", &[8, 32])]);
    let sentence = plan.check(Some(&imatrix)).unwrap_err().to_string();
    assert!(
        sentence.contains("its entry for tensor blk.0.attn_q.weight has 64 values where the tensor has 32 columns"),
        "{sentence}"
    );
    assert_eq!(imatrix.columns(&plan.tensors[0]).unwrap(), None, "the embedding goes without");
    assert_eq!(imatrix.missing(&plan), ["token_embd.weight", "output.weight"]);
}

#[test]
fn what_is_no_importance_matrix_is_refused() {
    let entry = |value: f32| legacy(&[("blk.0.attn_q.weight", 1, &[1.0, value])], &[]);
    let whole = entry(1.0);
    assert!(read("whole", &whole).is_ok());
    for cut in 0..whole.len() {
        assert!(read("cut", &whole[..cut]).is_err(), "{cut} of {} bytes", whole.len());
    }
    for (value, text) in [(f32::NAN, "NaN"), (f32::INFINITY, "inf"), (-1.0, "-1")] {
        let sentence = read("value", &entry(value)).unwrap_err().to_string();
        assert!(
            sentence.contains(&format!("entry blk.0.attn_q.weight: value 1 is {text}, which is no mean square")),
            "{sentence}"
        );
    }
    // Lengths that promise more than the file holds reserve nothing.
    for at in [0, 4, 27, 31] {
        let mut long = whole.clone();
        long[at..at + 4].copy_from_slice(&i32::MAX.to_le_bytes());
        assert!(read("long", &long).is_err() || at == 27, "{at}: the calls may be many, no length may");
        long[at..at + 4].copy_from_slice(&(-1i32).to_le_bytes());
        assert!(read("negative", &long).is_err(), "{at}");
    }
    for (tensors, fault) in [
        (&[("a.weight", &[2usize, 2][..], &[1f32; 4][..])][..], "this is no importance matrix"),
        (&[("a.in_sum2", &[2], &[1.0; 2])], "there are sums of squares, and no counts"),
        (
            &[("a.in_sum2", &[3], &[1.0; 3]), ("a.counts", &[2], &[1.0; 2])],
            "there are not as many sums for every count",
        ),
        (&[("a.in_sum2", &[2], &[1.0; 2]), ("a.counts", &[1], &[f32::NAN])], "a count is NaN"),
    ] {
        let sentence = read("gguf", &gguf("gguf", tensors)).unwrap_err().to_string();
        assert!(sentence.contains(fault), "{sentence}");
    }
}
