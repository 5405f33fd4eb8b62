#!/usr/bin/env python3
"""How fast text becomes ids, beside the `tokenizers` and `sentencepiece` packages, on one thread.

    pip install tokenizers sentencepiece
    cargo build --release -p lucid --example tokenize_speed
    python scripts/compare_tokenizers.py ../shared/fixtures

Prints the table of bench/RESULTS.md. The texts are 3 MB each: the help topics of Python (prose), its library (code), and
inputs that tempt a tokenizer into quadratic time. Runs are interleaved, and the fastest of each side counts: the others
had company. Both sides must agree on the ids, or the row says in how many they differ.
"""

import argparse
import os
import subprocess
import tempfile
import time
from pathlib import Path

os.environ.update(TOKENIZERS_PARALLELISM="false", RAYON_NUM_THREADS="1")

import json

import sentencepiece
from tokenizers import Regex, Tokenizer, models, pre_tokenizers

HERE = Path(__file__).resolve().parent.parent
SIZE = 3_000_000
LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
          r"|\s*[\r\n]+|\s+(?!\S)|\s+")


def texts():
    import pydoc_data.topics
    library = sorted(Path(os.__file__).parent.glob("*.py"))
    code = "".join(path.read_text(errors="replace") for path in library)
    chinese = "".join(chr(0x4e00 + i * i * 31 % 3000) for i in range(SIZE // 3))
    return {
        "prose": ("".join(pydoc_data.topics.topics.values()) * 9)[:SIZE], "code": code[:SIZE], "one letter": "a" * SIZE,
        "spaces": " " * SIZE, "line ends": "\n" * SIZE, "Chinese, no spaces": chinese,
        "letters, no spaces": "".join(chr(97 + i * i * 7 % 26) for i in range(SIZE)),
    }


def llama3(folder):
    vocab = json.loads((folder / "encoder.json").read_text())
    lines = (folder / "vocab.bpe").read_text().split("\n")
    merges = [tuple(line.split(" ")) for line in lines if line and not line.startswith("#version")]
    t = Tokenizer(models.BPE(vocab=vocab, merges=merges, ignore_merges=True))
    t.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(LLAMA3), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    return t


def unigram(folder, text):
    """A vocabulary of 32,000 tokens as the T5 family has them, trained on the prose and the code."""
    (folder / "train.txt").write_text(text)
    sentencepiece.SentencePieceTrainer.train(
        input=str(folder / "train.txt"), model_prefix=str(folder / "unigram"), model_type="unigram", vocab_size=32_000,
        hard_vocab_limit=False, minloglevel=2, max_sentence_length=100_000, num_threads=1)
    return folder / "unigram.model"


def checksum(ids):
    return sum(at * (id + 1) for at, id in enumerate(ids, 1)) % 2**64


def timed(encode, text):
    start = time.perf_counter()
    ids = encode(text)
    return time.perf_counter() - start, ids


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("fixtures", type=Path)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--limit", type=float, default=20, help="seconds after which another run of a peer is not worth it")
    parser.add_argument("--only", default="", help="vocabularies whose name has this in it")
    parser.add_argument("--binary", type=Path, default=HERE / "target/release/examples/tokenize_speed")
    args = parser.parse_args()
    vocabularies = args.fixtures / "tokenizers"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = {}
        for text_name, text in texts().items():
            files[text_name] = folder / f"{len(files)}.txt"
            files[text_name].write_bytes(text.encode())
        texts_now = {n: f.read_bytes().decode() for n, f in files.items()}
        trained = unigram(folder, texts_now["prose"] + texts_now["code"])

        def hugging_face(t):
            return lambda text: t.encode(text, add_special_tokens=False).ids

        spm = sentencepiece.SentencePieceProcessor(model_file=str(vocabularies / "llama-2.model"))
        uni = sentencepiece.SentencePieceProcessor(model_file=str(trained))
        rows = [
            ("Llama 3 (128 k, BPE)", vocabularies / "llama-3", "tokenizers", hugging_face(llama3(vocabularies / "llama-3"))),
            ("GPT-2 (50 k, BPE)", vocabularies / "gpt2-hf", "tokenizers",
             hugging_face(Tokenizer.from_file(str(vocabularies / "gpt2-hf/tokenizer.json")))),
            ("Phi-3 (32 k, BPE over characters)", vocabularies / "phi-3-hf", "tokenizers",
             hugging_face(Tokenizer.from_file(str(vocabularies / "phi-3-hf/tokenizer.json")))),
            ("Llama 2 (32 k, SentencePiece BPE)", vocabularies / "llama-2.model", "sentencepiece", spm.encode),
            ("trained (32 k, Unigram)", trained, "sentencepiece", uni.encode),
        ]
        print("| vocabulary | text, 3 MB | ids | Lucid, s | peer, s | | ids equal |\n|---|---|---|---|---|---|---|")
        for vocabulary, path, peer, encode in (row for row in rows if args.only in row[0]):
            for text_name, text in texts_now.items():
                ours, theirs, ids, line = [], [], [], ""
                for _ in range(args.runs):
                    out = subprocess.run([args.binary, path, files[text_name], "1"], capture_output=True, text=True, check=True)
                    seconds, line = out.stdout.splitlines()
                    ours.append(float(seconds))
                    if not theirs or theirs[0] < args.limit:
                        seconds, ids = timed(encode, text)
                        theirs.append(seconds)
                equal = line == f"ids {len(ids)} sum {checksum(ids)}"
                count = int(line.split()[1])
                print(f"| {vocabulary} | {text_name} | {count:,} | {min(ours):.2f} | {min(theirs):.2f} ({peer}) |"
                      f" {min(theirs) / min(ours):.1f} × | {'yes' if equal else f'no ({len(ids):,})'} |", flush=True)


if __name__ == "__main__":
    main()
