"""Whether a picture entails a hypothesis, is neutral to it or contradicts it: scoring, predictions.

Metric   accuracy, and for each label the share of its own pairs that got it; in percent
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from clipvil.core import Answer, Example, Labels, Measured, Metric, Said, Totals
from clipvil.files import read_rows
from clipvil.metrics import ratio
from clipvil.tasks.base import COLOURS, only_answer, words

LABELS = ("entailment", "neutral", "contradiction")
METRICS = (Metric("accuracy", "%"), *(Metric(f"recall/{label}", "%") for label in LABELS))


class Predicted(msgspec.Struct):
    """A row of predictions."""

    id: int | str
    answer: str

    def __post_init__(self) -> None:
        known(self.answer)


def known(label: str) -> None:
    """See that it is one of `LABELS`.

    Raises
        ValueError: it is not; tells which there are
    """
    if label not in LABELS:
        raise ValueError(f"{label!r} is none of {', '.join(LABELS)}")


def credit(example: Example) -> dict[str, float]:
    """The one right label."""
    return {only_answer(example): 1.0}


ANSWER = Labels(len(LABELS), credit)


def tiny(colour: str) -> Iterator[tuple[str, str]]:
    """A sentence of each label about a square of a colour."""
    other = next(c for c in COLOURS if c != colour)
    yield "entailment", f"The square is {colour}."
    yield "neutral", "Somebody likes the square."
    yield "contradiction", f"The square is {other}."


def measure(examples: Sequence[Example], answers: Mapping[str, Answer]) -> Measured:
    """Of every label: the pairs that have it, and those of them that got it."""
    rows = np.zeros((len(examples), 2, len(LABELS)))
    ids = list[str]()
    for row, example in zip(rows, examples, strict=True):
        ids.append(example.id)
        label = only_answer(example)
        column = LABELS.index(label)
        row[:, column] = 1, words(answers[example.id]) == label
    columns = tuple(f"{what}_{label}" for what in ("count", "right") for label in LABELS)
    return Measured(tuple(ids), columns, rows.reshape(len(ids), -1))


def reduce(totals: Totals) -> dict[str, NDArray[np.float64]]:
    """Accuracy over all pairs, then over those of each label, in percent."""
    count = {label: totals[f"count_{label}"] for label in LABELS}
    right = {label: totals[f"right_{label}"] for label in LABELS}
    recall = {f"recall/{label}": ratio(right[label], count[label], 100) for label in LABELS}
    return {"accuracy": ratio(sum(right.values()), sum(count.values()), 100)} | recall


def read(path: Path) -> Iterator[tuple[str, Answer]]:
    """Rows with `id` and `answer`, one a line or in a JSON array."""
    for _, row in read_rows(path, Predicted):
        yield str(row.id), Said(row.answer)
