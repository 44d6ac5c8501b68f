"""Reading JSON and JSON lines, plain or gzipped, from files that anybody may have made.

Whatever is wrong ends as one ValueError that names the file and the place: cut short, spoilt, of
other types, not UTF-8, nested without end, a line or a file larger than any real one, a gzip bomb.
A key that stands twice in the outermost object is an error, as it may be an id or a list of rows;
further inside the last one counts, as for the official scripts' `json.load`.
"""

from __future__ import annotations

import codecs
import contextlib
import gzip
import io
import itertools
import os
import re
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

LARGEST = 16 << 30  # bytes of a file, unpacked; no published one comes near
LINE = 64 << 20  # bytes of a line
RATIO = 200  # unpacked to packed bytes, beyond the first `FREE`; those tried have 3 to 34
FREE = 64 << 20
MARKS = (codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)  # as some editors write
STRING = rb'"(?:[^"\\]++|\\.)*+"'
TOKEN = re.compile(rb'[^"\[\]{}:,]*+(%b|[\[\]{}:,])' % STRING, re.DOTALL)  # the next one
BRACKET = re.compile(rb'(?:[^"\[\]{}]++|%b)*+([\[\]{}])' % STRING, re.DOTALL)  # the next one

# what a file that is cut, spoilt, wrongly encoded or absurdly nested makes the decoders raise
SPOILT = (ValueError, RecursionError, EOFError, zlib.error, OSError)


class _Counted:
    """The packed side of a gzip file, which may be a pipe and so cannot tell its place."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self.taken = file, 0

    def read(self, count: int) -> bytes:
        packed = self._file.read(count)
        self.taken += len(packed)
        return packed

    def seek(self, place: int) -> int:
        raise io.UnsupportedOperation("a gzip file is read once, from front to back")


class _Unzipped(io.RawIOBase):
    """The unpacked side; it ends in an error where the file is a bomb."""

    def __init__(self, file: BinaryIO) -> None:
        self._packed = _Counted(file)
        self._file = gzip.GzipFile(fileobj=self._packed, mode="rb")
        self._given = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        count = self._file.readinto(buffer)
        self._given += count
        if self._given > max(FREE, min(LARGEST, RATIO * self._packed.taken)):
            raise ValueError(
                f"{self._packed.taken:,} gzipped bytes become more than {self._given:,}: "
                "no data set is like that"
            )
        return count


@contextlib.contextmanager
def open_plain(path: Path) -> Iterator[io.BufferedReader[Any]]:
    """Open for reading; gzipped files are recognised by their first bytes.

    Raises
        ValueError: more than `LARGEST` bytes; while reading: a gzip bomb
    """
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size > LARGEST:
            raise ValueError(f"{path}: {size:,} bytes, more than any data set's file has")
        if file.peek(2)[:2] != b"\x1f\x8b":  # peeking leaves a pipe whole
            yield file
        else:
            with io.BufferedReader(_Unzipped(file), 1 << 20) as unzipped:
                yield unzipped


def read_json(path: Path, kind: Any = Any) -> Any:
    """Read JSON, plain or gzipped, checked against a msgspec type.

    Raises
        ValueError: naming file and place
    """
    with open_plain(path) as file:
        try:
            content = file.read()
            if content[:64].lstrip().startswith(b"{"):
                _members(content)
            return decode(content, kind)
        except SPOILT as error:
            raise ValueError(f"{path}: {error}") from error


def decode(content: bytes, kind: Any, hook: Callable[[type, Any], Any] | None = None) -> Any:
    """JSON as a msgspec type.

    Raises
        ValueError: it is not; names the place, not the file
    """
    try:
        return msgspec.json.decode(content, type=kind, dec_hook=hook)
    except SPOILT as error:
        reason = _reason(error, content)
        if found := re.search(r"\(byte (\d+)\)$", reason):
            reason = f"{_where(content, int(found[1]))}{reason}"
        raise ValueError(reason) from error


def read_jsonl(path: Path, kind: Any = Any) -> Iterator[Any]:
    """Read one JSON value a line, plain or gzipped; errors name file and line."""
    with open_plain(path) as file:
        yield from (row for _, row in _lines(path, file, kind))


def read_rows(path: Path, kind: Any = Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Rows of a JSON array, of the array under `key` of a JSON object, or one a line.

    Rows are decoded one at a time, so that a file of millions never stands in memory as objects.
    Each comes with its place (`row 3`, `line 3`) for messages.

    Raises
        ValueError: empty, or not such a file, plain or gzipped; names file and place
    """
    with open_plain(path) as file:
        try:
            start = file.peek(64).lstrip()[:1]
            if start == b"[" or key:
                rows = _array(file.read(), start, key)
        except SPOILT as error:
            raise ValueError(f"{path}: {error}") from error
        if start != b"[" and not key:
            lines = _lines(path, file, kind)
            first = next(lines, None)
            if first is None:
                raise ValueError(f"{path}: is empty")
            yield from itertools.chain([first], lines)
            return
    decoder = msgspec.json.Decoder(kind)
    for number, row in enumerate(rows, 1):
        try:
            yield f"row {number}", decoder.decode(row)
        except SPOILT as error:
            raise ValueError(f"{path}, row {number}: {_reason(error, bytes(row))}") from error


def _array(content: bytes, start: bytes, key: str) -> list[msgspec.Raw]:
    """Views of the rows of an array, which may be `key` of an object."""
    if start != b"[":
        outer = _members(content)
        if key not in outer:
            raise ValueError(f"there is no list `{key}` in it")
        return msgspec.json.decode(outer[key], type=list[msgspec.Raw])
    rows: list[msgspec.Raw] = decode(content, list[msgspec.Raw])
    return rows


def count_rows(path: Path, name: str) -> int | None:
    """Rows of JSON lines, of an array, or of the longest array in an object; else None.

    `name` says what kind of file it is. JSON is read to its end.

    Raises
        ValueError: it is not whole; names file and place
    """
    name = name.removesuffix(".gz")
    if name.endswith(".jsonl"):
        return sum(1 for _ in read_rows(path, msgspec.Raw))
    if not name.endswith(".json"):
        return None
    value = read_json(path, list[msgspec.Raw] | dict[str, msgspec.Raw])
    if isinstance(value, list):
        return len(value)
    arrays = [raw for raw in value.values() if memoryview(raw)[0] == ord("[")]
    counts = [len(msgspec.json.decode(raw, type=list[msgspec.Raw])) for raw in arrays]
    return max(counts, default=len(value))


class _Key:
    """A key of a JSON object that is no other key's equal, so that none replaces another."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name


def _members(content: bytes) -> dict[str, msgspec.Raw]:
    """Views of what stands under each key of an object."""
    found = dict[str, msgspec.Raw]()
    members = decode(content, dict[_Key, msgspec.Raw], lambda _, name: _Key(name))
    for key, value in members.items():
        if found.setdefault(key.name, value) is not value:
            raise ValueError(f"{key.name!r} is there twice")
    return found


def _lines(path: Path, file: io.BufferedReader[Any], kind: Any) -> Iterator[tuple[str, Any]]:
    decoder = msgspec.json.Decoder(kind)
    for number in itertools.count(1):
        line = b""
        try:
            line = file.readline(LINE + 1)
            if len(line) > LINE:
                raise ValueError(f"a line of more than {LINE >> 20} MiB")
            row = decoder.decode(line) if line.strip() else None
        except SPOILT as error:
            raise ValueError(f"{path}, line {number}: {_reason(error, line)}") from error
        if not line:
            return
        if line.strip():
            yield f"line {number}", row


@dataclass(slots=True)
class _Open:
    """An array or object that is not closed yet, and which row or entry of it one is at."""

    bracket: bytes
    row: int = 1
    key: bytes = b""


def _where(content: bytes, end: int) -> str:
    """The entry or row that a byte lies in, of JSON that is good up to there."""
    inside, string, place, pattern = list[_Open](), b"", 0, TOKEN
    while found := pattern.match(content, place, end):
        token, place = found[1], found.end()
        match token:
            case b"[" | b"{":
                inside.append(_Open(token))
            case _ if not inside:  # a bare value, or something after the end
                break
            case b"]" | b"}":
                inside.pop()
            case b",":
                inside[-1].row += 1
            case b":":
                inside[-1].key = string
            case _:
                string = token
        rows_of_entry = [level.bracket for level in inside[:2]] == [b"{", b"["]
        pattern = TOKEN if len(inside) <= 1 + rows_of_entry else BRACKET  # deeper is not told
    match inside:
        case [_Open(b"[", row), *_]:
            return f"row {row}: "
        case [_Open(b"{", _, key), _Open(b"[", row), *_]:
            return f"entry {msgspec.json.decode(key)!r}, row {row}: "
        case [_Open(b"{", _, key), *_] if key:
            return f"entry {msgspec.json.decode(key)!r}: "
    return ""


def _reason(error: Exception, content: bytes) -> str:
    """What is wrong with a value, and at which of its bytes."""
    if content.startswith(MARKS):
        return "begins with a byte order mark: save it as UTF-8 without one"
    if isinstance(error, UnicodeDecodeError):  # it counts from the start of some string
        try:
            content.decode()
        except UnicodeDecodeError as first:
            return f"byte {first.start:,} is not UTF-8"
    if type(error) is msgspec.DecodeError and "truncated" in str(error):
        return f"cut short at byte {len(content):,}" if content.strip() else "is empty"
    if isinstance(error, RecursionError):
        return "nested too deeply"
    return str(error)
