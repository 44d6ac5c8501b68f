"""Questions parsed once: their columns are kept in the user's cache, and read there ever after.

Files    $XDG_CACHE_HOME/clipvil/columns/<hash of task, split, paths>.safetensors; what it says of
         the official files' sizes and times of change must still hold, else they are parsed anew
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from clipvil import columns
from clipvil.core import Data, Example, OfficialFile
from clipvil.files import atomic, find
from clipvil.progress import say
from clipvil.tasks.base import Questions, of_split

WORTH = 1 << 26  # bytes of official files; smaller ones are read at once
FORMAT = 1  # to be raised whenever a task's columns come to mean something else
FIELDS = ("ids", "clusters", "pictures", "words", "answers")
KINDS = {kind.__name__: kind for kind in
         (columns.Strings, columns.Interned, columns.Tuples, columns.Numbered)}  # fmt: skip

Read = Callable[[Data, str], Sequence[Example]]


def kept(task: str, files: tuple[OfficialFile, ...], read: Read) -> Read:
    """`read`, which parses large files the first time only."""

    def examples(data: Data, split: str) -> Sequence[Example]:
        paths = find(data, of_split(files, split))
        states = {role: path.stat() for role, path in paths.items()}
        found = Data(data.root, {(role, split): path for role, path in paths.items()})
        if sum(state.st_size for state in states.values()) < WORTH:
            return read(found, split)
        named = {role: str(path.resolve()) for role, path in paths.items()}
        key = hashlib.sha256(json.dumps([task, split, named], sort_keys=True).encode()).hexdigest()
        stamp = json.dumps([FORMAT, task, split, [
            [role, path, states[role].st_size, states[role].st_mtime_ns]
            for role, path in sorted(named.items())
        ]])  # fmt: skip
        place = folder() / f"{key[:32]}.safetensors"
        known = load(place, stamp)
        if known is not None:
            return known
        questions = read(found, split)
        store(place, stamp, questions)
        return questions

    return examples


def folder() -> Path:
    """Where columns are kept."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "clipvil" / "columns"


def store(place: Path, stamp: str, questions: Sequence[Example]) -> None:
    """Keep questions, if all of them is columns; one that cannot be written costs time only."""
    from safetensors.numpy import save_file

    assert isinstance(questions, Questions), type(questions)
    named = {name: getattr(questions, name) for name in FIELDS}
    named |= {f"strata/{kind}": column for kind, column in questions.strata.items()}
    there = {name: column for name, column in named.items() if column is not None}
    if not all(isinstance(column, columns.Packed) for column in there.values()):
        return
    parts = dict[str, Any]()
    for name, column in there.items():
        parts |= columns.outer(name, column.arrays())
    about = {
        "stamp": stamp,
        "kinds": json.dumps({name: type(column).__name__ for name, column in there.items()}),
        "marks": json.dumps([[row, marks] for row, marks in questions.marks.items()]),
    }
    try:
        with atomic(place) as temporary:
            save_file(parts, temporary, about)
    except OSError as error:
        say(f"{place} could not be written ({error.strerror}): the next time takes as long")
    else:
        say(f"wrote {place}: the next time takes less")


def load(place: Path, stamp: str) -> Questions | None:
    """The questions kept in a file; None where it is not there, not whole or not of that stamp."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(place, "np") as file:
            about: Mapping[str, str] = file.metadata() or {}
            if about.get("stamp") != stamp:
                return None
            parts = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError):
        return None
    named: dict[str, Any] = {
        name: KINDS[kind].of(columns.inner(name, parts))
        for name, kind in json.loads(about["kinds"]).items()
    }
    strata = {name.removeprefix("strata/"): named.pop(name)
              for name in [*named] if name.startswith("strata/")}  # fmt: skip
    marks = {int(row): tuple(several) for row, several in json.loads(about["marks"])}
    return Questions(**named, marks=marks, strata=strata)
