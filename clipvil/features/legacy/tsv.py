"""Tab-separated rows with arrays in base64: bottom-up attention, LXMERT, R2R.

Source   https://github.com/peteanderson80/bottom-up-attention: image_id, image_w, image_h,
         num_boxes, boxes, features
         https://github.com/airsplay/lxmert: img_id, img_h, img_w, objects_id, objects_conf,
         attrs_id, attrs_conf, num_boxes, boxes, features
         https://github.com/peteanderson80/Matterport3DSimulator: scanId, viewpointId, image_w,
         image_h, vfov, features; 36 views a viewpoint, 12 headings at -30, 0 and 30 degrees
Arrays   little-endian fp32: boxes [N, 4] in pixels, features [N, D]
There is no header; a row's number of fields and its second one tell the three apart.
"""

from __future__ import annotations

import binascii
from collections.abc import Callable, Iterator
from functools import partial
from itertools import count
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clipvil.features.legacy.base import Entry, Item, Legacy, checked

LONGEST = 64 << 20  # bytes of a row; 100 regions of 2,048 numbers take 1.1 million
VIEWS = 36
HEADS = (b"image_id", b"img_id", b"scanId")

Row = list[bytes]


def read(path: Path) -> Legacy:
    """Rows of a file, however long it is.

    Raises
        ValueError: the first row is none of the three
    """
    with path.open("rb") as file:
        first = fields(file.readline(LONGEST))
        if first[0] in HEADS:
            first = fields(file.readline(LONGEST))
        length = max(1, file.tell())
    name, identity, load = kind(path, first)
    return Legacy(
        format=name,
        total=max(1, round(path.stat().st_size / length)),
        entries=entries(path, len(first), identity, load),
    )


def kind(path: Path, row: Row) -> tuple[str, Callable[[Row], bytes], Callable[[Row], Item]]:
    """What a row is: its name, its id and how to read it."""
    if len(row) == 10:
        return "LXMERT TSV", lambda r: r[0], lxmert
    if len(row) == 6 and row[1].isdigit():
        return "bottom-up TSV", lambda r: r[0], bottom_up
    if len(row) == 6:
        return "R2R TSV", lambda r: r[0] + b"_" + r[1], viewpoint
    raise ValueError(f"{path}, row 1: {len(row)} fields; bottom-up and R2R have 6, LXMERT 10")


def fields(line: bytes) -> Row:
    """Fields of a row; base64 needs no quotes, but some writers set them."""
    return [field.strip(b'"') for field in line.rstrip(b"\r\n").split(b"\t")]


def entries(
    path: Path, width: int, identity: Callable[[Row], bytes], load: Callable[[Row], Item]
) -> Iterator[Entry]:
    """Every row of a file; one that is longer than any row ends it."""
    with path.open("rb") as file:
        for number in count(1):
            line = file.readline(LONGEST)
            if not line:
                return
            place = f"row {number}"
            if len(line) == LONGEST and not line.endswith(b"\n"):
                raise ValueError(f"{path}, {place}: longer than {LONGEST:,} bytes")
            row = fields(line)
            if number == 1 and row[0] in HEADS:
                continue
            if len(row) != width:
                yield Entry(place, place, broken(f"{len(row)} fields where others have {width}"))
                continue
            name = identity(row).decode(errors="backslashreplace")
            yield Entry(name, place, partial(load, row))


def broken(reason: str) -> Callable[[], Item]:
    """Reads to an error."""

    def load() -> Item:
        raise ValueError(reason)

    return load


def bottom_up(row: Row) -> Item:
    """A row of bottom-up attention."""
    return regions(row[3], row[4], row[5], (row[1], row[2]))


def lxmert(row: Row) -> Item:
    """A row of LXMERT."""
    return regions(row[7], row[8], row[9], (row[2], row[1]))


def regions(num_boxes: bytes, boxes: bytes, features: bytes, size: tuple[bytes, bytes]) -> Item:
    """Regions of a picture."""
    n = int(num_boxes)
    if n < 1:
        raise ValueError(f"{n} boxes")
    table = decoded("boxes", boxes, n)
    if table.shape[1] != 4:
        raise ValueError(f"boxes of {table.shape[1]} numbers")
    values = decoded("features", features, n)
    width, height = map(int, size)
    return checked(Item(values=values, boxes=table, size=(width, height)))


def viewpoint(row: Row) -> Item:
    """36 views from one place, downward ones first; no grid of one picture, so none is told."""
    return checked(Item(values=decoded("features", row[5], VIEWS)))


def decoded(what: str, field: bytes, n: int) -> NDArray[np.float32]:
    """A table of `n` rows out of base64, [n, ...].

    Raises
        ValueError: not base64, or bytes that are no `n` rows of fp32
    """
    content = binascii.a2b_base64(field, strict_mode=True)
    if not content or len(content) % (4 * n):
        raise ValueError(f"{what} of {len(content):,} bytes are not {n} rows of fp32")
    return np.frombuffer(content, "<f4").reshape(n, -1)
