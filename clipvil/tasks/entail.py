"""Own hypotheses about own pictures: entailed, neutral or contradicted.

Files    DIR/{train,val,test}.jsonl: rows of `image`, `hypothesis`, `label` and perhaps `id`; the
         label is entailment, neutral or contradiction
Metric   accuracy in percent, and the recall of each label
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from clipvil.columns import Strings, Tuples
from clipvil.core import Data, Example, Splits, Task
from clipvil.files import write_jsonl
from clipvil.tasks import _entailment, _own
from clipvil.tasks.base import COLOURS, Questions, tiny_picture, write_words

FILES = _own.files('"hypothesis", "label"')


class Pair(msgspec.Struct):
    """A row of the data."""

    image: str
    hypothesis: str
    label: str
    id: int | str | None = None

    def __post_init__(self) -> None:
        self.image = _own.inside(self.image)
        _entailment.known(self.label)


def examples(data: Data, split: str) -> Sequence[Example]:
    """Read one split.

    Raises
        MissingFilesError: there is no such file
        ValueError: a row is not what it should be; names file and row
    """
    ids, pictures, hypotheses, labels = Strings(), Strings(), Strings(), Tuples()
    for name, row in _own.rows(data, FILES, split, Pair):
        ids.append(name)
        pictures.append(row.image)
        hypotheses.append(row.hypothesis)
        labels.append([row.label])
    return Questions(
        ids=ids, clusters=pictures, pictures=pictures, words=hypotheses, answers=labels
    )


def tiny(root: Path) -> None:
    """Three squares a split, and three sentences about each."""
    for split in _own.SPLITS:
        rows = list[dict[str, object]]()
        for colour in COLOURS:
            image = f"pictures/{split}-{colour}.png"
            tiny_picture(root / image, colour)
            for label, sentence in _entailment.tiny(colour):
                rows.append({"image": image, "hypothesis": sentence, "label": label})
        write_jsonl(root / f"{split}.jsonl", rows)


TASK = Task(
    name="entail",
    version=1,
    summary="your own sentences about your own pictures: entailed, neutral or contradicted",
    answer=_entailment.ANSWER,
    metrics=_entailment.METRICS,
    splits=Splits(fit="train", select="val", report="test"),
    files=FILES,
    examples=examples,
    measure=_entailment.measure,
    reduce=_entailment.reduce,
    read=_entailment.read,
    write=write_words,
    tiny=tiny,
)
