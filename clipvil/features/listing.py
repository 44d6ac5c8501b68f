"""Shards as a manifest lists them, hashed while others are still being made."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from clipvil import files, progress
from clipvil.features import shards
from clipvil.features.manifest import Listed
from clipvil.features.shards import Shard


class Entry(NamedTuple):
    """A shard's line in the manifest, and the pictures that it is without."""

    listed: Listed
    failures: Mapping[str, str]  # id -> reason


def entry(path: Path, shard: Shard) -> Entry:
    """What the manifest says of a written shard."""
    listed = Listed(
        name=path.name,
        pictures=len(shard.ids),
        cells=len(shard.values),
        bytes=path.stat().st_size,
        sha256=files.sha256(path),
        sha256_ids=files.sha256(shards.ids_path(path)),
    )
    return Entry(listed, shard.failures)


class Listing:
    """The manifest's entries; those of `todo`, shards to come, are made as soon as these are there.

    What was just written is still in memory; hashed at the end, a store is read once more.
    """

    def __init__(self, todo: Sequence[Path]) -> None:
        self._todo = deque(todo)
        self._entries = dict[Path, Entry]()

    def look(self) -> None:
        """See what of `todo` was written since, in its order; one caller at a time."""
        while self._todo and self._todo[0].is_file():
            path = self._todo.popleft()
            self._entries[path] = entry(path, shards.read(path))

    def finish(self, paths: Sequence[Path]) -> Iterator[Entry]:
        """The entries of these shards, all of which are written."""
        for path in progress.track(paths, "shards hashed", total=len(paths)):
            yield self._entries.get(path) or entry(path, shards.read(path))
