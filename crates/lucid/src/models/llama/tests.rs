//! The invariants of the forward pass, on a model made of noise.

use super::*;
use crate::{
    backend::{Pairs, Reference, Stored, SupportsDType},
    kv::{Cache, Span},
    probe::Probe,
    rope::Scaling,
    tensor::{Load, Packed},
};
use lucid_kernels::formats::Format;
use std::cell::RefCell;

type R = Reference;

/// The bytes of `n` reproducible f32 in (−scale, scale).
fn noise(seed: u64, n: usize, scale: f32) -> &'static [u8] {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        ((state >> 40) as f32 / (1 << 23) as f32 - 1.0) * scale
    };
    let bytes: Vec<u8> = (0..n).flat_map(|_| next().to_le_bytes()).collect();
    Box::leak(bytes.into_boxed_slice())
}

fn matrix<O: crate::tensor::dim::Dim, I: crate::tensor::dim::Dim>(
    seed: u64,
    shape: (O, I),
) -> Weight<'static, R, O, I> {
    let bytes = noise(seed, shape.0.size() * shape.1.size(), 0.4);
    Tensor { data: SupportsDType::<Packed>::load(&Reference, Stored { format: Format::F32, bytes }).unwrap(), shape }
}

fn vector<D: crate::tensor::dim::Dim>(seed: u64, size: D) -> Gain<'static, R, D> {
    let bytes = noise(seed, size.size(), 1.0);
    let data = SupportsDType::<f32>::load(&Reference, Stored { format: Format::F32, bytes }).unwrap();
    Tensor::<f32, R, Load, _> { data, shape: (size,) }
}

fn config() -> Config {
    Config {
        vocab: Vocab(31),
        embd: Embd(24),
        ff: Ff(40),
        layers: 3,
        heads: Heads { q: 4, kv: 2, dim: 8 },
        eps: 1e-5,
        context: 64,
        rope: Rope { pairs: Pairs::Halves, dims: 8, base: 100.0, scaling: Scaling::None, divisors: None },
        tied: false,
    }
}

/// The layers `range` of a random model with every bias.
fn model(range: Range<usize>) -> Llama<'static, R> {
    let c = config();
    let (q, kv, layers) = (c.q(), c.kv(), c.layers);
    let layer = |il: usize| {
        let s = 100 * (il as u64 + 1);
        Layer {
            attn_norm: vector(s, c.embd),
            attn_q: matrix(s + 1, (q, c.embd)),
            attn_q_bias: Some(vector(s + 2, q)),
            attn_k: matrix(s + 3, (kv, c.embd)),
            attn_k_bias: Some(vector(s + 4, kv)),
            attn_v: matrix(s + 5, (kv, c.embd)),
            attn_v_bias: Some(vector(s + 6, kv)),
            attn_output: matrix(s + 7, (c.embd, q)),
            attn_output_bias: Some(vector(s + 8, c.embd)),
            ffn_norm: vector(s + 9, c.embd),
            ffn_gate: matrix(s + 10, (c.ff, c.embd)),
            ffn_gate_bias: Some(vector(s + 11, c.ff)),
            ffn_up: matrix(s + 12, (c.ff, c.embd)),
            ffn_up_bias: None,
            ffn_down: matrix(s + 13, (c.embd, c.ff)),
            ffn_down_bias: Some(vector(s + 14, c.embd)),
        }
    };
    Llama {
        range: range.clone(),
        token_embd: (range.start == 0).then(|| matrix(1, (c.vocab, c.embd))),
        layers: range.clone().map(layer).collect(),
        output_norm: (range.end == layers).then(|| vector(2, c.embd)),
        output: (range.end == layers).then(|| matrix(3, (c.vocab, c.embd))),
        config: c,
    }
}

const TOKENS: [u32; 12] = [1, 30, 7, 7, 0, 19, 23, 4, 11, 2, 30, 5];

/// All tokens for the first sequence.
fn spans(tokens: &[u32]) -> [Span; 1] {
    [Span { sequence: 0, tokens: tokens.len() }]
}

fn step(m: &Llama<'static, R>, cache: &mut Cache<R>, tokens: &[u32]) -> Vec<f32> {
    m.forward(&Ctx::new(&Reference), tokens, &spans(tokens), cache, false).unwrap().values().to_vec()
}

fn one_pass() -> Vec<f32> {
    let m = model(0..3);
    step(&m, &mut m.begin(&Reference, 1, 16).unwrap(), &TOKENS)
}

#[test]
fn token_by_token_and_in_any_pieces_equals_one_pass_bit_for_bit() {
    let m = model(0..3);
    let whole = one_pass();
    assert!(whole.iter().all(|l| l.is_finite()));
    for chunk in [1, 2, 5, 7, 11] {
        let mut cache = m.begin(&Reference, 1, 16).unwrap();
        let pieces: Vec<f32> = TOKENS.chunks(chunk).flat_map(|part| step(&m, &mut cache, part)).collect();
        assert!(pieces == whole, "in pieces of {chunk}");
        assert_eq!(cache.len(0), TOKENS.len(), "the length grows by one per token");
    }
}

#[test]
fn truncating_and_replaying_gives_the_same_bits() {
    let m = model(0..3);
    let whole = one_pass();
    let mut cache = m.begin(&Reference, 1, 16).unwrap();
    step(&m, &mut cache, &TOKENS[..5]);
    step(&m, &mut cache, &[9, 9, 9, 9, 9, 9]); // another continuation
    cache.truncate(0, 5);
    let rest = step(&m, &mut cache, &TOKENS[5..]);
    assert!(rest == whole[5 * 31..]);
}

#[test]
fn sequences_computed_together_are_the_sequences_alone() {
    let (m, whole, cx) = (model(0..3), one_pass(), &Ctx::new(&Reference));
    let mut cache = m.begin(&Reference, 3, 16).unwrap();
    let span = |sequence, tokens| Span { sequence, tokens };
    // sequence 2 runs one token behind; sequence 0 says something else beside them
    m.forward(cx, &[TOKENS[0], 9], &[span(1, 1), span(0, 1)], &mut cache, false).unwrap();
    for t in 1..TOKENS.len() {
        let tokens = [TOKENS[t], 8, TOKENS[t - 1]];
        let all = m.forward(cx, &tokens, &[span(1, 1), span(0, 1), span(2, 1)], &mut cache, true).unwrap();
        assert!(all.values()[..31] == whole[t * 31..][..31] && all.values()[62..] == whole[(t - 1) * 31..][..31]);
    }
}

#[test]
fn the_last_row_alone_is_the_last_row_of_all() {
    let m = model(0..3);
    let mut cache = m.begin(&Reference, 1, 16).unwrap();
    let last = m.forward(&Ctx::new(&Reference), &TOKENS, &spans(&TOKENS), &mut cache, true).unwrap();
    assert_eq!(last.shape, (Tok(1), Vocab(31)));
    assert_eq!(last.values(), &one_pass()[11 * 31..]);
}

#[test]
fn layers_split_over_two_backends_give_the_same_bits() {
    let (here, there) = (Reference, Reference);
    for at in 0..=3 {
        let (first, second) = (model(0..at), model(at..3));
        let (mut a, mut b) = (first.begin(&here, 1, 16).unwrap(), second.begin(&there, 1, 16).unwrap());
        let mut logits = Vec::new();
        for part in TOKENS.chunks(5) {
            a.plan(&spans(part)).unwrap();
            b.plan(&spans(part)).unwrap();
            let x = first.embed(&Ctx::new(&here), part).unwrap();
            let x = first.blocks(&Ctx::new(&here), x, &mut a).unwrap();
            // the cut: the residual stream leaves one backend and enters the other
            let values = Ctx::new(&here).read(&x).unwrap();
            let x = Tensor { data: there.upload(&values).unwrap(), shape: x.shape };
            let x = second.blocks(&Ctx::new(&there), x, &mut b).unwrap();
            logits.extend_from_slice(second.head(&Ctx::new(&there), &x).unwrap().values());
        }
        assert!(logits == one_pass(), "cut at layer {at}");
    }
    let middle = model(1..2);
    let error = middle.embed(&Ctx::new(&Reference), &[1]).err().unwrap();
    assert_eq!(error.to_string(), "layers 1..2 of 3 do not hold the embedding");
}

#[test]
fn a_full_cache_a_foreign_token_and_no_token_are_errors_that_change_nothing() {
    let m = model(0..3);
    let cx = &Ctx::new(&Reference);
    let mut cache = m.begin(&Reference, 1, 12).unwrap();
    step(&m, &mut cache, &TOKENS[..10]);
    for tokens in [&[1u32, 2, 3][..], &[31], &[]] {
        assert!(m.forward(cx, tokens, &spans(tokens), &mut cache, false).is_err());
        assert_eq!(cache.len(0), 10);
    }
    assert!(step(&m, &mut cache, &TOKENS[10..]) == one_pass()[10 * 31..]);
}

#[test]
fn taps_name_every_intermediate_once_and_find_a_divergence_where_it_begins() {
    let m = model(0..3);
    let run = |m: &Llama<'static, R>| {
        let probe = RefCell::new(Probe::default());
        let mut cache = m.begin(&Reference, 1, 16).unwrap();
        m.forward(&Ctx::probed(&Reference, &probe), &TOKENS, &spans(&TOKENS), &mut cache, false).unwrap();
        probe.into_inner()
    };
    let good = run(&m);
    let names: Vec<_> = good.taps.iter().map(|t| (t.name, t.layer)).collect();
    let unique: std::collections::HashSet<_> = names.iter().collect();
    assert_eq!((names.len(), unique.len()), (3 + 3 * 10, 33));
    assert_eq!(good.get("logits", None).unwrap().values, one_pass());

    let mut broken = model(0..3);
    broken.layers[1].attn_v = matrix(999, (broken.config.kv(), broken.config.embd));
    let divergence = run(&broken).first_divergence(&good, 0.0).unwrap().unwrap();
    assert_eq!((divergence.name, divergence.layer), ("v", Some(1)));
}
