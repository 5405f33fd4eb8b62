#!/usr/bin/env python3
"""Trains Lucid's demonstration model: a small LLaMA that tells little stories and takes turns in a chat.

    python scripts/train_tiny.py train  /tmp/tiny --minutes 45       # resumes where it was stopped
    python scripts/train_tiny.py export /tmp/tiny                    # -> tiny-f32.gguf, tiny-f16.gguf, hf/
    python scripts/train_tiny.py sample /tmp/tiny                    # stories and chat turns, from PyTorch
    python scripts/train_tiny.py perplexity /tmp/tiny FILE.gguf ...  # on the held-out texts, in any format

All text comes from stories.py and chats.py and is written while it trains: step n always sees the same text, and no text
is planned to be seen twice. The texts of the validation come from a seed that no step uses.

A story is   <s> Once upon a time ... </s>
A chat is    <s>? <|im_start|>user ⏎ ... <|im_end|> ⏎ <|im_start|>assistant ⏎ ... <|im_end|> ⏎
and only what the storyteller or the assistant says, with the mark that ends it, counts in the loss. So after a bare <s>
the model tells a story, and it never speaks for the user.
"""

import argparse
import json
import math
import os
import random
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

import chats
import stories

NAME = "Lucid tiny storyteller"
VOCAB, DIM, LAYERS, HEADS, KV_HEADS, HEAD_DIM, FFN, CTX = 2048, 256, 4, 4, 2, 64, 512, 512
EPS, THETA = 1e-5, 10000.0
BOS, EOS, START, END = range(4)
SPECIAL = ["<s>", "</s>", "<|im_start|>", "<|im_end|>"]
TEMPLATE = ("{%- for m in messages -%}{{ '<|im_start|>' ~ m.role ~ '\\n' ~ m.content ~ '<|im_end|>\\n' }}{%- endfor -%}"
            "{%- if add_generation_prompt -%}{{ '<|im_start|>assistant\\n' }}{%- endif -%}")
CONFIG = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "torch_dtype": "float32", "hidden_act": "silu",
    "vocab_size": VOCAB, "hidden_size": DIM, "intermediate_size": FFN, "num_hidden_layers": LAYERS,
    "num_attention_heads": HEADS, "num_key_value_heads": KV_HEADS, "head_dim": HEAD_DIM, "max_position_embeddings": CTX,
    "rms_norm_eps": EPS, "rope_theta": THETA, "tie_word_embeddings": True, "bos_token_id": BOS, "eos_token_id": [EOS, END],
}
LEARNING_RATE, WARMUP, DECAY = 2e-3, 100, 0.1
TOKENS_PER_STEP = 1024  # little, for many steps: the text has patterns to learn rather than noise to average
UNSCORED = -100  # F.cross_entropy skips this target


# ---- the model: LLaMA, with the names of a Hugging Face checkpoint

class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.q_proj = nn.Linear(DIM, HEADS * HEAD_DIM, bias=False)
        self.k_proj = nn.Linear(DIM, KV_HEADS * HEAD_DIM, bias=False)
        self.v_proj = nn.Linear(DIM, KV_HEADS * HEAD_DIM, bias=False)
        self.o_proj = nn.Linear(HEADS * HEAD_DIM, DIM, bias=False)

    def forward(self, x, cos, sin, seen):
        rows, n, _ = x.shape
        q, k, v = (p(x).view(rows, n, -1, HEAD_DIM).transpose(1, 2) for p in (self.q_proj, self.k_proj, self.v_proj))
        q, k = rotate(q, cos, sin), rotate(k, cos, sin)
        k, v = (t.repeat_interleave(HEADS // KV_HEADS, dim=1) for t in (k, v))
        mix = F.scaled_dot_product_attention(q, k, v, attn_mask=seen, is_causal=seen is None)
        return self.o_proj(mix.transpose(1, 2).reshape(rows, n, -1))


def rotate(x, cos, sin):
    """RoPE: elements j and j + HEAD_DIM/2 turn together by position * THETA^(-2j/HEAD_DIM)."""
    a, b = x.chunk(2, dim=-1)
    return torch.cat((a * cos - b * sin, a * sin + b * cos), dim=-1)


class FeedForward(nn.Module):
    def __init__(self):
        super().__init__()
        self.gate_proj, self.up_proj = nn.Linear(DIM, FFN, bias=False), nn.Linear(DIM, FFN, bias=False)
        self.down_proj = nn.Linear(FFN, DIM, bias=False)

    def forward(self, x):
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class Layer(nn.Module):
    def __init__(self):
        super().__init__()
        self.input_layernorm, self.post_attention_layernorm = nn.RMSNorm(DIM, EPS), nn.RMSNorm(DIM, EPS)
        self.self_attn, self.mlp = Attention(), FeedForward()

    def forward(self, x, cos, sin, seen):
        x = x + self.self_attn(self.input_layernorm(x), cos, sin, seen)
        return x + self.mlp(self.post_attention_layernorm(x))


class Llama(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed_tokens = nn.Embedding(VOCAB, DIM)
        self.layers = nn.ModuleList(Layer() for _ in range(LAYERS))
        self.norm = nn.RMSNorm(DIM, EPS)
        for name, p in self.named_parameters():
            if p.dim() == 2:  # what adds to the residual stream starts small
                scale = 0.02 / math.sqrt(2 * LAYERS) if "o_proj" in name or "down_proj" in name else 0.02
                nn.init.normal_(p, std=0.04 if scale == 0.02 and "embed" not in name else scale)
        angle = torch.arange(CTX)[:, None] * THETA ** (-2 * torch.arange(HEAD_DIM // 2) / HEAD_DIM)
        self.register_buffer("cos", angle.cos(), persistent=False)
        self.register_buffer("sin", angle.sin(), persistent=False)

    def forward(self, tokens, text=None):
        """Logits of rows of tokens. With `text`, the number of the text that each token is of, a token sees its own text only."""
        x = self.embed_tokens(tokens)
        cos, sin = self.cos[:tokens.shape[1]], self.sin[:tokens.shape[1]]
        seen = None if text is None else (text[:, :, None] == text[:, None, :]).tril()[:, None]
        for layer in self.layers:
            x = layer(x, cos, sin, seen)
        return self.norm(x) @ self.embed_tokens.weight.T


# ---- text to tokens

def train_tokenizer(path: Path) -> None:
    """Byte-level BPE with GPT-2's splitting: any text is representable, and every loader knows the kind."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

    rng = random.Random("tokenizer")
    sample = [stories.Story(rng).text for _ in range(4000)]
    sample += [m["content"] for _ in range(4000) for m in chats.conversation(rng)]
    tok = Tokenizer(models.BPE())
    tok.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tok.decoder = decoders.ByteLevel()
    tok.train_from_iterator(sample, trainers.BpeTrainer(
        vocab_size=VOCAB, special_tokens=SPECIAL, initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()), show_progress=False))
    tok.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", BOS)])
    tok.save(str(path))


def load_tokenizer(folder: Path):
    from tokenizers import Tokenizer

    path = folder / "tokenizer.json"
    if not path.exists():
        train_tokenizer(path)
    tok = Tokenizer.from_file(str(path))
    assert tok.get_vocab_size() == VOCAB and tok.token_to_id("<|im_end|>") == END, f"{path} is of another model"
    return tok


def encode(tok, text: str) -> list[int]:
    return tok.encode(text, add_special_tokens=False).ids


def chat_tokens(tok, messages: list[dict], reply: bool) -> tuple[list[int], list[bool]]:
    """Tokens of a conversation, and which of them the assistant says; with `reply`, up to where it is to speak."""
    ids, said = [], []
    for m in messages:
        head, body = [START] + encode(tok, m["role"] + "\n"), encode(tok, m["content"]) + [END]
        tail = encode(tok, "\n")
        ids += head + body + tail
        said += [False] * len(head) + [m["role"] == "assistant"] * len(body) + [False] * len(tail)
    if reply:
        ids += [START] + encode(tok, "assistant\n")
    return ids, said


def document(tok, rng: random.Random) -> tuple[list[int], list[bool]]:
    """A story or a conversation; half of each, about."""
    if rng.random() < 0.5:
        ids = encode(tok, stories.Story(rng).text)
        return [BOS, *ids, EOS], [False] + [True] * (len(ids) + 1)
    ids, said = chat_tokens(tok, chats.conversation(rng), reply=False)
    return ([BOS] + ids, [False] + said) if rng.random() < 0.5 else (ids, said)


def batch(tok, rng: random.Random, rows: int, length: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Rows of documents, the last of a row cut at its end: tokens, the document each is of, and the targets one ahead."""
    ids = np.full((rows, length + 1), EOS)
    said = np.zeros((rows, length + 1), dtype=bool)
    text = np.zeros((rows, length + 1), dtype=int)
    for r in range(rows):
        n = 0
        while n <= length:
            d, s = document(tok, rng)
            d, s = d[:length + 1 - n], s[:length + 1 - n]
            ids[r, n:n + len(d)], said[r, n:n + len(d)], text[r, n:n + len(d)] = d, s, n
            n += len(d)
    targets = np.where(said, ids, UNSCORED)[:, 1:]
    return tuple(torch.from_numpy(a.copy()) for a in (ids[:, :-1], text[:, :-1], targets))


# ---- training

def train(args) -> None:
    tok = load_tokenizer(args.folder)
    torch.manual_seed(args.seed)
    model = Llama()
    decayed = [p for p in model.parameters() if p.dim() == 2]
    rest = [p for p in model.parameters() if p.dim() != 2]
    opt = torch.optim.AdamW([{"params": decayed, "weight_decay": DECAY}, {"params": rest, "weight_decay": 0.0}],
                            betas=(0.9, 0.98), lr=LEARNING_RATE)
    path, step, spent = args.folder / "checkpoint.pt", 0, 0.0
    if path.exists():
        state = torch.load(path, weights_only=True)
        model.load_state_dict(state["model"])
        opt.load_state_dict(state["optimizer"])
        step, spent = state["step"], state["spent"]
    print(f"{sum(p.numel() for p in model.parameters()):,} parameters, from step {step}", flush=True)
    held_out = validation(tok)
    last = last_save = time.time()
    losses: list[float] = []
    while True:
        began = time.process_time()
        done = max(spent / (60 * args.minutes), step / args.steps if args.steps else 0)
        if done >= 1:
            break
        rate = LEARNING_RATE * min(1, (step + 1) / WARMUP) * (0.5 + 0.5 * math.cos(math.pi * done))
        for group in opt.param_groups:
            group["lr"] = rate
        # A conversation may need the whole context, a story does not: long rows every fourth time.
        length = CTX if step % 4 == 3 else CTX // 2
        tokens, text, targets = batch(tok, random.Random(f"{args.seed}, step {step}"), TOKENS_PER_STEP // length, length)
        loss = F.cross_entropy(model(tokens, text).flatten(0, 1), targets.flatten(), ignore_index=UNSCORED)
        opt.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        opt.step()
        step += 1
        losses.append(loss.item())
        spent += time.process_time() - began
        if step % 25 == 0:
            now = time.time()
            print(f"step {step:5}  {spent / 60:5.1f} min  loss {sum(losses) / len(losses):.4f}  lr {rate:.2e}  "
                  f"{(now - last) / len(losses):.2f} s/step  {time.process_time() / 60:.1f} min of processor", flush=True)
            losses, last = [], now
        if time.time() - last_save > 60 * args.save_every:
            print(f"step {step:5}  validation {evaluate(model, held_out)}", flush=True)
            save(path, model, opt, step, spent)
            last_save = time.time()
    save(path, model, opt, step, spent)
    print(f"step {step:5}  {spent / 60:5.1f} min  validation {evaluate(model, held_out)}", flush=True)


def save(path: Path, model: Llama, opt, step: int, spent: float) -> None:
    new = path.with_suffix(".new")
    torch.save({"model": model.state_dict(), "optimizer": opt.state_dict(), "step": step, "spent": spent}, new)
    os.replace(new, path)


def validation(tok, count: int = 64) -> dict[str, list[tuple[torch.Tensor, torch.Tensor]]]:
    """Held-out documents, each scored by itself from position 0."""
    rng = random.Random("held out")
    kinds: dict[str, list] = {"stories": [], "chats": []}
    while min(map(len, kinds.values())) < count:
        ids, said = document(tok, rng)
        kind = kinds["stories" if EOS in ids else "chats"]
        if len(kind) < count:
            ids, said = torch.tensor(ids[:CTX]), torch.tensor(said[:CTX])
            kind.append((ids[None, :-1], torch.where(said, ids, UNSCORED)[1:]))
    return kinds


@torch.no_grad()
def evaluate(model: Llama, kinds) -> str:
    """Mean loss in nats per token, and perplexity."""
    out = []
    for kind, documents in kinds.items():
        total, count = 0.0, 0
        for tokens, targets in documents:
            total += F.cross_entropy(model(tokens)[0], targets, ignore_index=UNSCORED, reduction="sum").item()
            count += int((targets != UNSCORED).sum())
        out.append(f"{kind} {total / count:.4f} (perplexity {math.exp(total / count):.4f}, {count} tokens)")
    return ", ".join(out)


def load(folder: Path) -> Llama:
    model = Llama()
    model.load_state_dict(torch.load(folder / "checkpoint.pt", weights_only=True)["model"])
    return model.eval()


# ---- samples

@torch.no_grad()
def generate(model: Llama, ids: list[int], temperature: float, rng: torch.Generator, most: int = 256) -> list[int]:
    """New tokens up to the end mark, which is the last of them if there was room. Top-k 40 and top-p 0.9, as `lucid run`."""
    new: list[int] = []
    while len(new) < most and len(ids) + len(new) < CTX:
        logits = model(torch.tensor([ids + new]))[0, -1]
        if temperature == 0:
            new.append(int(logits.argmax()))
        else:
            top, which = logits.topk(40)
            p = (top / temperature).softmax(-1)
            p[p.cumsum(-1) - p >= 0.9] = 0
            new.append(int(which[torch.multinomial(p / p.sum(), 1, generator=rng)]))
        if new[-1] in (EOS, END):
            break
    return new


TALKS = (["Hello!"], ["What is your name?", "What can you do?"], ["Tell me a story about a fox and a kite.", "Make it shorter.", "Another one, please."],
         ["tell me a story about a mouse named Pip", "What was the mouse called?"], ["What does a cow say?", "What colour is the sky?", "What is 2 plus 3?"],
         ["What is the opposite of big?"], ["Write a Python function.", "Thank you!"])


def sample(args) -> None:
    tok, model = load_tokenizer(args.folder), load(args.folder)
    rng = torch.Generator().manual_seed(args.seed)
    say = lambda new: tok.decode([t for t in new if t not in (EOS, END)]) + ("" if new[-1] in (EOS, END) else " [cut]")
    for temperature in (0, 0.8, 0.8, 0.8):
        new = generate(model, [BOS] + encode(tok, args.prompt), temperature, rng)
        print(f"--- story, temperature {temperature}, {len(new)} tokens\n{args.prompt}{say(new)}\n")
    for talk in TALKS:
        print("--- chat, temperature 0.5")
        messages: list[dict] = []
        for ask in talk:
            messages.append({"role": "user", "content": ask})
            new = generate(model, chat_tokens(tok, messages, reply=True)[0], 0.5, rng)
            messages.append({"role": "assistant", "content": say(new)})
            print(f"     user: {ask}\nassistant: {messages[-1]['content']}")
        print()


# ---- export

GGUF_NAMES = {
    "input_layernorm": "attn_norm", "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output", "post_attention_layernorm": "ffn_norm", "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down",
}


def gguf_name(name: str) -> str:
    if name.startswith("layers."):
        _, il, rest = name.removesuffix(".weight").split(".", 2)
        return f"blk.{il}.{GGUF_NAMES[rest]}.weight"
    return {"embed_tokens.weight": "token_embd.weight", "norm.weight": "output_norm.weight"}[name]


def interleave(rows: np.ndarray) -> np.ndarray:
    """Rows j and j + d/2 of a head, which rotate together, become rows 2j and 2j + 1: GGUF's order for llama."""
    halves = rows.reshape(-1, 2, HEAD_DIM // 2, DIM)
    return np.ascontiguousarray(halves.swapaxes(1, 2)).reshape(rows.shape)


def deinterleave(rows: np.ndarray) -> np.ndarray:
    pairs = rows.reshape(-1, HEAD_DIM // 2, 2, DIM)
    return np.ascontiguousarray(pairs.swapaxes(1, 2)).reshape(rows.shape)


def write_gguf(path: Path, tok, weights: dict[str, np.ndarray], half: bool) -> None:
    import gguf

    out = gguf.GGUFWriter(path, "llama")
    out.add_name(NAME)
    out.add_description("Tells little stories. Trained on text that a program in Lucid's repository writes.")
    out.add_license("MIT")
    out.add_languages(["en"])
    out.add_file_type(gguf.LlamaFileType.MOSTLY_F16 if half else gguf.LlamaFileType.ALL_F32)
    out.add_vocab_size(VOCAB)
    out.add_context_length(CTX)
    out.add_embedding_length(DIM)
    out.add_block_count(LAYERS)
    out.add_feed_forward_length(FFN)
    out.add_head_count(HEADS)
    out.add_head_count_kv(KV_HEADS)
    out.add_layer_norm_rms_eps(EPS)
    out.add_rope_freq_base(THETA)
    out.add_rope_dimension_count(HEAD_DIM)
    model = json.loads(tok.to_str())["model"]
    out.add_tokenizer_model("gpt2")
    out.add_tokenizer_pre("gpt-2")
    out.add_token_list([t for t, _ in sorted(model["vocab"].items(), key=lambda item: item[1])])
    out.add_token_types([gguf.TokenType.CONTROL] * len(SPECIAL) + [gguf.TokenType.NORMAL] * (VOCAB - len(SPECIAL)))
    out.add_token_merges([m if isinstance(m, str) else " ".join(m) for m in model["merges"]])
    out.add_bos_token_id(BOS)
    out.add_eos_token_id(EOS)
    out.add_eot_token_id(END)
    out.add_add_bos_token(True)
    out.add_chat_template(TEMPLATE)
    for name, array in weights.items():
        array = interleave(array) if "q_proj" in name or "k_proj" in name else array
        out.add_tensor(gguf_name(name), array.astype(np.float16) if half and array.ndim == 2 else array)
    out.write_header_to_file()
    out.write_kv_data_to_file()
    out.write_tensors_to_file()
    out.close()


def export(args) -> None:
    from safetensors.numpy import save_file

    tok = load_tokenizer(args.folder)
    weights = {name: p.numpy().astype(np.float32) for name, p in load(args.folder).state_dict().items()}
    write_gguf(args.folder / "tiny-f32.gguf", tok, weights, half=False)
    write_gguf(args.folder / "tiny-f16.gguf", tok, weights, half=True)
    hf = args.folder / "hf"
    hf.mkdir(exist_ok=True)
    save_file({f"model.{name}": a for name, a in weights.items()}, hf / "model.safetensors", metadata={"format": "pt"})
    tok.save(str(hf / "tokenizer.json"))
    special = {"bos_token": SPECIAL[BOS], "eos_token": SPECIAL[EOS]}
    for name, record in (("config.json", CONFIG), ("generation_config.json", {"bos_token_id": BOS, "eos_token_id": [EOS, END]}),
                         ("tokenizer_config.json", special | {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": CTX,
                                                              "chat_template": TEMPLATE})):
        (hf / name).write_text(json.dumps(record, indent=2) + "\n")
    for path in (args.folder / "tiny-f32.gguf", args.folder / "tiny-f16.gguf", hf):
        print(path)


def from_gguf(path: Path) -> Llama:
    """The model that a file holds, its blocks decoded to float32."""
    import gguf

    found = {t.name: gguf.dequantize(t.data, t.tensor_type) for t in gguf.GGUFReader(path).tensors}
    model = Llama()
    state = {}
    for name, p in model.state_dict().items():
        array = found[gguf_name(name)].reshape(p.shape)
        state[name] = torch.from_numpy(np.array(deinterleave(array) if "q_proj" in name or "k_proj" in name else array))
    model.load_state_dict(state)
    return model.eval()


def perplexity(args) -> None:
    held_out = validation(load_tokenizer(args.folder), args.count)
    for path in args.files:
        print(f"{path.name} ({path.stat().st_size:,} bytes): {evaluate(from_gguf(path), held_out)}", flush=True)


def main() -> None:
    cli = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = cli.add_subparsers(required=True)
    for run in (train, export, sample, perplexity):
        command = commands.add_parser(run.__name__)
        command.add_argument("folder", type=Path, help="where the tokenizer, the checkpoint and what is made from them lie")
        command.set_defaults(run=run)
        if run is train:
            command.add_argument("--minutes", type=float, default=45, help="of processor time; the learning rate falls to zero by then")
            command.add_argument("--steps", type=int, default=0, help="stop after so many, if that is sooner")
            command.add_argument("--save-every", type=float, default=5, help="minutes between checkpoints")
        if run is sample:
            command.add_argument("--prompt", default="Once upon a time")
        if run is perplexity:
            command.add_argument("files", type=Path, nargs="+")
            command.add_argument("--count", type=int, default=200, help="stories, and as many chats")
        command.add_argument("--seed", type=int, default=1)
        command.add_argument("--threads", type=int, default=2)
    args = cli.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(args.threads)
    args.run(args)


if __name__ == "__main__":
    main()
