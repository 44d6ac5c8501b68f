"""Members of zips as paths: pictures read straight from the archives they are published in.

Format   https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT, sections 4.3.7 and 4.4

An archive's list is read once; a member is then read by its position, each time through a file of
its own, so that threads and processes need not know of each other. Nothing is unpacked to disk.
"""

from __future__ import annotations

import io
import os
import stat
import struct
import time
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PosixPath, PurePosixPath
from typing import Any

LARGEST = 1 << 30  # bytes of a member, unpacked: four times the largest picture that is opened
HEAD = 30  # bytes of a member's own header before its name
ENCRYPTED = 1  # bit of a member's flags
# what the standard library raises on hostile archives
DAMAGED = (zipfile.BadZipFile, zlib.error, struct.error, RuntimeError, EOFError, IndexError,
           ValueError)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Entry:
    """Where a member lies in its archive, as the archive's list says."""

    archive: Path
    place: int  # of its own header
    packed: int  # its bytes
    size: int  # bytes, unpacked
    crc: int
    method: int
    flags: int
    seconds: float  # since 1970, of its last change

    def read(self) -> bytes:
        """The content, checked.

        Raises
            ValueError: encrypted, packed in a way that is not read, too large, damaged
        """
        if self.flags & ENCRYPTED:
            raise ValueError(f"encrypted in {self.archive.name}")
        if self.method not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ValueError(f"packed by method {self.method} in {self.archive.name}")
        if max(self.size, self.packed) > LARGEST:
            raise ValueError(f"{self.size:,} bytes in {self.archive.name}")
        if self.place < 0:
            raise ValueError(f"damaged in {self.archive.name}")
        with self.archive.open("rb") as file:
            file.seek(self.place)
            head = file.read(HEAD)
            name, extra = (int.from_bytes(head[k : k + 2], "little") for k in (26, 28))
            file.seek(name + extra, io.SEEK_CUR)
            content = file.read(self.packed)
        if self.method == zipfile.ZIP_DEFLATED:
            try:  # one byte more than declared is enough to tell a bomb
                content = zlib.decompressobj(-zlib.MAX_WBITS).decompress(content, self.size + 1)
            except zlib.error as error:
                raise ValueError(f"damaged in {self.archive.name}: {error}") from error
        if len(content) != self.size or zlib.crc32(content) != self.crc:
            raise ValueError(f"damaged in {self.archive.name}")
        return content


class Member(PosixPath):
    """A member of a zip, under the path it would have if it were unpacked beside the archive.

    A path by inheritance, so that whatever takes pictures takes it, and its name in a feature store
    is that of the unpacked picture. A path made from it is an ordinary one.
    """

    entry: Entry | None = None

    def open(self, *args: Any, **options: Any) -> Any:
        return super().open(*args, **options) if self.entry is None else io.BytesIO(self._read())

    def read_bytes(self) -> bytes:
        return super().read_bytes() if self.entry is None else self._read()

    def _read(self) -> bytes:
        assert self.entry is not None
        return self.entry.read()

    def stat(self, *, follow_symlinks: bool = True) -> os.stat_result:
        if self.entry is None:
            return super().stat(follow_symlinks=follow_symlinks)
        seconds = int(self.entry.seconds)
        row = (stat.S_IFREG | 0o444, 0, 0, 1, 0, 0, self.entry.size, seconds, seconds, seconds)
        return os.stat_result(row, {"st_mtime_ns": seconds * 10**9})


def member_of(place: str, entry: Entry) -> Member:
    """The member that lies at `entry`, under the path that it would have."""
    member = Member(place)
    member.entry = entry
    return member


def listed(archive: Path) -> list[zipfile.ZipInfo]:
    """What an archive says that it holds.

    Raises
        ValueError: not a whole zip; names it
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            return opened.infolist()
    except DAMAGED as error:
        raise ValueError(f"{archive} is not a whole zip: {error}") from error


def members(archive: Path, suffixes: frozenset[str]) -> Iterator[Member]:
    """The members whose suffix is one of `suffixes`, in the order of the archive's list.

    Raises
        ValueError: not a whole zip, or a member whose name would leave the archive's folder
    """
    for info in listed(archive):
        place = PurePosixPath(info.filename)
        if info.filename.endswith("/") or place.suffix.lower() not in suffixes:
            continue
        if unsafe(info.filename):
            raise ValueError(f"{archive}: the name of {info.filename!r} leads out of it")
        if any(part.startswith((".", "__MACOSX")) for part in place.parts):
            continue
        changed = time.mktime((*info.date_time, 0, 0, -1))
        entry = Entry(archive, info.header_offset, info.compress_size, info.file_size, info.CRC,
                      info.compress_type, info.flag_bits, changed)  # fmt: skip
        yield member_of(str(archive.parent / place), entry)


def unsafe(name: str) -> bool:
    """Whether a member's name would lead out of the folder it is unpacked in."""
    parts = name.replace("\\", "/").split("/")
    return name.startswith(("/", "\\")) or ".." in parts or ":" in parts[0] or "\0" in name
