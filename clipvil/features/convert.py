"""Legacy formats -> feature store, one picture after another: memory does not grow with the file.

Shards end as those of `encode` do. Killed at any instant, the same call goes on after the last
whole shard; what is already there is passed over without being decoded.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np

from clipvil import files, pictures, progress
from clipvil.features import legacy, listing, plan, shards
from clipvil.features.collect import Layout, Open, Whole, described
from clipvil.features.legacy import Entry, Legacy, arrays
from clipvil.features.manifest import MANIFEST, VERSION, Manifest, Origin
from clipvil.features.shards import Dtype

BEGUN = "conversion.json"  # what a run began, so that another one can tell whether it is the same


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What a conversion is from, and what the user says of it.

    pooled  folder of vectors, ID.npy each
    images  the pictures themselves: gives their sizes, and says that a grid spans the whole one
    """

    source: Path
    name: str
    dtype: Dtype
    pooled: Path | None = None
    images: Path | None = None
    limit: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Converted:
    """What a call did, and what the store now holds."""

    path: Path
    format: str
    pictures: int
    failures: Mapping[str, str]  # id or place -> reason
    shards: int
    bytes: int
    converted: int  # entries in this call
    seconds: float  # of this call


def convert(given: Given, out: Path) -> Converted:
    """Write the features of `given` into the store `out`, or go on with it.

    Entries that are broken are left out and listed in the result and the manifest.

    Raises
        FileNotFoundError: no such source
        ValueError: not a format known here, nothing readable in it, or `out` was begun otherwise
    """
    start = time.monotonic()
    source = legacy.find(given.source)
    with files.locked(out):
        begin(given, source, out)
        converted = 0
        if not (out / MANIFEST).is_file():
            total = min(source.total, given.limit or source.total)
            for _ in progress.track(run(given, source, out), "pictures", total=total):
                converted += 1
            manifest_of(given, source, out).write(out)
        manifest = Manifest.read(out)
    return Converted(
        path=out,
        format=source.format,
        pictures=manifest.pictures,
        failures=manifest.failures,
        shards=len(manifest.shards),
        bytes=manifest.bytes,
        converted=converted,
        seconds=time.monotonic() - start,
    )


def begin(given: Given, source: Legacy, out: Path) -> None:
    """Note what is being converted, or refuse a folder in which something else was begun.

    Raises
        ValueError: another source, name, type or other files in `out`
    """
    found = given.source.stat()
    note = {k: str(v) if isinstance(v, Path) else v for k, v in asdict(given).items()}
    note |= {"version": VERSION, "bytes": found.st_size, "modified": found.st_mtime_ns}
    note |= {"entries": source.total}
    place = out / BEGUN
    if place.is_file():
        before = files.read_json(place)
        apart = [k for k in note if before.get(k) != note[k]]
        if apart:
            raise ValueError(f"{out} was begun with another {apart[0]}: give another folder")
        return
    strange = sorted(p.name for p in out.iterdir() if not p.name.startswith("."))
    if strange:
        raise ValueError(f"{out} holds {strange[0]}: give a folder of its own")
    files.write_json(place, note, indent=1)


def run(given: Given, source: Legacy, out: Path) -> Iterator[str]:
    """Convert what is not there yet; yields the place of every entry when it is done."""
    done = there(out)
    number, layout = done.shards, done.layout
    index = files.PictureIndex(given.images) if given.images is not None else None
    open_ = Open(given.dtype)
    for entry in islice(source.entries, len(done.ids) + len(done.failed), given.limit):
        try:
            if entry.id in done.ids:
                raise ValueError("an id that was there before")
            if entry.id != printable(entry.id):
                raise ValueError("an id that is no line of text")
            whole = complete(entry, given.pooled, index)
            layout = layout or whole.layout
            if whole.layout != layout:
                raise ValueError(layout.apart(whole.layout))
            open_.add(whole)
            done.ids.add(entry.id)
        except ValueError as error:
            key = printable(entry.id)
            if key in done.ids or key in done.failed:  # every entry has a key of its own
                key = f"{key} ({entry.place})"
            open_.failures[key] = f"{entry.place}: {error}"
            done.failed.add(key)
        yield entry.place
        if open_.full and layout is not None:
            open_.write(out / shards.name(number), layout)
            number, open_ = number + 1, Open(given.dtype)
    if layout is None:
        first = next(iter(open_.failures.values()), "nothing in it")
        raise ValueError(f"no features could be read from {given.source}: {first}")
    if open_.whole or open_.failures:
        open_.write(out / shards.name(number), layout)


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What the whole shards of an unfinished store stand for."""

    ids: set[str]
    failed: set[str]
    layout: Layout | None
    shards: int


def there(out: Path) -> Done:
    """What is there already."""
    for leftover in out.glob(".shard-*"):  # of a run that was killed
        leftover.unlink()
    ids, failed, layout, number = set[str](), set[str](), None, 0
    while (out / shards.name(number)).is_file():
        shard = shards.read(out / shards.name(number))
        ids |= set(shard.ids)
        failed |= set(shard.failures)
        layout = layout or described(shard)
        number += 1
    return Done(ids=ids, failed=failed, layout=layout, shards=number)


def complete(entry: Entry, pooled: Path | None, index: files.PictureIndex | None) -> Whole:
    """Read an entry, its pooled vector and its picture's size.

    Raises
        ValueError: any of them is missing or broken, with the reason
    """
    item, affine, vector = entry.load(), None, None
    if pooled is not None:
        place = pooled / f"{entry.id}.npy"
        if not place.resolve().is_relative_to(pooled.resolve()) or not place.is_file():
            raise ValueError(f"no pooled vector {place.name} in {pooled}")
        vector = arrays.npy(place)[""].reshape(-1)
        if vector.dtype.kind != "f" or not np.isfinite(vector).all():
            raise ValueError(f"{place.name} in {pooled} is not a vector of finite numbers")
    if index is not None:
        try:
            size = pictures.size(index.find(entry.id))
        except FileNotFoundError as error:
            raise ValueError(str(error)) from None
        item = replace(item, size=size)
        if item.grid is not None:
            affine = (item.grid[1] / size[0], 0.0, item.grid[0] / size[1], 0.0)
    return Whole(id=entry.id, item=item, pooled=vector, affine=affine)


def printable(identity: str) -> str:
    """An id for a message."""
    return identity if plan.is_line(identity) else repr(identity)


def manifest_of(given: Given, source: Legacy, out: Path) -> Manifest:
    """The manifest of a store whose shards are all written."""
    entries, failures, layout = list[listing.Entry](), dict[str, str](), None
    for path in sorted(out.glob("shard-*.safetensors")):
        shard = shards.read(path)
        failures |= shard.failures
        layout = layout or described(shard)
        entries.append(listing.entry(path, shard))
    assert layout is not None, "a run without pictures writes no shard"
    origin = Origin(
        name=given.name,
        format=source.format,
        width=layout.width,
        pooled_width=layout.pooled_width,
    )
    return Manifest(
        version=VERSION,
        fingerprint=origin.fingerprint,
        encoder=None,
        dtype=given.dtype,
        batch_size=None,
        pictures=sum(entry.listed.pictures for entry in entries),
        cells=sum(entry.listed.cells for entry in entries),
        failures=dict(sorted(failures.items())),
        shards=tuple(entry.listed for entry in entries),
        origin=origin,
    )
