"""Visual Genome's questions as more training data for VQA: one answer each, half on COCO pictures.

Source   https://homes.cs.washington.edu/~ranjay/visualgenome/api.html, arXiv:1602.07332
Files    question_answers.json and image_data.json (version 1.2 or later), as published
Answers  one person's, with a full stop; cleaned as VQA's scorer cleans, and told ten times, so that
         it earns what ten people agreeing would
Clusters a COCO picture's number where the picture is one, as VQA v2 has it: questions about those
         that are reported on are left out
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np

from clipvil.columns import Joined, Numbered, Rows, Strings, Tuples
from clipvil.core import Data, Download, Example, OfficialFile
from clipvil.files import find, read_rows, write_json
from clipvil.metrics.text import clean_vqa
from clipvil.progress import say
from clipvil.tasks._kept import Read, kept
from clipvil.tasks.base import COLOURS, Number, Questions, distinct, of_split, tiny_picture

SOURCE = "https://homes.cs.washington.edu/~ranjay/visualgenome/api.html"
ZIPS = "https://homes.cs.washington.edu/~ranjay/visualgenome/data/dataset"
IMAGES = "https://cs.stanford.edu/people/rak248/VG_100K_2"
FILES = tuple(
    OfficialFile(
        role=role,
        split="train",
        name=name,
        source=SOURCE,
        download=Download(urls=(f"{ZIPS}/{name}.zip",), member=name),
    )
    for role, name in (("vg-questions", "question_answers.json"), ("vg-images", "image_data.json"))
)
PICTURES = tuple(
    OfficialFile(
        role="vg-pictures",
        split="train",
        name=name,
        source=SOURCE,
        download=Download(urls=(f"{IMAGES}/{name}",), about=size),
    )
    for name, size in (("images.zip", 9_000_000_000), ("images2.zip", 5_000_000_000))
)
PLACE = re.compile(r"(VG_100K(?:_2)?/\d{1,9})\.jpg")


class Picture(msgspec.Struct, gc=False):
    """A row of the pictures' file; `url` ends in the folder and name that the archives give it."""

    image_id: int
    url: str
    coco_id: int | None = None


class Asked(msgspec.Struct, gc=False):
    """One question."""

    qa_id: Number
    question: str
    answer: str


class About(msgspec.Struct, gc=False):
    """A row of the questions' file: all that was asked about a picture."""

    id: int
    qas: list[Asked]


def added(read: Read, report: str) -> Read:
    """A task's reader whose `train` has these questions too.

    Left out, and counted aloud, are those about pictures of the `report` split.
    """

    def examples(data: Data, split: str) -> Sequence[Example]:
        official = read(data, split)
        if split != "train":
            return official
        more, held = whole(data, split), read(data, report)
        assert isinstance(more, Questions) and isinstance(held, Questions)
        clusters, reported = list(more.clusters), set(held.clusters)
        rows = [row for row, cluster in enumerate(clusters) if cluster not in reported]
        if out := len(more) - len(rows):
            count = len(reported & set(clusters))
            say(f"{out:,} of Visual Genome's questions are left out: their {count:,} pictures are "
                f"in {report}, which is reported")  # fmt: skip
        return Joined(official, Rows(more, np.array(rows, np.int64)))

    return examples


def examples(data: Data, split: str) -> Sequence[Example]:
    """Every question.

    Raises
        MissingFilesError: an official file is not there
        ValueError: a file is not what it should be; names the row
    """
    paths = find(data, of_split(FILES, split))
    pictures = places(paths["vg-images"])
    ids, words, answers = array("q"), Strings(), Tuples()
    clusters, names = Strings(), Strings()
    for place, row in read_rows(paths["vg-questions"], About):
        if row.id not in pictures:
            raise ValueError(f"{paths['vg-questions']}, {place}: no picture {row.id} is known")
        name, cluster = pictures[row.id]
        for asked in row.qas:
            ids.append(asked.qa_id)
            words.append(asked.question)
            answers.append((clean_vqa(asked.answer),) * 10)
            clusters.append(cluster)
            names.append(name)
    path = paths["vg-questions"]
    again = ((place, asked.qa_id) for place, row in read_rows(path, About) for asked in row.qas)
    distinct(ids, path, "questions", again)
    return Questions(
        ids=Numbered("vg-{}", ids), clusters=clusters, pictures=names, words=words, answers=answers
    )


whole = kept("vg", FILES, examples)


def places(path: Path) -> dict[int, tuple[str, str]]:
    """Name and cluster of every picture by its number."""
    found = dict[int, tuple[str, str]]()
    for place, row in read_rows(path, Picture):
        match = PLACE.search(row.url)
        if match is None or row.image_id in found:
            raise ValueError(f"{path}, {place}: no place of a picture, or one that was there")
        cluster = f"vg-{row.image_id}" if row.coco_id is None else str(row.coco_id)
        found[row.image_id] = match[1], cluster
    return found


def tiny(root: Path) -> None:
    """A question about each of three squares, the last two of which are pictures of COCO's."""
    pictures, asked = list[dict[str, object]](), list[dict[str, object]]()
    for number, (colour, coco) in enumerate(zip(COLOURS, (None, 100, 200), strict=True), 1):
        place = f"VG_100K/{number}.jpg"
        tiny_picture(root / place, colour)
        pictures.append({"image_id": number, "url": f"{SOURCE}/{place}", "coco_id": coco})
        question = {"qa_id": number, "question": "What is it?", "answer": "A square."}
        asked.append({"id": number, "qas": [question]})
    write_json(root / "image_data.json", pictures)
    write_json(root / "question_answers.json", asked)
