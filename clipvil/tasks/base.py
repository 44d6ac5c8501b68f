"""What several tasks share: questions in columns, the VQA accuracy, tiny pictures for tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from clipvil.columns import Column
from clipvil.core import Answer, Example, Humans, Measured, OfficialFile, Said, Segment
from clipvil.metrics.text import credit, credits
from clipvil.registry import unknown

COLOURS = {"red": (220, 40, 40), "green": (40, 170, 60), "blue": (50, 80, 220)}  # of tiny pictures


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


def humans(example: Example) -> Humans:
    """What people answered.

    Raises
        ValueError: the answers are hidden
    """
    if not isinstance(example.target, Humans):
        raise ValueError(f"{example.id} cannot be scored: its answers are not public")
    return example.target


def words(answer: Answer) -> str:
    """What was said."""
    assert isinstance(answer, Said), answer
    return answer.text


def vqa_credits(example: Example) -> dict[str, float]:
    """Every text that would earn something for the example -> its credit, between 0 and 1."""
    told = humans(example)
    return credits(told.answers, told.marks)


def measure_vqa(examples: Sequence[Example], answers: Mapping[str, Answer]) -> Measured:
    """Credit of every answer, and a one to count it by."""
    ids, earned = list[str](), list[float]()
    for example in examples:
        told = humans(example)
        ids.append(example.id)
        earned.append(credit(words(answers[example.id]), told.answers, told.marks))
    rows = np.stack([np.array(earned, np.float64), np.ones(len(ids))], axis=1)  # [N, 2]
    return Measured(tuple(ids), ("credit", "count"), rows)


def tiny_picture(path: Path, colour: str) -> None:
    """Write a square of one of `COLOURS` on grey, 32 x 24 pixels; the suffix is the format."""
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    picture = Image.new("RGB", (32, 24), (128, 128, 128))
    picture.paste(COLOURS[colour], (8, 4, 24, 20))
    picture.save(path)
