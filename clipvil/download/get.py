"""A task's official files into a data folder: what is missing, from where, and what came of it.

Files    DATA/NAME under its official name, once it is whole; DATA/.downloads: what is on its way,
         and manifest.json: name -> url, bytes and sha256 of what was fetched, and when
"""

from __future__ import annotations

import datetime
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal
from urllib.parse import unquote, urlsplit

from clipvil.core import Data, Download, OfficialFile, Task
from clipvil.download.fetch import Patience, fetch
from clipvil.download.part import Part
from clipvil.download.unpack import unpack
from clipvil.errors import UsageError
from clipvil.files import MissingFilesError, find, locked, read_json, sha256, write_json
from clipvil.registry import unknown

FOLDER = ".downloads"  # hidden, so that nothing in it is ever found as an official file
MANIFEST = "manifest.json"
TEMPORARY = ".*.json.*"  # what a killed run may leave of its notes

State = Literal["there", "fetched", "gated", "by hand", "failed"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one official file; `said` is the reason, or the steps that are left to do."""

    file: OfficialFile
    state: State
    path: Path | None = None
    said: str = ""

    @property
    def left_to_do(self) -> bool:
        """Whether something is missing that the task may need and that could be had."""
        return self.path is None and not (self.state == "by hand" and self.file.optional)

    def plain(self) -> dict[str, Any]:
        """As it is printed with `--json`."""
        return {"role": self.file.role, "split": self.file.split, "name": self.file.name,
                "state": self.state, "path": None if self.path is None else str(self.path),
                "reason": self.said or None, "source": self.file.source}  # fmt: skip


def wanted(task: Task, only: Sequence[str]) -> tuple[OfficialFile, ...]:
    """The official files of `only` (ROLE or ROLE/SPLIT), else all but the zips of pictures.

    Raises
        UsageError: there is no such file
    """
    if not only:
        return task.files
    files = (*task.files, *task.archives)
    names = {name for file in files for name in (file.role, f"{file.role}/{file.split}")}
    for name in only:
        if name not in names:
            raise unknown(f"file of {task.name}", name, names)
    return tuple(f for f in files if f.role in only or f"{f.role}/{f.split}" in only)


def get(
    files: Sequence[OfficialFile], root: Path, *, base: str = "", patience: Patience | None = None
) -> list[Outcome]:
    """Fetch those of `files` that are not under `root` yet; `base` is a mirror to take them from.

    One file that fails does not keep back the others.

    Raises
        UsageError: `base` is no address of a web server
        ValueError: another process is fetching into the same folder
    """
    if base and urlsplit(base).scheme not in ("http", "https"):
        raise UsageError(f"--from {base}: give an address that begins with http:// or https://")
    with locked(root / FOLDER):
        for leftover in (root / FOLDER).glob(TEMPORARY):
            leftover.unlink()
        outcomes = {file: there(file, root) for file in files}
        for download in dict.fromkeys(replace(f.download, member="") for f in files if f.download):
            name = unquote(urlsplit(download.urls[0]).path.rpartition("/")[2])
            part = Part(root / FOLDER, name)
            group = [f for f in files if f.download and f.download.urls == download.urls]
            missing = [file for file in group if outcomes[file] is None]
            if missing:
                if base:
                    download = replace(download, urls=(f"{base.rstrip('/')}/{name}",))
                outcomes |= bring(missing, download, root, part, patience or Patience())
            elif (note := part.note()) is not None:  # stopped after the last file was put in place
                if not part.path.is_file() or part.size == note.total:
                    record(group, root, note.url)
                part.remove()
    return [outcome for outcome in outcomes.values() if outcome is not None]


def there(file: OfficialFile, root: Path) -> Outcome | None:
    """The file under `root`, or why it will not be fetched; None where it is to be fetched."""
    try:
        return Outcome(file, "there", find(Data(root), [replace(file, optional=False)])[file.role])
    except MissingFilesError:
        if file.gate:
            return Outcome(file, "gated", said=file.gate)
        if file.download is None:
            return Outcome(file, "by hand", said=f"no address to fetch it from; see {file.source}")
        return None
    except ValueError as error:  # two candidates
        return Outcome(file, "failed", said=str(error))


def bring(
    missing: Sequence[OfficialFile], download: Download, root: Path, part: Part, patience: Patience
) -> dict[OfficialFile, Outcome]:
    """Fetch what one address has, put it in place, write down what it is."""
    try:
        url = fetch(download, part, patience)
    except (ValueError, OSError) as error:
        return {file: Outcome(file, "failed", said=str(error)) for file in missing}
    outcomes, places = dict[OfficialFile, Outcome](), dict[str, Path]()
    for file in missing:
        try:
            if file.name not in places:  # one file may serve several splits
                places[file.name] = put(file, part, root / file.name)
            outcomes[file] = Outcome(file, "fetched", places[file.name])
        except (ValueError, OSError) as error:
            outcomes[file] = Outcome(file, "failed", said=str(error))
    record((file for file in missing if outcomes[file].path is not None), root, url)
    part.remove()
    return outcomes


def put(file: OfficialFile, part: Part, place: Path) -> Path:
    """The official file out of what was fetched, whole or not at all."""
    assert file.download is not None
    whole = part.path
    if file.download.member:
        whole = part.unpacked
        unpack(part.path, file.download.member, whole)
    with whole.open("rb+") as content:
        os.fsync(content.fileno())
    whole.replace(place)
    return place


def record(files: Iterable[OfficialFile], root: Path, url: str) -> None:
    """Write down where files came from and what they are."""
    path = root / FOLDER / MANIFEST
    rows: dict[str, Any] = read_json(path, dict[str, Any]) if path.is_file() else {}
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    for file in files:
        place = root / file.name
        if place.is_file():
            rows[file.name] = {"url": url, "bytes": place.stat().st_size, "sha256": sha256(place),
                               "fetched": now}  # fmt: skip
    write_json(path, rows, indent=1)
