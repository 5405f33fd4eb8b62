"""Build Lucid's educational model: weights from a formula, logits from plain PyTorch.

The model is a small LLaMA whose every weight follows from its name, so a test in another language can
rebuild all 10.5 million of them bit for bit and nothing large has to be kept. The formula for element `i`
(row-major, Hugging Face layout) of the tensor with Hugging Face name `name`:

    seed = FNV-1a 64 of the UTF-8 bytes of name   # offset 0xcbf29ce484222325, prime 0x100000001b3
    z = seed + (i + 1) * 0x9E3779B97F4A7C15       # all of this wraps at 64 bits
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB
    z = z ^ (z >> 31)                             # so z is output i of splitmix64 started at seed
    k = z >> 40                                   # 24 bits
    v = f32(k - 2^23) * 2^-23 * scale             # = (2u - 1) * scale with u = k / 2^24; EXACT in f32
    matrices: w = v                               # nothing was rounded
    norms:    w = f32(1) + v                      # one f32 addition, rounded to nearest even

    scale = 1     for model.embed_tokens.weight
            1/4   for the norms (a name that ends in norm.weight)
            1/16  for mlp.down_proj (fan-in 1024)
            1/8   for every other matrix (fan-in 256)

Every scale is a power of two: that is why `v` needs no rounding. Uniform on [-s, s) has the standard deviation
s/sqrt(3), so a product of fan-in n spreads by s*sqrt(n/3), about 1.15 for each matrix here: scores and logits are of
order one, and a mistake in a rotation, a head or a norm moves them visibly.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch

VOCAB, DIM, LAYERS, HEADS, HEAD_DIM, FFN, CTX = 16384, 256, 2, 4, 64, 1024, 512
EPS, THETA = 1e-5, 10000.0
CONFIG = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "torch_dtype": "float32", "hidden_act": "silu",
    "vocab_size": VOCAB, "hidden_size": DIM, "intermediate_size": FFN, "num_hidden_layers": LAYERS,
    "num_attention_heads": HEADS, "num_key_value_heads": HEADS, "head_dim": HEAD_DIM, "max_position_embeddings": CTX,
    "rms_norm_eps": EPS, "rope_theta": THETA, "tie_word_embeddings": False,
}
# Both ends of the vocabulary and what lies between. The repeats put one token at several positions.
TOKENS = [1, 16383, 0, 8192, 4097, 12289, 1, 1, 2731, 9557, 15013, 611, 7001, 13999, 331, 5463,
          10922, 16000, 8192, 3000, 14336, 42, 6144, 11777]
# Hugging Face names on the left, GGUF names on the right. Shapes are (rows out, columns in).
LAYER_TENSORS = {
    "input_layernorm.weight": ("attn_norm.weight", (DIM,)),
    "self_attn.q_proj.weight": ("attn_q.weight", (DIM, DIM)),
    "self_attn.k_proj.weight": ("attn_k.weight", (DIM, DIM)),
    "self_attn.v_proj.weight": ("attn_v.weight", (DIM, DIM)),
    "self_attn.o_proj.weight": ("attn_output.weight", (DIM, DIM)),
    "post_attention_layernorm.weight": ("ffn_norm.weight", (DIM,)),
    "mlp.gate_proj.weight": ("ffn_gate.weight", (FFN, DIM)),
    "mlp.up_proj.weight": ("ffn_up.weight", (FFN, DIM)),
    "mlp.down_proj.weight": ("ffn_down.weight", (DIM, FFN)),
}
TENSORS = {"model.embed_tokens.weight": ("token_embd.weight", (VOCAB, DIM))}
TENSORS |= {f"model.layers.{il}.{hf}": (f"blk.{il}.{gg}", shape)
            for il in range(LAYERS) for hf, (gg, shape) in LAYER_TENSORS.items()}
TENSORS |= {"model.norm.weight": ("output_norm.weight", (DIM,)), "lm_head.weight": ("output.weight", (VOCAB, DIM))}


def fnv1a64(data: bytes) -> int:
    h = 0xCBF29CE484222325
    for byte in data:
        h = ((h ^ byte) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return h


def hash24(seed_text: str, count: int) -> np.ndarray:
    """The 24-bit integers k of the formula, as int64."""
    i = np.arange(1, count + 1, dtype=np.uint64)
    z = np.uint64(fnv1a64(seed_text.encode())) + i * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return ((z ^ (z >> np.uint64(31))) >> np.uint64(40)).astype(np.int64)


def formula(seed_text: str, shape: tuple[int, ...], scale: float) -> np.ndarray:
    """v of the formula; exact as long as `scale` is a power of two."""
    k = hash24(seed_text, int(np.prod(shape)))
    return ((k - 2**23).astype(np.float32) * np.float32(2.0**-23) * np.float32(scale)).reshape(shape)


def weight(name: str) -> np.ndarray:
    shape = TENSORS[name][1]
    if name.endswith("norm.weight"):
        return np.float32(1) + formula(name, shape, 1 / 4)
    scale = {"model.embed_tokens.weight": 1.0}.get(name, 1 / 16 if "down_proj" in name else 1 / 8)
    return formula(name, shape, scale)


def rms_norm(x: torch.Tensor, gain: torch.Tensor) -> torch.Tensor:
    return x / torch.sqrt((x * x).mean(-1, keepdim=True) + EPS) * gain


def rope(x: torch.Tensor) -> torch.Tensor:
    """Rotate (tokens, heads, HEAD_DIM): elements j and j + HEAD_DIM/2 turn together by pos * THETA^(-2j/HEAD_DIM)."""
    j = torch.arange(HEAD_DIM // 2, dtype=torch.float64)
    angle = torch.arange(len(x), dtype=torch.float64)[:, None] * THETA ** (-2 * j / HEAD_DIM)
    cos, sin = angle.cos()[:, None, :], angle.sin()[:, None, :]
    a, b = x.chunk(2, dim=-1)
    return torch.cat((a * cos - b * sin, a * sin + b * cos), dim=-1)


def forward(weights: dict[str, np.ndarray], tokens: list[int]) -> torch.Tensor:
    """Logits (tokens, VOCAB) in float64, the whole model in order."""
    w = {name: torch.from_numpy(a).double() for name, a in weights.items()}
    n = len(tokens)
    causal = torch.full((n, n), -torch.inf, dtype=torch.float64).triu(1)
    x = w["model.embed_tokens.weight"][tokens]
    for il in range(LAYERS):
        p = f"model.layers.{il}."
        h = rms_norm(x, w[p + "input_layernorm.weight"])
        q, k, v = ((h @ w[p + f"self_attn.{c}_proj.weight"].T).view(n, HEADS, HEAD_DIM) for c in "qkv")
        scores = torch.einsum("qhd,khd->hqk", rope(q), rope(k)) / HEAD_DIM**0.5 + causal
        mix = torch.einsum("hqk,khd->qhd", scores.softmax(-1), v).reshape(n, DIM)
        x = x + mix @ w[p + "self_attn.o_proj.weight"].T
        h = rms_norm(x, w[p + "post_attention_layernorm.weight"])
        gate, up = h @ w[p + "mlp.gate_proj.weight"].T, h @ w[p + "mlp.up_proj.weight"].T
        x = x + (gate * gate.sigmoid() * up) @ w[p + "mlp.down_proj.weight"].T
    return rms_norm(x, w["model.norm.weight"]) @ w["lm_head.weight"].T


def interleave(rows: np.ndarray) -> np.ndarray:
    """Hugging Face rotates rows j and j + d/2 of a head together, GGUF's llama rows 2j and 2j + 1: reorder the rows."""
    halves = rows.reshape(HEADS, 2, HEAD_DIM // 2, -1)
    return np.ascontiguousarray(halves.swapaxes(1, 2)).reshape(rows.shape)


def write_gguf(path: Path, weights: dict[str, np.ndarray]) -> None:
    import gguf

    out = gguf.GGUFWriter(path, "llama")
    out.add_name("Lucid educational model")
    out.add_file_type(gguf.LlamaFileType.ALL_F32)
    out.add_vocab_size(VOCAB)
    out.add_context_length(CTX)
    out.add_embedding_length(DIM)
    out.add_block_count(LAYERS)
    out.add_feed_forward_length(FFN)
    out.add_head_count(HEADS)
    out.add_head_count_kv(HEADS)
    out.add_layer_norm_rms_eps(EPS)
    out.add_rope_freq_base(THETA)
    out.add_rope_dimension_count(HEAD_DIM)
    out.add_tokenizer_model("no_vocab")  # the format's way to say that ids are all there is
    for name, array in weights.items():
        turned = "q_proj" in name or "k_proj" in name
        out.add_tensor(TENSORS[name][0], interleave(array) if turned else array)
    out.write_header_to_file()
    out.write_kv_data_to_file()
    out.write_tensors_to_file()
    out.close()


def transformers_difference(weights: dict[str, np.ndarray], tokens: list[int], logits: torch.Tensor) -> float | None:
    """Largest difference from LlamaForCausalLM in double (whose norms and rotations still go through float32)."""
    try:
        from transformers import LlamaConfig, LlamaForCausalLM
    except ImportError:
        return None
    model = LlamaForCausalLM(LlamaConfig(**CONFIG)).double().eval()
    model.load_state_dict({name: torch.from_numpy(a).double() for name, a in weights.items()})
    with torch.no_grad():
        return (model(torch.tensor([tokens])).logits[0] - logits).abs().max().item()


def golden(weights: dict[str, np.ndarray], tokens: list[int], logits: torch.Tensor) -> dict:
    """The small committed record: a fixed sample of each row, what sums the row up, and a checksum per tensor."""
    ids = [i * (VOCAB - 1) // 63 for i in range(64)]
    top = logits.topk(2, dim=-1).values
    assert (top[:, 0] - top[:, 1]).min() > 1e-3, "two logits nearly tie for the argmax: choose other tokens"
    return {
        "description": "Lucid educational model; the formula of the weights is in scripts/export_weights.py",
        "versions": {"torch": torch.__version__.split("+")[0]},
        "config": CONFIG,
        "tokens": tokens,
        "vocab_ids": ids,
        "positions": [
            {"argmax": int(row.argmax()), "max": digits(row.max()), "margin": digits(row.max() - second),
             "mean": digits(row.mean()), "l2": digits(row.norm()), "logits": [digits(x) for x in row[ids]]}
            for row, second in zip(logits, top[:, 1])],
        "tensors": [{"hf": name, "gguf": TENSORS[name][0], "shape": list(array.shape), "first": float(array.flat[0]),
                     "fnv1a64": f"{fnv1a64(array.astype('<f4').tobytes()):016x}"} for name, array in weights.items()],
    }


def digits(x: torch.Tensor, significant: int = 13) -> float:
    return float(f"{x.item():.{significant}g}")


def dump(path: Path, record: dict) -> None:
    """JSON with a line per key, and a line per element in lists of records or rows: small, with readable diffs."""
    def value(v: object) -> str:
        if isinstance(v, list) and v and isinstance(v[0], (dict, list)):
            return "[\n" + ",\n".join("  " + json.dumps(e) for e in v) + "\n ]"
        return json.dumps(v)

    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("{\n" + ",\n".join(f" {json.dumps(k)}: {value(v)}" for k, v in record.items()) + "\n}\n")


def main() -> None:
    from safetensors.numpy import save_file

    cli = argparse.ArgumentParser(description="Write the educational model and its logits.")
    cli.add_argument("out", type=Path, metavar="OUT", help="the folder to write into")
    cli.add_argument("--tokens", type=lambda s: [int(t) for t in s.split(",")], default=TOKENS, help="ids: 1,2,3")
    cli.add_argument("--golden", type=Path, help="also write the small golden record here")
    args = cli.parse_args()
    if len(args.tokens) > CTX or not all(0 <= t < VOCAB for t in args.tokens):
        raise SystemExit(f"--tokens: at most {CTX} ids, each below {VOCAB}")

    weights = {name: weight(name) for name in TENSORS}
    for folder in ("npy", "safetensors"):
        (args.out / folder).mkdir(parents=True, exist_ok=True)
        (args.out / folder / "config.json").write_text(json.dumps(CONFIG, indent=2) + "\n")
    for name, array in weights.items():
        np.save(args.out / "npy" / f"{name}.npy", array)
    save_file(weights, args.out / "safetensors" / "model.safetensors", metadata={"format": "pt"})
    write_gguf(args.out / "model.gguf", weights)

    logits = forward(weights, args.tokens)
    np.save(args.out / "logits.npy", logits.float().numpy())
    (args.out / "tokens.json").write_text(json.dumps(args.tokens) + "\n")
    if args.golden:
        dump(args.golden, golden(weights, args.tokens, logits))
    difference = transformers_difference(weights, args.tokens, logits)
    print("tokens:", ",".join(map(str, args.tokens)))
    print(f"logits: shape {tuple(logits.shape)}, std {logits.std():.4f}, max {logits.max():.4f}")
    compared = "not installed, not compared" if difference is None else f"max |difference| {difference:.3g}"
    print("transformers:", compared)


if __name__ == "__main__":
    main()
