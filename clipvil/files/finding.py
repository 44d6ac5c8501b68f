"""Finding: official files by name, anywhere under a data folder.

Links are followed, folders and files alike: what is linked into a data folder was put there by its
owner. What a *data file* names is only ever looked up among what the walk saw.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from clipvil.core import Data, OfficialFile

SHIFTS = "shifts"  # a data folder's subfolder: one re-rendered report split a subfolder


def walk(root: Path, closed: Callable[[OSError], object] | None = None) -> Iterator[Path]:
    """Every file under `root` in sorted order, hidden ones and the shifts of `root` left out.

    Linked folders are followed, as pictures often lie on another disk, but each one once. `closed`
    is told of folders that cannot be read.
    """
    seen = set[str]()
    for folder, subfolders, names in os.walk(root, onerror=closed, followlinks=True):
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
            folder = path.parent
            while folder not in folders:
                folders[folder] = None
                folder = folder if folder == data.root else folder.parent
        for folder in folders:
            if not folder.suffix:  # an archive is often unpacked into a folder of its name
                places[folder.name].append(folder)
    for file in wanted:
        given = data.given.get((file.role, file.split))
        if given is not None and not given.exists():
            raise ValueError(f"no such file: {given} ({file.role} of {file.split})")
        # neither a pipe nor a device: opening one may wait for ever
        there = [path for path in places[file.name] if path.is_file() or path.is_dir()]
        # an archive is often unpacked into a folder called like the one in it
        there = [path for path in there if not any(path in other.parents for other in there)]
        candidates = [given] if given is not None else there
        if len(candidates) > 1:
            raise ValueError(f"two candidates for {file.name}: {candidates[0]} and {candidates[1]}")
        if candidates:
            found[file.role] = candidates[0]
        elif not file.optional:
            missing.append(file)
    if missing:
        raise MissingFilesError(data.root, missing)
    return found
