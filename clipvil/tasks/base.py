"""What several tasks share: questions in columns, the VQA accuracy, tiny pictures for tests."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import msgspec
import numpy as np

from clipvil.columns import Column
from clipvil.core import (
    Answer,
    Chose,
    Example,
    Gold,
    Humans,
    Measured,
    OfficialFile,
    Said,
    Segment,
)
from clipvil.files import write_rows
from clipvil.metrics.text import credit, credits, soft
from clipvil.registry import unknown

COLOURS = {"red": (220, 40, 40), "green": (40, 170, 60), "blue": (50, 80, 220)}  # of tiny pictures
TOLD = 5  # ids, or places of one, that a message lists
Number = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]  # an id that is kept in a column


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Questions(Column[Example]):
    """Questions about one picture each, what people answered, all in columns of one length.

    `answers` is None where they are hidden; `marks` are those of the few rows that need them.
    """

    ids: Sequence[str]
    clusters: Sequence[str]
    pictures: Sequence[str]
    words: Sequence[str]
    answers: Sequence[tuple[str, ...]] | None = None
    marks: Mapping[int, tuple[str, ...]] = field(default_factory=dict)
    strata: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.ids)

    def row(self, index: int) -> Example:
        """One question."""
        target = None
        if self.answers is not None:
            target = Humans(self.answers[index], self.marks.get(index, ()))
        return Example(
            id=self.ids[index],
            cluster=self.clusters[index],
            pictures=(self.pictures[index],),
            text=(Segment(self.words[index]),),
            target=target,
            strata={kind: column[index] for kind, column in self.strata.items()},
        )


def of_split(files: Sequence[OfficialFile], split: str) -> tuple[OfficialFile, ...]:
    """The official files of one split.

    Raises
        UsageError: the task has no such split
    """
    found = tuple(file for file in files if file.split == split)
    if not found:
        raise unknown("split", split, {file.split for file in files})
    return found


def distinct(
    ids: Sequence[str] | Sequence[int],
    path: Path,
    what: str,
    places: Iterable[tuple[str, str | int]],
) -> None:
    """Check that no id is there twice, with eight bytes an id.

    `places` are (place, id) of all rows; they are only read, from the file again, where one is.

    Raises
        ValueError: some are; lists up to five and their places
    """
    values, counts = np.unique(np.fromiter(map(hash, ids), np.int64), return_counts=True)
    suspects = set(values[counts > 1].tolist())
    if not suspects:
        return
    found = defaultdict[str | int, list[str]](list)
    for place, name in places:
        if hash(name) in suspects:
            found[name].append(place)
    listed = [f"{name} ({', '.join(at[:TOLD])})" for name, at in found.items() if len(at) > 1]
    if listed:
        raise ValueError(
            f"{path}: {what} that are there more than once: {', '.join(listed[:TOLD])}"
        )


def picture_name(name: str) -> str:
    """A picture's name, if it is one and not a path.

    Raises
        ValueError: it is not
    """
    if not re.fullmatch(r"\w[\w.-]*", name):
        raise ValueError(f"{name!r} is not a picture's name")
    return name


def humans(example: Example) -> Humans:
    """What people answered.

    Raises
        ValueError: the answers are hidden
    """
    if not isinstance(example.target, Humans):
        raise ValueError(f"{example.id} cannot be scored: its answers are not public")
    return example.target


def only_answer(example: Example) -> str:
    """What the one person who was asked answered."""
    (answer,) = humans(example).answers
    return answer


def gold(example: Example) -> tuple[int, ...]:
    """The right candidates.

    Raises
        ValueError: they are hidden
    """
    if not isinstance(example.target, Gold):
        raise ValueError(f"{example.id} cannot be scored: its answer is not public")
    return example.target.indices


def chosen(answer: Answer) -> Chose:
    """The choice that was made."""
    assert isinstance(answer, Chose), answer
    return answer


def words(answer: Answer) -> str:
    """What was said."""
    assert isinstance(answer, Said), answer
    return answer.text


def write_words(path: Path, answers: Mapping[str, Answer]) -> None:
    """One JSON object a line with `id` and `answer`."""
    write_rows(path, ({"id": i, "answer": words(answer)} for i, answer in answers.items()))


def vqa_credits(example: Example) -> dict[str, float]:
    """Every text that would earn something for the example -> its credit, between 0 and 1."""
    told = humans(example)
    return credits(told.answers, told.marks)


def measure_vqa(examples: Sequence[Example], answers: Mapping[str, Answer]) -> Measured:
    """Credit of every answer, its soft score, and a one to count it by."""
    ids, rows = list[str](), list[tuple[float, float, float]]()
    for example in examples:
        told, said = humans(example), words(answers[example.id])
        ids.append(example.id)
        rows.append((credit(said, told.answers, told.marks), soft(said, told.answers), 1.0))
    columns = ("credit", "soft", "count")
    return Measured(tuple(ids), columns, np.array(rows, np.float64).reshape(-1, len(columns)))


def tiny_picture(path: Path, colour: str) -> None:
    """Write a square of one of `COLOURS` on grey, 32 x 24 pixels; the suffix is the format."""
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    picture = Image.new("RGB", (32, 24), (128, 128, 128))
    picture.paste(COLOURS[colour], (8, 4, 24, 20))
    picture.save(path)
