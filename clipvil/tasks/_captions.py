"""What captioning tasks share: pictures and their captions in columns, and how they are scored.

Metric   those of the COCO caption evaluation, on its own scale: CIDEr up to 10, all others up to
         1; METEOR and SPICE are other people's Java programs
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import msgspec
import numpy as np
from numpy.typing import NDArray

from clipvil.columns import Column
from clipvil.core import Answer, Example, Measured, Metric, References, Said, Totals
from clipvil.files import read_rows
from clipvil.metrics import caption, meteor, spice
from clipvil.metrics.tokens import tokens_of
from clipvil.progress import say
from clipvil.tasks.base import words

LONGEST = 20  # words a captioner may say
METRICS = (
    Metric("cider", ""),
    *(Metric(f"bleu_{n}", "") for n in range(1, caption.LONGEST + 1)),
    Metric("meteor", "", needs=meteor.NEEDS),
    Metric("rouge_l", ""),
    Metric("spice", "", needs=spice.NEEDS),
    Metric("plain_cider", ""),  # to explain other people's figures with: never the headline
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Captioned(Column[Example]):
    """Pictures and what people wrote of them; `captions` is None where that is hidden."""

    ids: Sequence[str]
    pictures: Sequence[str]
    captions: Sequence[tuple[str, ...]] | None = None

    def __len__(self) -> int:
        return len(self.ids)

    def row(self, index: int) -> Example:
        """One picture."""
        return Example(
            id=self.ids[index],
            cluster=self.pictures[index],
            pictures=(self.pictures[index],),
            target=None if self.captions is None else References(self.captions[index]),
        )


class Predicted(msgspec.Struct):
    """A row of a submission, or of JSONL rows with `id` and `answer`."""

    image_id: int | str | None = None
    caption: str | None = None
    id: int | str | None = None
    answer: str | None = None

    def __post_init__(self) -> None:
        official = self.image_id is not None and self.caption is not None
        if official == (self.id is not None and self.answer is not None):
            raise ValueError("a prediction needs `image_id` and `caption`, or `id` and `answer`")


def read(path: Path) -> Iterator[tuple[str, Answer]]:
    """Rows with `image_id` and `caption`, or with `id` and `answer`."""
    for _, row in read_rows(path, Predicted):
        if row.caption is not None:
            yield str(row.image_id), Said(row.caption)
        else:
            yield str(row.id), Said(row.answer)


def tokenised(
    examples: Sequence[Example], answers: Mapping[str, Answer]
) -> tuple[tuple[str, ...], list[list[str]], list[list[list[str]]]]:
    """Ids [N], tokens of the answers [N], and of all references of each example [N].

    All captions pass the tokeniser in one go and in file order, as in the published evaluation:
    whether `plan B.` keeps its period depends on the caption after it.

    Raises
        ValueError: the references are hidden
    """
    ids, said, told = list[str](), list[str](), list[tuple[str, ...]]()
    for example in examples:
        if not isinstance(example.target, References):
            raise ValueError(f"{example.id} cannot be scored: its captions are not public")
        ids.append(example.id)
        said.append(words(answers[example.id]))
        told.append(example.target.captions)
    whole = iter(tokens_of([one for several in told for one in several]))
    return tuple(ids), tokens_of(said), [[next(whole) for _ in several] for several in told]


def measure(examples: Sequence[Example], answers: Mapping[str, Answer]) -> Measured:
    """What BLEU, ROUGE-L and CIDEr are computed from.

    Document frequencies are those of the references of these examples, as published: a figure
    belongs to its set of pictures, and resampling that set leaves them as they are.
    """
    ids, candidates, references = tokenised(examples, answers)
    return Measured(ids, caption.COLUMNS, caption.statistics(candidates, references))


def thorough(examples: Sequence[Example], answers: Mapping[str, Answer]) -> Measured:
    """As `measure`, and with what METEOR and SPICE are computed from where they can be run."""
    return _counted(examples, [answers], (meteor, spice))[0]


def compared(
    examples: Sequence[Example], several: Sequence[Mapping[str, Answer]]
) -> list[Measured]:
    """As `measure`, of several systems, with METEOR where it can be run; SPICE takes too long."""
    return _counted(examples, several, (meteor,))


def _counted(
    examples: Sequence[Example],
    several: Sequence[Mapping[str, Answer]],
    programs: Sequence[ModuleType],
) -> list[Measured]:
    """Each system's statistics. A program, which is slow to start, runs once over all of them."""
    said = [tokenised(examples, answers) for answers in several]
    columns = caption.COLUMNS
    counts = [np.concatenate([caption.statistics(one, told) for _, one, told in said])]
    for program in programs:
        if program.program() is None:
            continue
        try:
            counts.append(
                program.statistics(
                    [one for _, candidates, _ in said for one in candidates],
                    [one for _, _, references in said for one in references],
                )
            )
        except ChildProcessError as error:  # the other figures are worth having without
            say(str(error))
        else:
            columns += program.COLUMNS
    rows = np.split(np.concatenate(counts, axis=1), len(several))
    return [Measured(ids, columns, own) for (ids, _, _), own in zip(said, rows, strict=True)]


def reduce(totals: Totals) -> dict[str, NDArray[np.float64]]:
    """All metrics that the columns allow."""
    values = caption.reduce(totals)
    for scorer in (meteor, spice):
        if totals.keys() >= set(scorer.COLUMNS):
            values |= scorer.reduce(totals)
    return values
