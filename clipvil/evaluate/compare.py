"""The main job: encoders x shots x seeds on one task, planned, run, measured, recorded.

Cells are fitted in two waves. The first repetition of every encoder and size tries a whole grid of
learning rates and the selection data choose one; the other repetitions take that choice. Every cell
is a folder; whatever is finished is not done again, so an interrupted comparison goes on.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TypeVar

from clipvil.core import UsageError
from clipvil.evaluate.run import Arm, Plan
from clipvil.evaluate.splits import Source
from clipvil.files import read_json, write_json
from clipvil.progress import track
from clipvil.train.recipe import Recipe

Result = TypeVar("Result")

PRIOR, TEXT = "answer prior", "text only"  # rows beside the encoders


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What is compared, as a person asked for it."""

    source: Source
    encoders: tuple[str, ...]
    recipe: Recipe[Any]
    recipe_name: str
    shots: tuple[str, ...]
    seeds: int
    baseline: str
    out: Path
    store: Path
    jobs: int

    def __post_init__(self) -> None:
        if self.baseline not in self.encoders:
            raise UsageError(f"baseline {self.baseline} is not among the encoders")
        for what, given in (("encoder", self.encoders), ("amount of shots", self.shots)):
            twice = sorted({item for item in given if given.count(item) > 1})
            if twice:
                raise UsageError(f"{what} {twice[0]} is given twice")
        if self.seeds < 1 or self.jobs < 1:
            raise UsageError("--seeds and --jobs are at least 1")

    @property
    def rates(self) -> tuple[float, ...]:
        """The grid of learning rates."""
        (stage,) = self.recipe.stages
        return self.recipe.rates or (stage.learning_rate,)


def arms(comparison: Comparison, seen: Sequence[Arm]) -> list[Arm]:
    """The encoders, then what always stands beside them."""
    base = next(arm for arm in seen if arm.encoder == comparison.baseline)
    shuffled = replace(base, name=f"{base.name}, pictures shuffled", control="shuffled")
    beside = [shuffled, Arm(name=TEXT, control="text"), Arm(name=PRIOR, control="prior")]
    return [*seen, *beside]


def plans(comparison: Comparison, arm: Arm, shots: str, repetition: int) -> list[Plan]:
    """The cells of an encoder, size and repetition, one a learning rate."""
    where = comparison.out / "cells" / folder_name(arm.name) / folder_name(shots)
    rates = comparison.rates if arm.control != "prior" else comparison.rates[:1]
    return [
        Plan(
            source=comparison.source,
            recipe=comparison.recipe,
            arm=arm,
            shots=shots,
            repetition=repetition,
            rate=rate,
            folder=where / f"seed-{repetition}-rate-{rate:g}",
        )
        for rate in rates
    ]


def folder_name(text: str) -> str:
    """A name as a folder's name."""
    from clipvil.features.lookup import slug

    return slug(text).strip("_")


def run_cells(comparison: Comparison, seen: Sequence[Arm]) -> list[Plan]:
    """Fit and score every cell; gives the chosen ones, in the order of the plan."""
    groups = [(arm, shots) for shots in comparison.shots for arm in arms(comparison, seen)]
    with workers(comparison.jobs) as run:
        first = [plan for arm, shots in groups for plan in plans(comparison, arm, shots, 0)]
        run(fit_one, first, "cells fitted with seed 0")
        chosen = [choose(plans(comparison, arm, shots, 0)) for arm, shots in groups]
        rest = [
            plan
            for (arm, shots), rate in zip(groups, chosen, strict=True)
            for repetition in range(comparison.seeds)
            for plan in plans(comparison, arm, shots, repetition)
            if plan.rate == rate
        ]
        run(finish_one, rest, "cells fitted and scored")
    return rest


def choose(tried: Sequence[Plan]) -> float:
    """The learning rate with the highest selection score, the lowest of equal ones."""
    scores = [(read_json(plan.folder / "fitted.json") or {}).get("best", 0.0) for plan in tried]
    best = max(range(len(tried)), key=lambda k: (scores[k], -tried[k].rate))
    told = {f"{plan.rate:g}": score for plan, score in zip(tried, scores, strict=True)}
    write_json(tried[0].folder.parent / "rates.json", {"select": told, "rate": tried[best].rate})
    return tried[best].rate


# ---------------------------------------------------------------------------- processes


def fit_one(plan: Plan) -> None:
    """Fit one cell in a worker."""
    from clipvil.evaluate.cell import fit_cell

    fit_cell(plan)


def finish_one(plan: Plan) -> None:
    """Fit one cell, if it is not, and score it in a worker."""
    from clipvil.evaluate.cell import fit_cell, score_cell

    fit_cell(plan)
    score_cell(plan)


def start_worker(parent: int) -> None:
    """One thread a process, and an end when the parent ends, however that comes about."""
    import threading
    import time

    import torch

    torch.set_num_threads(1)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.2)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


class workers:  # noqa: N801  # used as a function
    """Processes that cells are handed to; a cell's error ends the comparison with that error."""

    def __init__(self, jobs: int) -> None:
        self._pool = ProcessPoolExecutor(
            jobs, get_context("spawn"), initializer=start_worker, initargs=(os.getpid(),)
        )

    def __enter__(self) -> Callable[[Callable[[Plan], Any], Sequence[Plan], str], None]:
        return self._run

    def __exit__(self, *error: object) -> None:
        self._pool.shutdown(wait=error[0] is None, cancel_futures=True)

    def _run(self, work: Callable[[Plan], Any], plans: Sequence[Plan], what: str) -> None:
        waiting = [self._pool.submit(work, plan) for plan in plans]
        try:
            for done in track(as_completed(waiting), what, total=len(waiting)):
                done.result()
        except BrokenProcessPool:
            raise ValueError(
                "a worker was killed, for want of memory perhaps; fewer --jobs need less; "
                "the same command goes on from here"
            ) from None
