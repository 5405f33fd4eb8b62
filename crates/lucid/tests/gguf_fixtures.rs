//! The GGUF reader on files that other programs wrote.

#[path = "common/fixtures.rs"]
mod fixtures;

use fixtures::fixtures;
use lucid::{
    ErrorKind,
    file::gguf::{Gguf, Value},
};
use lucid_kernels::formats::Format;

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
