"""The main job: encoders x shots x seeds on one task, planned, run, measured, recorded.

Cells are fitted in two waves. The first repetition of every encoder and size tries a whole grid of
learning rates and the selection data choose one; the other repetitions take that choice. Every cell
is a folder; whatever is finished is not done again, so an interrupted comparison goes on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from clipvil import progress, registry
from clipvil.core import Labels, Task
from clipvil.encoders import load_text
from clipvil.errors import UsageError, at_least_one
from clipvil.evaluate import cell
from clipvil.evaluate.result import Control
from clipvil.evaluate.run import Arm, Plan
from clipvil.evaluate.seen import is_given
from clipvil.evaluate.splits import Source
from clipvil.evaluate.workers import Workers, cell_job
from clipvil.files import read_json, write_json
from clipvil.train.recipe import Recipe

PRIOR, TEXT = "answer prior", "text only"  # rows beside the encoders
ASKED: Mapping[Control, str] = {"probe": "linear probe", "zero-shot": "zero-shot"}
"""Rows beside each encoder where they are asked for, and how they are called."""
TRAINED: tuple[Control | None, ...] = (None, "text", "shuffled")
"""Whose models take steps; all others have neither rates nor anything to choose by them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What is compared, as a person asked for it; `beside` are rows and the encoders with one."""

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
    beside: Mapping[Control, tuple[str, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.baseline not in self.encoders:
            raise UsageError(f"baseline {self.baseline} is not among the encoders")
        for what, given in (("encoder", self.encoders), ("amount of shots", self.shots)):
            twice = sorted({item for item in given if given.count(item) > 1})
            if twice:
                raise UsageError(f"{what} {twice[0]} is given twice")
        if len({folder_name(name) for name in self.encoders}) < len(self.encoders):
            raise UsageError("two encoders have names that make the same folder: rename a file")
        at_least_one(seeds=self.seeds, jobs=self.jobs, limit=self.source.limit)

    @property
    def rates(self) -> tuple[float, ...]:
        """The grid of learning rates, of the first stage."""
        return self.recipe.rates or (self.recipe.stages[0].learning_rate,)


def rows_beside(
    asked: Sequence[str], encoders: Sequence[str], task: Task
) -> dict[Control, tuple[str, ...]]:
    """Rows that a comparison has on demand, each with the encoders that can have it.

    Raises
        UsageError: nobody knows such a row, or neither task nor any encoder can have it
    """
    if asked and not isinstance(task.answer, Labels):
        raise UsageError(f"rows beside need a closed list of answers, which {task.name} has not")
    rows = dict[Control, tuple[str, ...]]()
    for name in asked:
        control = next((known for known in ASKED if known == name), None)
        if control is None:
            raise registry.unknown("row beside the encoders", name, ASKED)
        rows[control] = tuple(encoders)
    if "zero-shot" in rows:
        rows["zero-shot"] = with_text(encoders)
    return rows


def with_text(encoders: Sequence[str]) -> tuple[str, ...]:
    """The encoders that have a text tower; the others are told.

    Raises
        UsageError: none has
    """
    reasons = dict[str, str]()
    for name in encoders:
        if is_given(name):
            reasons[name] = "features have no text tower"
            continue
        try:
            load_text(name)
        except UsageError as error:
            reasons[name] = str(error)
    if len(reasons) == len(encoders):
        raise UsageError(f"no encoder for a zero-shot row: {'; '.join(reasons.values())}")
    for name, reason in reasons.items():
        progress.say(f"no zero-shot row for {name}: {reason}")
    return tuple(name for name in encoders if name not in reasons)


def arms(comparison: Comparison, seen: Sequence[Arm]) -> list[Arm]:
    """The encoders, then what stands beside them: always, and where it was asked for."""
    base = next(arm for arm in seen if arm.name == comparison.baseline)
    shuffled = replace(base, name=f"{base.name}, pictures shuffled", control="shuffled")
    always = [shuffled, Arm(name=TEXT, control="text"), Arm(name=PRIOR, control="prior")]
    asked = [
        replace(arm, name=f"{arm.name}, {ASKED[control]}", control=control)
        for control, encoders in comparison.beside.items()
        for arm in seen
        if arm.name in encoders
    ]
    return [*seen, *always, *asked]


def plans(comparison: Comparison, arm: Arm, shots: str, repetition: int) -> list[Plan]:
    """The cells of an encoder, size and repetition, one a learning rate."""
    where = comparison.out / "cells" / folder_name(arm.name) / folder_name(shots)
    rates = comparison.rates if arm.control in TRAINED else comparison.rates[:1]
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


def require_known(comparison: Comparison) -> None:
    """See that the first seed's smallest subset teaches something, before anything is encoded.

    Raises
        ValueError: nothing can be learnt from it
    """
    prior = Arm(name=PRIOR, control="prior")
    sizes = [plans(comparison, prior, shots, 0)[0] for shots in comparison.shots]
    cell.require_known(min(sizes, key=lambda plan: len(cell.unfold(plan).fit.examples)))


def folder_name(text: str) -> str:
    """A name as a folder's name."""
    from clipvil.features.lookup import slug

    return slug(text.replace("%", "-percent"))


def run_cells(workers: Workers, comparison: Comparison, seen: Sequence[Arm]) -> list[Plan]:
    """Fit and score every cell; gives the chosen ones, in the order of the plan."""
    groups = [(arm, shots) for shots in comparison.shots for arm in arms(comparison, seen)]
    first = [plan for arm, shots in groups for plan in plans(comparison, arm, shots, 0)]
    workers.run(
        [cell_job("fit", plan) for plan in first], "trainings with seed 0, at every learning rate"
    )
    chosen = [choose(plans(comparison, arm, shots, 0)) for arm, shots in groups]
    rest = [
        plan
        for (arm, shots), rate in zip(groups, chosen, strict=True)
        for repetition in range(comparison.seeds)
        for plan in plans(comparison, arm, shots, repetition)
        if plan.rate == rate
    ]
    workers.run([cell_job("finish", plan) for plan in rest], "cells trained and scored")
    return rest


def choose(tried: Sequence[Plan]) -> float:
    """The learning rate with the highest selection score, the lowest of equal ones."""
    scores = [(read_json(plan.folder / "fitted.json") or {}).get("best", 0.0) for plan in tried]
    best = max(range(len(tried)), key=lambda k: (scores[k], -tried[k].rate))
    told = {f"{plan.rate:g}": score for plan, score in zip(tried, scores, strict=True)}
    write_json(tried[0].folder.parent / "rates.json", {"select": told, "rate": tried[best].rate})
    return tried[best].rate
