"""VCR: a question about a scene of a film, four answers to choose from, then four rationales.

Source   https://visualcommonsense.com, arXiv:1811.10830
Files    {train,val,test}.jsonl: question, answers and rationales are lists of tokens, a token is a
         word or a list of places in `objects`, counted from 0. Boxes and polygons of the objects
         are in a JSON file beside each picture, under vcr1images
Metric   q_a: the right answer; qa_r: the right rationale, given the right answer; q_ar: both for
         the same question, not the product of the two shares. In percent
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated

import msgspec
import numpy as np
from numpy.typing import NDArray

from clipvil import sources
from clipvil.columns import Column, Strings
from clipvil.core import (
    Answer,
    Choices,
    Data,
    Example,
    Gold,
    Measured,
    Metric,
    OfficialFile,
    Region,
    Segment,
    Splits,
    Task,
    Totals,
)
from clipvil.files import (
    MissingFilesError,
    find,
    read_json,
    read_rows,
    walk,
    write_json,
    write_jsonl,
)
from clipvil.metrics import ratio
from clipvil.tasks import _vcr_submission
from clipvil.tasks._own import inside
from clipvil.tasks.base import COLOURS, chosen, distinct, gold, of_split, tiny_picture

SOURCE = "https://visualcommonsense.com/download"
HIDDEN = ("test",)
KEPT = 4_096  # questions of a split that stay decoded: some ten megabytes
FILES = tuple(
    OfficialFile(
        role="annotations", split=split, name=f"{split}.jsonl", source=SOURCE, gate=sources.VCR
    )
    for split in ("train", "val", *HIDDEN)
)
PICTURES = tuple(
    replace(file, role="pictures", name="vcr1images") for file in FILES
)  # and their boxes
Place = Annotated[int, msgspec.Meta(ge=0, lt=_vcr_submission.CHOICES)]
Tokens = list[str | list[int]]


class Row(msgspec.Struct):
    """A question; of hidden ones the labels are not published."""

    annot_id: str
    img_fn: str
    metadata_fn: str
    objects: list[str]
    question: Tokens
    answer_choices: list[Tokens]
    rationale_choices: list[Tokens]
    answer_label: Place | None = None
    rationale_label: Place | None = None

    def __post_init__(self) -> None:
        self.img_fn, self.metadata_fn = inside(self.img_fn), inside(self.metadata_fn)
        for choices in (self.answer_choices, self.rationale_choices):
            if len(choices) != _vcr_submission.CHOICES:
                raise ValueError(f"{len(choices)} choices, not {_vcr_submission.CHOICES}")
        for tokens in (self.question, *self.answer_choices, *self.rationale_choices):
            for tag in (tag for token in tokens if isinstance(token, list) for tag in token):
                if not 0 <= tag < len(self.objects):
                    raise ValueError(f"tag {tag}, but there are {len(self.objects)} objects")


class Metadata(msgspec.Struct):
    """What is where in a picture, in pixels; a box is x1, y1, x2, y2 and a detector's score."""

    boxes: list[list[float]]
    segms: list[list[list[tuple[float, float]]]]

    def __post_init__(self) -> None:
        if len(self.boxes) != len(self.segms):
            raise ValueError(f"{len(self.boxes)} boxes, but polygons of {len(self.segms)} objects")
        for number, box in enumerate(self.boxes):
            if len(box) < 4 or not np.isfinite(box).all() or box[0] > box[2] or box[1] > box[3]:
                raise ValueError(f"box {number} is none: {box}")


@dataclass(slots=True, eq=False)
class Scenes(Column[Example]):
    """Questions as JSON in one block; boxes are read from the files when a question is asked for.

    `metadata` are those files by official name; None where there is no data folder. Of few
    questions, which are read over and over, the first that are asked for are kept as they are.
    """

    root: Path | None
    ids: Strings = field(default_factory=Strings)
    rows: Strings = field(default_factory=Strings)
    metadata: Mapping[str, Path] | None = None
    _kept: dict[int, Example] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.ids)

    def row(self, index: int) -> Example:
        """One question.

        Raises
            MissingFilesError: the file of boxes is not under the data folder
            ValueError: it is not what it should be, or is not of these objects; names the file
        """
        if index not in self._kept:
            example = self._decoded(index)
            if len(self._kept) == KEPT:
                return example
            self._kept[index] = example
        return self._kept[index]

    def _decoded(self, index: int) -> Example:
        row = msgspec.json.decode(self.rows[index], type=Row)
        target = None
        if row.answer_label is not None and row.rationale_label is not None:
            target = Gold((row.answer_label, row.rationale_label))
        return Example(
            id=row.annot_id,
            cluster=row.img_fn,
            pictures=(row.img_fn,),
            text=segments(row.question),
            candidates=(
                tuple(map(segments, row.answer_choices)),
                tuple(map(segments, row.rationale_choices)),
            ),
            regions=self.regions(row),
            target=target,
        )

    def regions(self, row: Row) -> tuple[Region, ...]:
        """The objects in the picture; none without a data folder."""
        if self.metadata is None:
            return ()
        if row.metadata_fn not in self.metadata:
            wanted = OfficialFile(role="boxes", split="all", name=row.metadata_fn, source=SOURCE)
            raise MissingFilesError(self.root, [wanted])
        path = self.metadata[row.metadata_fn]
        found: Metadata = read_json(path, Metadata)
        boxes, objects = len(found.boxes), len(row.objects)
        if boxes != objects:
            raise ValueError(f"{path}: {boxes} boxes, but {objects} objects in {row.annot_id}")
        return tuple(
            Region((box[0], box[1], box[2], box[3]), name, tuple(map(tuple, polygons)))
            for box, name, polygons in zip(found.boxes, row.objects, found.segms, strict=True)
        )


def segments(tokens: Tokens) -> tuple[Segment, ...]:
    """Runs of words, and mentions of regions between them."""
    found, words = list[Segment](), list[str]()
    for token in tokens:
        if isinstance(token, str):
            words.append(token)
            continue
        if words:
            found.append(Segment(" ".join(words)))
            words = []
        found.append(Segment("", tuple(token)))
    return (*found, Segment(" ".join(words))) if words else tuple(found)


def examples(data: Data, split: str) -> Sequence[Example]:
    """Read one split; the answers to the test questions are hidden.

    Raises
        MissingFilesError: the official file is not there
        ValueError: a row is not what it should be; names file and row
    """
    path = find(data, of_split(FILES, split))["annotations"]
    scenes, wanted = Scenes(data.root), set[str]()
    for place, row in read_rows(path, Row):
        if split not in HIDDEN and (row.answer_label is None or row.rationale_label is None):
            raise ValueError(f"{path}, {place}: no `answer_label` or no `rationale_label`")
        scenes.ids.append(row.annot_id)
        scenes.rows.append(msgspec.json.encode(row).decode())
        wanted.add(row.metadata_fn)
    again = ((place, row.annot_id) for place, row in read_rows(path, Row))
    distinct(scenes.ids, path, "questions", again)
    if data.root is not None:
        scenes.metadata = places(data.root, wanted)
    return scenes


def places(root: Path, wanted: set[str]) -> dict[str, Path]:
    """Where files are that are called by the ends of their paths.

    Raises
        ValueError: two files are called the same
    """
    found = dict[str, Path]()
    for path in walk(root):
        if path.suffix == ".json":
            parts = path.relative_to(root).parts
            for name in wanted.intersection("/".join(parts[k:]) for k in range(len(parts))):
                if found.setdefault(name, path) != path:
                    raise ValueError(f"two candidates for {name}: {found[name]} and {path}")
    return found


def measure(examples: Sequence[Example], answers: Mapping[str, Answer]) -> Measured:
    """What was right of every question."""
    ids, rows = list[str](), list[tuple[bool, ...]]()
    for example in examples:
        answer, (right, reason) = chosen(answers[example.id]), gold(example)
        hit, why = answer.index == right, answer.then[right].index == reason
        ids.append(example.id)
        rows.append((hit, why, hit and why, True))
    columns = ("q_a", "qa_r", "q_ar", "count")
    return Measured(tuple(ids), columns, np.array(rows, np.float64).reshape(-1, len(columns)))


def reduce(totals: Totals) -> dict[str, NDArray[np.float64]]:
    """Shares in percent."""
    return {metric.name: ratio(totals[metric.name], totals["count"], 100) for metric in METRICS}


def tiny(root: Path) -> None:
    """Three squares a split, and one question about each."""
    answers = [*COLOURS, "purple"]
    for file in FILES:
        rows = list[dict[str, object]]()
        for right, colour in enumerate(COLOURS):
            name = f"a_film/{file.split}-{colour}@0"
            tiny_picture(root / "vcr1images" / f"{name}.jpg", colour)
            corners = [[8, 4], [24, 4], [24, 20], [8, 20]]
            write_json(root / "vcr1images" / f"{name}.json", {
                "boxes": [[8, 4, 24, 20, 1.0]], "segms": [[corners]], "names": ["square"],
                "width": 32, "height": 24,
            })  # fmt: skip
            rows.append({
                "movie": "a_film", "img_fn": f"{name}.jpg", "metadata_fn": f"{name}.json",
                "annot_id": f"{file.split}-{right}", "objects": ["square"],
                "question": ["What", "color", "is", [0], "?"],
                "answer_choices": [[[0], "is", answer, "."] for answer in answers],
                "rationale_choices": [["It", "looks", answer, "."] for answer in answers[::-1]],
            })  # fmt: skip
            if file.split not in HIDDEN:
                rows[-1] |= {"answer_label": right, "rationale_label": 3 - right}
        write_jsonl(root / file.name, rows)


METRICS = (Metric("q_ar", "%"), Metric("q_a", "%"), Metric("qa_r", "%"))
TASK = Task(
    name="vcr",
    version=1,
    summary="VCR: a question about a scene of a film, four answers, then four rationales",
    answer=Choices(),
    metrics=METRICS,
    splits=Splits(fit="train", select=None, report="val", hidden=HIDDEN),
    files=FILES,
    archives=PICTURES,
    examples=examples,
    measure=measure,
    reduce=reduce,
    read=_vcr_submission.read,
    write=_vcr_submission.write,
    tiny=tiny,
)
