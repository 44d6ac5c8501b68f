"""COCO captions: five people's descriptions of each picture.

Source   https://cocodataset.org, arXiv:1504.00325; Karpathy's split arXiv:1412.2306
Files    captions_{train,val}2014.json and image_info_test2014.json; `@2017` the same of 2017;
         `@karpathy` dataset_coco.json, which holds all splits
Metric   https://github.com/tylin/coco-caption; the pictures predicted are scored, as there
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np

from clipvil import sources
from clipvil.columns import Grouped, Numbered, Strings
from clipvil.core import Answer, Data, Download, Example, OfficialFile, Splits, Task, Text
from clipvil.files import find, read_rows, write_json
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
from clipvil.tasks._own import inside
from clipvil.tasks.base import COLOURS, Number, distinct, of_split, tiny_picture, words

SOURCE = "https://cocodataset.org/#download"
KARPATHY_SOURCE = "https://cs.stanford.edu/people/karpathy/deepimagesent/caption_datasets.zip"
HIDDEN = ("test",)


def official(year: int) -> tuple[OfficialFile, ...]:
    """The files of one release."""
    zips = {"captions_train": "annotations_trainval", "captions_val": "annotations_trainval"}
    names = {"train": "captions_train", "val": "captions_val", "test": "image_info_test"}
    return tuple(
        OfficialFile(
            role="annotations", split=split, name=f"{name}{year}.json", source=SOURCE,
            download=sources.coco(
                f"annotations/{zips.get(name, name)}{year}", f"annotations/{name}{year}.json"
            ),
        )
        for split, name in names.items()
    )  # fmt: skip


def pictures(year: int) -> tuple[OfficialFile, ...]:
    """The zips of one release's pictures."""
    return tuple(sources.coco_pictures(s, f"{s}{year}") for s in ("train", "val", "test"))


FILES, FILES_2017 = official(2014), official(2017)
FILES_KARPATHY = tuple(
    OfficialFile(
        role="annotations",
        split=split,
        name="dataset_coco.json",
        source=KARPATHY_SOURCE,
        download=Download(urls=(KARPATHY_SOURCE,), member="dataset_coco.json"),
    )
    for split in ("train", "val", "test")
)


class Pictured(msgspec.Struct, gc=False):
    """A row of `images`."""

    id: Number
    file_name: str

    def __post_init__(self) -> None:
        self.file_name = inside(self.file_name)


class Told(msgspec.Struct, gc=False):
    """A row of `annotations`."""

    image_id: int
    caption: str


class Sentence(msgspec.Struct, gc=False):
    """A caption in Karpathy's file."""

    raw: str


class Assigned(msgspec.Struct):
    """A picture in Karpathy's file, the split it belongs to, its captions."""

    cocoid: Number
    filename: str
    split: str
    sentences: list[Sentence]

    def __post_init__(self) -> None:
        self.filename = inside(self.filename)
        if not self.sentences:
            raise ValueError("a picture without captions")


def examples(data: Data, split: str) -> Sequence[Example]:
    """Read one split of a release; the captions of the test pictures are hidden.

    Raises
        MissingFilesError: the official file is not there
        ValueError: a file is not what it should be; names file and row
    """
    return _examples(data, FILES, split)


def examples_2017(data: Data, split: str) -> Sequence[Example]:
    """As `examples`, of the pictures as they were divided in 2017."""
    return _examples(data, FILES_2017, split)


def _examples(data: Data, files: Sequence[OfficialFile], split: str) -> Captioned:
    path = find(data, of_split(files, split))["annotations"]
    numbers, pictures = array("q"), Strings()
    for _, row in read_rows(path, Pictured, "images"):
        numbers.append(row.id)
        pictures.append(row.file_name)
    again = ((place, row.id) for place, row in read_rows(path, Pictured, "images"))
    distinct(numbers, path, "pictures", again)
    captioned = Captioned(ids=Numbered("{}", numbers), pictures=pictures)
    return captioned if split in HIDDEN else replace(captioned, captions=_captions(path, numbers))


def _captions(path: Path, ids: array[int]) -> Grouped:
    """The captions of each of the pictures."""
    places = {image: place for place, image in enumerate(ids)}
    owners, captions = array("q"), Strings()
    for place, row in read_rows(path, Told, "annotations"):
        if row.image_id not in places:
            raise ValueError(f"{path}, {place}: no picture has the id {row.image_id}")
        owners.append(places[row.image_id])
        captions.append(row.caption)
    owned = np.array(owners, np.int64)
    bare = np.setdiff1d(np.arange(len(ids)), owned)
    if len(bare):
        listed = ", ".join(str(ids[place]) for place in bare[:5])
        raise ValueError(f"{path}: {len(bare):,} pictures have no caption: {listed}")
    return Grouped(captions, owned, len(ids))


def examples_karpathy(data: Data, split: str) -> Sequence[Example]:
    """Read one of Karpathy's splits: 5,000 pictures each to select and to report, else training.

    Raises
        MissingFilesError: the official file is not there
        ValueError: it is not what it should be; names file and row
    """
    path = find(data, of_split(FILES_KARPATHY, split))["annotations"]
    numbers, owners, pictures, captions = array("q"), array("q"), Strings(), Strings()
    wanted = ("train", "restval") if split == "train" else (split,)
    for _, row in read_rows(path, Assigned, "images"):
        if row.split not in wanted:
            continue
        for sentence in row.sentences:
            owners.append(len(numbers))
            captions.append(sentence.raw)
        numbers.append(row.cocoid)
        pictures.append(row.filename)
    again = ((place, row.cocoid) for place, row in read_rows(path, Assigned, "images")
             if row.split in wanted)  # fmt: skip
    distinct(numbers, path, "pictures", again)
    told = Grouped(captions, np.array(owners, np.int64), len(numbers))
    return Captioned(ids=Numbered("{}", numbers), pictures=pictures, captions=told)


def write(path: Path, answers: Mapping[str, Answer]) -> None:
    """The official submission: a JSON array, one object a picture.

    A picture of one's own, which has a name and no number, goes by that.
    """
    rows = [
        {"image_id": int(i) if i.isdecimal() else i, "caption": words(answer)}
        for i, answer in answers.items()
    ]
    write_json(path, rows)


TINY = {"train": 100, "restval": 200, "val": 300, "test": 400}  # each split's first picture


def _tiny_split(root: Path, split: str, pattern: str) -> list[tuple[int, str, list[str]]]:
    """Three squares: id, file name and captions of each."""
    rows = []
    for image, colour in enumerate(COLOURS, TINY[split]):
        name = pattern.format(image)
        tiny_picture(root / name, colour)
        told = [f"A {colour} square.", f"there is a square that is {colour}"]
        rows.append((image, name, told))
    return rows


def _tiny(root: Path, files: Sequence[OfficialFile], pattern: str) -> None:
    for file in files:
        squares = _tiny_split(root, file.split, pattern.replace("SPLIT", file.split))
        whole = {
            "info": {},
            "images": [{"id": i, "file_name": n, "height": 24, "width": 32} for i, n, _ in squares],
        }
        if file.split not in HIDDEN:
            told = [(image, caption) for image, _, several in squares for caption in several]
            whole["annotations"] = [
                {"id": number, "image_id": image, "caption": caption}
                for number, (image, caption) in enumerate(told)
            ]
        write_json(root / file.name, whole)


def tiny(root: Path) -> None:
    """Three squares a split, two captions of each."""
    _tiny(root, FILES, "COCO_SPLIT2014_{:012d}.jpg")


def tiny_2017(root: Path) -> None:
    """Three squares a split, two captions of each."""
    _tiny(root, FILES_2017, "{:012d}.jpg")


def tiny_karpathy(root: Path) -> None:
    """Three squares a split, two captions of each; training has two parts."""
    images = [
        {"cocoid": image, "filename": name, "filepath": "val2014", "split": split,
         "sentences": [{"raw": caption} for caption in told]}
        for split in TINY
        for image, name, told in _tiny_split(root, split, "COCO_val2014_{:012d}.jpg")
    ]  # fmt: skip
    write_json(root / FILES_KARPATHY[0].name, {"images": images, "dataset": "coco"})


TASK = Task(
    name="coco_caption",
    version=1,
    summary="COCO captions: five people's descriptions of each picture",
    answer=Text(LONGEST),
    metrics=METRICS,
    splits=Splits(fit="train", select=None, report="val", hidden=HIDDEN),
    files=FILES,
    examples=examples,
    measure=measure,
    reduce=reduce,
    read=read,
    write=write,
    tiny=tiny,
    archives=pictures(2014),
    thorough=thorough,
    compared=compared,
    partial=True,
)
VARIANTS = {
    "2017": replace(
        TASK,
        name="coco_caption@2017",
        summary="COCO captions, their pictures divided as in 2017",
        files=FILES_2017,
        archives=pictures(2017),
        examples=examples_2017,
        tiny=tiny_2017,
    ),
    "karpathy": replace(
        TASK,
        name="coco_caption@karpathy",
        summary="COCO captions in Karpathy's split, which tables of captioners report",
        splits=Splits(fit="train", select="val", report="test"),
        files=FILES_KARPATHY,
        archives=(
            sources.coco_pictures("train", "train2014"),
            *(sources.coco_pictures(split, "val2014") for split in ("train", "val", "test")),
        ),
        examples=examples_karpathy,
        tiny=tiny_karpathy,
    ),
}
