#!/usr/bin/env python3
"""Writes the golden files that prove Lucid's block decoders bit-exact.

    pip install gguf                                      # 0.19 or later
    python scripts/make_format_goldens.py                 # the formats that the gguf package or numpy decode
    python scripts/make_format_goldens.py --ggml PATH     # all of them; PATH is a built libggml-base.so of llama.cpp

For each format it makes blocks of bytes with fixed seeds, has somebody else decode them, and writes
crates/lucid-kernels/tests/golden/formats/<NAME>.bin. Running it again writes the same bytes.

Who decodes:
  * the gguf package, where it can;
  * llama.cpp's own dequantisation, called in the shared library through its type traits, for Q1_0 and Q2_0, and through
    the exported dequantize_row_q8_K for Q8_K. Without --ggml these three are left as they are. With it, every format
    that both know is decoded by both and must agree;
  * numpy, for plain numbers, and for Q8_1, which no library reads back: it is a float times an integer, like Q8_0.

A file, little-endian:
  u32 blocks, u32 bytes per block, u32 values per block, u32 blocks given in full
  the bytes of all blocks
  u64 per block: FNV-1a of its decoded f32 bits, any NaN written as 0x7fc00000
  the decoded f32 of the last blocks, as many as are given in full, so that a failing test can show numbers
"""

import argparse
import ctypes
import struct
import zlib
from pathlib import Path

import gguf
import numpy as np
from gguf.constants import GGMLQuantizationType as Type

OUT = Path(__file__).resolve().parent.parent / "crates/lucid-kernels/tests/golden/formats"

# name: (GGUF id, values, bytes, where the f16 scales stand, blocks)
# Enough random blocks that every entry of a codebook occurs: IQ1_S draws 32 of 2,048 entries per block.
FORMATS = {
    "F32": (0, 1, 4, [], 512),
    "F16": (1, 1, 2, [], 2048),
    "Q4_0": (2, 32, 18, [0], 256),
    "Q4_1": (3, 32, 20, [0, 2], 256),
    "Q5_0": (6, 32, 22, [0], 256),
    "Q5_1": (7, 32, 24, [0, 2], 256),
    "Q8_0": (8, 32, 34, [0], 256),
    "Q8_1": (9, 32, 36, [0, 2], 256),
    "Q2_K": (10, 256, 84, [80, 82], 192),
    "Q3_K": (11, 256, 110, [108], 192),
    "Q4_K": (12, 256, 144, [0, 2], 192),
    "Q5_K": (13, 256, 176, [0, 2], 192),
    "Q6_K": (14, 256, 210, [208], 192),
    "Q8_K": (15, 256, 292, [], 96),
    "IQ2_XXS": (16, 256, 66, [0], 256),
    "IQ2_XS": (17, 256, 74, [0], 384),
    "IQ3_XXS": (18, 256, 98, [0], 192),
    "IQ1_S": (19, 256, 50, [0], 1280),
    "IQ4_NL": (20, 32, 18, [0], 256),
    "IQ3_S": (21, 256, 110, [0], 256),
    "IQ2_S": (22, 256, 82, [0], 640),
    "IQ4_XS": (23, 256, 136, [0], 192),
    "I8": (24, 1, 1, [], 256),
    "I16": (25, 1, 2, [], 512),
    "I32": (26, 1, 4, [], 512),
    "I64": (27, 1, 8, [], 512),
    "F64": (28, 1, 8, [], 512),
    "IQ1_M": (29, 256, 56, [], 384),
    "BF16": (30, 1, 2, [], 512),
    "TQ1_0": (34, 256, 54, [52], 192),
    "TQ2_0": (35, 256, 66, [64], 192),
    "MXFP4": (39, 32, 17, [], 512),
    "NVFP4": (40, 64, 36, [], 384),
    "Q1_0": (41, 128, 18, [0], 192),
    "Q2_0": (42, 64, 18, [0], 192),
}

# Zero, both signs of: the smallest and largest subnormal, the smallest normal, one, a third, the largest f16.
SCALES = [0x0000, 0x8000] + [s | m for m in (0x0001, 0x03FF, 0x0400, 0x3C00, 0x3555, 0x7BFF) for s in (0, 0x8000)]
PATTERNS = [0x00, 0xFF, 0x0F, 0xF0, 0x55, 0xAA]

NUMPY = {"F64": "<f8", "I8": "i1", "I16": "<i2", "I32": "<i4", "I64": "<i8"}
IN_FULL = 4


def finite_f16(rng, n):
    """n f16 bit patterns: each extreme in turn, then random ones; the exponent of infinities and NaN avoided."""
    bits = rng.integers(0, 1 << 16, n, dtype=np.uint16)
    bits = np.where(bits & 0x7C00 == 0x7C00, bits & 0xBFFF, bits).astype(np.uint16)
    first = min(n, len(SCALES) * len(PATTERNS))
    bits[:first] = np.repeat(np.array(SCALES, np.uint16), len(PATTERNS))[:first]
    return bits


def make_blocks(name):
    """Blocks of bytes: every pattern under every extreme scale, then random bytes under random finite scales."""
    _, values, size, scales, n = FORMATS[name]
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    blocks = rng.integers(0, 256, (n, size), dtype=np.uint8)
    if name == "I8":
        blocks[:, 0] = np.arange(n)
    if values > 1:
        patterns = np.tile(np.array(PATTERNS, np.uint8), len(SCALES))[: n - IN_FULL]
        blocks[: len(patterns)] = patterns[:, None]
    for at in scales:
        blocks[:, at : at + 2] = finite_f16(rng, n)[:, None].view(np.uint8)
    if name == "Q8_K":  # its scale is an f32; keep the exponent below that of infinity
        blocks[:, 0:4] = (rng.integers(0, 1 << 32, n, dtype=np.uint32) & 0xBFFFFFFF)[:, None].view(np.uint8)
    if name == "IQ1_M":  # its f16 scale is dealt out to the top nibbles of the four u16 at byte 48, lowest first
        words = blocks[:, 48:56].copy().view("<u2")
        scale = finite_f16(rng, n)[:, None] >> np.array([0, 4, 8, 12], np.uint16)
        blocks[:, 48:56] = (words & 0x0FFF | scale << 12).astype("<u2").view(np.uint8)
    if name == "MXFP4":  # every exponent, under patterns and random nibbles
        blocks[:, 0] = np.arange(n)
    if name == "NVFP4":  # every scale byte, in every place
        blocks[:, 0:4] = (np.arange(n)[:, None] * np.array([1, 3, 5, 255])).astype(np.uint8)
    return blocks


def load_ggml(path):
    """llama.cpp's dequantisation as {id: function(blocks, values) -> f32}."""
    library = ctypes.CDLL(str(path))
    to_float_type = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)

    class Traits(ctypes.Structure):  # the head of struct ggml_type_traits
        _fields_ = [
            ("type_name", ctypes.c_char_p),
            ("blck_size", ctypes.c_int64),
            ("blck_size_interleave", ctypes.c_int64),
            ("type_size", ctypes.c_size_t),
            ("is_quantized", ctypes.c_bool),
            ("to_float", ctypes.c_void_p),
        ]

    library.ggml_get_type_traits.restype = ctypes.POINTER(Traits)
    functions = {}
    for name, (id, values, size, *_) in FORMATS.items():
        traits = library.ggml_get_type_traits(id).contents
        assert traits.type_name.decode().lower() == name.lower(), (name, traits.type_name)
        assert (traits.blck_size, traits.type_size) == (values, size), name
        address = traits.to_float
        if name == "Q8_K":
            address = ctypes.cast(library.dequantize_row_q8_K, ctypes.c_void_p).value
        if address:
            functions[name] = to_float_type(address)

    def decode(name, blocks):
        out = np.empty(len(blocks) * FORMATS[name][1], np.float32)
        blocks = np.ascontiguousarray(blocks)
        functions[name](blocks.ctypes.data, out.ctypes.data, out.size)
        return out.reshape(len(blocks), -1)

    return functions, decode


def decode_without_ggml(name, blocks):
    """The gguf package's reading, or numpy's; None when neither has one."""
    if name in NUMPY:
        return blocks.view(NUMPY[name]).astype(np.float32)
    if name == "Q8_1":
        return blocks[:, :2].copy().view("<f2").astype(np.float32) * blocks[:, 4:].view(np.int8).astype(np.float32)
    if name not in Type.__members__:
        return None
    assert gguf.GGML_QUANT_SIZES[Type[name]] == FORMATS[name][1:3], name
    assert Type[name].value == FORMATS[name][0], name
    try:
        return gguf.quants.dequantize(blocks, Type[name]).reshape(len(blocks), -1)
    except NotImplementedError:
        return None


def canonical_bits(values):
    """The f32 bits of each row, any NaN as one and the same."""
    return np.where(np.isnan(values), np.uint32(0x7FC00000), values.astype("<f4").view(np.uint32))


def fnv1a(rows):
    """FNV-1a of 64 bits over the bytes of each row."""
    h = np.full(len(rows), 0xCBF29CE484222325, np.uint64)
    for column in np.ascontiguousarray(rows).view(np.uint8).reshape(len(rows), -1).T:
        h = (h ^ column) * np.uint64(0x100000001B3)
    return h


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ggml", type=Path, help="a built libggml-base.so (or .dylib, .dll) of llama.cpp")
    args = parser.parse_args()
    native, decode_native = load_ggml(args.ggml) if args.ggml else ({}, None)
    OUT.mkdir(parents=True, exist_ok=True)
    np.seterr(all="ignore")
    for name, (_, values, size, _, n) in FORMATS.items():
        blocks = make_blocks(name)
        readings = {}
        if (reading := decode_without_ggml(name, blocks)) is not None:
            readings["gguf" if name not in NUMPY and name != "Q8_1" else "numpy"] = canonical_bits(reading)
        if name in native:
            readings["ggml"] = canonical_bits(decode_native(name, blocks))
        if not readings:
            print(f"{name}: left as it is, needs --ggml")
            continue
        bits, *others = readings.values()
        assert bits.shape == (n, values), name
        for other in others:
            assert np.array_equal(bits, other), f"{name}: the two readings differ"
        with open(OUT / f"{name}.bin", "wb") as f:
            f.write(struct.pack("<4I", n, size, values, IN_FULL))
            f.write(blocks.tobytes())
            f.write(fnv1a(bits).astype("<u8").tobytes())
            f.write(bits[-IN_FULL:].astype("<u4").tobytes())
        print(f"{name}: {n} blocks, read by {' and '.join(readings)}")


if __name__ == "__main__":
    main()
