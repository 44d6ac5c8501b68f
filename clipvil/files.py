"""Files: written whole or not at all, found by official name, hashed, locked, never left by `..`.

Source of the picture names: https://cocodataset.org (COCO_<year>_<12 digits>.jpg in 2014, 12 digits
in 2017); a picture is found by any of these spellings, by its path or by its bare number.
"""

from __future__ import annotations

import contextlib
import fcntl
import gzip
import hashlib
import io
import itertools
import json
import os
import re
import tempfile
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from clipvil.core import Data, OfficialFile

PICTURES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff"})
SHIFTS = "shifts"  # a data folder's subfolder: one re-rendered report split a subfolder


@contextlib.contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """A temporary path beside `path` that takes its place when the block ends well."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file whole or not at all."""
    with atomic(path) as temporary:
        temporary.write_bytes(content)


def write_json(path: Path, value: object, *, indent: int | None = None) -> None:
    """Write JSON whole or not at all."""
    separators = (",", ":") if indent is None else None
    text = json.dumps(value, indent=indent, ensure_ascii=False, separators=separators)
    write_bytes(path, text.encode() + b"\n")


def write_jsonl(path: Path, rows: Iterable[object]) -> None:
    """Write one JSON value a line, whole or not at all."""
    lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    write_bytes(path, "".join(lines).encode())


Plain = io.BufferedReader | gzip.GzipFile

# what a file that is cut, spoilt, wrongly encoded or absurdly nested makes the decoders raise
SPOILT = (msgspec.DecodeError, UnicodeDecodeError, RecursionError, EOFError, zlib.error, OSError)


@contextlib.contextmanager
def open_plain(path: Path) -> Iterator[Plain]:
    """Open for reading; gzipped files are recognised by their first bytes."""
    with path.open("rb") as file:
        if file.peek(2)[:2] != b"\x1f\x8b":  # peeking leaves a pipe whole
            yield file
        else:
            with gzip.GzipFile(fileobj=file) as unzipped:
                yield unzipped


def read_json(path: Path, kind: Any = Any) -> Any:
    """Read JSON, plain or gzipped, checked against a msgspec type; errors name file and place."""
    with open_plain(path) as file:
        try:
            return decode(file.read(), kind)
        except SPOILT as error:
            raise ValueError(f"{path}: {error}") from error


def read_jsonl(path: Path, kind: Any = Any) -> Iterator[Any]:
    """Read one JSON value a line, plain or gzipped; errors name file and line."""
    with open_plain(path) as file:
        yield from (row for _, row in _lines(path, file, kind))


def read_rows(path: Path, kind: Any = Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Rows of a JSON array, of the array under `key` of a JSON object, or one a line.

    Rows are decoded one at a time, so that a file of millions never stands in memory as objects.
    Each comes with its place (`row 3`, `line 3`) for messages.

    Raises
        ValueError: not such a file, plain or gzipped; names file and place
    """
    with open_plain(path) as file:
        try:
            start = file.peek(64).lstrip()[:1]
            if start != b"[" and not key:
                yield from _lines(path, file, kind)
                return
            rows = _array(file.read(), start, key)
        except SPOILT as error:
            raise ValueError(f"{path}: {error}") from error
    decoder = msgspec.json.Decoder(kind)
    for number, row in enumerate(rows, 1):
        try:
            yield f"row {number}", decoder.decode(row)
        except SPOILT as error:
            raise ValueError(f"{path}, row {number}: {error}") from error


def _array(content: bytes, start: bytes, key: str) -> list[msgspec.Raw]:
    """Views of the rows of an array, which may be `key` of an object."""
    if start == b"[":
        rows: list[msgspec.Raw] = decode(content, list[msgspec.Raw])
        return rows
    outer = decode(content, dict[str, msgspec.Raw])
    if key not in outer:
        raise msgspec.ValidationError(f"there is no list `{key}` in it")
    return msgspec.json.decode(outer[key], type=list[msgspec.Raw])


def decode(content: bytes, kind: Any, hook: Callable[[type, Any], Any] | None = None) -> Any:
    """JSON as a msgspec type; the one error that would not say where it is says it too."""
    try:
        return msgspec.json.decode(content, type=kind, dec_hook=hook)
    except msgspec.DecodeError as error:
        if "truncated" in str(error):
            raise msgspec.DecodeError(f"{error} (at byte {len(content):,})") from error
        raise


def _lines(path: Path, file: Plain, kind: Any) -> Iterator[tuple[str, Any]]:
    decoder = msgspec.json.Decoder(kind)
    for number in itertools.count(1):
        try:
            line = file.readline()
            row = decoder.decode(line) if line.strip() else None
        except SPOILT as error:
            raise ValueError(f"{path}, line {number}: {error}") from error
        if not line:
            return
        if line.strip():
            yield f"line {number}", row


def sha256(path: Path) -> str:
    """Hash of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold `folder` for one process; the lock goes with the process, however it ends."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ValueError(f"another process is writing to {folder}; wait or stop it") from None
        yield


def walk(root: Path) -> Iterator[Path]:
    """Every file under `root` in sorted order, hidden ones and the shifts of `root` left out.

    Linked folders are followed, as pictures often lie on another disk, but each one once.
    """
    seen = set[str]()
    for folder, subfolders, names in os.walk(root, followlinks=True):
        here = Path(folder)
        if (real := os.path.realpath(folder)) in seen:
            subfolders.clear()
            continue
        seen.add(real)
        subfolders[:] = sorted(
            s for s in subfolders if not s.startswith(".") and not (here == root and s == SHIFTS)
        )
        yield from (here / name for name in sorted(names) if not name.startswith("."))


class MissingFilesError(ValueError):
    """Official files that are not there: says which, under what name, and where to get them."""

    def __init__(self, root: Path | None, missing: Iterable[OfficialFile]) -> None:
        self.missing = tuple(missing)
        lines = [f"  {file.name}  ({file.role} of {file.split}), from {file.source}"
                 for file in self.missing]  # fmt: skip
        super().__init__("\n".join([f"missing under {root or 'no data folder'}:", *lines]))


def find(data: Data, official: Iterable[OfficialFile]) -> dict[str, Path]:
    """Paths by role of the official files of one split.

    A given path (file or folder) wins; otherwise the official name, of a file, plain or `.gz`, or
    of a folder, anywhere under the data folder. Optional ones that are not there are left out.

    Raises
        MissingFilesError: listing every one that is not there, with its source
        ValueError: two candidates for one file, naming both; a given path that does not exist
    """
    wanted, found, missing = tuple(official), dict[str, Path](), list[OfficialFile]()
    places = defaultdict[str, list[Path]](list)
    if any((file.role, file.split) not in data.given for file in wanted) and data.root is not None:
        folders = dict[Path, None]()
        for path in walk(data.root):
            places[path.name.removesuffix(".gz")].append(path)
            folders[path.parent] = None
        for folder in folders:
            if not folder.suffix:  # an archive is often unpacked into a folder of its name
                places[folder.name].append(folder)
    for file in wanted:
        given = data.given.get((file.role, file.split))
        if given is not None and not given.exists():
            raise ValueError(f"no such file: {given} ({file.role} of {file.split})")
        candidates = [given] if given is not None else places[file.name]
        if len(candidates) > 1:
            raise ValueError(f"two candidates for {file.name}: {candidates[0]} and {candidates[1]}")
        if candidates:
            found[file.role] = candidates[0]
        elif not file.optional:
            missing.append(file)
    if missing:
        raise MissingFilesError(data.root, missing)
    return found


def number(name: str) -> int | None:
    """The numeric id that ends a picture's name in COCO's and Visual Genome's spellings."""
    match = re.fullmatch(r"(?:COCO_[a-z]+\d{4}_)?(\d+)", name)
    return int(match.group(1)) if match else None


class PictureIndex:
    """Pictures under a folder, found by relative path, by name, or by number in any spelling."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._places = defaultdict[str | int, list[Path]](list)
        for path in walk(root):
            if path.suffix.lower() in PICTURES:
                for key in self._keys(path.relative_to(root).with_suffix("")):
                    self._places[key].append(path)

    @staticmethod
    def _keys(relative: Path) -> set[str | int]:
        """`/a/b/7` for the whole path, then `a/b/7`, `b/7`, `7` and 7 for the ends of it."""
        parts = relative.parts
        keys: set[str | int] = {"/".join(parts[k:]) for k in range(len(parts))}
        numeric = number(relative.name)
        return keys | {f"/{relative.as_posix()}"} | (set() if numeric is None else {numeric})

    def find(self, name: str) -> Path:
        """The picture called `name`: path under the folder, file name or number.

        Raises
            FileNotFoundError: no such picture under the folder
            ValueError: several pictures answer to the name
        """
        # only what the walk saw can be found, so `../x` never leaves the folder; a name with a
        # folder in it never falls back to its last part, which may be another folder's picture
        suffix = Path(name).suffix.lower()
        relative = Path(name).with_suffix("") if suffix in PICTURES else Path(name)
        place = relative.as_posix()
        for key in (f"/{place}", place, None if "/" in place else number(place)):
            places = self._places.get(key, []) if key is not None else []
            if suffix in PICTURES:
                places = [p for p in places if p.suffix.lower() == suffix] or places
            if len(places) > 1:
                raise ValueError(f"two pictures are called {name}: {places[0]} and {places[1]}")
            if places:
                return places[0]
        raise FileNotFoundError(f"no picture called {name} under {self.root}")
