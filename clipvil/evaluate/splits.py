"""A task's examples in memory, once a process: splits, shifts of the report split, picture names.

A shift is a folder `shifts/NAME` of the data folder that holds the report split again, re-rendered:
the same ids, so that what it costs is paired example by example.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np

from clipvil import tasks
from clipvil.columns import Rows
from clipvil.core import Data, Example, Moves, Task, UsageError
from clipvil.files import SHIFTS, MissingFilesError, PictureIndex
from clipvil.graphs.connectivity import Graph
from clipvil.graphs.views import VIEWS, nearest

Select = Literal["apart", "reported"]  # see `train.recipe.Recipe`


@dataclass(frozen=True, slots=True)
class Source:
    """Whose examples: a task, where its files are, and how many of a test set are read at most."""

    task: str
    data: Data
    limit: int | None = None

    def load(self) -> Task:
        """The task itself."""
        return tasks.load(self.task)


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """Examples of a split with the name of each one's picture (a path under the data folder)."""

    examples: Sequence[Example]
    pictures: Sequence[str]
    files: Mapping[str, Path]  # picture name -> file

    def rows(self, indices: Any) -> Part:
        """Some of the examples."""
        chosen = np.asarray(indices, np.int64)
        pictures = [self.pictures[i] for i in chosen.tolist()]
        return Part(Rows(self.examples, chosen), pictures, self.files)


@lru_cache(maxsize=16)
def digest(*parts: Part) -> str:
    """sha256 of what examples ask, show and tell: other data make it another one."""
    found = hashlib.sha256()
    for some in parts:
        for example, picture in zip(some.examples, some.pictures, strict=True):
            path = () if example.episode is None else example.episode.path
            told = (example.id, picture, example.words, example.target, *path)
            found.update(repr(told).encode())
            if example.candidates:
                found.update(repr((example.text, example.candidates, example.regions)).encode())
    return found.hexdigest()


def shifts(data: Data) -> tuple[str, ...]:
    """Names of the shifted test sets beside the data."""
    if data.root is None or not (data.root / SHIFTS).is_dir():
        return ()
    return tuple(sorted(p.name for p in (data.root / SHIFTS).iterdir() if p.is_dir()))


_cache: dict[tuple[Any, ...], Part] = {}


@lru_cache(maxsize=8)
def _index(root: Path) -> PictureIndex:
    return PictureIndex(root)


def part(source: Source, split: str, shift: str | None = None) -> Part:
    """Examples of a split, or of a shift of it, and their pictures.

    Raises
        ValueError: an example without exactly one picture
        FileNotFoundError: a picture that is not under the data folder
    """
    given = tuple(sorted(source.data.given.items()))
    key = (source.task, source.data.root, given, source.limit, split, shift)
    if key not in _cache:
        _cache[key] = _read(source, split, shift)
    return _cache[key]


def _read(source: Source, split: str, shift: str | None) -> Part:
    task, data = source.load(), source.data
    top = data.root if data.root is not None else Path()
    if shift is not None:
        data = replace(data, root=top / SHIFTS / shift, given={})
    if data.root is None:  # an adopted run
        raise UsageError("this run knows no data folder: predict with --data, and score the file")
    examples: Sequence[Example] = task.examples(data, split)
    if split == task.splits.report and source.limit is not None:
        examples = examples[: source.limit]
    if not examples:
        raise ValueError(f"{task.name} has no example in its {split} split under {data.root}")
    index = _index(data.root)
    if isinstance(task.answer, Moves):
        return Part(examples, *panoramas(examples, index, top))
    names, files = list[str](), dict[str, Path]()
    for example in examples:
        if len(example.pictures) != 1:
            raise ValueError(f"{task.name} {example.id}: {len(example.pictures)} pictures, not one")
        try:
            path = index.find(example.pictures[0])
        except FileNotFoundError as error:
            raise FileNotFoundError(f"{task.name} {example.id}: {error}") from error
        name = path.relative_to(top).with_suffix("").as_posix()
        if files.setdefault(name, path) != path:
            raise ValueError(f"{files[name]} and {path} differ in their suffix only; rename one")
        names.append(name)
    return Part(examples, names, files)


def panoramas(
    examples: Sequence[Example], index: PictureIndex, top: Path
) -> tuple[list[str], dict[str, Path]]:
    """The view that each walk begins with, and all views of the buildings walked through.

    Views are pictures .../<scan>/<viewpoint>/<NN>. Where there are none at all, as R2R's pictures
    are not free to give on and its features are, a walk begins with no picture.

    Raises
        FileNotFoundError: some of them are not there
    """
    floors = {e.episode.scan: e.episode.floor for e in examples if e.episode is not None}
    files = dict[str, Path]()
    found = dict[str, str]()
    for scan, floor in floors.items():
        assert isinstance(floor, Graph), scan
        for viewpoint in floor.viewpoints:
            for view in range(VIEWS):
                name = f"{scan}/{viewpoint}/{view:02d}"
                try:
                    path = index.find(name)
                except FileNotFoundError:
                    if found:
                        raise
                    return [""] * len(examples), {}
                found[name] = path.relative_to(top).with_suffix("").as_posix()
                files[found[name]] = path
    return [found[first_view(example)] for example in examples], files


def first_view(example: Example) -> str:
    """What one looks at when a walk begins."""
    episode = example.episode
    assert episode is not None, example.id
    view = int(nearest(np.array([episode.heading]), np.zeros(1))[0])
    return f"{episode.scan}/{episode.path[0]}/{view:02d}"


def select(source: Source, how: Select = "apart") -> Part | None:
    """What selection reads; None where fitting pictures must be held back for it."""
    name = selected_on(source, how)
    if name is None:
        return None
    try:
        return part(source, name)
    except MissingFilesError:  # training and test data alone are enough
        return None


def selected_on(source: Source, how: Select) -> str | None:
    """The split that selection reads, which may be the reported one."""
    purposes = source.load().splits
    return purposes.report if how == "reported" else purposes.select


def tests(source: Source) -> Iterator[tuple[str | None, Part]]:
    """The report split, then its shifts by name."""
    report = source.load().splits.report
    yield None, part(source, report)
    for shift in shifts(source.data):
        yield shift, part(source, report, shift)


def _scans(part: Part) -> set[str]:
    return {example.cluster for example in part.examples}


def in_two(apart: Mapping[str, Collection[str]]) -> str | None:
    """Why these splits cannot be told apart: a picture stands in two of them; else None."""
    for one, other in itertools.combinations(apart, 2):
        if both := sorted(set(apart[one]) & set(apart[other])):
            return (
                f"{len(both):,} pictures are in {one} and in {other}, {both[0]} for one: "
                "what is tested on must not be trained on"
            )
    return None


def all_pictures(source: Source, *, needed: bool = True) -> dict[str, Path]:
    """Every picture that fitting, selecting and testing may look at.

    Args
        needed: that walks have no pictures is an error, as nobody has features of them either

    Raises
        ValueError: a picture stands in two of the splits, so that scores would be too good
    """
    names = source.load().splits
    apart = {names.fit: part(source, names.fit), names.report: part(source, names.report)}
    selecting = select(source)
    if selecting is not None:
        apart[str(names.select)] = selecting
    shown: Mapping[str, Collection[str]] = {name: some.pictures for name, some in apart.items()}
    if isinstance(source.load().answer, Moves):  # val_seen is walked in buildings of train
        shown = {name: _scans(apart[name]) for name in (names.fit, names.report)}
    if problem := in_two(shown):
        raise ValueError(problem)
    files = dict[str, Path]()
    for some in apart.values():
        files |= some.files
    for _, test in tests(source):
        files |= test.files
    if needed and not files:
        raise ValueError(
            f"no views <scan>/<viewpoint>/<NN> of these walks under {source.data.root}: give those "
            "pictures, or features of them instead of an encoder"
        )
    return files
