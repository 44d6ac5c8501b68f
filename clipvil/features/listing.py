"""Shards as a manifest lists them, hashed in a thread while others are still being made."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from clipvil import files, progress
from clipvil.features import shards
from clipvil.features.shards import Shard
from clipvil.features.store import Listed


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
    """The entries of `paths`, each made as soon as it and those before it are written.

    What was just written is still in memory; hashed at the end, a store is read once more.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = paths
        self._pool = ThreadPoolExecutor(1, "hash")
        self._entries = list[Future[Entry]]()

    def __enter__(self) -> Listing:
        return self

    def __exit__(self, *error: object) -> None:
        self._pool.shutdown(cancel_futures=True)

    def look(self) -> None:
        """Begin with what was written since."""
        # asked after every picture: it must not walk through all shards
        while (place := len(self._entries)) < len(self._paths):
            path = self._paths[place]
            if not path.is_file():
                break
            self._entries.append(
                self._pool.submit(lambda path: entry(path, shards.read(path)), path)
            )

    def finish(self) -> Iterator[Entry]:
        """All entries, once all shards are written."""
        self.look()
        for future in progress.track(self._entries, "shards hashed", total=len(self._paths)):
            yield future.result()
