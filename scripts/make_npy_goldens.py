#!/usr/bin/env python3
"""Writes the .npy and .npz files that prove Lucid reads what numpy writes, and writes what numpy would.

    pip install numpy
    python scripts/make_npy_goldens.py                    # into crates/lucid/tests/golden/npy
    python scripts/make_npy_goldens.py --check FOLDER     # numpy reads what a Lucid test wrote there

The values of every array count up from 0 in its own type, so that a test can rebuild them.
The .npz files carry the time of their writing; apart from that, running it again writes the same bytes.
"""

import argparse
import sys
from pathlib import Path

import numpy as np

GOLDEN = Path(__file__).parent.parent / "crates/lucid/tests/golden/npy"


def count(dtype, *shape):
    return np.arange(np.prod(shape, dtype=int)).astype(dtype).reshape(shape)


def write():
    GOLDEN.mkdir(parents=True, exist_ok=True)
    np.save(GOLDEN / "f4.npy", count("<f4", 2, 3))
    np.save(GOLDEN / "f2.npy", count("<f2", 2, 1, 3))
    np.save(GOLDEN / "f8.npy", count("<f8", 5))
    np.save(GOLDEN / "u1.npy", count("|u1", 4))
    np.save(GOLDEN / "scalar.npy", np.float32(7))
    np.save(GOLDEN / "empty.npy", count("<i8", 3, 0))
    np.save(GOLDEN / "bool.npy", count("|b1", 2))
    np.save(GOLDEN / "fortran.npy", np.asfortranarray(count("<f4", 2, 3)))
    np.save(GOLDEN / "big-endian.npy", count(">f4", 2, 3))
    np.save(GOLDEN / "records.npy", np.zeros(2, dtype=[("a", "<f4"), ("b", "<i4")]))
    for version in (2, 3):
        with open(GOLDEN / f"v{version}.npy", "wb") as f:
            np.lib.format.write_array(f, count("<i4", 2, 2), version=(version, 0))
    arrays = {"w": count("<f4", 2, 3), "b.ü": count("<i2", 3), "0": np.float64(7)}
    np.savez(GOLDEN / "stored.npz", **arrays)
    np.savez_compressed(GOLDEN / "compressed.npz", zeros=np.zeros(5000, "<f4"), **arrays)
    print(sum(f.stat().st_size for f in GOLDEN.iterdir()), "bytes in", GOLDEN)


def check(folder):
    """Every array is named after its dtype and shape, as in f4-2x3, and counts up from 0."""
    found = 0
    for path in sorted(folder.glob("*.np[yz]")):
        loaded = np.load(path)
        arrays = {path.stem: loaded} if path.suffix == ".npy" else dict(loaded)
        for name, array in arrays.items():
            kind, _, shape = name.partition("-")
            shape = tuple(int(n) for n in shape.split("x") if n)
            assert array.dtype == np.dtype("<" + kind) and array.shape == shape, (path, name, array.dtype, array.shape)
            assert (array == count(array.dtype, *shape)).all(), (path, name)
            found += 1
    print(found, "arrays as they should be")
    return found == 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", type=Path, metavar="FOLDER")
    folder = parser.parse_args().check
    sys.exit(check(folder) if folder else write())
