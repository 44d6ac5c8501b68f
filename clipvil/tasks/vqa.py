"""Own questions about own pictures, answered by one person or several.

Files    DIR/{train,val,test}.jsonl: rows of `image`, `question`, `answer(s)` and perhaps `id`
Metric   accuracy, VQA's, where every row has ten answers; else exact_match: whether the answer is
         one of the row's, both cleaned as VQA's are. In percent
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from clipvil.columns import Strings, Tuples
from clipvil.core import (
    Answer,
    Data,
    Example,
    Labels,
    Measured,
    Metric,
    Said,
    Splits,
    Task,
    Totals,
)
from clipvil.files import read_rows, write_jsonl
from clipvil.metrics import ratio
from clipvil.metrics.text import clean_vqa
from clipvil.tasks import _own
from clipvil.tasks.base import (
    COLOURS,
    Questions,
    humans,
    measure_vqa,
    tiny_picture,
    vqa_credits,
    words,
    write_words,
)

TEN = 10  # answers a row that VQA's accuracy takes
FILES = _own.files('"question", "answers"')


class Asked(msgspec.Struct):
    """A row of the data."""

    image: str
    question: str
    answers: list[str] = []
    answer: str | None = None
    id: int | str | None = None

    def __post_init__(self) -> None:
        self.image = _own.inside(self.image)
        if self.answer is not None:
            if self.answers:
                raise ValueError("either `answers` or `answer`, not both")
            self.answers = [self.answer]
        if not self.answers or not all(map(str.strip, self.answers)):
            raise ValueError("a row needs `answers` or `answer`, and no answer may be empty")


class Predicted(msgspec.Struct):
    """A row of predictions."""

    id: int | str
    answer: str


def examples(data: Data, split: str) -> Sequence[Example]:
    """Read one split.

    Raises
        MissingFilesError: there is no such file
        ValueError: a row is not what it should be; names file and row
    """
    ids, pictures, asked, told = Strings(), Strings(), Strings(), Tuples()
    for name, row in _own.rows(data, FILES, split, Asked):
        ids.append(name)
        pictures.append(row.image)
        asked.append(row.question)
        told.append(row.answers)
    return Questions(ids=ids, clusters=pictures, pictures=pictures, words=asked, answers=told)


def credit(example: Example) -> Mapping[str, float]:
    """VQA's credit of every answer where there are ten, else one for each."""
    told = humans(example).answers
    if len(told) == TEN:
        return vqa_credits(example)
    return dict.fromkeys(map(clean_vqa, told), 1.0)


def measure(examples: Sequence[Example], answers: Mapping[str, Answer]) -> Measured:
    """Which metric these examples have shows in the columns: `credit` or `matches`."""
    if all(len(humans(example).answers) == TEN for example in examples):
        return measure_vqa(examples, answers)
    ids, same = list[str](), list[bool]()
    for example in examples:
        ids.append(example.id)
        answer = clean_vqa(words(answers[example.id]))
        same.append(answer in map(clean_vqa, humans(example).answers))
    rows = np.stack([np.array(same, np.float64), np.ones(len(ids))], axis=1)  # [N, 2]
    return Measured(tuple(ids), ("matches", "count"), rows)


def reduce(totals: Totals) -> dict[str, NDArray[np.float64]]:
    """The one metric that the columns are of, in percent."""
    if "credit" in totals:
        return {"accuracy": ratio(totals["credit"], totals["count"], 100)}
    return {"exact_match": ratio(totals["matches"], totals["count"], 100)}


def read(path: Path) -> Iterator[tuple[str, Answer]]:
    """Rows with `id` and `answer`, one a line or in a JSON array."""
    for _, row in read_rows(path, Predicted):
        yield str(row.id), Said(row.answer)


def tiny(root: Path) -> None:
    """Three squares a split, one question about each, answered by one person."""
    for split in _own.SPLITS:
        rows = list[dict[str, object]]()
        for colour in COLOURS:
            image = f"pictures/{split}-{colour}.png"
            tiny_picture(root / image, colour)
            rows.append({"image": image, "question": "What colour is it?", "answers": [colour]})
        write_jsonl(root / f"{split}.jsonl", rows)


TASK = Task(
    name="vqa",
    version=1,
    summary="your own questions about your own pictures",
    answer=Labels(3_129, credit),
    metrics=(Metric("accuracy", "%"), Metric("exact_match", "%")),
    splits=Splits(fit="train", select="val", report="test"),
    files=FILES,
    examples=examples,
    measure=measure,
    reduce=reduce,
    read=read,
    write=write_words,
    tiny=tiny,
)
