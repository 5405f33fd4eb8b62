//! Quantising whole files: every row is what its encoder makes of it, and a failure leaves nothing behind.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
};

use lucid::{
    ErrorKind, Result,
    file::gguf::{Draft, Gguf, Value, Writer},
    quantize::{Imatrix, Mix, Model, Options, Plan, TensorType, plan, run, tensors},
};
use lucid_kernels::formats::Format;

/// A folder of its own, removed when the test is over.
struct Scratch(PathBuf);

impl Scratch {
    fn new(test: &str) -> Scratch {
        let folder = std::env::temp_dir().join(format!("lucid-quantize-{}-{test}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        Scratch(folder)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn names(&self) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(&self.0).unwrap().map(|f| f.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// One tensor of a file to be made.
struct Tensor {
    name: &'static str,
    shape: Vec<usize>,
    format: Format,
    bytes: Vec<u8>,
}

/// Values of a hash of their index: between -2 and 2, all different enough.
fn noise(n: usize) -> Vec<f32> {
    let mut state = 0x9e37_79b9u32;
    let next = |_| {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state as f32 / u32::MAX as f32 * 4.0 - 2.0
    };
    (0..n).map(next).collect()
}

fn f32s(name: &'static str, shape: &[usize], values: &[f32]) -> Tensor {
    let bytes = values.iter().flat_map(|v| v.to_le_bytes()).collect();
    Tensor { name, shape: shape.to_vec(), format: Format::F32, bytes }
}

fn noisy(name: &'static str, shape: &[usize]) -> Tensor {
    f32s(name, shape, &noise(shape.iter().product()))
}

fn write(path: &Path, tensors: &[Tensor], keys: &[(&str, Value)]) {
    let mut draft = Draft::new();
    let base = [
        ("general.architecture", Value::String("llama")),
        ("llama.block_count", Value::U32(2)),
        ("llama.attention.head_count", Value::U32(4)),
    ];
    base.iter().chain(keys).for_each(|(key, value)| draft.set(key, *value).unwrap());
    tensors.iter().for_each(|t| draft.tensor(t.name, &t.shape, t.format).unwrap());
    let mut writer = Writer::create(path, &draft).unwrap();
    tensors.iter().for_each(|t| writer.write(t.name, &t.bytes).unwrap());
    writer.finish().unwrap();
}

fn planned(source: &Gguf, options: &Options, imatrix: Option<&Imatrix>) -> Plan {
    plan(&Model::of(&source.metadata).unwrap(), &tensors(source).unwrap(), options, imatrix.is_some()).unwrap()
}

/// Quantises `input` to `out` with nothing that cancels.
fn quantize(input: &Path, out: &Path, options: &Options, imatrix: Option<&Imatrix>, threads: usize) -> Result<()> {
    let source = Gguf::open(input)?;
    let plan = planned(&source, options, imatrix);
    run(&source, &plan, imatrix, out, threads, &AtomicBool::new(false), &mut |_| {})
}

/// What the encoder of `format` makes of rows of `values`.
fn encoded(format: Format, row: usize, values: &[f32], weights: Option<&[f32]>) -> Vec<u8> {
    let mut out = vec![0; format.row_bytes(row).unwrap() * (values.len() / row)];
    let rows = values.chunks(row).zip(out.chunks_mut(format.row_bytes(row).unwrap()));
    rows.for_each(|(row, out)| format.encode(row, weights, out).unwrap());
    out
}

#[test]
fn every_row_is_what_its_encoder_makes_of_it_whatever_the_number_of_threads() {
    let scratch = Scratch::new("rows");
    // The first is larger than a piece of 16 MiB, the second has rows of an odd number of blocks, and neither divides evenly.
    let large = noisy("token_embd.weight", &[9001, 512]);
    let odd = noisy("blk.0.ffn_down.weight", &[77, 288]);
    let norm = noisy("blk.0.attn_norm.weight", &[512]);
    let whole = [
        encoded(Format::Q8_0, 512, &noise(9001 * 512), None),
        encoded(Format::Q8_0, 288, &noise(77 * 288), None),
        norm.bytes.clone(),
    ];
    write(&scratch.path("in.gguf"), &[large, odd, norm], &[]);
    let mut first: Option<Vec<u8>> = None;
    for threads in [1, 2, 7] {
        let out = scratch.path("out.gguf");
        quantize(&scratch.path("in.gguf"), &out, &Options::new(Mix::Q8_0), None, threads).unwrap();
        let written = Gguf::open(&out).unwrap();
        for (t, expected) in written.tensors().zip(&whole) {
            assert!(t.bytes == expected.as_slice(), "{} with {threads} threads", t.name);
        }
        assert_eq!(written.tensors().count(), 3);
        let bytes = fs::read(&out).unwrap();
        assert!(first.get_or_insert_with(|| bytes.clone()) == &bytes, "{threads} threads");
    }
}

#[test]
fn floats_of_every_width_are_read() {
    let scratch = Scratch::new("floats");
    let values = noise(64 * 32);
    let mut tensors = vec![noisy("blk.0.attn_q.weight", &[64, 32])];
    for (name, format) in [("blk.0.attn_k.weight", Format::F16), ("blk.0.attn_v.weight", Format::BF16)] {
        tensors.push(Tensor { name, shape: vec![64, 32], format, bytes: encoded(format, 32, &values, None) });
    }
    let f64s = values.iter().flat_map(|v| f64::from(*v).to_le_bytes()).collect();
    tensors.push(Tensor { name: "blk.0.attn_output.weight", shape: vec![64, 32], format: Format::F64, bytes: f64s });
    write(&scratch.path("in.gguf"), &tensors, &[]);
    quantize(&scratch.path("in.gguf"), &scratch.path("out.gguf"), &Options::new(Mix::BF16), None, 2).unwrap();
    let written = Gguf::open(&scratch.path("out.gguf")).unwrap();
    for (source, got) in tensors.iter().zip(written.tensors()) {
        let mut values = vec![0.0; 64 * 32];
        source.format.decode(&source.bytes, &mut values);
        assert_eq!(got.format, Some(Format::BF16));
        assert!(got.bytes == encoded(Format::BF16, 32, &values, None), "{}", source.name);
    }
}

#[test]
fn keys_say_what_was_done() {
    let scratch = Scratch::new("keys");
    let input = scratch.path("in.gguf");
    let keys =
        [("general.file_type", Value::U32(1)), ("general.alignment", Value::U32(64)), ("x.y", Value::Bool(true))];
    write(&input, &[noisy("blk.0.attn_q.weight", &[4, 256])], &keys);
    let imatrix = scratch.path("imatrix.dat");
    let entry = [
        &1i32.to_le_bytes()[..],
        &19i32.to_le_bytes(),
        b"blk.0.attn_q.weight",
        &1i32.to_le_bytes(),
        &256i32.to_le_bytes(),
    ];
    let tail = [&7i32.to_le_bytes()[..], &8i32.to_le_bytes(), b"some.txt"].concat();
    fs::write(&imatrix, [entry.concat(), 1f32.to_le_bytes().repeat(256), tail].concat()).unwrap();
    let imatrix = Imatrix::read(&imatrix).unwrap();
    quantize(&input, &scratch.path("out.gguf"), &Options::new(Mix::Q4_K_M), Some(&imatrix), 1).unwrap();

    let written = Gguf::open(&scratch.path("out.gguf")).unwrap();
    let keys = &written.metadata;
    assert_eq!(keys.u32("general.file_type").unwrap(), 15);
    assert_eq!(keys.u32("general.quantization_version").unwrap(), 2);
    assert_eq!(keys.string("quantize.imatrix.dataset").unwrap(), "some.txt");
    assert_eq!(keys.string("quantize.imatrix.file").unwrap(), imatrix.path.to_str().unwrap());
    assert_eq!(keys.u32("quantize.imatrix.entries_count").unwrap(), 1);
    assert_eq!(keys.u32("quantize.imatrix.chunks_count").unwrap(), 7);
    assert!(keys.bool("x.y").unwrap(), "what it does not know it leaves");
    assert_eq!(written.alignment, 64);
}

#[test]
fn each_expert_is_weighed_by_its_own_columns() {
    let scratch = Scratch::new("experts");
    let name = "blk.0.ffn_down_exps.weight";
    write(&scratch.path("in.gguf"), &[noisy(name, &[2, 3, 256])], &[("llama.expert_count", Value::U32(2))]);
    // The first expert saw the first half of the columns eight times as strongly; the second was never chosen.
    let sums: Vec<f32> = (0..512).map(|i| if i < 128 { 16.0 } else { 2.0 }).collect();
    let entry = [
        f32s("blk.0.ffn_down_exps.weight.in_sum2", &[2, 256], &sums),
        f32s("blk.0.ffn_down_exps.weight.counts", &[2, 1], &[2.0, 0.0]),
    ];
    write(&scratch.path("imatrix.gguf"), &entry, &[]);
    let imatrix = Imatrix::read(&scratch.path("imatrix.gguf")).unwrap();
    quantize(&scratch.path("in.gguf"), &scratch.path("out.gguf"), &Options::new(Mix::Q4_K_S), Some(&imatrix), 2)
        .unwrap();

    let values = noise(2 * 3 * 256);
    let first: Vec<f32> = (0..256).map(|i| if i < 128 { 8.0 } else { 1.0 }).collect();
    let weighed = |format, first: &[f32]| {
        [encoded(format, 256, &values[..768], Some(first)), encoded(format, 256, &values[768..], Some(&[1.0; 256]))]
            .concat()
    };
    let written = Gguf::open(&scratch.path("out.gguf")).unwrap();
    let got = written.tensor(name).unwrap();
    let format = got.format.unwrap();
    assert!(got.bytes == weighed(format, &first));
    assert!(weighed(format, &first) != weighed(format, &[1.0; 256]), "the weights make a difference");
}

#[test]
fn a_split_model_becomes_one_file() {
    let scratch = Scratch::new("split");
    let parts = [noisy("blk.0.attn_q.weight", &[4, 32]), noisy("blk.1.attn_q.weight", &[4, 32])];
    for (i, part) in parts.iter().enumerate() {
        let keys = [
            ("split.no", Value::U16(i as u16)),
            ("split.count", Value::U16(2)),
            ("split.tensors.count", Value::I32(2)),
        ];
        write(&scratch.path(&format!("m-0000{}-of-00002.gguf", i + 1)), std::slice::from_ref(part), &keys);
    }
    let first = scratch.path("m-00001-of-00002.gguf");
    for (mix, format) in [(Mix::COPY, Format::F32), (Mix::Q8_0, Format::Q8_0)] {
        let out = scratch.path("whole.gguf");
        quantize(&first, &out, &Options::new(mix), None, 1).unwrap();
        let whole = Gguf::open(&out).unwrap();
        assert!(["split.no", "split.count", "split.tensors.count"].iter().all(|k| whole.metadata.get(k).is_none()));
        assert_eq!(whole.parts.len(), 1);
        for (part, got) in parts.iter().zip(whole.tensors()) {
            assert_eq!((got.name, got.format), (part.name, Some(format)));
            assert!(got.bytes == encoded(format, 32, &noise(128), None));
        }
    }
    let second = scratch.path("m-00002-of-00002.gguf");
    let error = quantize(&first, &second, &Options::new(Mix::COPY), None, 1).unwrap_err();
    assert!(error.to_string().contains("this is the input itself"), "{error}");
}

/// Expects a failure that leaves OUT as it was, and nothing beside it. Its sentence.
fn refused(scratch: &Scratch, options: &Options) -> String {
    let out = scratch.path("out.gguf");
    fs::write(&out, "precious").unwrap();
    let before = scratch.names();
    let error = quantize(&scratch.path("in.gguf"), &out, options, None, 3).unwrap_err();
    assert_eq!(scratch.names(), before);
    assert_eq!(fs::read(&out).unwrap(), b"precious");
    error.to_string()
}

#[test]
fn a_weight_that_is_no_number_is_named() {
    let scratch = Scratch::new("nan");
    for (bad, text) in [(f32::NAN, "NaN"), (f32::INFINITY, "inf"), (f32::NEG_INFINITY, "-inf")] {
        let mut values = noise(2000 * 288);
        // Several, far apart: the first is reported, whoever comes to the others first.
        for i in [1203 * 288 + 17, 1800 * 288, 1999 * 288 + 287] {
            values[i] = bad;
        }
        write(
            &scratch.path("in.gguf"),
            &[noisy("blk.0.attn_k.weight", &[8, 32]), f32s("blk.0.attn_q.weight", &[2000, 288], &values)],
            &[],
        );
        let sentence = refused(&scratch, &Options::new(Mix::Q8_0));
        assert!(
            sentence.starts_with(&format!("tensor blk.0.attn_q.weight: the value at [1203, 17] is {text}")),
            "{sentence}"
        );
    }
    // A tensor that is only copied is looked at, too.
    write(&scratch.path("in.gguf"), &[f32s("blk.0.attn_norm.weight", &[3], &[1.0, f32::NAN, 1.0])], &[]);
    let sentence = refused(&scratch, &Options::new(Mix::COPY));
    assert!(sentence.starts_with("tensor blk.0.attn_norm.weight: the value at [1] is NaN"), "{sentence}");
}

#[test]
fn a_weight_beyond_the_range_of_the_new_format_is_named() {
    let scratch = Scratch::new("range");
    let mut values = noise(100 * 32);
    values[45 * 32 + 3] = 65_504.0; // the largest f16
    values[60 * 32 + 4] = -70_000.0;
    write(&scratch.path("in.gguf"), &[f32s("blk.0.attn_q.weight", &[100, 32], &values)], &[]);
    for mix in [Mix::F16, Mix::Q8_0] {
        let sentence = refused(&scratch, &Options::new(mix));
        let expected =
            format!("tensor blk.0.attn_q.weight: the value at [60, 4] is -70000, more than {} holds", mix.name());
        assert!(sentence.starts_with(&expected), "{sentence}");
    }
    quantize(&scratch.path("in.gguf"), &scratch.path("out.gguf"), &Options::new(Mix::BF16), None, 1).unwrap();
}

#[test]
fn cancelling_leaves_nothing() {
    let scratch = Scratch::new("cancel");
    write(
        &scratch.path("in.gguf"),
        &[noisy("blk.0.attn_q.weight", &[64, 256]), noisy("blk.1.attn_q.weight", &[64, 256])],
        &[],
    );
    let source = Gguf::open(&scratch.path("in.gguf")).unwrap();
    let plan = planned(&source, &Options::new(Mix::Q8_0), None);
    let before = scratch.names();
    let cancel = AtomicBool::new(false);
    let error = run(&source, &plan, None, &scratch.path("out.gguf"), 2, &cancel, &mut |p| {
        assert!(p.complete && p.bytes == 64 * 256 * 4);
        assert_eq!(scratch.names().len(), before.len() + 1, "the file in the making");
        cancel.store(true, Ordering::Relaxed);
    });
    assert!(error.unwrap_err().to_string().ends_with("interrupted, so nothing was written"));
    assert_eq!(scratch.names(), before);
}

#[test]
fn what_is_quantised_is_quantised_again_only_on_request() {
    let scratch = Scratch::new("again");
    write(&scratch.path("in.gguf"), &[noisy("blk.0.attn_q.weight", &[64, 256])], &[]);
    let [q8, again] = ["q8.gguf", "again.gguf"].map(|n| scratch.path(n));
    quantize(&scratch.path("in.gguf"), &q8, &Options::new(Mix::Q8_0), None, 1).unwrap();
    let mut options = Options::new(Mix::Q4_0);
    let error = quantize(&q8, &again, &options, None, 1).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Request);
    assert!(error.to_string().starts_with("tensor blk.0.attn_q.weight: it is Q8_0, quantised already;"), "{error}");
    assert!(!again.exists());
    // To its own format is no change, and is allowed.
    quantize(&q8, &again, &Options::new(Mix::Q8_0), None, 1).unwrap();
    let [a, b] = [&q8, &again].map(|p| fs::read(p).unwrap());
    assert!(a == b);
    options.allow_requantize = true;
    quantize(&q8, &again, &options, None, 1).unwrap();
    let mut values = vec![0.0; 64 * 256];
    Format::Q8_0.decode(Gguf::open(&q8).unwrap().tensor("blk.0.attn_q.weight").unwrap().bytes, &mut values);
    let written = Gguf::open(&again).unwrap();
    assert!(written.tensor("blk.0.attn_q.weight").unwrap().bytes == encoded(Format::Q4_0, 256, &values, None));
}

#[test]
fn a_named_tensor_gets_the_named_format() {
    let scratch = Scratch::new("named");
    write(
        &scratch.path("in.gguf"),
        &[noisy("blk.0.attn_q.weight", &[4, 256]), noisy("blk.1.attn_q.weight", &[4, 256])],
        &[],
    );
    let source = Gguf::open(&scratch.path("in.gguf")).unwrap();
    for mix in [Mix::Q4_0, Mix::F16] {
        let mut options = Options::new(mix);
        options.tensor_types = ["BLK.0=q8_0", "blk=q5_0", "nothing=q8_0"].map(|t| TensorType::parse(t).unwrap()).into();
        let plan = planned(&source, &options, None);
        let formats: Vec<_> = plan.tensors.iter().map(|t| t.to).collect();
        assert_eq!(formats, [Format::Q8_0, Format::Q5_0], "{}", mix.name());
        assert_eq!(plan.idle_patterns, ["nothing"]);
    }
    for (text, fault) in
        [("attn_q", "no PATTERN=TYPE"), ("=q8_0", "the pattern is empty"), ("(=q8_0", "unclosed group")]
    {
        let error = TensorType::parse(text).unwrap_err().to_string();
        assert!(error.contains(fault), "{text}: {error}");
    }
    let mut options = Options::new(Mix::COPY);
    options.pure = true;
    let copy = plan(&Model::of(&source.metadata).unwrap(), &tensors(&source).unwrap(), &options, false);
    assert!(copy.unwrap_err().to_string().starts_with("COPY leaves every tensor as it is"));
}

#[test]
fn two_bits_need_an_importance_matrix() {
    let scratch = Scratch::new("needs");
    write(
        &scratch.path("in.gguf"),
        &[
            noisy("token_embd.weight", &[4, 256]),
            noisy("output.weight", &[4, 256]),
            noisy("blk.0.attn_q.weight", &[4, 256]),
        ],
        &[],
    );
    let sentence = refused(&scratch, &Options::new(Mix::Q2_K_S));
    assert!(sentence.starts_with("tensor blk.0.attn_q.weight: Q2_K_S needs an importance matrix"), "{sentence}");
    quantize(&scratch.path("in.gguf"), &scratch.path("out.gguf"), &Options::new(Mix::Q2_K), None, 1).unwrap();
}
