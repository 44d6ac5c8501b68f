"""R2R: walking through a house as a sentence says, each path described by three people.

Source   https://bringmeaspoon.org, arXiv:1711.07280; addresses as tasks/R2R/data/download.sh of
         https://github.com/peteanderson80/Matterport3DSimulator has them since 2020
Files    R2R_{train,val_seen,val_unseen,test}.json and the folder `connectivity`; the k-th
         instruction of a path goes by <path_id>_<k>
Metric   the evaluator of peteanderson80/Matterport3DSimulator, over all instructions (of the few
         paths that have four, it leaves out the fourth)
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from clipvil.columns import Interned, Strings, Tuples
from clipvil.core import Answer, Data, Download, Example, Moves, OfficialFile, Splits, Task, Walked
from clipvil.files import find, read_rows, write_json
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
from clipvil.tasks.base import of_split

LONGEST = 15  # steps an agent may take, as in the published agents
SPLITS = ("train", "val_seen", "val_unseen", "test")
HIDDEN = ("test",)
SOURCE = "https://github.com/peteanderson80/Matterport3DSimulator/tree/master/tasks/R2R"
SHARED = "https://www.dropbox.com/s/{}/{}?dl=1"  # without dl=1 a page about the file comes
KEYS = {
    "train": "hh5qec8o5urcztn", "val_seen": "8ye4gqce7v8yzdm", "val_unseen": "p6hlckr70a07wka",
    "test": "w4pnbwqamwzdwd1",
}  # fmt: skip


def official(split: str) -> OfficialFile:
    """The paths and instructions of a split."""
    name = f"R2R_{split}.json"
    download = Download(urls=(SHARED.format(KEYS[split], name),))
    return OfficialFile(
        role="annotations", split=split, name=name, source=SOURCE, download=download
    )


FILES = tuple(map(official, SPLITS)) + graphs(SPLITS)


class Described(msgspec.Struct):
    """A path and what several people said of it."""

    path_id: int
    scan: str
    path: list[str]
    heading: float
    instructions: list[str]

    def __post_init__(self) -> None:
        finite([self.heading])


class Predicted(msgspec.Struct):
    """A row of a submission, or of JSONL rows with `id` and a list of viewpoints."""

    instr_id: str | None = None
    trajectory: list[tuple[str, float, float]] | None = None
    id: str | None = None
    answer: list[str] | None = None

    def __post_init__(self) -> None:
        official = self.instr_id is not None and self.trajectory is not None
        if official == (self.id is not None and self.answer is not None):
            raise ValueError("a prediction needs `instr_id` and `trajectory`, or `id` and `answer`")
        for _, *angles in self.trajectory or ():
            finite(angles)


def examples(data: Data, split: str) -> Sequence[Example]:
    """Read one split; of the test paths only the start is public.

    Raises
        MissingFilesError: an official file is not there
        ValueError: a file is not what it should be, or not of these graphs; names file and row
    """
    found = find(data, of_split(FILES, split))
    floors, path = Floors(found[GRAPHS]), found["annotations"]
    ids, words, walks = Strings(), Strings(), array("q")
    scans, paths, headings = Interned(), Tuples(), array("d")
    rows = dict[int, str]()
    for place, row in read_rows(path, Described):
        if row.path_id in rows:
            raise ValueError(f"{path}, {place}: path {row.path_id} is also {rows[row.path_id]}")
        rows[row.path_id] = place
        try:
            floors.check(row.scan, row.path, hidden=split in HIDDEN)
        except ValueError as error:
            raise ValueError(f"{path}, {place}: {error}") from error
        for number, instruction in enumerate(row.instructions):
            ids.append(f"{row.path_id}_{number}")
            words.append(instruction)
            walks.append(len(scans))
        scans.append(row.scan)
        paths.append(row.path)
        headings.append(row.heading)
    return Episodes(
        ids=ids, words=words, walks=walks, scans=scans, paths=paths, headings=headings,
        floors=floors,
    )  # fmt: skip


def read(path: Path) -> Iterator[tuple[str, Answer]]:
    """A submission, or JSONL rows with `id` and `answer`, a list of viewpoints."""
    for _, row in read_rows(path, Predicted):
        if row.trajectory is not None:
            yield row.instr_id, Walked(tuple(row.trajectory))
        else:
            yield row.id, on_spot(row.answer)


def write(path: Path, answers: Mapping[str, Answer]) -> None:
    """The official submission: a JSON array, one object an instruction."""
    rows = [{"instr_id": i, "trajectory": steps(answer)} for i, answer in answers.items()]
    write_json(path, rows)


def tiny(root: Path) -> None:
    """A corridor a split with two paths along it, three instructions each."""
    for number, split in enumerate(SPLITS, 1):
        scan = f"tiny{number}"
        names = tiny_graph(root / GRAPHS, scan)
        rows = []
        for k, path in enumerate((names, names[::-1][:3])):
            shown = path[:1] if split in HIDDEN else path
            row = {"path_id": 10 * number + k, "scan": scan, "path": shown, "heading": 1.5}
            far = {} if split in HIDDEN else {"distance": 2.0 * (len(path) - 1)}
            told = [f"Go on to the {end}." for end in ("end", "wall", "window")]
            rows.append(row | far | {"instructions": told})
        write_json(root / f"R2R_{split}.json", rows)


TASK = Task(
    name="r2r",
    version=1,
    summary="R2R: walking through a house as a sentence says",
    answer=Moves(LONGEST),
    metrics=tuple(METRICS.values()),
    splits=Splits(fit="train", select="val_seen", report="val_unseen", hidden=HIDDEN),
    files=FILES,
    archives=views(SPLITS),
    examples=examples,
    measure=measure,
    reduce=reduce,
    read=read,
    write=write,
    tiny=tiny,
)
