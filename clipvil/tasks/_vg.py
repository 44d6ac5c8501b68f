"""Visual Genome's questions as more training data for VQA: one answer each, half on COCO pictures.

Source   https://homes.cs.washington.edu/~ranjay/visualgenome/api.html, arXiv:1602.07332
Files    question_answers.json and image_data.json (version 1.2 or later), as published
Answers  one person's, with a full stop; cleaned as VQA's scorer cleans, and told ten times, so that
         it earns what ten people agreeing would
Clusters a COCO picture's number where the picture is one, as VQA v2 has it: what is reported on can
         be left out
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Collection, Sequence
from pathlib import Path

import msgspec
import numpy as np

from clipvil.columns import Numbered, Strings, Tuples
from clipvil.core import Data, Example, OfficialFile
from clipvil.files import find, read_rows
from clipvil.metrics.text import clean_vqa
from clipvil.tasks.base import Questions

SOURCE = "https://homes.cs.washington.edu/~ranjay/visualgenome/api.html"
FILES = tuple(
    OfficialFile(role=role, split="train", name=name, source=SOURCE)
    for role, name in (("vg-questions", "question_answers.json"), ("vg-images", "image_data.json"))
)
PLACE = re.compile(r"(VG_100K(?:_2)?/\d{1,9})\.jpg")


class Picture(msgspec.Struct, gc=False):
    """A row of the pictures' file; `url` ends in the folder and name that the archives give it."""

    image_id: int
    url: str
    coco_id: int | None = None


class Asked(msgspec.Struct, gc=False):
    """One question."""

    qa_id: int
    question: str
    answer: str


class About(msgspec.Struct, gc=False):
    """A row of the questions' file: all that was asked about a picture."""

    id: int
    qas: list[Asked]


def examples(data: Data, *, without: Collection[str] = ()) -> Sequence[Example]:
    """Every question, but those about pictures whose cluster is in `without`.

    Raises
        MissingFilesError: an official file is not there
        ValueError: a file is not what it should be; names the row
    """
    paths = find(data, FILES)
    pictures = places(paths["vg-images"])
    ids, words, answers = array("q"), Strings(), Tuples()
    clusters, names = Strings(), Strings()
    for place, row in read_rows(paths["vg-questions"], About):
        if row.id not in pictures:
            raise ValueError(f"{paths['vg-questions']}, {place}: no picture {row.id} is known")
        name, cluster = pictures[row.id]
        if cluster in without:
            continue
        for asked in row.qas:
            ids.append(asked.qa_id)
            words.append(asked.question)
            answers.append((clean_vqa(asked.answer),) * 10)
            clusters.append(cluster)
            names.append(name)
    values, counts = np.unique(np.array(ids, np.int64), return_counts=True)
    if (counts > 1).any():
        listed = ", ".join(map(str, values[counts > 1][:5]))
        raise ValueError(f"{paths['vg-questions']}: questions there more than once: {listed}")
    return Questions(
        ids=Numbered("vg-{}", ids), clusters=clusters, pictures=names, words=words, answers=answers
    )


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
