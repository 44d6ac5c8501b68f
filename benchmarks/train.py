"""Training from the feature store: its speed beside data in memory, and its memory over epochs.

    python benchmarks/train.py

MCAN and Pythia in their published sizes on cells 2,048 wide. Speed: the same steps on batches that
are read from a store, page cache warm, and on batches that lie ready in memory; both sides take
turns in every round, a row in train.csv holds the median of the rounds' ratios; as a busy host
moves them by more than reading takes, reading is also timed by itself. Memory: what the process
holds besides mapped files (RssAnon) when an epoch of `fit` ends, epoch by epoch.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from races import append, hardware, milliseconds, race, ratio
from step import ANSWERS, LONGEST, WIDTH, WORDS, stepping

from clipvil.core import Example, Segment
from clipvil.data import LabelBatch, LabelData, Statistics, Stored, Vocabulary
from clipvil.features.convert import Given, convert
from clipvil.features.lookup import Lookup
from clipvil.models import mcan, pythia
from clipvil.processes import keep_memory
from clipvil.train.fit import fit
from clipvil.train.pace import optimizer_of, order
from clipvil.train.recipe import Stage

MODELS = {"mcan": mcan, "pythia": pythia}
Model = mcan.Model | pythia.Model


def made(root: Path, questions: int, cells: int) -> LabelData:
    """Full questions about the pictures of a store, four a picture."""
    draw, pictures = np.random.default_rng(0), max(1, questions // 4)
    (root / "npy").mkdir()
    for k in range(pictures):
        grid = np.maximum(draw.standard_normal((cells, WIDTH), np.float32), 0)
        np.save(root / "npy" / f"{k}.npy", grid.astype(np.float16))
    convert(Given(source=root / "npy", name="npy", dtype="fp16"), root / "store")
    words = tuple(f"w{k}" for k in range(WORDS - 2))
    answers = tuple(f"a{k}" for k in range(ANSWERS))
    names = [str(k % pictures) for k in range(questions)]
    lookup = Lookup([root / "store"])
    asked = [
        Example(id=str(k), cluster=name, text=(Segment(" ".join(draw.choice(words, LONGEST))),))
        for k, name in enumerate(names)
    ]
    told = {example.id: str(draw.choice(answers)) for example in asked}
    return LabelData(
        asked, names, Stored(lookup, Statistics.of(lookup, names)), Vocabulary(words, answers),
        LONGEST, lambda example: {told[example.id]: 1.0},
    )  # fmt: skip


def model_of(name: str) -> Model:
    """A model of this package in its published size."""
    torch.manual_seed(0)
    module = MODELS[name]
    model: Model = module.Model(
        module.Config(), image_width=WIDTH, num_words=WORDS, num_answers=ANSWERS
    )
    return model


def speed(name: str, data: LabelData, given: argparse.Namespace) -> None:
    """The same steps on both kinds of batches; a row in the CSV."""
    batch: int = given.batch
    steps = max(1, len(data) // batch)
    indices = [order(step, len(data), batch, seed=0) for step in range(steps)]
    ready = [data.batch(some) for some in indices]

    def side(batches: Sequence[Callable[[], LabelBatch]]) -> Callable[[], int]:
        model = model_of(name)
        current = list[LabelBatch]()
        step = stepping(
            model, optimizer_of(model, Stage()),
            lambda: model.loss(current[-1]).total / batch, given.precision == "bf16",
        )  # fmt: skip

        def run() -> int:
            for next_ in batches:
                current[:] = [next_()]
                step()
            return steps * batch

        return run

    sides = {
        "memory": side([lambda kept=kept: kept for kept in ready]),  # type: ignore[misc]
        "store": side([lambda some=some: data.batch(some) for some in indices]),  # type: ignore[misc]
    }
    rounds = race(sides, given.rounds)
    share = ratio(rounds, "memory", "store")
    start = time.process_time()
    for some in indices:
        data.batch(some)
    read = 1e3 * (time.process_time() - start) / (steps * batch)
    alone = 1e3 * statistics.median(taken.cpu for taken in rounds["memory"])
    row = hardware() | {"model": name, "precision": given.precision, "cells": str(given.cells)}
    for side_name in sides:
        taken = milliseconds(rounds[side_name])
        row |= {f"{side_name} {column}": value for column, value in taken.items()}
    row |= {"store / memory": f"{share.wall:.3f}", "of CPU": f"{share.cpu:.3f}"}
    parts = alone / (alone + read)
    append(given.csv, row | {"reading CPU ms": f"{read:.2f}", "of parts": f"{parts:.3f}"})
    print(f"{name}: from the store at {share.wall:.1%} of the speed of data in memory "
          f"({share.cpu:.1%} by CPU time, {parts:.1%} by {read:.2f} ms of reading)")  # fmt: skip


def held() -> float:
    """MiB that this process holds besides mapped files."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("RssAnon")).split()[1]) / 1024


def memory(name: str, data: LabelData, run: Path, given: argparse.Namespace) -> None:
    """MiB at the end of each epoch, and how far the last lies above the second."""
    stage = Stage(
        epochs=given.epochs, least_steps=1, batch=given.batch, learning_rate=1e-4,
        validations=1, precision=given.precision,
    )  # fmt: skip
    found = list[float]()

    def watch(step: int, steps: int) -> None:
        if (step * given.epochs) // steps > len(found):
            found.append(held())

    fit(model_of(name), stage, examples=len(data), batch=data.batch, validate=lambda model: 0.0,
        run=run, seed=0, watch=watch)  # fmt: skip
    row = hardware() | {"model": name, "precision": given.precision, "cells": str(given.cells)}
    told = " ".join(f"{value:.0f}" for value in found)
    grown = found[-1] / found[min(1, len(found) - 1)] - 1  # the first one allocates
    append(given.csv.with_name(f"{given.csv.stem}_memory.csv"), row | {"MiB": told})
    print(f"{name}: {told} MiB after each epoch, {grown:+.1%} from the second to the last")


def main() -> None:
    """Measure, print, append."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", nargs="+", choices=list(MODELS), default=list(MODELS))
    parser.add_argument("--precision", choices=("bf16", "fp32"), default="bf16")
    parser.add_argument("--questions", type=int, default=128)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--cells", type=int, default=196)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--csv", type=Path, default=Path(__file__).with_suffix(".csv"))
    given = parser.parse_args()
    torch.set_num_threads(1)
    keep_memory()  # as `fit` does, for both sides
    with tempfile.TemporaryDirectory() as folder:
        data = made(Path(folder), given.questions, given.cells)
        for name in given.models:
            speed(name, data, given)
            memory(name, data, Path(folder) / name, given)


if __name__ == "__main__":
    main()
