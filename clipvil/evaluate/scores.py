"""Scores of trained models, put together for statistics: by test set, stratum, encoder and size.

Shapes   S seeds, R replicates
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from clipvil.core import Example, Measured, Task
from clipvil.evaluate.breakdown import name as named_part
from clipvil.evaluate.result import Control, Seed

Floats = NDArray[np.float64]
Key = tuple[int, int, int]  # Seed.key


@dataclass(frozen=True, slots=True, kw_only=True)
class Questions:
    """A test set as statistics see it: `clusters` and `strata[kind]` belong to `ids` in order."""

    split: str
    shift: str | None
    ids: tuple[str, ...]
    clusters: tuple[str, ...]
    strata: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @classmethod
    def of(
        cls, examples: Sequence[Example], split: str, shift: str | None, kinds: Sequence[str] = ()
    ) -> Questions:
        """The test set that some examples are, broken down by those `kinds` of strata."""
        ids, clusters = [], []
        strata: dict[str, list[str]] = {kind: [] for kind in kinds}
        for example in examples:
            ids.append(example.id)
            clusters.append(example.cluster)
            for kind in kinds:
                strata[kind].append(example.strata.get(kind, "other"))
        whole = {kind: tuple(named) for kind, named in strata.items()}
        return cls(split=split, shift=shift, ids=tuple(ids), clusters=tuple(clusters), strata=whole)


@dataclass(frozen=True, slots=True, kw_only=True)
class CellScores:
    """One trained model on one test set: its statistics and everything its record tells.

    `control` marks what stands beside the encoders; `seed` pairs it with other encoders' models.
    The other fields are those of `result.Cell`.
    """

    questions: Questions
    measured: Measured
    encoder: str
    model: str
    shots: str
    examples: int
    seed: Seed
    control: Control | None = None
    fingerprint: str | None = None
    recipe: str | None = None
    commit: str | None = None
    seconds: float | None = None
    device: str | None = None
    learning_rate: float | None = None
    epochs: float | None = None
    loss: float | None = None
    converged: bool | None = None
    coverage: float | None = None


class Part(NamedTuple):
    """What is looked at: a metric on a test set or on one stratum of it."""

    shift: str | None
    metric: str
    breakdown: str | None = None
    stratum: str | None = None

    @property
    def name(self) -> str:
        """What records call it."""
        return self.metric if self.stratum is None else named_part(self.metric, self.stratum)


class Who(NamedTuple):
    """Whose models: an encoder (or control) and a size."""

    encoder: str
    shots: str


@dataclass(slots=True)
class Group:
    """The seeds of one encoder, size and part: values and replicates [R] by seed."""

    first: CellScores
    n: int
    num_clusters: int
    examples: list[int] = field(default_factory=list)
    seeds: dict[Key, tuple[float, Floats]] = field(default_factory=dict)

    def arrays(self, keys: Sequence[Key]) -> tuple[Floats, Floats]:
        """Values [S] and replicates [S, R] of some seeds."""
        chosen = [self.seeds[key] for key in keys]
        return np.array([value for value, _ in chosen]), np.stack([drawn for _, drawn in chosen])

    @property
    def size(self) -> int:
        """Training examples; subsets of pictures hold somewhat different numbers."""
        return round(sum(self.examples) / len(self.examples))


Groups = dict[Part, dict[Who, Group]]


def parts(
    cells: Sequence[CellScores], headline: str
) -> Iterable[tuple[Part, list[CellScores], list[Measured], list[str]]]:
    """Each test set, then each stratum of the unshifted one, with all models that answered it."""
    sets: dict[str | None, list[CellScores]] = defaultdict(list)
    for cell in cells:
        sets[cell.questions.shift].append(cell)
    for shift, members in sets.items():
        questions = members[0].questions
        measured = [_ordered(cell.measured, questions) for cell in members]
        yield Part(shift, headline), members, measured, list(questions.clusters)
        for kind, named in questions.strata.items() if shift is None else ():
            for stratum in sorted(set(named)):
                keep = np.array([n == stratum for n in named])
                some = [m.where(keep) for m in measured]
                inside = [c for c, k in zip(questions.clusters, keep, strict=True) if k]
                yield Part(None, headline, kind, stratum), members, some, inside


def _ordered(measured: Measured, questions: Questions) -> Measured:
    """The statistics in the order of the questions."""
    if measured.ids == questions.ids:
        return measured
    places = {i: row for row, i in enumerate(measured.ids)}
    if places.keys() != set(questions.ids):
        raise ValueError("what is compared must be measured on the same examples")
    rows = measured.rows[[places[i] for i in questions.ids]]
    return Measured(questions.ids, measured.columns, rows)


def metrics(whole: Part, task: Task, headline: str, questions: Questions) -> list[Part]:
    """A test set's metrics, without those that are also a breakdown; a stratum has few."""
    if whole.stratum is not None:
        return [whole._replace(metric=metric) for metric in (headline, *task.broken)]
    named = {s for kind in questions.strata.values() for s in kind} if whole.shift is None else ()
    broken = {named_part(headline, stratum) for stratum in named}
    return [Part(whole.shift, m.name) for m in task.metrics if m.name not in broken]
