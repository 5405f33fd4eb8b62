//! A small LLaMA of random weights whose every row is whole blocks of 256, so that any format applies to any of its matrices:
//! grouped-query attention, an output matrix of its own, and sizes that fill no tile of a kernel. Its bytes follow from this
//! text alone.
#![allow(dead_code, reason = "no test uses all of it")]

use lucid::file::gguf::{Array, Draft, Value, Writer};
use lucid_kernels::formats::Format;
use std::path::Path;

/// Three special tokens, the 256 bytes, and the letters alone and after a space.
pub(crate) const VOCAB: usize = 3 + 256 + 2 * 26;
/// Tokens that the model is made for.
pub(crate) const CONTEXT: usize = 1024;
const EMBD: usize = 256;
const FF: usize = 768;
const LAYERS: usize = 2;
const HEADS: [usize; 2] = [8, 2]; // of queries, of keys and values
const HEAD_DIM: usize = EMBD / HEADS[0];

/// The formats that every matrix of the model can be written in.
pub(crate) fn formats() -> impl Iterator<Item = Format> {
    Format::ALL.iter().copied().filter(|format| format.can_encode())
}

/// Writes the model with all its matrices in this format.
pub(crate) fn write(path: &Path, format: Format) {
    let mut draft = metadata();
    let tensors: Vec<(String, Vec<usize>, Format)> = tensors()
        .into_iter()
        .map(|(name, shape)| {
            let format = if shape.len() == 2 { format } else { Format::F32 };
            (name, shape, format)
        })
        .collect();
    tensors.iter().for_each(|(name, shape, format)| draft.tensor(name, shape, *format).unwrap());
    let mut writer = Writer::create(path, &draft).unwrap();
    for (seed, (name, shape, format)) in tensors.iter().enumerate() {
        let width = shape[shape.len() - 1];
        let mut row = vec![0; format.row_bytes(width).unwrap()];
        for values in values(seed as u64, shape).chunks_exact(width) {
            format.encode(values, None, &mut row).unwrap();
            writer.write(name, &row).unwrap();
        }
    }
    writer.finish().unwrap();
}

fn metadata() -> Draft {
    let mut draft = Draft::new();
    draft.set("general.architecture", Value::String("llama")).unwrap();
    for (key, value) in [
        ("context_length", CONTEXT),
        ("embedding_length", EMBD),
        ("block_count", LAYERS),
        ("feed_forward_length", FF),
        ("attention.head_count", HEADS[0]),
        ("attention.head_count_kv", HEADS[1]),
        ("rope.dimension_count", HEAD_DIM),
    ] {
        draft.set(&format!("llama.{key}"), Value::U32(value as u32)).unwrap();
    }
    draft.set("llama.attention.layer_norm_rms_epsilon", Value::F32(1e-5)).unwrap();

    let letters = || ('a'..='z').map(String::from);
    let special = ["<unk>", "<s>", "</s>"].map(String::from).into_iter();
    let bytes = (0..256).map(|byte| format!("<0x{byte:02X}>"));
    let texts = special.chain(bytes).chain(letters()).chain(letters().map(|letter| format!("▁{letter}")));
    let kinds: Vec<i32> = [vec![2, 3, 3], vec![6; 256], vec![1; 52]].concat(); // unknown, control, byte, normal
    draft.set("tokenizer.ggml.model", Value::String("llama")).unwrap();
    draft.set_strings("tokenizer.ggml.tokens", texts).unwrap();
    draft.set("tokenizer.ggml.scores", Value::Array(Array::from(&[0f32; VOCAB][..]))).unwrap();
    draft.set("tokenizer.ggml.token_type", Value::Array(Array::from(&kinds[..]))).unwrap();
    draft
}

/// Every tensor's name and shape, outermost first.
fn tensors() -> Vec<(String, Vec<usize>)> {
    let mut list = vec![("token_embd.weight".to_owned(), vec![VOCAB, EMBD])];
    for il in 0..LAYERS {
        let [q, kv] = HEADS.map(|heads| heads * HEAD_DIM);
        let shapes: [(&str, &[usize]); 9] = [
            ("attn_norm", &[EMBD]),
            ("attn_q", &[q, EMBD]),
            ("attn_k", &[kv, EMBD]),
            ("attn_v", &[kv, EMBD]),
            ("attn_output", &[EMBD, q]),
            ("ffn_norm", &[EMBD]),
            ("ffn_gate", &[FF, EMBD]),
            ("ffn_up", &[FF, EMBD]),
            ("ffn_down", &[EMBD, FF]),
        ];
        list.extend(shapes.map(|(name, shape)| (format!("blk.{il}.{name}.weight"), shape.to_vec())));
    }
    list.push(("output_norm.weight".into(), vec![EMBD]));
    list.push(("output.weight".into(), vec![VOCAB, EMBD]));
    list
}

/// The values of tensor number `seed`. Those of a matrix have a deviation of 1/√width, so that products of vectors of
/// deviation 1 have deviation 1; those of a norm are near 1.
fn values(seed: u64, shape: &[usize]) -> Vec<f32> {
    let n: usize = shape.iter().product();
    let bell = (0..n as u64).map(|i| bell(seed << 32 | i));
    match shape {
        [_, width] => bell.map(|v| v / (*width as f32).sqrt()).collect(),
        _ => bell.map(|v| 1.0 + 0.1 * v).collect(),
    }
}

/// A number of a bell-shaped distribution of mean 0 and deviation 1, for each `i` another: the sum of the four 16-bit words
/// of splitmix64's output, whose mean is 131,070 and whose deviation 37,837.
fn bell(i: u64) -> f32 {
    let mut z = i.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^= z >> 31;
    let sum: u64 = (0..4).map(|word| z >> (16 * word) & 0xFFFF).sum();
    (sum as f32 - 131_070.0) / 37_837.0
}
