"""SNLI-VE: does a Flickr30k picture entail a sentence, is it neutral to it, or does it contradict?

Source   https://github.com/necla-ml/SNLI-VE, arXiv:1901.06706; published on Google Drive, which
         asks a person before it gives large files. `data get` takes the copy that
         https://github.com/allenai/allennlp-models trains on (training_config/vision)
Files    snli_ve_{train,dev,test}.jsonl. `sentence2` is the hypothesis; the picture stands for
         `sentence1`, which nobody may read
Metric   accuracy in percent; there is no server and no submission format, so predictions are rows
         of `id` (pairID) and `answer`
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from clipvil import sources
from clipvil.columns import Interned, Strings, Tuples
from clipvil.core import Data, Download, Example, OfficialFile, Splits, Task
from clipvil.files import find, read_rows, write_jsonl
from clipvil.progress import say
from clipvil.tasks import _entailment
from clipvil.tasks.base import (
    COLOURS,
    Questions,
    distinct,
    of_split,
    picture_name,
    tiny_picture,
    write_words,
)

SOURCE = "https://github.com/necla-ml/SNLI-VE"
COPY = "https://storage.googleapis.com/allennlp-public-data/snli-ve/snli_ve_{}.jsonl.gz"
FILES = tuple(
    OfficialFile(
        role="annotations",
        split=split,
        name=f"snli_ve_{split}.jsonl",
        source=SOURCE,
        download=Download(urls=(COPY.format(split),)),
    )
    for split in ("train", "dev", "test")
)
PICTURES = tuple(
    OfficialFile(
        role="pictures",
        split=file.split,
        name="flickr30k-images",
        source="http://shannon.cs.illinois.edu/DenotationGraph",
        gate=sources.FLICKR30K,
    )
    for file in FILES
)
UNDECIDED = "-"  # five people could not agree
GENOME = "vg_"  # pictures of Visual Genome instead of Flickr30k


class Pair(msgspec.Struct, rename={"generated": "Flickr30K_ID", "parsed": "Flikr30kID"}):
    """A row as the official generator writes it, or as the official parser spells it."""

    pairID: str  # noqa: N815
    gold_label: str
    sentence2: str
    generated: str | None = None
    parsed: str | None = None

    def __post_init__(self) -> None:
        if self.gold_label not in (*_entailment.LABELS, UNDECIDED):
            raise ValueError(f"gold_label {self.gold_label!r}")
        if self.generated is None and self.parsed is None:
            raise ValueError("a pair needs `Flickr30K_ID` or `Flikr30kID`")
        picture_name(self.image)

    @property
    def image(self) -> str:
        """The picture's name without suffix."""
        return (self.generated or self.parsed or "").removesuffix(".jpg")


def examples(data: Data, split: str) -> Sequence[Example]:
    """Read one split, without pairs that the release leaves out: no gold label, Visual Genome.

    Raises
        MissingFilesError: the official file is not there
        ValueError: a row is not what it should be; names file and row
    """
    path = find(data, of_split(FILES, split))["annotations"]
    ids, images, hypotheses, labels = Strings(), Interned(), Strings(), Tuples()
    left_out = 0
    for _, row in read_rows(path, Pair):
        if row.gold_label == UNDECIDED or row.image.startswith(GENOME):
            left_out += 1
            continue
        ids.append(row.pairID)
        images.append(row.image)
        hypotheses.append(row.sentence2)
        labels.append([row.gold_label])
    if left_out:
        say(f"{path}: {left_out:,} pairs without a gold label or of Visual Genome are left out")
    distinct(ids, path, "pairs", ((place, row.pairID) for place, row in read_rows(path, Pair)))
    return Questions(ids=ids, clusters=images, pictures=images, words=hypotheses, answers=labels)


def tiny(root: Path) -> None:
    """Three squares a split, and three sentences about each."""
    for number, file in enumerate(FILES, 1):
        rows = list[dict[str, object]]()
        for image, colour in enumerate(COLOURS, 100 * number):
            tiny_picture(root / f"{image}.jpg", colour)
            for label, sentence in _entailment.tiny(colour):
                pair = f"{image}.jpg#0r1{label[0]}"
                rows.append({"Flickr30K_ID": str(image), "captionID": f"{image}.jpg#0",
                             "pairID": pair, "gold_label": label, "annotator_labels": [label],
                             "sentence1": "A square.", "sentence2": sentence})  # fmt: skip
        write_jsonl(root / file.name, rows)


TASK = Task(
    name="snli_ve",
    version=1,
    summary="SNLI-VE: does a Flickr30k picture entail a sentence or contradict it?",
    answer=_entailment.ANSWER,
    metrics=_entailment.METRICS,
    splits=Splits(fit="train", select="dev", report="test"),
    files=FILES,
    archives=PICTURES,
    examples=examples,
    measure=_entailment.measure,
    reduce=_entailment.reduce,
    read=_entailment.read,
    write=write_words,
    tiny=tiny,
)
