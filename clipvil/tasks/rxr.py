"""RxR: long walks through a house as somebody says in English, Hindi or Telugu.

Source   https://github.com/google-research-datasets/RxR, arXiv:2010.07954
Files    rxr_{train,val_seen,val_unseen}_guide.jsonl.gz, rxr_test_*_public_guide.jsonl.gz and the
         folder `connectivity`
Metric   as R2R's; nDTW ranks. Distances are those of the public graphs; the followers' published
         figures were taken on others, which differ by about 2 %
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from clipvil.columns import Interned, Numbered, Strings, Tuples
from clipvil.core import Answer, Data, Download, Example, Moves, OfficialFile, Splits, Task
from clipvil.files import find, read_rows, write_jsonl
from clipvil.tasks._walks import (
    GRAPHS,
    METRICS,
    Episodes,
    Floors,
    finite,
    graphs,
    measure,
    on_spot,
    reduce,
    steps,
    tiny_graph,
    views,
)
from clipvil.tasks.base import Number, of_split

LONGEST = 30  # steps an agent may take
FIRST = ("ndtw", "sdtw")  # what ranks
SOURCE = "https://github.com/google-research-datasets/RxR#dataset-download"
BUCKET = "https://storage.googleapis.com/rxr-data"  # gs://rxr-data for who is not logged in
HIDDEN = ("test_standard", "test_challenge")
NAMES = {split: f"rxr_{split}_guide.jsonl" for split in ("train", "val_seen", "val_unseen")} | {
    split: f"rxr_{split}_public_guide.jsonl" for split in HIDDEN
}
SIZES = {  # as the release rounds them
    "train": 72_100_000, "val_seen": 12_900_000, "val_unseen": 12_000_000,
    "test_standard": 1_900_000, "test_challenge": 1_900_000,
}  # fmt: skip
FILES = tuple(
    OfficialFile(
        role="annotations",
        split=split,
        name=name,
        source=SOURCE,
        download=Download(urls=(f"{BUCKET}/{name}.gz",), about=SIZES[split]),
    )
    for split, name in NAMES.items()
) + graphs([*NAMES])


class Guided(msgspec.Struct):
    """A path and what one person said of it."""

    instruction_id: Number
    scan: str
    path: list[str]
    heading: float
    language: str
    instruction: str

    def __post_init__(self) -> None:
        finite([self.heading])


class Predicted(msgspec.Struct):
    """A row of predictions."""

    instruction_id: int | None = None
    path: list[str] | None = None
    id: int | str | None = None
    answer: list[str] | None = None

    def __post_init__(self) -> None:
        official = self.instruction_id is not None and self.path is not None
        if official == (self.id is not None and self.answer is not None):
            raise ValueError("a prediction needs `instruction_id` and `path`, or `id` and `answer`")


def examples(data: Data, split: str) -> Sequence[Example]:
    """Read one split; of the test paths only the start is public.

    Raises
        MissingFilesError: an official file is not there
        ValueError: a file is not what it should be, or not of these graphs; names file and row
    """
    found = find(data, of_split(FILES, split))
    floors, path = Floors(found[GRAPHS]), found["annotations"]
    numbers, words, languages = array("q"), Strings(), Interned()
    scans, paths, headings = Interned(), Tuples(), array("d")
    rows = dict[int, str]()
    for place, row in read_rows(path, Guided):
        number = row.instruction_id
        if number in rows:
            raise ValueError(f"{path}, {place}: instruction {number} is also {rows[number]}")
        rows[number] = place
        try:
            floors.check(row.scan, row.path, hidden=split in HIDDEN)
        except ValueError as error:
            raise ValueError(f"{path}, {place}: {error}") from error
        numbers.append(number)
        words.append(row.instruction)
        languages.append(row.language)
        scans.append(row.scan)
        paths.append(row.path)
        headings.append(row.heading)
    return Episodes(
        ids=Numbered("{}", numbers), words=words, walks=range(len(numbers)), scans=scans,
        paths=paths, headings=headings, floors=floors, languages=languages,
    )  # fmt: skip


def read(path: Path) -> Iterator[tuple[str, Answer]]:
    """Rows with `instruction_id` and `path`, or `id` and `answer`, a list of viewpoints."""
    for _, row in read_rows(path, Predicted):
        if row.path is not None:
            yield str(row.instruction_id), on_spot(row.path)
        else:
            yield str(row.id), on_spot(row.answer)


def write(path: Path, answers: Mapping[str, Answer]) -> None:
    """One JSON object a line with `instruction_id` and the viewpoints of its `path`."""
    write_jsonl(
        path,
        (
            {"instruction_id": int(i), "path": [viewpoint for viewpoint, _, _ in steps(answer)]}
            for i, answer in answers.items()
        ),
    )


def tiny(root: Path) -> None:
    """A corridor a split with a path along it, described in three languages."""
    told = {"en-IN": "Go on to the end.", "hi-IN": "अंत तक चलो।", "te-IN": "చివరి వరకు వెళ్ళు."}
    for number, (split, name) in enumerate(NAMES.items(), 1):
        scan = f"tiny{number}"
        path = tiny_graph(root / GRAPHS, scan)
        rows = [
            {"split": split, "instruction_id": 10 * number + k, "path_id": number, "scan": scan,
             "path": path[:1] if split in HIDDEN else path, "heading": 1.5, "language": language,
             "instruction": words}
            for k, (language, words) in enumerate(told.items())
        ]  # fmt: skip
        write_jsonl(root / name, rows)


TASK = Task(
    name="rxr",
    version=1,
    summary="RxR: long walks through a house as somebody says in one of three languages",
    answer=Moves(LONGEST),
    metrics=(*map(METRICS.__getitem__, FIRST),
             *(metric for name, metric in METRICS.items() if name not in FIRST)),
    splits=Splits(fit="train", select="val_seen", report="val_unseen", hidden=HIDDEN),
    files=FILES,
    archives=views([*NAMES]),
    examples=examples,
    measure=measure,
    reduce=reduce,
    read=read,
    write=write,
    tiny=tiny,
    breakdowns=("language",),
    broken=("success_rate",),
)  # fmt: skip
