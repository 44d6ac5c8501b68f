"""Agent-steps a CPU second in buildings, on one core; rows in navigation.csv.

    python benchmarks/navigation.py --data DIR

DIR has R2R_train.json and connectivity, as published; the first six buildings with paths are
walked, with 36 random views of 2,048 numbers a viewpoint in half precision. Measured are: the
environment led by the teacher, views delivered as they are stored; the same with the network that
looks and listens, without gradients; and an iteration of training, which is a led and a sampled
walk, both with gradients, and the optimizer's step. Published figures are R2R-EnvDrop's on the
compiled MatterSim, on one core of an AMD EPYC (Zen 4): another machine's figure is no race.
"""

import argparse
import csv
from pathlib import Path
from typing import Any

import numpy as np
import torch
from races import hardware, milliseconds, race

from clipvil.answers.moves import atlas_of
from clipvil.core import Data
from clipvil.data.walks import Ground, WalkBatch, WalkData
from clipvil.data.words import ranked
from clipvil.graphs.views import VIEWS
from clipvil.models import follower
from clipvil.models._looking import Eyes
from clipvil.processes import keep_memory
from clipvil.recipes import r2r_follower
from clipvil.tasks import r2r
from clipvil.train.fit import optimizer_of

BUILDINGS = 6
PUBLISHED = {"environment": 1_720, "rollout": 795, "training": 191}  # agent-steps a CPU second


def episodes(data: Path, width: int) -> WalkData:
    """Instructions for the first buildings of train."""
    whole = r2r.TASK.examples(Data(data), "train")
    scans = sorted({example.cluster for example in whole})[:BUILDINGS]
    examples = [example for example in whole if example.cluster in scans]
    atlas = atlas_of(examples)
    noise = np.random.default_rng(0).standard_normal((len(atlas), VIEWS, width), np.float32)
    ground = Ground.of(atlas, noise.astype(np.float16))
    words = ranked(example.words for example in examples)
    return WalkData(examples, atlas, ground, words, follower.Config().longest, cut=True)


def environment(batch: WalkBatch) -> int:
    """Teacher-led steps, each walker's views and neighbours delivered at each."""
    ground, place, view = batch.ground, batch.place, batch.view
    stop, alive, steps = ground.places.shape[1], torch.ones_like(place, dtype=torch.bool), 0
    while alive.any():
        steps += int(alive.sum())
        ground.stored(place)
        choice = ground.teach(place, batch.goal).masked_fill(~alive, stop)
        place, view = ground.move(place, view, choice)
        alive = alive & (choice != stop)
    return steps


def steps_of(walk: follower.Walk) -> int:
    """Steps that walkers took."""
    return sum(int(alive.sum()) for alive in walk.alive)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--width", type=int, default=2_048)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--csv", type=Path, default=Path(__file__).with_suffix(".csv"))
    given = parser.parse_args()
    torch.set_num_threads(1)
    keep_memory()  # as `fit` does
    ready = episodes(given.data, given.width)
    rows = np.random.default_rng(0).permutation(len(ready))
    parts = [ready.batch(rows[k : k + given.batch]) for k in range(0, 4 * given.batch, given.batch)]
    num_words = 2 + max(int(batch.words.max()) for batch in parts)
    recipe = r2r_follower.recipe()
    torch.manual_seed(0)
    model = follower.Model(recipe.config, image_width=given.width, num_words=num_words)
    optimizer = optimizer_of(model, recipe.stages[0])
    turns = {name: 0 for name in PUBLISHED}

    def next_batch(name: str) -> WalkBatch:
        turns[name] += 1
        return parts[turns[name] % len(parts)]

    def walk() -> int:
        with torch.no_grad():
            batch = next_batch("rollout")
            return steps_of(model.eval().walk(batch, Eyes(batch.ground), "teacher"))

    def train() -> int:
        batch, taken = next_batch("training"), list[int]()
        walk_as = model.walk

        def counted(*asked: Any) -> follower.Walk:
            gone = walk_as(*asked)
            taken.append(steps_of(gone))
            return gone

        model.walk = counted  # type: ignore[method-assign]
        loss = model.train().loss(batch)
        model.walk = walk_as  # type: ignore[method-assign]
        (loss.total / loss.weight).backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return sum(taken)

    sides = {
        "environment": lambda: environment(next_batch("environment")),
        "rollout": walk,
        "training": train,
    }
    taken = race(sides, given.rounds)
    lines = []
    for name, published in PUBLISHED.items():
        times = milliseconds(taken[name])
        rate = 1e3 / float(np.median([1e3 * t.cpu for t in taken[name]]))
        lines.append(
            hardware()
            | {"job": name, "batch": given.batch, "width": given.width}
            | times
            | {"steps/s": f"{rate:.0f}", "published": published,
               "ratio": f"{rate / published:.2f}"}
        )  # fmt: skip
        print(name, *(f"{key} {value}" for key, value in lines[-1].items() if key != "job"))
    new = not given.csv.is_file()
    with given.csv.open("a", newline="") as file:
        writer = csv.DictWriter(file, lines[0])
        if new:
            writer.writeheader()
        writer.writerows(lines)


if __name__ == "__main__":
    main()
