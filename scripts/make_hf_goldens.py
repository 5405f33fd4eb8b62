"""Tiny random LLaMA checkpoints as Hugging Face writes them, with the logits transformers computes from them.

Each case isolates one thing a loader or a forward pass can get wrong. `OUT/<case>/` gets config.json, the
safetensors file or shards, and golden.json with these keys:

    description   what the case is about, in one line
    versions      of torch and transformers
    dtype         of the stored weights; they are widened exactly, never rounded again
    tokens, ctx   the input, one pass; the context length to open the sequence with (only dynamic scaling looks at it)
    logits        one row per token over the whole vocabulary, 9 significant digits
    noise         what the golden itself leaves open, see below

The logits are those of transformers' LlamaForCausalLM in float64. Two of its modules fall back to float32
whatever the model's type, RMSNorm and the rotary embedding, so both are widened here to keep the golden sharp. The
frequencies stay transformers' own, which are float32. `noise` measures both choices as a largest absolute difference:

    plain_double        the same model without the widening: the error that float32 norms, angles, cos and sin cause
    frequency_rounding  every frequency moved by 2^-23 of itself (alternating signs): what float32 frequencies can cause

A test that compares with these logits therefore cannot ask for less than `frequency_rounding` in absolute terms.

Weights follow the formula of export_weights.py with the seed text "<case>/<tensor name>": no generator of a library
is involved, so regenerating gives the same files. They are large on purpose, and every case is checked here to *notice*
wrong positions, wrong heads and every number of its rope scaling by more than 1e-2.
"""

import argparse
import copy
import json
from dataclasses import dataclass, field
from pathlib import Path

import torch
import transformers
from safetensors.torch import save_file
from torch import nn
from transformers import LlamaConfig, LlamaForCausalLM

from export_weights import dump, formula, hash24

VISIBLE = 1e-2  # a mistake has to move some logit by more than this
SMALL = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu", "vocab_size": 64,
    "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "max_position_embeddings": 64, "rms_norm_eps": 1e-5, "attention_bias": False,
    "mlp_bias": False, "tie_word_embeddings": False, "bos_token_id": 1, "eos_token_id": 2,
}
WIDE_HEADS = {"num_attention_heads": 2, "num_key_value_heads": 1}  # head_dim 16: eight frequencies instead of four


@dataclass(frozen=True)
class Case:
    name: str
    about: str
    config: dict = field(default_factory=dict)
    omit: tuple[str, ...] = ()  # keys left out of config.json
    theta: float = 10000.0
    scaling: dict | None = None  # rope_type and its numbers
    form: str = "new"  # how config.json says it, see rope_keys
    dtype: torch.dtype = torch.bfloat16
    count: int = 24
    ctx: int | None = None
    shards: int = 1


CASES = [
    Case("gqa", "grouped-query attention, two query heads per key/value head, float32", dtype=torch.float32),
    Case("mqa", "multi-query attention: one key/value head for all", {"num_key_value_heads": 1}),
    Case("mha_tied", "every head its own keys, output tied to the embedding, an early config without any rope key",
         {"tie_word_embeddings": True}, omit=("num_key_value_heads", "attention_bias", "mlp_bias"), form="none"),
    Case("untied_default", "tie_word_embeddings is absent, which means false, and lm_head is present",
         omit=("tie_word_embeddings",), form="old"),
    Case("head_dim_bias", "head_dim is not hidden_size / heads; biases on attention and MLP, none of them zero",
         {"head_dim": 16, "attention_bias": True, "mlp_bias": True}),
    Case("odd_sizes", "hidden 48, ffn 100, vocab 97: no power of two, no multiple of a block",
         {"hidden_size": 48, "intermediate_size": 100, "vocab_size": 97, "num_attention_heads": 6,
          "num_key_value_heads": 3}),
    Case("bf16", "bfloat16 weights, named by `dtype`", {"dtype": "bfloat16"}),
    Case("f16", "float16 weights, named by the older `torch_dtype`", {"torch_dtype": "float16"}, dtype=torch.float16),
    Case("sharded", "two shards and an index; one layer's tensors lie in both", shards=2),
    Case("rope_theta", "rope_theta 500000 at the top level, rope_scaling null", WIDE_HEADS, theta=500000.0, form="old"),
    Case("rope_linear", "linear scaling, older form with `type`", WIDE_HEADS, form="old_type",
         scaling={"rope_type": "linear", "factor": 2.5}),
    Case("rope_dynamic_within", "dynamic scaling up to the original length: the frequencies stay the plain ones",
         WIDE_HEADS | {"max_position_embeddings": 24}, ctx=24, scaling={"rope_type": "dynamic", "factor": 4.0}),
    Case("rope_dynamic_beyond", "dynamic scaling, one pass of 40 tokens against an original length of 16",
         WIDE_HEADS | {"max_position_embeddings": 16}, form="old_type", count=40,
         scaling={"rope_type": "dynamic", "factor": 4.0}),
    Case("rope_yarn", "yarn with every default; the original length is absent and means max_position_embeddings",
         WIDE_HEADS, form="old", scaling={"rope_type": "yarn", "factor": 4.0}),
    Case("rope_yarn_betas", "yarn with its own attention_factor, beta_fast and beta_slow, original length 64",
         WIDE_HEADS | {"max_position_embeddings": 256}, count=40,
         scaling={"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64, "attention_factor": 1.3,
                  "beta_fast": 2.0, "beta_slow": 0.25}),
    Case("rope_yarn_mscale", "yarn with mscale and mscale_all_dim, range not truncated, original length 32",
         WIDE_HEADS | {"max_position_embeddings": 128}, form="old_type",
         scaling={"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32, "mscale": 1.2,
                  "mscale_all_dim": 0.4, "truncate": False}),
    Case("rope_llama3", "llama3 scaling: kept, smoothed and divided frequencies all occur, newer form",
         WIDE_HEADS | {"max_position_embeddings": 512}, theta=500000.0,
         scaling={"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                  "original_max_position_embeddings": 64}),
    Case("rope_llama3_old", "llama3 scaling in the form its checkpoints shipped with: rope_theta beside rope_scaling",
         WIDE_HEADS | {"max_position_embeddings": 512, "head_dim": 16}, form="old",
         scaling={"rope_type": "llama3", "factor": 32.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                  "original_max_position_embeddings": 128}),
]


def rope_keys(form: str, theta: float, scaling: dict | None) -> dict:
    """The same rope as config.json has said it over the years."""
    if form == "none":
        return {}  # plain rope with theta 10000 is the default
    if form == "new":
        return {"rope_parameters": {"rope_theta": theta, **(scaling or {"rope_type": "default"})}}
    scaling = dict(scaling) if scaling else None
    if form == "old_type":
        scaling = {"type": scaling.pop("rope_type"), **scaling}
    return {"rope_theta": theta, "rope_scaling": scaling}


def config_of(case: Case, form: str | None = None, scaling: dict | None = None) -> dict:
    config = SMALL | case.config | rope_keys(form or case.form, case.theta, scaling or case.scaling)
    return {key: value for key, value in config.items() if key not in case.omit}


def make_weights(case: Case) -> dict[str, torch.Tensor]:
    """Names and shapes come from transformers, values from the formula."""
    weights = {}
    for name, like in build(config_of(case)).state_dict().items():
        if name == "lm_head.weight" and case.config.get("tie_word_embeddings"):
            continue
        scale = 1.0 if "embed_tokens" in name else 1 / 4 if "norm" in name else 1 / 2
        value = formula(f"{case.name}/{name}", tuple(like.shape), scale) + ("norm" in name)
        weights[name] = torch.from_numpy(value).to(case.dtype)
    return weights


def build(config: dict, weights: dict[str, torch.Tensor] | None = None) -> LlamaForCausalLM:
    model = LlamaForCausalLM(LlamaConfig(**copy.deepcopy(config)))  # a config rewrites its rope dictionaries in place
    if weights is not None:
        missing, unexpected = model.load_state_dict(weights, strict=False)
        assert not unexpected and set(missing) <= {"lm_head.weight"}
    return model


class Norm64(nn.Module):
    """RMSNorm in the type of its input."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.gain, self.eps = inner.weight, inner.variance_epsilon

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x / torch.sqrt((x * x).mean(-1, keepdim=True) + self.eps) * self.gain


class Rotary64(nn.Module):
    """cos and sin in float64 from the frequencies that the wrapped module ends up with."""

    def __init__(self, inner: nn.Module, jitter: float) -> None:
        super().__init__()
        self.inner, self.jitter = inner, jitter

    def forward(self, x: torch.Tensor, position_ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        self.inner(x, position_ids)  # dynamic scaling sets its frequencies in here
        frequency = self.inner.inv_freq.double()
        frequency = frequency * (1 + self.jitter * (-1.0) ** torch.arange(len(frequency)))
        angle = (position_ids[..., None].double() * frequency).repeat(1, 1, 2)
        return angle.cos() * self.inner.attention_scaling, angle.sin() * self.inner.attention_scaling


@torch.no_grad()
def logits(
    model: LlamaForCausalLM, tokens: list[int], wide: bool = True, stride: int = 1, jitter: float = 0.0
) -> torch.Tensor:
    """All logits of one pass in float64; `stride` puts the tokens at positions 0, stride, 2 * stride …"""
    model = model.double().eval()
    if wide:
        model.model.rotary_emb = Rotary64(model.model.rotary_emb, jitter)
        model.model.norm = Norm64(model.model.norm)
        for layer in model.model.layers:
            layer.input_layernorm = Norm64(layer.input_layernorm)
            layer.post_attention_layernorm = Norm64(layer.post_attention_layernorm)
    positions = torch.arange(len(tokens))[None] * stride
    return model(torch.tensor([tokens]), position_ids=positions, use_cache=False).logits[0]


def check_visible(case: Case, weights: dict[str, torch.Tensor], tokens: list[int], right: torch.Tensor) -> float:
    """The smallest change that any deliberate mistake makes to the logits; too small a change is an error."""
    moved = {"positions doubled": logits(build(config_of(case), weights), tokens, stride=2)}
    head_dim = LlamaConfig(**config_of(case)).head_dim
    for part, names in {"query heads": ("q_proj",), "key/value heads": ("k_proj", "v_proj")}.items():
        rolled = {k: w.roll(head_dim, 0) if any(n in k for n in names) else w for k, w in weights.items()}
        moved[part] = logits(build(config_of(case), rolled), tokens)
    if weights["model.layers.0.self_attn.k_proj.weight"].shape[0] == head_dim:
        del moved["key/value heads"]  # there is only one, rolling it is no mistake
    for key, value in (case.scaling or {}).items():
        wrong = not value if isinstance(value, bool) else value * 2 if key != "rope_type" else "default"
        scaling = {"rope_type": "default"} if key == "rope_type" else case.scaling | {key: wrong}
        moved[key] = logits(build(config_of(case, "new", scaling), weights), tokens)
    size = {what: (other - right).abs().max().item() for what, other in moved.items()}
    if case.name == "rope_dynamic_within":  # here the scaling has to be without effect
        assert size.pop("rope_type") == 0 and size.pop("factor") == 0
    assert min(size.values()) > VISIBLE, f"{case.name}: a mistake would go unnoticed: {size}"
    return min(size.values())


def write_weights(folder: Path, weights: dict[str, torch.Tensor], shards: int) -> None:
    metadata = {"format": "pt"}
    if shards == 1:
        save_file(weights, folder / "model.safetensors", metadata)
        return
    names = sorted(weights)
    files = {f"model-{i + 1:05}-of-{shards:05}.safetensors": names[i::shards] for i in range(shards)}
    for file, held in files.items():
        save_file({name: weights[name] for name in held}, folder / file, metadata)
    index = {"metadata": {"total_size": sum(w.nbytes for w in weights.values())},
             "weight_map": {name: file for file, held in files.items() for name in held}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index, indent=1, sort_keys=True) + "\n")


def make(case: Case, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    weights = make_weights(case)
    (folder / "config.json").write_text(json.dumps(config_of(case), indent=2) + "\n")
    write_weights(folder, weights, case.shards)

    tokens = (hash24(f"{case.name}/tokens", case.count) % weights["model.embed_tokens.weight"].shape[0]).tolist()
    # What counts is what transformers reads back from the folder, not what is in memory here.
    right = logits(LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32), tokens)
    for form in ["new", "old"] + ["old_type"] * (case.scaling is not None):
        assert torch.equal(right, logits(build(config_of(case, form), weights), tokens)), f"{case.name}: {form} differs"
    visible = check_visible(case, weights, tokens, right)
    plain = logits(build(config_of(case), weights), tokens, wide=False)
    shaken = logits(build(config_of(case), weights), tokens, jitter=2.0**-23)
    noise = {"plain_double": plain, "frequency_rounding": shaken}
    noise = {what: float(f"{(other - right).abs().max():.2g}") for what, other in noise.items()}
    dump(folder / "golden.json", {
        "description": case.about,
        "versions": {"torch": torch.__version__.split("+")[0], "transformers": transformers.__version__},
        "dtype": str(case.dtype).removeprefix("torch."), "tokens": tokens, "ctx": case.ctx or case.count,
        "noise": noise,
        "logits": [[float(f"{x:.9g}") for x in row] for row in right.tolist()]})
    size = sum(file.stat().st_size for file in folder.iterdir())
    print(f"{case.name:20} {size / 1024:5.0f} KiB  std {right.std():.2f}  smallest visible mistake {visible:.2f}  "
          f"noise {noise['plain_double']:.1g} {noise['frequency_rounding']:.1g}")


def main() -> None:
    cli = argparse.ArgumentParser(description="Write the tiny Hugging Face checkpoints and their golden logits.")
    cli.add_argument("out", type=Path, metavar="OUT", nargs="?", help="default: crates/lucid/tests/golden/hf",
                     default=Path(__file__).parent.parent / "crates/lucid/tests/golden/hf")
    cli.add_argument("--only", help="make this case alone")
    args = cli.parse_args()
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()  # it rightly wonders about the deliberate mistakes
    transformers.logging.disable_progress_bar()
    for case in CASES:
        if args.only in (None, case.name):
            make(case, args.out / case.name)


if __name__ == "__main__":
    main()
