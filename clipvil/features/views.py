"""Features of all views of all viewpoints as one table, for agents that look around.

Sources  R2R's TSV and HDF5 (a viewpoint a row or dataset, [36, W] each, under <scan>_<viewpoint>),
         and feature stores: such a file converted, or pictures .../<scan>/<viewpoint>/<NN>, of
         which the pooled vector is taken, or the mean of the cells where there is none
Files    <name>.npy, fp16 [V, 36, W], which is mapped and not read; <name>.json beside it, written
         last, says what it was made from
Shapes   V viewpoints, W width; view NN looks along heading NN % 12 at elevation row NN // 12
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clipvil.features import legacy
from clipvil.features.legacy.tsv import VIEWS
from clipvil.features.store import Store
from clipvil.files import atomic, locked, read_json, write_json
from clipvil.progress import track

NAMED = 5  # scans in a message

Viewpoint = tuple[str, str]  # scan and id
Shown = tuple[Viewpoint, slice, Callable[[], NDArray[Any]]]  # which views of it, and their rows


@dataclass(frozen=True, slots=True, eq=False)
class ViewFeatures:
    """The table; row i is of the i-th viewpoint that was asked for."""

    values: NDArray[np.float16]  # [V, 36, W]

    @property
    def width(self) -> int:
        """W."""
        return int(self.values.shape[2])

    def fits(self, width: int) -> None:
        """Refuse features of another width than a model was made for.

        Raises
            ValueError: they are
        """
        if width != self.width:
            raise ValueError(f"the views are {self.width} numbers wide, the model reads {width}")


def collect(
    sources: Sequence[Path],
    viewpoints: Sequence[Viewpoint],
    where: Path,
    pictures: Collection[str] | None = None,
) -> ViewFeatures:
    """The views of `viewpoints` out of files or stores; made once, then mapped from `where`.

    Of single pictures in stores those named in `pictures` are views, as a shifted set shows the
    same viewpoints in others; None takes all.

    Raises
        FileNotFoundError: no such source
        ValueError: a viewpoint or view is missing (how many, of which scans), there twice, broken,
            or wider than others
    """
    key = stamp(sources, viewpoints, pictures)
    place = where / f"views-{key[:16]}.npy"
    note = place.with_suffix(".json")
    with locked(where, wait=True):  # cells that start together need the same table
        if not (note.is_file() and place.is_file() and read_json(note)["key"] == key):
            write(sources, viewpoints, place, pictures)
            write_json(note, {"key": key, "sources": [str(source) for source in sources]})
    # a private map: torch would complain of memory that cannot be written
    return ViewFeatures(np.load(place, mmap_mode="c", allow_pickle=False))


def stamp(
    sources: Sequence[Path],
    viewpoints: Sequence[Viewpoint],
    pictures: Collection[str] | None = None,
) -> str:
    """sha256 of what a table is made from."""
    found = hashlib.sha256(json.dumps([*map(list, viewpoints)]).encode())
    if pictures is not None:
        found.update(json.dumps(sorted(pictures)).encode())
    for source in sources:
        file = source / "manifest.json" if source.is_dir() else source
        if not file.is_file():
            raise FileNotFoundError(f"no features {file}")
        state = file.stat()
        found.update(json.dumps([str(file), state.st_size, state.st_mtime_ns]).encode())
    return found.hexdigest()


def check(sources: Sequence[Path], viewpoints: Sequence[Viewpoint]) -> int:
    """See that there are all views of `viewpoints`, reading one entry; gives W.

    Raises
        ValueError: a viewpoint or view is missing (how many, of which scans)
    """
    rows = {viewpoint: row for row, viewpoint in enumerate(viewpoints)}
    filled, width = np.zeros((len(rows), VIEWS), bool), 0
    for viewpoint, some, load in (one for source in sources for one in entries(source)):
        if viewpoint in rows:
            filled[rows[viewpoint], some] = True
            width = width or load().shape[1]
    lacking(viewpoints, filled)
    return width


def write(
    sources: Sequence[Path],
    viewpoints: Sequence[Viewpoint],
    place: Path,
    pictures: Collection[str] | None,
) -> None:
    """Fill the table, whole or not at all."""
    rows = {viewpoint: row for row, viewpoint in enumerate(viewpoints)}
    filled = np.zeros((len(rows), VIEWS), bool)
    with atomic(place) as temporary:
        table = None
        shown = (one for source in sources for one in entries(source, pictures))
        for viewpoint, views, load in track(shown, "views", total=len(rows)):
            if viewpoint not in rows:
                continue
            row, said = rows[viewpoint], f"viewpoint {viewpoint[1]} of scan {viewpoint[0]}"
            values = load()
            if table is None:
                shape = (len(rows), VIEWS, values.shape[1])
                table = np.lib.format.open_memmap(temporary, "w+", np.float16, shape)
            if values.shape != (views.stop - views.start, table.shape[2]):
                raise ValueError(
                    f"{said}: {values.shape} numbers, not {views.stop - views.start} views of "
                    f"{table.shape[2]}"
                )
            if filled[row, views].any():
                raise ValueError(f"{said} is there more than once")
            if not np.abs(values).max(initial=0.0) <= np.finfo(np.float16).max:
                raise ValueError(f"{said} holds numbers that half precision does not")
            table[row, views] = values
            filled[row, views] = True
        lacking(viewpoints, filled)
        assert table is not None, "no viewpoints, no table"
        table.flush()


def lacking(viewpoints: Sequence[Viewpoint], filled: NDArray[np.bool_]) -> None:
    """Raise where a view was not found."""
    gaps = np.flatnonzero(~filled.all(1)).tolist()
    if not len(viewpoints):
        raise ValueError("no viewpoints to look from")
    if len(gaps):
        scans = Counter(viewpoints[gap][0] for gap in gaps)
        several = ", ".join(f"{scan} ({n:,})" for scan, n in scans.most_common(NAMED))
        more = f" and {len(scans) - NAMED} more" if len(scans) > NAMED else ""
        some = " in part" if filled[gaps].any() else ""
        raise ValueError(
            f"the features lack {len(gaps):,} of {len(viewpoints):,} viewpoints{some}, in scans "
            f"{several}{more}"
        )


def entries(source: Path, pictures: Collection[str] | None = None) -> Iterator[Shown]:
    """What a file or store has of viewpoints; what is none of theirs is passed over."""
    if source.is_dir():
        yield from stored(Store(source), pictures)
        return
    for entry in legacy.find(source).entries:
        if viewpoint := whole(entry.id):
            yield viewpoint, slice(0, VIEWS), partial(values, source, entry)


def values(source: Path, entry: legacy.Entry) -> NDArray[Any]:
    """The views of an entry; one that is broken says where."""
    try:
        return entry.load().values
    except ValueError as error:
        raise ValueError(f"{source}, {entry.place}: {error}") from error


def stored(store: Store, pictures: Collection[str] | None) -> Iterator[Shown]:
    """What a store has."""
    for name, index in store.ids.items():
        if viewpoint := whole(name):
            yield viewpoint, slice(0, VIEWS), partial(store.read, index)
        elif (pictures is None or name in pictures) and (part := single(name)):
            yield part[0], slice(part[1], part[1] + 1), partial(pooled, store, index)


def pooled(store: Store, index: int) -> NDArray[Any]:
    """One vector of a picture, [1, W]: what the encoder pooled, else the mean of the cells."""
    vector = store.pooled(index)
    if vector is not None:
        return vector[None]
    mean: NDArray[Any] = store.read(index).astype(np.float32).mean(0, keepdims=True)
    return mean


def whole(name: str) -> Viewpoint | None:
    """<scan>_<viewpoint>, as published."""
    scan, _, viewpoint = name.partition("_")
    return (scan, viewpoint) if scan and viewpoint and "/" not in name else None


def single(name: str) -> tuple[Viewpoint, int] | None:
    """.../<scan>/<viewpoint>/<NN>, as views are named."""
    *_, scan, viewpoint, view = ("", "", *PurePosixPath(name).parts)
    if not scan or not view.isascii() or not view.isdigit() or int(view) >= VIEWS:
        return None
    return (scan, viewpoint), int(view)
