//! The GGUF reader on files that other programs wrote.

#[path = "common/fixtures.rs"]
mod fixtures;

use fixtures::fixtures;
use lucid::{
    ErrorKind,
    file::gguf::{Draft, Gguf, Value, Writer},
};
use lucid_kernels::formats::Format;
use std::path::Path;

#[test]
fn a_model_reads_as_its_header_says() {
    let Some(folder) = fixtures("a_model_reads_as_its_header_says") else { return };
    let model = Gguf::open(&folder.join("models/stories260K/stories260K-F32.gguf")).unwrap();
    assert_eq!((model.version, model.alignment, model.parts.len(), model.parts[0].unused), (3, 32, 1, 0));

    let md = &model.metadata;
    assert_eq!(md.len(), 18);
    assert_eq!(md.iter().next(), Some(("general.architecture", Value::String("llama"))));
    assert_eq!(md.usize("llama.embedding_length").unwrap(), 64);
    assert_eq!(md.u32("llama.block_count").unwrap(), 5);
    assert_eq!(md.f32("llama.attention.layer_norm_rms_epsilon").unwrap(), 1e-5);
    assert_eq!(md.strings("tokenizer.ggml.tokens").unwrap().len(), 512);
    assert_eq!(md.strings("tokenizer.ggml.tokens").unwrap().nth(1), Some(&b"<s>"[..]));
    assert_eq!(md.f32s("tokenizer.ggml.scores").unwrap().len(), 512);
    assert_eq!(md.u32s("tokenizer.ggml.token_type").unwrap().len(), 512);

    assert_eq!(model.tensors().len(), 48);
    let embd = model.tensor("token_embd.weight").unwrap();
    assert_eq!((embd.shape, embd.format, embd.bytes.len()), (&[512, 64][..], Some(Format::F32), 512 * 64 * 4));
    assert_eq!(embd.type_name, "F32");
    let down = model.tensor("blk.0.ffn_down.weight").unwrap();
    assert_eq!(down.shape, [64, 172], "outermost first");
    assert!(model.tensor("blk.5.ffn_down.weight").is_none());
}

#[test]
fn vocabularies_hold_their_tokens() {
    let Some(folder) = fixtures("vocabularies_hold_their_tokens") else { return };
    for (name, tokens, last) in
        [("llama-spm", 32_000, "给"), ("gpt-2", 50_257, "<|endoftext|>"), ("phi-3", 32_064, "[PAD32063]")]
    {
        let file = Gguf::open(&folder.join(format!("tokenizers/{name}.gguf"))).unwrap();
        assert_eq!(file.tensors().len(), 0);
        let found: Vec<&[u8]> = file.metadata.strings("tokenizer.ggml.tokens").unwrap().collect();
        assert_eq!(found.len(), tokens, "{name}");
        assert_eq!(std::str::from_utf8(found[tokens - 1]), Ok(last), "{name}");
        assert_eq!(file.metadata.i32s("tokenizer.ggml.token_type").unwrap().len(), tokens, "{name}");
    }
}

#[test]
fn version_1_is_refused_in_words() {
    let Some(folder) = fixtures("version_1_is_refused_in_words") else { return };
    let error = Gguf::open(&folder.join("models/stories260K/stories260K-gguf-v1.gguf")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.to_string().contains("GGUF version 1 is not supported; convert it"), "{error}");
}

/// A copy of the file at `path`, written key by key and tensor by tensor.
fn copy(path: &Path, to: &Path) {
    let file = Gguf::open(path).unwrap();
    let mut draft = Draft::new();
    draft.set_all(&file.metadata).unwrap();
    file.tensors().for_each(|t| draft.tensor(t.name, t.shape, t.format.unwrap()).unwrap());
    let mut writer = Writer::create(to, &draft).unwrap();
    for t in file.tensors() {
        // In pieces, as a quantiser would.
        t.bytes.chunks(1000).for_each(|piece| writer.write(t.name, piece).unwrap());
    }
    writer.finish().unwrap();
}

#[test]
fn a_copy_is_the_same_file() {
    let Some(folder) = fixtures("a_copy_is_the_same_file") else { return };
    let to = Path::new(env!("CARGO_TARGET_TMPDIR")).join("a_copy_is_the_same_file.gguf");
    for format in ["F32", "F16", "BF16", "Q8_0", "Q5_1", "Q5_0", "Q4_1", "Q4_0"] {
        let path = folder.join(format!("models/stories260K/stories260K-{format}.gguf"));
        copy(&path, &to);
        assert!(std::fs::read(&to).unwrap() == std::fs::read(&path).unwrap(), "{format}: the bytes differ");
    }
    for name in ["llama-spm", "gpt-2", "phi-3"] {
        copy(&folder.join(format!("tokenizers/{name}.gguf")), &to);
        let (file, copy) =
            (Gguf::open(&folder.join(format!("tokenizers/{name}.gguf"))).unwrap(), Gguf::open(&to).unwrap());
        assert!(file.metadata.iter().eq(copy.metadata.iter()), "{name}");
    }
    std::fs::remove_file(to).unwrap();
}
