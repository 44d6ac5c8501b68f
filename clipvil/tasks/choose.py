"""Own questions about own pictures, each with its own choices.

Files    DIR/{train,val,test}.jsonl: rows of `image`, `question`, `choices` (two or more), `label`
         (the place of the right one, from 0) and perhaps `id`
Metric   accuracy in percent
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import msgspec
import numpy as np
from numpy.typing import NDArray

from clipvil.columns import Column, Strings, Tuples
from clipvil.core import (
    Answer,
    Choices,
    Chose,
    Data,
    Example,
    Gold,
    Measured,
    Metric,
    Segment,
    Splits,
    Task,
    Totals,
)
from clipvil.files import read_rows, write_jsonl, write_rows
from clipvil.metrics import ratio
from clipvil.tasks import _own
from clipvil.tasks.base import COLOURS, chosen, gold, tiny_picture

FILES = _own.files('"question", "choices", "label"')
Place = Annotated[int, msgspec.Meta(ge=0)]


class Asked(msgspec.Struct):
    """A row of the data."""

    image: str
    question: str
    choices: list[str]
    label: Place
    id: int | str | None = None

    def __post_init__(self) -> None:
        self.image = _own.inside(self.image)
        if len(set(self.choices)) < max(2, len(self.choices)):
            raise ValueError("a row needs two `choices` or more, all different")
        if self.label >= len(self.choices):
            raise ValueError(f"label {self.label} is no place among {len(self.choices)} choices")


class Predicted(msgspec.Struct):
    """A row of predictions."""

    id: int | str
    answer: Place


@dataclass(frozen=True, slots=True, eq=False)
class Puzzles(Column[Example]):
    """Questions with their choices, in columns of one length."""

    ids: Strings = field(default_factory=Strings)
    pictures: Strings = field(default_factory=Strings)
    questions: Strings = field(default_factory=Strings)
    choices: Tuples = field(default_factory=Tuples)
    labels: array[int] = field(default_factory=lambda: array("q"))

    def __len__(self) -> int:
        return len(self.ids)

    def row(self, index: int) -> Example:
        """One question."""
        return Example(
            id=self.ids[index],
            cluster=self.pictures[index],
            pictures=(self.pictures[index],),
            text=(Segment(self.questions[index]),),
            candidates=(tuple((Segment(choice),) for choice in self.choices[index]),),
            target=Gold((self.labels[index],)),
        )


def examples(data: Data, split: str) -> Sequence[Example]:
    """Read one split.

    Raises
        MissingFilesError: there is no such file
        ValueError: a row is not what it should be; names file and row
    """
    puzzles = Puzzles()
    for name, row in _own.rows(data, FILES, split, Asked):
        puzzles.ids.append(name)
        puzzles.pictures.append(row.image)
        puzzles.questions.append(row.question)
        puzzles.choices.append(row.choices)
        puzzles.labels.append(row.label)
    return puzzles


def measure(examples: Sequence[Example], answers: Mapping[str, Answer]) -> Measured:
    """Whether the right choice was made, and a one to count it by.

    Raises
        ValueError: an answer is none of its question's choices
    """
    ids, rows = list[str](), list[tuple[bool, int]]()
    for example in examples:
        choice, choices = chosen(answers[example.id]).index, example.candidates[0]
        if choice >= len(choices):
            raise ValueError(f"{example.id}: {choice} is no place among {len(choices)} choices")
        ids.append(example.id)
        rows.append((choice == gold(example)[0], 1))
    return Measured(tuple(ids), ("right", "count"), np.array(rows, np.float64).reshape(-1, 2))


def reduce(totals: Totals) -> dict[str, NDArray[np.float64]]:
    """The share of right choices in percent."""
    return {"accuracy": ratio(totals["right"], totals["count"], 100)}


def read(path: Path) -> Iterator[tuple[str, Answer]]:
    """Rows with `id` and `answer` (a place, from 0), one a line or in a JSON array."""
    for _, row in read_rows(path, Predicted):
        yield str(row.id), Chose(row.answer)


def write(path: Path, answers: Mapping[str, Answer]) -> None:
    """One JSON object a line with `id` and `answer`."""
    write_rows(path, ({"id": i, "answer": chosen(a).index} for i, a in answers.items()))


def tiny(root: Path) -> None:
    """Three squares a split, one question about each, all colours to choose from."""
    for split in _own.SPLITS:
        rows = list[dict[str, object]]()
        for label, colour in enumerate(COLOURS):
            image = f"pictures/{split}-{colour}.png"
            tiny_picture(root / image, colour)
            rows.append({"image": image, "question": "What colour is it?",
                         "choices": [*COLOURS], "label": label})  # fmt: skip
        write_jsonl(root / f"{split}.jsonl", rows)


TASK = Task(
    name="choose",
    version=1,
    summary="your own questions about your own pictures, each with choices",
    answer=Choices(),
    metrics=(Metric("accuracy", "%"),),
    splits=Splits(fit="train", select="val", report="test"),
    files=FILES,
    examples=examples,
    measure=measure,
    reduce=reduce,
    read=read,
    write=write,
    tiny=tiny,
)
