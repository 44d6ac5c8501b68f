"""Rows of a person's own data: where they are, which split they belong to, what is wrong with them.

Files    DIR/{train,val,test}.jsonl, one JSON object a line, `image` a path relative to DIR; or one
         file alone, which is split 80/10/10 by picture, the split written to DIR/splits.json
"""

from __future__ import annotations

import hashlib
import posixpath
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol, TypeVar

import msgspec

from clipvil.core import Data, OfficialFile
from clipvil.files import MissingFilesError, read_json, read_rows, write_json
from clipvil.progress import say
from clipvil.tasks.base import of_split

SPLITS = ("train", "val", "test")
WRITTEN = "splits.json"
HELD = 0.1  # share of the pictures that val gets, and test


class Row(Protocol):
    """What rows of every kind of own data have."""

    image: str
    id: int | str | None


R = TypeVar("R", bound=Row)


class Drawn(msgspec.Struct):
    """The pictures of each split of a file that was split here."""

    file: str
    train: list[str]
    val: list[str]
    test: list[str]

    def __post_init__(self) -> None:
        pictures = [*self.train, *self.val, *self.test]
        if len(set(pictures)) < len(pictures):
            raise ValueError("a picture is listed twice")


def files(what: str) -> tuple[OfficialFile, ...]:
    """The files of a task on own data; `what` its rows hold, for messages."""
    source = f'your own rows, one JSON object a line: {{"image", {what}}}'
    return tuple(
        OfficialFile(role="annotations", split=split, name=f"{split}.jsonl", source=source)
        for split in SPLITS
    )


def inside(image: str) -> str:
    """A picture's path relative to the data folder, in its shortest spelling.

    Raises
        ValueError: empty, absolute, or out of the folder
    """
    place = posixpath.normpath(image)
    if not image or "\0" in image or place == ".":
        raise ValueError(f"image {image!r} names no file")
    if place.startswith(("/", "../")) or place == "..":
        raise ValueError(f"image {image!r} is not inside the data folder")
    return place


def rows(
    data: Data,
    official: tuple[OfficialFile, ...],
    split: str,
    kind: type[R],
    *,
    by_image: bool = False,
) -> Iterator[tuple[str, R]]:
    """(id, row) of every row of a split, in file order; the id is `<split>-<row>` without one.

    With `by_image` rows of one picture may share an id.

    Raises
        MissingFilesError: there is no such file
        ValueError: a row is not what it should be, or an id is there twice; names file and row
    """
    (file,) = of_split(official, split)
    path, alone = _place(data, file)
    stem = path.name.removesuffix(".gz").removesuffix(".jsonl")
    prefix = stem if stem in SPLITS and not alone else split  # VAL.jsonl given by hand
    if not alone:
        yield from _named(path, kind, prefix, by_image)
        return
    parts = drawn(path, {row.image for _, row in _named(path, kind, prefix, by_image)})
    pictures = frozenset(getattr(parts, split))
    for name, row in _named(path, kind, prefix, by_image):
        if row.image in pictures:
            yield name, row


def _named(path: Path, kind: type[R], prefix: str, by_image: bool) -> Iterator[tuple[str, R]]:
    """(id, row) of every row of a file."""
    places = dict[str, tuple[str, str]]()
    for number, (place, row) in enumerate(read_rows(path, kind)):
        name = f"{prefix}-{number}" if row.id is None else str(row.id)
        first, owner = places.setdefault(name, (place, row.image if by_image else place))
        if owner != (row.image if by_image else place):
            raise ValueError(f"{path}, {place}: id {name!r} is also that of {first}")
        yield name, row


def _place(data: Data, file: OfficialFile) -> tuple[Path, bool]:
    """The file that holds a split, and whether it holds all of them."""
    given = data.given.get((file.role, file.split))
    if given is not None:
        if not given.is_file():
            raise ValueError(f"no such file: {given} ({file.role} of {file.split})")
        return given, False
    if data.root is None:
        raise MissingFilesError(data.root, [file])
    found = dict[str, Path]()
    for path in sorted(data.root.glob("*.jsonl*")):
        if path.is_file() and path.name.endswith((".jsonl", ".jsonl.gz")):
            name = path.name.removesuffix(".gz")
            if name in found:
                raise ValueError(f"two candidates for {name}: {found[name]} and {path}")
            found[name] = path
    if len(found) == 1 and not found.keys() & {"val.jsonl", "test.jsonl"}:
        (path,) = found.values()
        return path, True
    if file.name not in found:
        raise MissingFilesError(data.root, [file])
    return found[file.name], False


def drawn(path: Path, seen: set[str]) -> Drawn:
    """How a file is split by picture: as written down beside it, else drawn and written down.

    `seen` are its pictures. They are ordered by the hash of their paths, so that the draw is the
    same everywhere.

    Raises
        ValueError: fewer than three pictures, or what is written down is not of this file
    """
    written = path.parent / WRITTEN
    if written.is_file():
        split: Drawn = read_json(written, Drawn)
        unknown = sorted(seen.difference(split.train, split.val, split.test))
        if unknown:
            listed = ", ".join(unknown[:5])
            raise ValueError(
                f"{written} puts {len(unknown)} pictures of {path.name} in no split ({listed}); "
                "add them, or remove it to split anew"
            )
        return split
    if len(seen) < len(SPLITS):
        raise ValueError(f"{path}: {len(seen)} pictures cannot be split into train, val and test")
    order = sorted(seen, key=lambda picture: hashlib.sha256(picture.encode()).digest())
    num_held = max(1, round(len(order) * HELD))
    val, test, train = order[:num_held], order[num_held : 2 * num_held], order[2 * num_held :]
    split = Drawn(path.name, sorted(train), sorted(val), sorted(test))
    try:
        write_json(written, msgspec.structs.asdict(split), indent=1)
        say(f"{path.name} split by picture; wrote {written}")
    except OSError as error:
        # nothing is lost: the draw depends on the pictures' paths alone
        say(f"{path.name} split by picture; {written} could not be written ({error.strerror})")
    return split
