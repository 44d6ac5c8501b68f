"""Random reads from the feature store and from the formats of others; rows in store.csv.

    python benchmarks/store.py [--items 500] [--quick]

500 grids of 196 x 2,048 numbers, batches of 64 at random, files in the page cache. A figure is GB
of fp16 payload a CPU second, whatever type a format holds: the original files keep fp32 in TSV and
npz. The limit is a copy of as many bytes from memory to memory, whose source a large processor
cache may hold; the same items of an array in memory are what any reading at random comes to.
"""

from __future__ import annotations

import argparse
import binascii
import pickle
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import h5py
import lmdb
import numpy as np
import torch
from numpy.typing import NDArray
from races import append, hardware

from clipvil.features.convert import Given, convert
from clipvil.features.store import Store

CELLS, WIDTH = 196, 2048
BATCH = 64
ROUNDS = 15  # every format once a round, so that all share what else the machine does
SLOW = 8  # items a batch of formats a hundred times slower
Array = NDArray[np.generic]
Read = Callable[[list[int], Array], None]  # items into a batch [B, N, D], fp16


def write(root: Path, items: int) -> None:
    """The same features in every format; half of them zeros, as after a ReLU."""
    draw = np.random.default_rng(0)
    for folder in ("npy", "npz", "pth"):
        (root / folder).mkdir()
    size = 2 * items * CELLS * WIDTH * 2 + (64 << 20)
    with (
        h5py.File(root / "one.h5", "w") as one,
        h5py.File(root / "each.h5", "w") as each,
        lmdb.open(str(root / "lmdb"), map_size=size) as base,
        base.begin(write=True) as put,
        (root / "a.tsv").open("wb") as tsv,
    ):
        table = one.create_dataset("features", (items, CELLS, WIDTH), np.float16)
        for k in range(items):
            grid = np.maximum(draw.standard_normal((CELLS, WIDTH), np.float32), 0)
            half = grid.astype(np.float16)
            np.save(root / "npy" / f"{k:05d}.npy", half)
            np.savez_compressed(root / "npz" / f"{k:05d}.npz", feat=grid)
            torch.save(torch.from_numpy(half), root / "pth" / f"{k:05d}.pth")
            table[k] = half
            each[str(k)] = half
            put.put(str(k).encode(), pickle.dumps({"features": half}))
            tsv.write(binascii.b2a_base64(grid.tobytes()))
    convert(Given(source=root / "npy", name="npy", dtype="fp16"), root / "store")


def readers(root: Path, items: int) -> dict[str, Read]:
    """How each format is read; names in the order of the table."""
    memory, whole = (np.ones((count, CELLS, WIDTH), np.float16) for count in (BATCH, items))
    store = Store(root / "store")
    one, each = h5py.File(root / "one.h5")["features"], h5py.File(root / "each.h5")
    get = lmdb.open(str(root / "lmdb"), readonly=True, lock=False).begin()
    tsv, line = (root / "a.tsv").open("rb"), (root / "a.tsv").stat().st_size // items

    def place(folder: str, k: int) -> Path:
        return root / folder / f"{k:05d}.{folder}"

    def held(chosen: list[int], out: Array) -> None:
        for slot, k in enumerate(chosen):
            np.copyto(out[slot], whole[k])

    def ours(chosen: list[int], out: Array) -> None:
        for slot, k in enumerate(chosen):
            store.read(k, out[slot])

    def tsv_row(k: int) -> Array:
        tsv.seek(k * line)
        content = binascii.a2b_base64(tsv.readline())
        return np.frombuffer(content, np.float32).reshape(CELLS, WIDTH)

    def stacked(read: Callable[[int], Array]) -> Read:
        """As data loaders do: fresh arrays, then one batch of them."""

        def batch(chosen: list[int], out: Array) -> None:
            np.stack([read(k) for k in chosen]).astype(np.float16, copy=False)

        return batch

    return {
        "memcpy": lambda chosen, out: np.copyto(out[: len(chosen)], memory[: len(chosen)]),
        "memory, the same items": held,
        "clipvil, into one buffer": ours,
        "clipvil, stacked": stacked(store.read),
        "npy": stacked(lambda k: np.load(place("npy", k))),
        "torch.save": stacked(lambda k: torch.load(place("pth", k), weights_only=True).numpy()),
        "HDF5, one dataset": stacked(lambda k: one[k]),
        "HDF5, a dataset a picture": stacked(lambda k: each[str(k)][()]),
        "LMDB, pickles": stacked(lambda k: pickle.loads(get.get(str(k).encode()))["features"]),
        "TSV, base64 fp32": stacked(tsv_row),
        "npz, compressed fp32": stacked(lambda k: np.load(place("npz", k))["feat"]),
    }


def measure(root: Path, items: int, rounds: int) -> dict[str, list[float]]:
    """GB of payload a CPU second, by format, round by round."""
    out = np.zeros((BATCH, CELLS, WIDTH), np.float16)
    found = readers(root, items)
    rates: dict[str, list[float]] = {name: [] for name in found}
    draw = np.random.default_rng(1)
    for round_ in range(rounds + 1):
        for name, read in found.items():
            count = min(items, SLOW if name.startswith(("TSV", "npz")) else BATCH)
            chosen = [int(k) for k in draw.choice(items, count, replace=False)]
            start = time.process_time()
            read(chosen, out)
            rate = count * CELLS * WIDTH * 2 / 1e9 / (time.process_time() - start)
            if round_:  # the first one warms the page cache
                rates[name].append(rate)
    return rates


def main() -> None:
    """Write, read, print and append."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=500)
    parser.add_argument("--quick", action="store_true", help="see that it runs, on one batch")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    items = BATCH if asked.quick else asked.items
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder), items)
        rates = measure(Path(folder), items, 1 if asked.quick else ROUNDS)
    limit = statistics.median(rates["memcpy"])
    for name, found in rates.items():
        best, median = max(found), statistics.median(found)
        row = hardware() | {"items": str(items), "store": name, "GB/s best": f"{best:.3g}"}
        row |= {"GB/s median": f"{median:.3g}", "of memcpy": f"{median / limit:.3f}"}
        append(Path(__file__).with_suffix(".csv"), row)
        print(f"{name:28}{best:8.2f} ({median:.2f}) GB/s, {median / limit:.0%} of memcpy")


if __name__ == "__main__":
    main()
