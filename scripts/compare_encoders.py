"""Compare Lucid's encoders with llama.cpp's: what each loses of the same matrices, and how fast.

    cargo build --release -p lucid-kernels --example encode
    python scripts/compare_encoders.py --ggml PATH/libggml-base.so [--gguf F32-MODEL.gguf] > tables.md

`--ggml` is the shared library of a llama.cpp build; its `ggml_quantize_chunk` encodes one copy of each matrix. Lucid's
example `encode` does the other. Both results are decoded by the `gguf` package, so neither judges itself, and compared with
the matrix:

    RMSE           sqrt(mean (x - y)^2)             of blocks encoded without importance
    weighted RMSE  sqrt(sum w (x - y)^2 / sum w)    of blocks encoded with the importance w of their columns

A ratio is Lucid's error over llama.cpp's: below 1 Lucid loses less. It counts as 1 where Lucid's error is below 1e-7 of the
root mean square of the matrix, which is the rounding of the f32 that are compared, and as 0 where llama.cpp's blocks decode
to infinities or NaN.

`--ceilings` prints the table of errors that the test `encoders` holds Lucid to, for the matrix that the test builds.
"""

import argparse
import ctypes
import os
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version

import numpy as np
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType, GGUFReader, quants

FORMATS = "F16 BF16 Q4_0 Q4_1 Q5_0 Q5_1 Q8_0 Q2_K Q3_K Q4_K Q5_K Q6_K IQ4_NL IQ4_XS TQ1_0 TQ2_0 MXFP4".split()
ROWS, COLUMNS, SEEDS = 16, 2048, 3


def families(seed, gguf):
    """Matrices by name. Sizes are those of weights except where the name says so."""
    g = np.random.default_rng(seed)
    shape = ROWS, COLUMNS
    normal = lambda *s: g.standard_normal(s or shape)
    outliers = normal() * 0.02
    outliers[:, g.choice(COLUMNS, 20, replace=False)] *= 20
    spike = np.zeros(shape)
    spike[np.arange(ROWS), g.integers(0, COLUMNS, ROWS)] = normal(ROWS)
    all_families = {
        "gaussian": normal() * 0.02,
        "uniform": g.uniform(-1, 1, shape),
        "laplace": g.laplace(size=shape) * 0.03,
        "student t, 3": g.standard_t(3, shape) * 0.02,
        "outlier columns": outliers,
        "low rank + noise": normal(ROWS, 4) @ normal(4, COLUMNS) * 0.05 + normal() * 0.005,
        "scale per 32": normal() * np.repeat(np.exp(normal(ROWS, COLUMNS // 32)), 32, 1),
        "offset 1 ± 0.01": normal() * 0.01 + 1,
        "offset 100 ± 0.01": normal() * 0.01 + 100,
        "all negative": -np.abs(normal()) - 0.1,
        "all positive": np.abs(normal()),
        "constant rows": np.repeat(normal(ROWS, 1), COLUMNS, 1),
        "zeros": np.zeros(shape),
        "single spike": spike,
        "ternary, sparse": g.choice([-1, 0, 1], shape, p=[0.15, 0.7, 0.15]) * 0.037,
        "times 5000": normal() * 5000,
        "times 1e-4": normal() * 1e-4,
        "times 1e-6": normal() * 1e-6,
        "times 2^-24": normal() * 2.0**-24,
    }
    if gguf:
        tensors = [t.data.reshape(-1) for t in GGUFReader(gguf).tensors if len(t.shape) == 2]
        weights = np.concatenate(tensors)
        all_families["real weights"] = weights[: weights.size // COLUMNS * COLUMNS].reshape(-1, COLUMNS)[seed::SEEDS]
    return {name: np.ascontiguousarray(x, np.float32) for name, x in all_families.items()}


def importances(seed):
    """One row of weights by name: bell-shaped logarithms, and the same with a fifth and one whole block of zeros."""
    g = np.random.default_rng(1000 + seed)
    spread, zeros = (np.exp(g.standard_normal(COLUMNS)).astype(np.float32) for _ in range(2))
    zeros[g.random(COLUMNS) < 0.2] = 0
    zeros[512:768] = 0
    return {"spread": spread, "with zeros": zeros}


class Ggml:
    """llama.cpp's encoder."""

    def __init__(self, path):
        self.lib = ctypes.CDLL(path)
        self.lib.ggml_version.restype = ctypes.c_char_p
        pointer, size = ctypes.c_void_p, ctypes.c_int64
        self.lib.ggml_quantize_chunk.restype = ctypes.c_size_t
        self.lib.ggml_quantize_chunk.argtypes = [ctypes.c_int, pointer, pointer, size, size, size, pointer]
        self.version = self.lib.ggml_version().decode()

    def out(self, format, x):
        length, size = GGML_QUANT_SIZES[format]
        return np.zeros((x.shape[0], x.shape[1] // length * size), np.uint8)

    def encode_to(self, out, format, x, importance):
        weights = importance.ctypes.data if importance is not None else None
        self.lib.ggml_quantize_chunk(format.value, x.ctypes.data, out.ctypes.data, 0, *x.shape, weights)

    def encode(self, format, x, importance):
        out = self.out(format, x)
        self.encode_to(out, format, x, importance)
        return out

    def speed(self, format, x, importance):
        """That of the fastest four rows, as the example measures it."""
        best = 0
        for first in range(0, x.shape[0], 4):
            rows, out = x[first : first + 4], self.out(format, x[first : first + 4])
            start = time.perf_counter()
            self.encode_to(out, format, rows, importance)
            best = max(best, rows.nbytes / (time.perf_counter() - start))
        return best


class Lucid:
    """Lucid's encoder, by way of the example program."""

    def __init__(self, path):
        self.path, self.folder = path, tempfile.TemporaryDirectory()

    def run(self, format, x, importance):
        at = lambda name: os.path.join(self.folder.name, name)
        x.tofile(at("x"))
        command = [self.path, format.name, str(x.shape[1]), at("x"), at("out")]
        if importance is not None:
            importance.tofile(at("importance"))
            command.append(at("importance"))
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"{' '.join(command)}: {done.stderr}")
        return np.fromfile(at("out"), np.uint8).reshape(x.shape[0], -1), float(done.stdout)

    def encode(self, format, x, importance):
        return self.run(format, x, importance)[0]

    def speed(self, format, x, importance):
        return self.run(format, x, importance)[1]


def decode(format, blocks):
    if format == GGMLQuantizationType.F16:
        return blocks.view(np.float16).astype(np.float32)
    return quants.dequantize(blocks, format)


def rmse(x, y, importance):
    with np.errstate(all="ignore"):
        error = (x.astype(np.float64) - y) ** 2
    weights = np.ones(x.shape[1]) if importance is None else importance.astype(np.float64)
    return np.sqrt((error * weights).sum() / (weights.sum() * x.shape[0]))


def ratio(x, ours, theirs):
    if ours <= 1e-7 * np.sqrt(np.mean(x.astype(np.float64) ** 2)):
        return 1.0
    if not np.isfinite(theirs):
        return 0.0
    return ours / theirs if theirs else np.inf


def random(seed, i):
    """Output `i` of splitmix64 started at `seed`, as the test computes it."""
    with np.errstate(over="ignore"):
        z = np.uint64(seed) + (i.astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))


def ceilings(ggml):
    columns = 1024
    i = np.arange(16 * columns)
    total = sum((random(7, 4 * i + k) >> np.uint64(42)).astype(np.int64) for k in range(4))
    size = 1 + (i // columns).astype(np.float32) / np.float32(4)
    x = ((total - (1 << 23)).astype(np.float32) / np.float32(1 << 22) * size).reshape(-1, columns)
    half = np.float32(2) * (random(99, np.arange(columns)) >> np.uint64(40)).astype(np.float32) / np.float32(1 << 24)
    importance = half * half
    for name in sorted(FORMATS, key=lambda name: GGMLQuantizationType[name].value):
        format = GGMLQuantizationType[name]
        plain = rmse(x, decode(format, ggml.encode(format, x, None)), None)
        weighted = rmse(x, decode(format, ggml.encode(format, x, importance)), importance)
        print(f"    (Format::{name}, {plain * 1.02:.6e}, {weighted * 1.02:.6e}),")


def table(head, rows):
    print(f"| {' | '.join(head)} |\n|{'---|' * len(head)}")
    for row in rows:
        print(f"| {' | '.join(row)} |")
    print()


def losses(formats, lucid, ggml, gguf):
    # ratios[weighted][format][family]: one for each seed, and for each kind of importance
    ratios = [{f: {} for f in formats} for _ in range(2)]
    for seed in range(SEEDS):
        for family, x in families(seed, gguf).items():
            for importance in [None, *importances(seed).values()]:
                for f in formats:
                    ours, theirs = (rmse(x, decode(f, e.encode(f, x, importance)), importance) for e in (lucid, ggml))
                    ratios[importance is not None][f].setdefault(family, []).append(ratio(x, ours, theirs))
    rows = []
    for f in formats:
        row = [f.name]
        for weighted in range(2):
            of = ratios[weighted][f]
            worst = max(of, key=lambda family: max(of[family]))
            row.append(f"{statistics.median(r for rs in of.values() for r in rs):.4f}")
            row.append(f"{max(of[worst]):.4f}" + (f" ({worst})" if max(of[worst]) > 1 else ""))
        rows.append(row)
    table(["format", "RMSE: median", "worst", "weighted RMSE: median", "worst"], rows)
    for weighted, title in enumerate(["Largest ratio of RMSE by family", "Largest ratio of weighted RMSE by family"]):
        print(f"{title}:\n")
        names = list(ratios[weighted][formats[0]])
        table(
            ["family", *(f.name for f in formats)],
            [[name, *(f"{max(ratios[weighted][f][name]):.3f}" for f in formats)] for name in names],
        )


def speeds(formats, lucid, ggml):
    x = (np.random.default_rng(0).standard_normal((256, 4096)) * 0.02).astype(np.float32)
    weights = np.exp(np.random.default_rng(1).standard_normal(4096)).astype(np.float32)
    rows = []
    for f in formats:
        row = [f.name]
        for importance in (None, weights):
            # In turns, and the best of several: other programs come and go.
            both = [[e.speed(f, x, importance) for e in (lucid, ggml)] for _ in range(3)]
            row += [f"{max(speeds) / 1e6:.0f}" for speeds in zip(*both)]
        rows.append(row)
    table(["format", "Lucid, MB/s", "llama.cpp", "Lucid with importance", "llama.cpp with importance"], rows)


def main():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--ggml", required=True, help="libggml-base.so of a llama.cpp build")
    args.add_argument("--lucid", default="target/release/examples/encode", help="Lucid's example program")
    args.add_argument("--gguf", help="a model in F32, for a family of real weights")
    args.add_argument("--formats", default=" ".join(FORMATS))
    args.add_argument("--ceilings", action="store_true", help="print the table of the test instead")
    args.add_argument("--speed", action="store_true", help="measure the speed alone")
    args = args.parse_args()
    ggml, lucid = Ggml(args.ggml), Lucid(args.lucid)
    if args.ceilings:
        return ceilings(ggml)
    formats = [GGMLQuantizationType[name] for name in args.formats.split()]
    print(f"ggml {ggml.version}, gguf {version('gguf')}, numpy {np.__version__}\n")
    if not args.speed:
        losses(formats, lucid, ggml, args.gguf)
    speeds(formats, lucid, ggml)


if __name__ == "__main__":
    main()
