"""Any system's predictions, scored as the task's official scorer does.

Predictions and examples must match: an id that is missing, repeated or unknown is an error. Only
where the official scorer scores what it gets (captions) may ids be missing, and they are counted.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from clipvil.columns import Rows
from clipvil.core import Answer, Example, Measured, Metric, Task
from clipvil.evaluate import breakdown
from clipvil.evaluate.statistics import compare_answers

SHOWN = 5  # ids that a message lists


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A metric's value on the official scorer's own scale, or why there is none."""

    value: float | None
    unit: str
    higher_is_better: bool
    reason: str = ""

    def plain(self) -> dict[str, Any]:
        """As it is printed in JSON."""
        if self.value is None:
            return {"value": None, "reason": self.reason}
        return {
            "value": self.value,
            "unit": self.unit,
            "higher_is_better": self.higher_is_better,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Gain:
    """The headline of one system minus another's on the same examples, its 95 % interval and p."""

    metric: str
    value: float
    low: float | None
    high: float | None
    p: float | None
    unit: str
    higher_is_better: bool

    def __str__(self) -> str:
        said = f"{self.metric} {self.value:+.4f} {self.unit}".rstrip()
        if self.low is None or self.high is None or self.p is None:
            return f"{said} (fewer than two clusters: no interval)"
        p = f"p = {self.p:.2g}" if self.p else "p < 1e-300"  # beyond what a number can hold
        return f"{said}, 95 % interval {self.low:+.4f} to {self.high:+.4f}, {p}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """A test set's figures and what they were computed from.

    `clusters` belong to `measured.ids`; `unanswered` counts examples that were left out.
    """

    task: Task
    measured: Measured
    figures: Mapping[str, Figure]
    clusters: tuple[str, ...]
    unanswered: int = 0

    def plain(self) -> dict[str, Any]:
        """As it is printed in JSON."""
        return {
            "task": self.task.name,
            "version": self.task.version,
            "count": len(self.measured.ids),
            "metrics": {name: figure.plain() for name, figure in self.figures.items()},
        }

    def minus(self, other: Score) -> Gain:
        """The paired difference to another system, resampled over clusters.

        The other one may have been measured less thoroughly.

        Raises
            ValueError: the two did not answer the same examples
        """
        columns = other.measured.columns
        metric = self.task.headline(columns)
        places = [self.measured.columns.index(column) for column in columns]
        ours = replace(self.measured, columns=columns, rows=self.measured.rows[:, places])
        found = compare_answers(ours, other.measured, self.clusters, self.task.reduce, metric.name)
        return Gain(
            metric=metric.name,
            value=found.value,
            low=found.low,
            high=found.high,
            p=found.p,
            unit=metric.unit,
            higher_is_better=metric.higher_is_better,
        )

    def examples(self) -> Iterator[dict[str, Any]]:
        """One row an example: its id and each metric of it alone."""
        reduced = self.task.reduce(self.measured.each())
        columns = {name: values.tolist() for name, values in reduced.items()}
        for row, example in enumerate(self.measured.ids):
            values = {name: number(column[row]) for name, column in columns.items()}
            yield {"id": example, **values}


def number(value: float) -> float | None:
    """The value, or None where there is none."""
    return value if math.isfinite(value) else None


def collect(pairs: Iterable[tuple[str, Answer]]) -> dict[str, Answer]:
    """Answers by id.

    Raises
        ValueError: an id is there more than once; lists up to five and their rows
    """
    said = [*pairs]
    answers = dict(said)
    if len(answers) == len(said):
        return answers
    rows = defaultdict[str, list[int]](list)
    for number, (name, _) in enumerate(said, 1):
        rows[name].append(number)
    repeated = [
        f"{name} (rows {', '.join(map(str, at[:SHOWN]))})"
        for name, at in rows.items()
        if len(at) > 1
    ]
    raise ValueError(f"{len(repeated):,} ids are predicted more than once: {some(repeated)}")


def some(ids: Iterable[str]) -> str:
    """The first few of some ids, for a message."""
    listed = [*ids]
    more = ", ..." if len(listed) > SHOWN else ""
    return ", ".join(listed[:SHOWN]) + more


def score(
    task: Task,
    examples: Sequence[Example],
    predictions: Iterable[tuple[str, Answer]],
    *,
    thorough: bool = False,
) -> Score:
    """Score the predictions for some examples; `thorough`, with other programs' metrics too.

    Raises
        ValueError: an id is missing, repeated or unknown, or there is nothing to score
    """
    answers = collect(predictions)
    places, clusters, unanswered = dict[str, int](), list[str](), list[str]()
    strata: dict[str, list[str]] = {kind: [] for kind in task.breakdowns}
    for place, example in enumerate(examples):
        if example.id not in answers:
            unanswered.append(example.id)
            continue
        places[example.id] = place
        clusters.append(example.cluster)
        for kind in task.breakdowns:
            strata[kind].append(example.strata.get(kind, "unknown"))
    check(answers, places, unanswered, task.partial)
    if unanswered:
        examples = Rows(examples, np.array([*places.values()], np.int64))
    measure = task.thorough if thorough and task.thorough else task.measure
    measured = measure(examples, answers)
    parts = breakdown.figures(task, measured, strata)
    return Score(
        task=task,
        measured=measured,
        figures=totals(task, measured) | {n: figure(*part) for n, part in parts.items()},
        clusters=tuple(clusters),
        unanswered=len(unanswered),
    )


def check(
    answers: Mapping[str, Answer], known: Mapping[str, int], unanswered: list[str], partial: bool
) -> None:
    """Raise where ids do not match; `known` are those that examples and answers share."""
    unknown = [name for name in answers if name not in known]
    count = len(known) + len(unanswered)
    if unknown:
        left = f"; none is of {some(unanswered)}" if unanswered and not partial else ""
        raise ValueError(
            f"{len(unknown):,} predicted ids are not among the {count:,} examples: "
            f"{some(unknown)}{left}"
        )
    if unanswered and not partial:
        raise ValueError(
            f"{len(unanswered):,} of {count:,} examples have no prediction: {some(unanswered)}"
        )
    if not known:
        raise ValueError("there is nothing to score")


def totals(task: Task, measured: Measured) -> dict[str, Figure]:
    """The task's metrics over all examples; those that the data have no use for are left out."""
    computed = task.reduce(measured.totals())
    return {
        metric.name: figure(metric, float(computed.get(metric.name, math.nan)))
        for metric in task.metrics
        if metric.name in computed or metric.needs
    }


def figure(metric: Metric, value: float) -> Figure:
    """A value, or what it would have taken."""
    reason = f"needs {metric.needs}" if metric.needs else "there is nothing to compute it from"
    known = number(value)
    return Figure(
        value=known,
        unit=metric.unit,
        higher_is_better=metric.higher_is_better,
        reason="" if known is not None else reason,
    )
