"""A file on its way: what has come so far, what it is a part of, whether it is whole.

Files    NAME.part, what has come; NAME.json, written before it: from where, and by what the server
         knows that version of it again; NAME.unpacked, a member of it on its way
"""

from __future__ import annotations

import zipfile
from pathlib import Path

import msgspec

from clipvil.core import Download
from clipvil.files import count_rows, read_json, sha256, write_json
from clipvil.files.members import DAMAGED


class Note(msgspec.Struct):
    """What a part is a part of."""

    url: str
    total: int | None = None
    validator: str | None = None  # a strong ETag, or the date of the last change


class Part:
    """A file on its way, and the note beside it."""

    def __init__(self, folder: Path, name: str) -> None:
        self.name = name
        self.path, self.noted = folder / f"{name}.part", folder / f"{name}.json"
        self.unpacked = folder / f"{name}.unpacked"

    @property
    def size(self) -> int:
        """Bytes that have come."""
        return self.path.stat().st_size if self.path.is_file() else 0

    def note(self) -> Note | None:
        """What it is a part of; None where there is nothing to go on with."""
        try:
            note: Note = read_json(self.noted, Note)
        except (ValueError, OSError):
            return None
        return note

    def begin(self, note: Note) -> None:
        """Throw away what has come; the note is there before the first byte is."""
        self.path.unlink(missing_ok=True)
        write_json(self.noted, msgspec.structs.asdict(note))

    def remove(self) -> None:
        """Throw away all of it."""
        self.path.unlink(missing_ok=True)
        self.unpacked.unlink(missing_ok=True)
        self.noted.unlink(missing_ok=True)


def check(part: Part, download: Download) -> None:
    """Compare with what was published; without a sha256 the file must at least be whole.

    Raises
        ValueError: it is something else
    """
    if download.bytes is not None and part.size != download.bytes:
        raise ValueError(f"{part.size:,} bytes came where {download.bytes:,} are published")
    if download.sha256 is not None:
        if (found := sha256(part.path)) != download.sha256:
            raise ValueError(f"its sha256 is {found} where {download.sha256} is published")
    elif part.name.endswith(".zip"):
        try:
            with zipfile.ZipFile(part.path) as listed:
                spoilt = listed.testzip()
        except (*DAMAGED, OSError) as error:
            raise ValueError(f"it is not a whole zip: {error}") from error
        if spoilt is not None:
            raise ValueError(f"{spoilt} in it is damaged")
    else:
        count_rows(part.path, part.name)
