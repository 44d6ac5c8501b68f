"""VCR's submission: 20 probabilities a question, or the places of the choices made.

Source   https://visualcommonsense.com/leaderboard
Files    CSV: annot_id, answer_0..3, and for each answer a, as if it were the right one,
         rationale_conditioned_on_a{a}_0..3; or JSONL rows of `id` and `answer`, the latter
         {"answer": k, "rationale": [k0, k1, k2, k3]} or its two fields in the row itself
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import msgspec

from clipvil.core import Answer, Chose
from clipvil.files import SPOILT, open_plain, read_rows, write_bytes
from clipvil.tasks.base import chosen

CHOICES = 4
ANSWERS = [f"answer_{a}" for a in range(CHOICES)]
RATIONALES = [
    [f"rationale_conditioned_on_a{a}_{r}" for r in range(CHOICES)] for a in range(CHOICES)
]
HEADER = ["annot_id", *ANSWERS, *(name for names in RATIONALES for name in names)]

Place = Annotated[int, msgspec.Meta(ge=0, lt=CHOICES)]
Four = Annotated[list[Place], msgspec.Meta(min_length=CHOICES, max_length=CHOICES)]


class Both(msgspec.Struct):
    """An answer, and the rationale that would follow each answer."""

    answer: Place
    rationale: Four


class Predicted(msgspec.Struct):
    """A row of places."""

    id: int | str
    answer: Place | Both
    rationale: Four | None = None

    def chose(self) -> Chose:
        """What was chosen."""
        both = self.answer
        if not isinstance(both, Both):
            assert self.rationale is not None, self
            both = Both(both, self.rationale)
        return Chose(both.answer, then=tuple(map(Chose, both.rationale)))

    def __post_init__(self) -> None:
        if isinstance(self.answer, Both) != (self.rationale is None):
            raise ValueError("a row needs one `answer` and one `rationale`")


def likeliest(scores: Sequence[float], then: tuple[Chose, ...] = ()) -> Chose:
    """The choice with the highest score, the first of several."""
    values = tuple(scores)
    return Chose(values.index(max(values)), values, then)


def read(path: Path) -> Iterator[tuple[str, Answer]]:
    """A submission, or rows of places.

    Raises
        ValueError: a row is not what it should be; names file and row
    """
    with open_plain(path) as file:
        try:
            start = file.peek(64).lstrip()[:1]
            if start not in (b"[", b"{"):
                yield from _table(path, file)
                return
        except SPOILT as error:
            raise ValueError(f"{path}: {error}") from error
    for _, row in read_rows(path, Predicted):
        yield str(row.id), row.chose()


def _table(path: Path, file: io.BufferedReader[Any]) -> Iterator[tuple[str, Answer]]:
    lines = csv.DictReader(map(bytes.decode, file), strict=True)
    try:
        if missing := [name for name in HEADER if name not in (lines.fieldnames or ())]:
            raise ValueError(f"no column {', '.join(missing[:5])}")
        for row in lines:
            then = tuple(likeliest(_numbers(row, names)) for names in RATIONALES)
            yield row["annot_id"], likeliest(_numbers(row, ANSWERS), then)
    except (ValueError, csv.Error) as error:
        raise ValueError(f"{path}, line {lines.line_num}: {error}") from error


def _numbers(row: Mapping[str, str | None], names: Sequence[str]) -> list[float]:
    """Some cells of a row as finite numbers."""
    found = list[float]()
    for name in names:
        cell = row[name]
        if cell is None or not math.isfinite(value := float(cell)):
            raise ValueError(f"{name} is {cell}")
        found.append(value)
    return found


def write(path: Path, answers: Mapping[str, Answer]) -> None:
    """The official submission; a choice without scores gets all of the probability."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(HEADER)
    for name, answer in answers.items():
        first = chosen(answer)
        table.writerow([name, *(p for one in (first, *first.then) for p in _scores(one))])
    write_bytes(path, text.getvalue().encode())


def _scores(choice: Chose) -> Sequence[float]:
    return choice.scores or [float(place == choice.index) for place in range(CHOICES)]
