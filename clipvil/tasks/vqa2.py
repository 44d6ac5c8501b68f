"""VQA v2: open questions about COCO pictures, each answered by ten people.

Source   https://visualqa.org, arXiv:1612.00837; `vqa2@cp`: arXiv:1712.00377, the same questions
         split anew so that the answers to each kind of question are others than in training;
         `vqa2@vg`: Visual Genome's questions to train on as well (see `_vg`);
         `vqa2@minival`: the part of val that LXMERT and its followers report (see `_minival`)
Files    v2_OpenEnded_mscoco_{split}_questions.json and v2_mscoco_{split}_annotations.json;
         `vqa2@cp`: vqacp_v2_{split}_questions.json and vqacp_v2_{split}_annotations.json, bare
         arrays, each question with the COCO split of its picture
Metric   https://visualqa.org/evaluation.html, in percent; theirs is rounded to two decimals, ours
         is not
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from clipvil.columns import Interned, Numbered, Rows, Strings, Tuples
from clipvil.core import (
    Answer,
    Data,
    Example,
    Labels,
    Metric,
    OfficialFile,
    Said,
    Splits,
    Task,
    Totals,
)
from clipvil.files import find, read_rows, write_json
from clipvil.metrics import ratio
from clipvil.sources import coco_pictures
from clipvil.tasks import _minival, _vg
from clipvil.tasks._kept import kept
from clipvil.tasks._vqa2_files import CP_FILES, CP_YEARS, FILES, PICTURES, YEARS
from clipvil.tasks.base import (
    COLOURS,
    Number,
    Questions,
    distinct,
    measure_vqa,
    of_split,
    tiny_picture,
    vqa_credits,
    words,
)


class Asked(msgspec.Struct, gc=False):
    """A row of the questions file."""

    question_id: Number
    image_id: Number
    question: str


class Placed(Asked, gc=False):
    """A row of the questions file where pictures of two years are mixed."""

    coco_split: Literal["train2014", "val2014"]


class Told(msgspec.Struct, gc=False):
    """One person's answer; without an `answer_id` of its own it has twins."""

    answer: str
    answer_id: int | str | None = None
    answer_confidence: str | None = None


class Annotated(msgspec.Struct):
    """A row of the annotations file."""

    question_id: Number
    answers: list[Told]
    question_type: str = "unknown"
    answer_type: str = "other"

    def __post_init__(self) -> None:
        if not self.answers:
            raise ValueError("a question without answers")


class Predicted(msgspec.Struct):
    """A row of a submission, or of JSONL rows with `id`."""

    answer: str
    question_id: int | str | None = None
    id: int | str | None = None

    def __post_init__(self) -> None:
        if (self.question_id is None) == (self.id is None):
            raise ValueError("a prediction needs `question_id` or `id`, and not both")


@dataclass(slots=True)
class Annotations:
    """The annotations file in columns."""

    ids: array[int] = field(default_factory=lambda: array("q"))
    answers: Tuples = field(default_factory=Tuples)
    question_types: Interned = field(default_factory=Interned)
    answer_types: Interned = field(default_factory=Interned)
    marks: dict[int, tuple[str, ...]] = field(default_factory=dict)  # by row, where there are twins

    def append(self, row: Annotated) -> None:
        """Add a row."""
        told = row.answers
        if len({one.answer_id for one in told}) < len(told):
            self.marks[len(self.ids)] = tuple(
                f"{one.answer_id!r} {one.answer_confidence}" for one in told
            )
        self.ids.append(row.question_id)
        self.answers.append([one.answer for one in told])
        self.question_types.append(row.question_type)
        self.answer_types.append(row.answer_type)

    def strata(self) -> dict[str, Sequence[str]]:
        """The breakdowns."""
        return {"answer_type": self.answer_types, "question_type": self.question_types}


def examples(files: tuple[OfficialFile, ...], data: Data, split: str) -> Sequence[Example]:
    """Read one split; the answers to the test questions are hidden.

    Raises
        MissingFilesError: an official file is not there
        ValueError: a file is not what it should be, or the two are not of the same questions
    """
    paths = find(data, of_split(files, split))
    ids, images, words, placed = array("q"), array("q"), Strings(), Interned()
    kind = Placed if files is CP_FILES else Asked
    for _, row in read_rows(paths["questions"], kind, "questions"):
        ids.append(row.question_id)
        images.append(row.image_id)
        words.append(row.question)
        if isinstance(row, Placed):
            placed.append(f"COCO_{row.coco_split}_{row.image_id:012d}")
    questions = Questions(
        ids=Numbered("{}", ids),
        clusters=Numbered("{}", images),
        pictures=placed or Numbered(f"COCO_{PICTURES[split]}_{{:012d}}", images),
        words=words,
    )
    _distinct(ids, paths, "questions", kind)
    return _answered(questions, np.array(ids), paths) if "annotations" in paths else questions


def _answered(
    questions: Questions, asked: NDArray[np.int64], paths: Mapping[str, Path]
) -> Questions:
    told = Annotations()
    for _, row in read_rows(paths["annotations"], Annotated, "annotations"):
        told.append(row)
    _distinct(told.ids, paths, "annotations", Annotated)
    ids = np.array(told.ids)
    for one, other, first, second in (
        (asked, ids, "questions", "annotations"),
        (ids, asked, "annotations", "questions"),
    ):
        alone = np.setdiff1d(one, other)
        if len(alone):
            listed = ", ".join(map(str, alone[:5]))
            raise ValueError(
                f"{len(alone):,} questions of {paths[first]} are not in {paths[second]}: {listed}"
            )
    if np.array_equal(asked, ids):  # as published
        return replace(questions, answers=told.answers, marks=told.marks, strata=told.strata())
    order = np.argsort(ids)[np.searchsorted(np.sort(ids), asked)]  # asked == ids[order]
    places = np.flatnonzero(np.isin(order, list(told.marks))).tolist()
    return replace(
        questions,
        answers=Rows(told.answers, order),
        marks={place: told.marks[int(order[place])] for place in places},
        strata={kind: Rows(column, order) for kind, column in told.strata().items()},
    )


def _distinct(ids: array[int], paths: Mapping[str, Path], role: str, kind: Any) -> None:
    """Check that no question is in a file twice."""
    again = ((place, row.question_id) for place, row in read_rows(paths[role], kind, role))
    distinct(ids, paths[role], "questions", again)


def reduce(totals: Totals) -> dict[str, NDArray[np.float64]]:
    """Mean credit and mean soft score in percent."""
    sums = {"accuracy": totals["credit"], "soft_accuracy": totals["soft"]}
    return {name: ratio(total, totals["count"], 100) for name, total in sums.items()}


def read(path: Path) -> Iterator[tuple[str, Answer]]:
    """A submission, or JSONL rows with `id` and `answer`."""
    for _, row in read_rows(path, Predicted):
        yield str(row.id if row.question_id is None else row.question_id), Said(row.answer)


def write(path: Path, answers: Mapping[str, Answer]) -> None:
    """The official submission: a JSON array, one object a question."""
    rows = [{"question_id": int(i), "answer": words(answer)} for i, answer in answers.items()]
    write_json(path, rows)


def tiny(files: tuple[OfficialFile, ...], years: Mapping[str, str], root: Path) -> None:
    """Three squares a split, and two questions about each."""
    for number, (split, year) in enumerate(years.items(), 1):
        asked, told = list[dict[str, object]](), list[dict[str, object]]()
        for image, colour in enumerate(COLOURS, 100 * number):
            tiny_picture(root / f"COCO_{year}_{image:012d}.jpg", colour)
            for k, (question, answer, kind) in enumerate(
                [("What color is the square?", colour, "other"),
                 ("Is the square red?", "yes" if colour == "red" else "no", "yes/no")]
            ):  # fmt: skip
                row = {"question_id": 1000 * image + k, "image_id": image}
                people = [{"answer": answer, "answer_confidence": "yes", "answer_id": person}
                          for person in range(1, 11)]  # fmt: skip
                asked.append(row | {"question": question, "coco_split": year})
                told.append(row | {"question_type": question[:4].lower().strip(),
                                   "answer_type": kind, "multiple_choice_answer": answer,
                                   "answers": people})  # fmt: skip
        for file in of_split(files, split):
            rows = asked if file.role == "questions" else told
            write_json(root / file.name, rows if files is CP_FILES else {file.role: rows})


def tiny_vg(root: Path) -> None:
    """As `tiny`, and some of Visual Genome's."""
    tiny(FILES, PICTURES, root)
    _vg.tiny(root)


TASK = Task(
    name="vqa2",
    version=1,
    summary="VQA v2: open questions about COCO pictures, each answered by ten people",
    answer=Labels(3_129, vqa_credits),
    metrics=(
        Metric("accuracy", "%"),
        Metric("soft_accuracy", "%"),  # to explain other people's figures with: never the headline
    ),
    splits=Splits(fit="train", select=None, report="val", hidden=("test", "test-dev")),
    files=FILES,
    examples=kept("vqa2", FILES, partial(examples, FILES)),
    measure=measure_vqa,
    reduce=reduce,
    read=read,
    write=write,
    tiny=partial(tiny, FILES, PICTURES),
    archives=tuple(coco_pictures(split, PICTURES[split]) for split in ("train", "val", "test")),
    breakdowns=("answer_type",),
)
VARIANTS = {
    "cp": replace(
        TASK,
        name="vqa2@cp",
        summary="VQA-CP v2: VQA v2 split so that the answers in testing are other ones",
        splits=Splits(fit="train", select=None, report="test"),
        files=CP_FILES,
        archives=tuple(  # both years, in either split
            coco_pictures(split, YEARS[year]) for split in CP_YEARS for year in ("train", "val")
        ),
        examples=partial(examples, CP_FILES),
        tiny=partial(tiny, CP_FILES, CP_YEARS),
    ),
    "vg": replace(
        TASK,
        name="vqa2@vg",
        summary="VQA v2 with Visual Genome's questions to train on too, but on no picture of val's",
        files=FILES + _vg.FILES,
        archives=TASK.archives + _vg.PICTURES,
        examples=_vg.added(TASK.examples, TASK.splits.report),
        tiny=tiny_vg,
    ),
    "minival": _minival.variant(
        TASK, summary="VQA v2, scored on the part of its val questions that LXMERT set apart"
    ),
}
