#!/usr/bin/env python3
"""Writes the listings that `lucid quantize` is compared with: which type llama-quantize gives to which tensor.

    pip install gguf numpy
    python make_quantize_goldens.py LLAMA_QUANTIZE [OUT_FOLDER]

For every model shape below a GGUF file is written that is real in its names, dimensions and keys and has a hole for
its data (a sparse file: a 70B model takes a few kilobytes), `LLAMA_QUANTIZE --dry-run` is run on it once per case, and
its answer is written to OUT_FOLDER (default: ../crates/lucid/tests/golden/quantize) as one text file per shape:

    arch llama                                  general.architecture
    key block_count 22                          a key of that architecture
    tensor blk.0-21.attn_q.weight 2048 2048 F16 names, dimensions (row length first), type
    case Q4_K_M --pure                          the flags and the TYPE; the lines below it are the answer
    fallback 2                                  how many tensors fell back to another type, when some did
    Q6_K blk.0-1,4.{attn_v,ffn_down}.weight     the type, and the tensors that it replaces

Tensors that a case does not list keep their type.
"""
import os, re, subprocess, sys, tempfile

import gguf
import numpy as np

NORM = "F32"


def decoder(layers, width, ffn, heads, kv_heads, vocab, *, arch="llama", tied=False, ffn_type="F16", keys=None, extra=()):
    """A LLaMA-like decoder: separate q, k, v and a gated feed-forward."""
    kv = width // heads * kv_heads
    top = [("token_embd.weight", [width, vocab], ffn_type), ("output_norm.weight", [width], NORM)]
    if not tied:
        top.append(("output.weight", [width, vocab], ffn_type))
    block = [("attn_norm.weight", [width], NORM), ("attn_q.weight", [width, width], ffn_type),
             ("attn_k.weight", [width, kv], ffn_type), ("attn_v.weight", [width, kv], ffn_type),
             ("attn_output.weight", [width, width], ffn_type), ("ffn_norm.weight", [width], NORM),
             ("ffn_gate.weight", [width, ffn], ffn_type), ("ffn_up.weight", [width, ffn], ffn_type),
             ("ffn_down.weight", [ffn, width], ffn_type), *extra]
    return shape(arch, layers, width, ffn, heads, kv_heads, top, block, keys)


def shape(arch, layers, width, ffn, heads, kv_heads, top, block, keys=None):
    """`top` are the tensors outside the blocks, `block` those of every block."""
    numbers = {"block_count": layers, "context_length": 2048, "embedding_length": width, "feed_forward_length": ffn,
               "attention.head_count": heads, "attention.head_count_kv": kv_heads,
               "attention.layer_norm_rms_epsilon": 1e-5, "attention.layer_norm_epsilon": 1e-5, **(keys or {})}
    tensors = top + [(f"blk.{i}.{n}", d, t) for i in range(layers) for n, d, t in block]
    return arch, {k: v for k, v in numbers.items() if v is not None}, tensors


def experts(arch, layers, width, ffn, heads, kv_heads, count, vocab, *, stacked=True, shared=0, keys=None):
    """A mixture of experts, stacked in one tensor or, as in old files, one tensor each."""
    arch, numbers, tensors = decoder(layers, width, ffn, heads, kv_heads, vocab, arch=arch,
                                     keys={"expert_count": count, "expert_used_count": 2, **(keys or {})})
    out = [t for t in tensors if ".ffn_" not in t[0] or "norm" in t[0]]
    for i in range(layers):
        out.append((f"blk.{i}.ffn_gate_inp.weight", [width, count], "F32"))
        for n, d in (("gate", [width, ffn]), ("up", [width, ffn]), ("down", [ffn, width])):
            if stacked:
                out.append((f"blk.{i}.ffn_{n}_exps.weight", d + [count], "F16"))
            else:
                out += [(f"blk.{i}.ffn_{n}.{e}.weight", d, "F16") for e in range(count)]
            if shared:
                out.append((f"blk.{i}.ffn_{n}_shexp.weight", [shared if x == ffn else x for x in d], "F16"))
        if shared:
            out.append((f"blk.{i}.ffn_gate_inp_shexp.weight", [width], "F32"))
    return arch, numbers, out


def fused(arch, layers, width, ffn, heads, kv_heads, vocab, *, tied=False, position=False, up=None, **more):
    """Decoders whose q, k and v are one matrix: Falcon, GPT-2, Phi-3."""
    qkv = width + 2 * (width // heads * kv_heads)
    top = [("token_embd.weight", [width, vocab], "F16"), ("output_norm.weight", [width], NORM), ("output_norm.bias", [width], NORM)]
    if position:
        top.append(("position_embd.weight", [width, 1024], "F16"))
    if not tied:
        top.append(("output.weight", [width, vocab], "F16"))
    block = [("attn_norm.weight", [width], NORM), ("attn_qkv.weight", [width, qkv], "F16"), ("attn_qkv.bias", [qkv], NORM),
             ("attn_output.weight", [width, width], "F16"), ("ffn_up.weight", [width, up or ffn], "F16"),
             ("ffn_down.weight", [ffn, width], "F16")]
    return shape(arch, layers, width, ffn, heads, kv_heads, top, block, more.get("keys"))


def deepseek2():
    width, heads, lora = 2048, 16, 512
    block = [("attn_norm.weight", [width], NORM), ("attn_q.weight", [width, heads * 192], "F16"),
             ("attn_kv_a_mqa.weight", [width, lora + 64], "F16"), ("attn_kv_a_norm.weight", [lora], NORM),
             ("attn_kv_b.weight", [lora, heads * 256], "F16"),
             ("attn_k_b.weight", [128, lora, heads], "F16"), ("attn_v_b.weight", [lora, 128, heads], "F16"), ("attn_output.weight", [heads * 128, width], "F16"),
             ("ffn_norm.weight", [width], NORM)]
    arch, numbers, tensors = shape(
        "deepseek2", 6, width, 10944, heads, heads,
        [("token_embd.weight", [width, 102400], "BF16"), ("output_norm.weight", [width], NORM), ("output.weight", [width, 102400], "BF16")],
        block, {"expert_count": 64, "expert_used_count": 6, "attention.q_lora_rank": 1, "attention.kv_lora_rank": lora,
                "expert_feed_forward_length": 1408, "expert_shared_count": 2, "expert_weights_scale": 1.0,
                "leading_dense_block_count": 1, "attention.key_length": 192, "attention.value_length": 128,
                "rope.dimension_count": 64})
    for n, d in (("gate", [width, 10944]), ("up", [width, 10944]), ("down", [10944, width])):
        tensors.append((f"blk.0.ffn_{n}.weight", d, "BF16"))
    for i in range(1, 6):
        tensors.append((f"blk.{i}.ffn_gate_inp.weight", [width, 64], "F32"))
        tensors.append((f"blk.{i}.exp_probs_b.bias", [64], "F32"))
        for n, a, b in (("gate", width, 1408), ("up", width, 1408), ("down", 1408, width)):
            tensors.append((f"blk.{i}.ffn_{n}_exps.weight", [a, b, 64], "BF16"))
            tensors.append((f"blk.{i}.ffn_{n}_shexp.weight", [2816 if x == 1408 else x for x in (a, b)], "BF16"))
    return arch, numbers, tensors


def gemma3n():
    w = 2048
    extra = [("altup_correct_coef.weight", [4, 4], "F32"), ("altup_router.weight", [w, 4], "F16"), ("inp_gate.weight", [w, 256], "F16"),
             ("laurel_l.weight", [w, 64], "F16"), ("laurel_r.weight", [64, w], "F16"), ("proj.weight", [256, w], "F16")]
    arch, numbers, tensors = decoder(
        4, w, 16384, 8, 2, 262400, arch="gemma3n", tied=True, extra=extra,
        keys={"attention.sliding_window": 512, "attention.key_length": 256, "attention.value_length": 256})
    return arch, numbers, tensors + [
        ("per_layer_token_embd.weight", [256 * 30, 262144], "F16"), ("per_layer_model_proj.weight", [w, 7680], "F16"),
        ("altup_proj.weight", [w, w, 3], "F16")]


def mamba():
    w, inner = 768, 1536
    block = [("attn_norm.weight", [w], NORM), ("ssm_in.weight", [w, 2 * inner], "F16"), ("ssm_conv1d.weight", [4, inner], "F32"),
             ("ssm_x.weight", [inner, 80], "F16"), ("ssm_dt.weight", [48, inner], "F16"), ("ssm_a", [16, inner], "F32"),
             ("ssm_out.weight", [inner, w], "F16")]
    return shape("mamba", 8, w, 0, 0, None, [("token_embd.weight", [w, 50280], "F16"), ("output_norm.weight", [w], NORM)], block,
                 {"ssm.conv_kernel": 4, "ssm.inner_size": inner, "ssm.state_size": 16, "ssm.time_step_rank": 48})


def rwkv7():
    w = 768
    names = [("time_mix_lerp_fused.weight", [w, 1, 1, 6]), *((f"time_mix_{x}{n}.weight", [w, 64] if n == 1 else [64, w])
             for x in "wavg" for n in (1, 2)), *((f"time_mix_{n}.weight", [w, w]) for n in ("key", "value", "receptance", "output")),
             ("channel_mix_key.weight", [w, 4 * w]), ("channel_mix_value.weight", [4 * w, w])]
    return shape("rwkv7", 3, w, 4 * w, 0, None,
                 [("token_embd.weight", [w, 65536], "F16"), ("output.weight", [w, 65536], "F16"), ("output_norm.weight", [w], NORM)],
                 [(n, d, "F16") for n, d in names],
                 {"wkv.head_size": 64, "attention.decay_lora_rank": 64, "attention.iclr_lora_rank": 64,
                  "attention.value_residual_mix_lora_rank": 32, "attention.gate_lora_rank": 128})


def bert():
    w = 384
    top = [("token_embd.weight", [w, 30522], "F16"), ("token_types.weight", [w, 2], "F16"), ("position_embd.weight", [w, 512], "F16"),
           ("token_embd_norm.weight", [w], NORM)]
    block = [(f"attn_{x}.weight", [w, w], "F16") for x in ("q", "k", "v", "output")] + [
        ("ffn_up.weight", [w, 1536], "F16"), ("ffn_down.weight", [1536, w], "F16"), ("layer_output_norm.weight", [w], NORM)]
    return shape("bert", 6, w, 1536, 12, 12, top, block)


def t5():
    """Twelve layers, so that the order of names (dec.blk.10 before dec.blk.2) shows."""
    top = [("token_embd.weight", [512, 32128], "F16"), ("output.weight", [512, 32128], "F16")]
    arch, numbers, _ = shape("t5", 12, 512, 1024, 6, 6, top, [], {"attention.relative_buckets_count": 32,
                             "attention.key_length": 64, "attention.value_length": 64})
    out = list(top)
    for side in ("enc", "dec"):
        out.append((f"{side}.output_norm.weight", [512], NORM))
        for i in range(12):
            out.append((f"{side}.blk.{i}.attn_rel_b.weight", [6, 32], "F16"))
            for a in ("attn", "cross_attn") if side == "dec" else ("attn",):
                out += [(f"{side}.blk.{i}.{a}_{x}.weight", [512, 384], "F16") for x in "qkv"]
                out.append((f"{side}.blk.{i}.{a}_o.weight", [384, 512], "F16"))
            out += [(f"{side}.blk.{i}.ffn_{n}.weight", [512, 1024][::-1 if n == "down" else 1], "F16") for n in ("gate", "up", "down")]
    return arch, numbers, out


def hybrid(arch, keys):
    """Latent attention, linear attention and an indexer in every block: the two architectures with rules of their own."""
    w, inner, ff = 1536, 1024, 512
    block = [("attn_norm.weight", [w], NORM), ("hc_attn_fn.weight", [4 * w, 24], "F16"), ("attn_q_a.weight", [w, 768], "F16"),
             ("attn_q_b.weight", [768, inner], "F16"), ("attn_kv_a_mqa.weight", [w, 576], "F16"), ("attn_k_b.weight", [128, 512, 8], "F16"),
             ("attn_v_b.weight", [512, 128, 8], "F16"), ("attn_v.weight", [w, inner], "F16"), ("attn_output.weight", [inner, w], "F16"),
             ("ssm_conv1d_q.weight", [4, 1, inner, 1], "F16"), ("ssm_beta.weight", [w, 8], "F16"),
             *((f"ssm_{x}_{y}.weight", [w, 128] if y == "a" else [128, inner], "F16") for x in "fg" for y in "ab"),
             ("indexer.proj.weight", [w, 32], "F16"), ("indexer.attn_k.weight", [w, 128], "F16"),
             ("indexer.attn_q_b.weight", [768, 4096], "F16"), ("indexer.k_proj.weight", [w, 128], "F16"),
             ("indexer.q_proj.weight", [w, 128], "F16"), ("indexer_compressor_gate.weight", [w, 128], "F16"),
             ("indexer_compressor_ape.weight", [128, 4], "F16"), ("nextn.eh_proj.weight", [2 * w, w], "F16"),
             ("ffn_gate_tid2eid.weight", [2, 1024], "I32"), ("ffn_gate_inp.weight", [w, 16], "F32"),
             *((f"ffn_{n}_exps.weight", [ff if n == "down" else w, w if n == "down" else ff, 16], "F16") for n in ("gate", "up", "down")),
             *((f"ffn_{n}_shexp.weight", [ff if n == "down" else w, w if n == "down" else ff], "F16") for n in ("gate", "up", "down"))]
    return shape(arch, 4, w, 4096, 8, 8,
                 [("token_embd.weight", [w, 32000], "F16"), ("output.weight", [w, 32000], "F16"), ("output_norm.weight", [w], NORM)], block,
                 {"expert_count": 16, "expert_used_count": 4, "expert_feed_forward_length": ff, "expert_shared_count": 1,
                  "leading_dense_block_count": 0, "attention.key_length_mla": 192, "attention.value_length_mla": 128,
                  "attention.q_lora_rank": 768, "attention.kv_lora_rank": 512, "ssm.conv_kernel": 4, "kda.head_dim": 128, **keys})


def small_things():
    """Matrices that keep their type whatever the mix, by their names; and some whose names are nearly those."""
    kept = ["attn_q_norm.weight", "ffn_gate_inp.weight", "ffn_gate_tid2eid.weight", "altup_proj.weight", "laurel_l.weight",
            "per_layer_model_proj.weight", "ssm_conv1d.weight", "shortconv.conv.weight", "indexer.k_proj.weight", "indexer.q_proj.weight",
            *(f"time_mix_{x}.weight" for x in "first w0 w1 w2 v0 v1 v2 a0 a1 a2 g1 g2 decay_w1 decay_w2 lerp_fused".split()),
            "attn_rel_b.weight", "v.position_embd.weight", "sam.pos_embd.weight", "sam.neck.0.weight", "sam.net_2.weight",
            "attn.rel_pos_h.weight", "v.patch_embd.weight", "v.patch_merger.weight", "a.rvq.codebook.0.weight", "mm.a.code_embd.weight",
            "attn_q.bias", "attn_q.scale"]
    changed = ["ffn_gate_inp_shexp.weight", "patch_embd.weight", "attn_rel.weight", "time_mix_key.weight", "indexer.proj.weight", "norm.weight"]
    block = [(n, [256, 64], "F16") for n in kept + changed] + [("row.weight", [256, 1], "F16"), ("stack.weight", [256, 1, 4], "F16")]
    return shape("llama", 2, 256, 512, 4, 2, [("token_embd.weight", [256, 64], "F16"), ("output.weight", [256, 64], "F16"),
                 ("position_embd.weight", [256, 64], "F16"), ("token_types.weight", [256, 64], "F16")], block)


def odd():
    """Rows of 64, 96, 160, 172, 288 and 384 values: whole blocks of 32, of 256, or of neither."""
    rows = (64, 96, 160, 172, 288, 384, 512)
    top = [("token_embd.weight", [288, 512], "F16"), ("output.weight", [288, 512], "F16"), ("output_norm.weight", [288], NORM)]
    arch, numbers, tensors = shape("llama", 8, 288, 384, 9, 3, top, [], {})
    for i in range(8):
        tensors += [(f"blk.{i}.{n}.weight", [rows[(i + 3 * j) % 7], 64], "F32")
                    for j, n in enumerate(("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"))]
        tensors.append((f"blk.{i}.attn_norm.weight", [288], NORM))
    return arch, numbers, tensors


def stories():
    """The 260 K-parameter LLaMA: 64 wide, 172 in the middle of the feed-forward."""
    return decoder(5, 64, 172, 8, 4, 512)


MIXES = ("Q4_0 Q4_1 Q5_0 Q5_1 Q8_0 Q2_K Q2_K_S Q3_K_S Q3_K_M Q3_K_L Q4_K_S Q4_K_M Q5_K_S Q5_K_M Q6_K IQ4_NL IQ4_XS "
         "TQ1_0 TQ2_0 MXFP4_MOE F16 BF16 F32 COPY").split()
TYPES = "Q4_0 Q5_1 Q8_0 Q2_K_S Q3_K_M Q4_K_M Q5_K_S Q6_K IQ4_NL IQ4_XS TQ1_0 TQ2_0 MXFP4_MOE F16".split()
ALL = [[m] for m in MIXES]
PURE = [["--pure", m] for m in TYPES]
IMATRIX = [["--imatrix", m] for m in "Q4_0 Q4_1 Q5_0 Q2_K_S Q4_K_M Q5_K_M IQ4_NL IQ4_XS".split()]
FLAGS = [
    ["--output-tensor-type", "f16", "Q4_K_M"],
    ["--output-tensor-type", "q8_0", "Q2_K"],
    ["--output-tensor-type", "q8_0", "--pure", "Q4_K_M"],
    ["--output-tensor-type", "q5_k", "F16"],
    ["--token-embedding-type", "q8_0", "Q4_K_M"],
    ["--token-embedding-type", "q4_k", "--output-tensor-type", "q6_k", "Q3_K_L"],
    ["--token-embedding-type", "q5_0", "--pure", "Q4_0"],
    ["--tensor-type", "attn_v=q8_0", "Q4_K_M"],
    ["--tensor-type", "ffn_down=q6_k", "--tensor-type", "blk.[0-3].ffn=q8_0", "Q4_K_S"],
    ["--tensor-type", r"blk\.(1|2|3)\.ffn_down=q5_k", "Q5_K_M"],
    ["--tensor-type", "attn_k=f16", "--pure", "Q8_0"],
    ["--tensor-type", "ffn_gate_inp=q8_0", "--tensor-type", "norm=q8_0", "--tensor-type", "output=q4_0", "Q4_K_M"],
]

# name: (shape, cases)
SHAPES = {
    "llama-1.1b": (decoder(22, 2048, 5632, 32, 4, 32000), ALL + PURE + IMATRIX + FLAGS),
    "llama-7b": (decoder(32, 4096, 11008, 32, 32, 32000), ALL + IMATRIX),
    "llama-8b": (decoder(32, 4096, 14336, 32, 8, 128256), ALL + IMATRIX),
    "llama-8b-q8_0": (decoder(32, 4096, 14336, 32, 8, 128256, ffn_type="Q8_0"), [["Q8_0"], ["Q4_K_M"], ["Q6_K"], ["--pure", "Q8_0"], ["COPY"]]),
    "llama-65b": (decoder(80, 8192, 22016, 64, 64, 32000), ALL),
    "llama-70b": (decoder(80, 8192, 28672, 64, 8, 128256), ALL + IMATRIX),
    "llama-3.2-1b": (decoder(16, 2048, 8192, 32, 8, 128256, tied=True), ALL + PURE + FLAGS),
    "llama-gqa-per-layer": (decoder(4, 2048, 8192, 32, 8, 32000, keys={"attention.head_count_kv": [4, 32, 32, 32]}), ALL),
    "qwen2-72b": (decoder(80, 8192, 29568, 64, 8, 152064, arch="qwen2"), ALL),
    "olmo-80": (decoder(80, 4096, 11008, 32, 32, 50304, arch="olmo"), [["Q2_K"], ["Q2_K_S"], ["Q3_K_S"], ["Q4_K_S"], ["Q4_K_M"], ["IQ4_XS"]]),
    "tiny": (decoder(2, 256, 512, 4, 2, 32000), ALL + PURE + IMATRIX),
    "stories": (stories(), ALL + PURE),
    "odd-rows": (odd(), ALL + PURE + [["--tensor-type", "attn=q4_k", "Q8_0"], ["--tensor-type", "ffn=tq2_0", "Q8_0"]]),
    "mixtral-8x7b": (experts("llama", 32, 4096, 14336, 32, 8, 8, 32000), ALL + IMATRIX + FLAGS),
    "mixtral-split": (experts("llama", 16, 4096, 14336, 32, 8, 8, 32000, stacked=False), ALL),
    "moe-60": (experts("qwen2moe", 24, 2048, 1408, 16, 16, 60, 151936, shared=5632), ALL),
    "moe-4": (experts("llama", 24, 2048, 5632, 32, 4, 4, 32000), ALL),
    "falcon-7b": (fused("falcon", 32, 4544, 18176, 71, 1, 65024, tied=True), ALL + IMATRIX),
    "falcon-40b": (fused("falcon", 60, 8192, 32768, 128, 8, 65024), ALL),
    "phi3-mini": (fused("phi3", 32, 3072, 8192, 32, 32, 32064, up=16384), ALL),
    "gpt2": (fused("gpt2", 12, 768, 3072, 12, 12, 50257, position=True), ALL),
    "gemma3-4b": (decoder(34, 2560, 10240, 8, 4, 262144, arch="gemma3", tied=True, keys={"attention.key_length": 320, "attention.value_length": 320}), ALL),
    "gemma3n": (gemma3n(), ALL + [["--token-embedding-type", "q6_k", "Q4_K_M"],
                                  ["--token-embedding-type", "q6_k", "--tensor-type", "per_layer_token_embd=q8_0", "Q4_K_M"]]),
    "small-things": (small_things(), [["Q8_0"], ["Q4_K_M"], ["MXFP4_MOE"], ["BF16"], ["--pure", "Q6_K"]]),
    "deepseek2": (deepseek2(), ALL),
    "mamba": (mamba(), ALL),
    "rwkv7": (rwkv7(), ALL),
    "bert": (bert(), ALL),
    "t5": (t5(), ALL),
    "glm5-next": (hybrid("glm5-next", {
        "attention.indexer.head_count": 32, "attention.indexer.key_length": 128, "attention.indexer.top_k": 512,
        "attention.indexer.kpool": 4, "attention.indexer.kpool_select_tail": False, "hyper_connection.count": 4,
        "hyper_connection.sinkhorn_iterations": 1, "hyper_connection.epsilon": 1e-6}), ALL + [["--pure", "Q4_K_M"]]),
    "bailingmoe3": (hybrid("bailingmoe3", {
        "kda.gate_lower_bound": -1.0, "expert_gating_func": 2, "swiglu_clamp_exp": [0.0] * 4, "swiglu_clamp_shexp": [0.0] * 4}), ALL),
}


def sizes(dims, type_name):
    kind = gguf.GGMLQuantizationType[type_name]
    block, size = gguf.GGML_QUANT_SIZES[kind]
    return kind, int(np.prod(dims, dtype=np.int64)) // block * size


def write_model(path, arch, numbers, tensors):
    w = gguf.GGUFWriter(path, arch)
    for key, value in numbers.items():
        add = {list: w.add_array, float: w.add_float32, bool: w.add_bool}.get(type(value), w.add_uint32)
        add(f"{arch}.{key}", value)
    data = 0
    for name, dims, type_name in tensors:
        kind, size = sizes(dims, type_name)
        dims = dims[::-1]
        plain = {"F32": np.float32, "F16": np.float16, "I32": np.int32}.get(type_name)
        if plain:
            w.add_tensor_info(name, dims, np.dtype(plain), size)
        else:
            w.add_tensor_info(name, gguf.quant_shape_to_byte_shape(dims, kind), np.dtype(np.uint8), size, raw_dtype=kind)
        data += (size + 31) // 32 * 32
    w.write_header_to_file(); w.write_kv_data_to_file(); w.write_ti_data_to_file()
    w.close()
    start = (os.path.getsize(path) + 31) // 32 * 32
    os.truncate(path, start + data)


def write_imatrix(path, tensors):
    """Every matrix has an entry; its contents do not matter to a dry run."""
    w = gguf.GGUFWriter(path, "")
    w.add_type("imatrix")
    w.add_array("imatrix.datasets", ["none"]); w.add_uint32("imatrix.chunk_count", 1); w.add_uint32("imatrix.chunk_size", 512)
    for name, dims, _ in tensors:
        if len(dims) > 1 and name.endswith(".weight"):
            w.add_tensor(f"{name}.in_sum2", np.ones((1, dims[0]), np.float32))
            w.add_tensor(f"{name}.counts", np.ones((1, 1), np.float32))
    w.write_header_to_file(); w.write_kv_data_to_file(); w.write_tensors_to_file(); w.close()


LINE = re.compile(r"^\[ *\d+/ *\d+\] (\S+) +- \[[^]]*\], type = +(\w+), size = .* MiB(?: -> .* MiB \((\w+)\))?$", re.M)


def ask(tool, model, imatrix, case):
    """The types that a dry run reports to change, by tensor name, and the number of fallbacks."""
    flags = [f for arg in case[:-1] for f in ([arg, imatrix] if arg == "--imatrix" else [arg])]
    run = subprocess.run([tool, "--dry-run", *flags, model, "unused.gguf", case[-1]], capture_output=True, text=True)
    log = run.stdout + run.stderr
    if run.returncode != 0:
        raise SystemExit(f"{case}: {log[-2000:]}")
    # a warning may stand in the middle of a line of the listing: both go to stderr, but whole lines each
    answer = {name: new for name, _, new in LINE.findall(log)}
    fallback = re.search(r"WARNING: (\d+) of \d+ tensor\(s\) required fallback", log)
    return answer, int(fallback.group(1)) if fallback else 0


def ranges(numbers):
    out, numbers = [], sorted(numbers)
    while numbers:
        n = 1
        while n < len(numbers) and numbers[n] == numbers[0] + n:
            n += 1
        out.append(str(numbers[0]) if n == 1 else f"{numbers[0]}-{numbers[n - 1]}")
        numbers = numbers[n:]
    return ",".join(out)


def grouped(names):
    """Names with their layers folded into ranges, and those of equal ranges folded into one {a,b}."""
    layers, plain = {}, []
    for name in names:
        m = re.fullmatch(r"((?:enc\.|dec\.)?)blk\.(\d+)\.(.+?)(\.weight|\.bias|)", name)
        if m:
            layers.setdefault((m[1], m[3], m[4]), set()).add(int(m[2]))
        else:
            plain.append(name)
    folded = {}
    for (side, stem, end), found in layers.items():
        folded.setdefault((side, ranges(found), end), []).append(stem)
    return plain + [f"{side}blk.{r}.{'{' + ','.join(s) + '}' if len(s) > 1 else s[0]}{end}" for (side, r, end), s in folded.items()]


def listing(tool, folder, name, model, cases):
    arch, numbers, tensors = model
    path, imatrix = os.path.join(folder, name + ".gguf"), os.path.join(folder, name + ".imatrix")
    write_model(path, arch, numbers, tensors)
    write_imatrix(imatrix, tensors)
    lines = [f"arch {arch}"]
    lines += [f"key {k} {' '.join(map(str, v)) if isinstance(v, list) else v}" for k, v in numbers.items()
              if k in ("block_count", "attention.head_count", "attention.head_count_kv", "expert_count")]
    kinds = {}
    for n, d, t in tensors:
        kinds.setdefault((*d, t), []).append(n)
    for (*dims, kind), names in kinds.items():
        lines += [f"tensor {g} {' '.join(map(str, dims))} {kind}" for g in grouped(names)]
    for case in cases:
        answer, fallback = ask(tool, path, imatrix, case)
        missing = [n for n, *_ in tensors if n not in answer]
        assert not missing, (name, case, missing)
        lines.append("case " + " ".join(case))
        if fallback:
            lines.append(f"fallback {fallback}")
        by_type = {}
        for n, *_ in tensors:
            if answer[n]:
                by_type.setdefault(answer[n].upper(), []).append(n)
        lines += [f"{kind} {' '.join(grouped(names))}" for kind, names in sorted(by_type.items())]
    os.remove(path); os.remove(imatrix)
    return "\n".join(lines) + "\n"


def main():
    if len(sys.argv) < 2:
        raise SystemExit(__doc__)
    tool, out = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else os.path.join(
        os.path.dirname(os.path.abspath(__file__)), "../crates/lucid/tests/golden/quantize")
    os.makedirs(out, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        for name, (model, cases) in SHAPES.items():
            with open(os.path.join(out, name + ".txt"), "w") as f:
                f.write(listing(tool, folder, name, model, cases))
            print(name, len(cases), "cases,", os.path.getsize(f.name), "bytes", flush=True)


if __name__ == "__main__":
    main()
