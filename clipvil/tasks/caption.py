"""Own captions of own pictures: all rows of a picture are its references.

Files    DIR/{train,val,test}.jsonl: rows of `image`, `caption` and perhaps `id`; a picture goes by
         the id of its first row
Metric   those of COCO captions, on their own scale; the pictures predicted are scored
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np

from clipvil.columns import Grouped, Strings
from clipvil.core import Data, Example, Splits, Task, Text
from clipvil.files import write_jsonl
from clipvil.tasks import _own
from clipvil.tasks._captions import (
    LONGEST,
    METRICS,
    Captioned,
    compared,
    measure,
    read,
    reduce,
    thorough,
)
from clipvil.tasks.base import COLOURS, tiny_picture, write_words

FILES = _own.files('"caption"')


class Told(msgspec.Struct):
    """A row of the data."""

    image: str
    caption: str
    id: int | str | None = None

    def __post_init__(self) -> None:
        self.image = _own.inside(self.image)
        if not self.caption.strip():
            raise ValueError("an empty caption")


def examples(data: Data, split: str) -> Sequence[Example]:
    """Read one split.

    Raises
        MissingFilesError: there is no such file
        ValueError: a row is not what it should be; names file and row
    """
    ids, pictures, captions = Strings(), Strings(), Strings()
    owners, places = array("q"), dict[str, int]()
    for name, row in _own.rows(data, FILES, split, Told, by_image=True):
        place = places.setdefault(row.image, len(places))
        if place == len(ids):
            ids.append(name)
            pictures.append(row.image)
        owners.append(place)
        captions.append(row.caption)
    told = Grouped(captions, np.array(owners, np.int64), len(ids))
    return Captioned(ids=ids, pictures=pictures, captions=told)


def tiny(root: Path) -> None:
    """Three squares a split, two captions of each."""
    for split in _own.SPLITS:
        rows = list[dict[str, object]]()
        for colour in COLOURS:
            image = f"pictures/{split}-{colour}.png"
            tiny_picture(root / image, colour)
            told = (f"A {colour} square.", f"there is a square that is {colour}")
            rows += [{"image": image, "caption": caption} for caption in told]
        write_jsonl(root / f"{split}.jsonl", rows)


TASK = Task(
    name="caption",
    version=1,
    summary="your own captions of your own pictures",
    answer=Text(LONGEST),
    metrics=METRICS,
    splits=Splits(fit="train", select="val", report="test"),
    files=FILES,
    examples=examples,
    measure=measure,
    reduce=reduce,
    read=read,
    write=write_words,
    tiny=tiny,
    thorough=thorough,
    compared=compared,
    partial=True,
)
