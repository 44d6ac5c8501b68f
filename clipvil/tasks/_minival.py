"""`vqa2@minival`: the questions about 5,000 of VQA v2's val pictures that LXMERT's paper set apart.

Source   https://github.com/airsplay/lxmert, arXiv:1908.07490
Files    VQA v2's own, and minival.json, an array with a row a question, of which `question_id` is
         read. The list is LXMERT's and not ours to draw: without that file there is no minival
Known    published figures are of models that were fitted on the rest of val too; here on train
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import msgspec
import numpy as np

from clipvil.columns import Rows
from clipvil.core import Data, Download, Example, OfficialFile, Splits, Task
from clipvil.files import find, read_rows, write_json
from clipvil.tasks.base import Number, distinct, of_split

SPLIT = "minival"
LIST = OfficialFile(
    role="ids",
    split=SPLIT,
    name="minival.json",
    source="https://github.com/airsplay/lxmert#vqa",
    download=Download(urls=("https://nlp.cs.unc.edu/data/lxmert_data/vqa/minival.json",)),
)


class Listed(msgspec.Struct):
    """A row of the list."""

    question_id: Number


def variant(whole: Task, *, summary: str) -> Task:
    """VQA v2 with minival to report on."""
    pictures = (replace(a, split=SPLIT) for a in whole.archives if a.split == "val")
    return replace(
        whole,
        name="vqa2@minival",
        summary=summary,
        splits=Splits(fit="train", select=None, report=SPLIT),
        files=(*of_split(whole.files, "train"), *val_files(whole), LIST),
        archives=(*(a for a in whole.archives if a.split == "train"), *pictures),
        examples=partial(examples, whole),
        tiny=partial(tiny, whole),
    )


def val_files(whole: Task) -> tuple[OfficialFile, ...]:
    """VQA v2's files of val, as those of minival."""
    return tuple(replace(file, split=SPLIT) for file in of_split(whole.files, "val"))


def examples(whole: Task, data: Data, split: str) -> Sequence[Example]:
    """Read the training questions, or those of val that the list names.

    Raises
        MissingFilesError: an official file is not there
        ValueError: a file is not what it should be, or the list names a question twice or one that
            val does not have
    """
    if split == "train":
        return whole.examples(data, split)
    paths = find(data, of_split((*val_files(whole), LIST), split))
    rows = [(place, row.question_id) for place, row in read_rows(paths["ids"], Listed)]
    listed = np.array([number for _, number in rows], np.int64)
    distinct(listed.tolist(), paths["ids"], "questions", rows)
    val = {(role, "val"): path for role, path in paths.items() if role != LIST.role}
    questions = whole.examples(Data(data.root, val), "val")
    ids = np.array([int(question.id) for question in questions], np.int64)
    wrong = np.setdiff1d(listed, ids).tolist()
    if wrong:
        some = ", ".join(map(str, wrong[:5]))
        raise ValueError(
            f"{paths['ids']}: {len(wrong):,} questions are not among the val questions: {some}"
        )
    return Rows(questions, np.flatnonzero(np.isin(ids, listed)))


def tiny(whole: Task, root: Path) -> None:
    """VQA v2's, and a list of all questions about two of the three val pictures."""
    whole.tiny(root)
    questions = whole.examples(Data(root), "val")
    rows = [{"question_id": int(question.id)} for question in questions[:4]]
    write_json(root / LIST.name, rows)
