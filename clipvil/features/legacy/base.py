"""What all legacy formats give: features of one picture after another, each read when wanted.

Shapes   N cells or regions, D width, R x C grid, P pooled width
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

LARGEST = 1 << 30  # bytes of one picture's features: a grid of 100 x 100 x 2,048 in fp32 is 0.08
FEATURES = ("features", "feat", "feature", "x")  # names of the array, in files of several
BOXES = ("boxes", "bbox")
WIDTHS = ("image_w", "image_width", "img_w")
HEIGHTS = ("image_h", "image_height", "img_h")

Arrays = Mapping[str, Any]  # arrays and numbers by name; under "" where a file has one only


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """Features of one picture; what its file did not tell is None."""

    values: NDArray[Any]  # [N, D]
    grid: tuple[int, int] | None = None  # rows, columns
    boxes: NDArray[np.float32] | None = None  # [N, 4]: x1, y1, x2, y2 in pixels
    size: tuple[int, int] | None = None  # width, height of the picture


@dataclass(frozen=True, slots=True)
class Entry:
    """A picture in a legacy file: its id, where it is, and how to read it.

    `load` raises ValueError with the reason where the entry is broken.
    """

    id: str
    place: str  # file, or file and row
    load: Callable[[], Item]


@dataclass(frozen=True, slots=True, kw_only=True)
class Legacy:
    """Features in a format of others; `total` may be an estimate."""

    format: str
    total: int
    entries: Iterator[Entry]


def one(identity: str, path: Path, load: Callable[[Path], Arrays]) -> Entry:
    """An entry that is a file of its own."""
    return Entry(identity, path.name, guarded(lambda: item(load(path))))


def guarded(load: Callable[[], Item]) -> Callable[[], Item]:
    """The same, whatever a reader raises on hostile bytes turned into a reason."""

    def read() -> Item:
        try:
            return load()
        except ValueError:
            raise
        except Exception as error:
            first = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise ValueError(f"cannot be read: {first}") from error

    return read


def item(arrays: Arrays) -> Item:
    """Features out of the arrays of a file.

    Raises
        ValueError: no features among them, or of a shape or type that features do not have
    """
    first = partial(named, arrays)
    values = first(("", *FEATURES))
    if values is None:
        raise ValueError(f"none of {', '.join(FEATURES)} among {', '.join(arrays) or 'nothing'}")
    boxes = first(BOXES)
    if boxes is not None:
        boxes = np.asarray(boxes, np.float32)
        if boxes.ndim != 2 or boxes.shape[1] != 4:
            raise ValueError(f"boxes are {boxes.shape}, not [N, 4]")
        if np.ndim(values) == 2 and len(values) != len(boxes) == np.shape(values)[1]:
            values = np.asarray(values).T  # openvqa's [D, N]
    width, height = first(WIDTHS), first(HEIGHTS)
    table, grid = cells(np.asarray(values))
    size = None if width is None or height is None else (int(width), int(height))
    return checked(Item(values=table, grid=grid, boxes=boxes, size=size))


def named(arrays: Arrays, names: tuple[str, ...]) -> Any:
    """The first of some arrays that is there."""
    return next((arrays[name] for name in names if name in arrays), None)


def cells(values: NDArray[Any]) -> tuple[NDArray[Any], tuple[int, int] | None]:
    """Features as a table [N, D] and, where they had one, their grid.

    Taken are [N, D], [R, C, D], [D, R, C], and any of them with a 1 in front. Channels are the
    longer of the first and last axis: no grid is as long as a network is wide.
    """
    whole = values.shape
    while values.ndim > 2 and len(values) == 1:
        values = values[0]
    if values.ndim == 2:
        return values, None
    if values.ndim != 3 or values.shape[0] == values.shape[2]:
        raise ValueError(f"features are {whole}, not [N, D], [R, C, D] or [D, R, C]")
    if values.shape[0] > values.shape[2]:
        values = np.moveaxis(values, 0, 2)
    rows, columns, width = values.shape
    return values.reshape(rows * columns, width), (rows, columns)


def checked(found: Item) -> Item:
    """Refuse what no network gives.

    Raises
        ValueError: empty, not floating point, NaN, boxes of another number, a picture of no size
    """
    if found.values.dtype.kind != "f" or not found.values.size:
        raise ValueError(f"{found.values.dtype} values of shape {found.values.shape}")
    if not np.isfinite(found.values).all():
        raise ValueError("holds NaN or infinite values")
    if found.boxes is not None and (
        len(found.boxes) != len(found.values) or not np.isfinite(found.boxes).all()
    ):
        raise ValueError(f"{len(found.boxes)} finite boxes expected of {len(found.values)} regions")
    if found.size is not None and min(found.size) < 1:
        raise ValueError(f"a picture of {found.size[0]}x{found.size[1]}")
    return found


def fits(shape: tuple[int, ...], itemsize: int, available: int) -> None:
    """Refuse a declared shape that the bytes at hand do not hold, before anything is allocated."""
    declared = math.prod(shape) * itemsize
    if declared > min(available, LARGEST):
        raise ValueError(f"{shape} would take {declared:,} bytes where there are {available:,}")
