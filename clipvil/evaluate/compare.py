"""The main job: encoders x shots x seeds on one task, planned, run, measured, recorded.

Cells are fitted in two waves. The first repetition of every encoder and size tries a whole grid of
learning rates and the selection data choose one; the other repetitions take that choice. Every cell
is a folder; whatever is finished is not done again, so an interrupted comparison goes on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from clipvil.errors import UsageError
from clipvil.evaluate.run import Arm, Plan
from clipvil.evaluate.splits import Source
from clipvil.evaluate.workers import Workers, cell_job
from clipvil.files import read_json, write_json
from clipvil.train.recipe import Recipe

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
        if len({folder_name(name) for name in self.encoders}) < len(self.encoders):
            raise UsageError("two encoders have names that make the same folder: rename a file")
        if self.seeds < 1 or self.jobs < 1:
            raise UsageError("--seeds and --jobs are at least 1")

    @property
    def rates(self) -> tuple[float, ...]:
        """The grid of learning rates, of the first stage."""
        return self.recipe.rates or (self.recipe.stages[0].learning_rate,)


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

    return slug(text.replace("%", "-percent"))


def run_cells(workers: Workers, comparison: Comparison, seen: Sequence[Arm]) -> list[Plan]:
    """Fit and score every cell; gives the chosen ones, in the order of the plan."""
    groups = [(arm, shots) for shots in comparison.shots for arm in arms(comparison, seen)]
    first = [plan for arm, shots in groups for plan in plans(comparison, arm, shots, 0)]
    workers.run([cell_job("fit", plan) for plan in first], "cells fitted with seed 0")
    chosen = [choose(plans(comparison, arm, shots, 0)) for arm, shots in groups]
    rest = [
        plan
        for (arm, shots), rate in zip(groups, chosen, strict=True)
        for repetition in range(comparison.seeds)
        for plan in plans(comparison, arm, shots, repetition)
        if plan.rate == rate
    ]
    workers.run([cell_job("finish", plan) for plan in rest], "cells fitted and scored")
    return rest


def choose(tried: Sequence[Plan]) -> float:
    """The learning rate with the highest selection score, the lowest of equal ones."""
    scores = [(read_json(plan.folder / "fitted.json") or {}).get("best", 0.0) for plan in tried]
    best = max(range(len(tried)), key=lambda k: (scores[k], -tried[k].rate))
    told = {f"{plan.rate:g}": score for plan, score in zip(tried, scores, strict=True)}
    write_json(tried[0].folder.parent / "rates.json", {"select": told, "rate": tried[best].rate})
    return tried[best].rate
