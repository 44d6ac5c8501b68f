"""Agent-steps a CPU second in buildings, ours and as published; rows in navigation.csv.

    python benchmarks/navigation.py --data DIR

DIR has R2R_train.json and connectivity, as published; the first six buildings with paths are
walked, with 36 random views of 2,048 numbers a viewpoint in half precision. Measured are: the
environment led by the teacher, views delivered as they are stored; the same with the network that
looks and listens, without gradients; and an iteration of training, which is a led and a sampled
walk, both with gradients, and the optimizer's step. Beside each, in turn and on the same weights,
stands the published way (`published_walker.py`), without the simulator; of its training torch's
dropout of all views took half the time on an Intel Xeon. The last columns are what was recorded of
R2R-EnvDrop itself on the compiled MatterSim, on one core of an AMD EPYC (Zen 4), on another day.
"""

import argparse
from collections.abc import Callable
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
import torch
from published_walker import Agent, Rooms
from races import append, hardware, milliseconds, race, ratio
from torch import Tensor

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
from clipvil.train.pace import optimizer_of

BUILDINGS = 6
RECORDED = {"environment": 1_720, "rollout": 795, "training": 191}  # agent-steps a CPU second


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


def environment(batch: WalkBatch, deliver: Callable[[Tensor, Tensor], object]) -> int:
    """Teacher-led steps, each walker's views delivered at each."""
    ground, place, view = batch.ground, batch.place, batch.view
    stop, alive, steps = ground.places.shape[1], torch.ones_like(place, dtype=torch.bool), 0
    while alive.any():
        steps += int(alive.sum())
        deliver(place, view)
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
    agent = Agent(model, Rooms(ready.ground))
    agree(agent, parts[0])

    def learnt(loss: Callable[[WalkBatch], tuple[Tensor, int]], batch: WalkBatch) -> int:
        model.train()
        lost, steps = loss(batch)
        lost.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return steps

    def ours(batch: WalkBatch) -> tuple[Tensor, int]:
        taken, walk_as = list[int](), model.walk

        def counted(*asked: Any) -> follower.Walk:
            gone = walk_as(*asked)
            taken.append(steps_of(gone))
            return gone

        model.walk = counted  # type: ignore[method-assign]
        loss = model.loss(batch)
        model.walk = walk_as  # type: ignore[method-assign]
        return loss.total / loss.weight, sum(taken)

    def led(walk: Callable[[WalkBatch], follower.Walk], batch: WalkBatch) -> int:
        model.eval()
        with torch.no_grad():
            return steps_of(walk(batch))

    jobs: dict[str, tuple[Callable[[WalkBatch], int], Callable[[WalkBatch], int]]] = {
        "environment": (
            lambda batch: environment(batch, lambda place, _: batch.ground.stored(place)),
            lambda batch: environment(batch, agent.rooms.look),
        ),
        "rollout": (
            lambda batch: led(lambda b: model.walk(b, Eyes(b.ground), "teacher"), batch),
            lambda batch: led(lambda b: agent.walk(b, led=True), batch),
        ),
        "training": (lambda batch: learnt(ours, batch), lambda batch: learnt(agent.loss, batch)),
    }
    for job, (new, old) in jobs.items():
        # every side has all batches in the same order
        sides = {"ours": in_turn(new, parts), "as published": in_turn(old, parts)}
        taken = race(sides, given.rounds)
        times = ratio(taken, "as published", "ours").cpu
        rate, before = (1 / float(np.median([t.cpu for t in taken[side]])) for side in sides)
        row = hardware() | {
            "job": job, "batch": str(given.batch), "width": str(given.width),
            **milliseconds(taken["ours"]), "steps/s": f"{rate:.0f}",
            "as published steps/s": f"{before:.0f}", "times as fast": f"{times:.2f}",
            "recorded steps/s": str(RECORDED[job]), "of recorded": f"{rate / RECORDED[job]:.2f}",
        }  # fmt: skip
        append(given.csv, row)
        print(
            f"{job}: {rate:,.0f} steps a CPU second, the published way {before:,.0f} ({times:.2f} "
            f"times as fast); recorded of its own code {RECORDED[job]:,}"
        )


def in_turn(side: Callable[[WalkBatch], int], parts: list[WalkBatch]) -> Callable[[], int]:
    """A side that takes one batch after the other."""
    several = cycle(parts)
    return lambda: side(next(several))


def agree(agent: Agent, batch: WalkBatch) -> None:
    """Both ways see, hear and choose the same."""
    agent.model.eval()
    with torch.no_grad():
        ours = agent.model.walk(batch, Eyes(batch.ground), "teacher")
        theirs = agent.walk(batch, led=True)
    for rows, mine, its in zip(ours.rows, ours.logits, theirs.logits, strict=True):
        torch.testing.assert_close(mine, its[rows], rtol=1e-3, atol=1e-3)


if __name__ == "__main__":
    main()
