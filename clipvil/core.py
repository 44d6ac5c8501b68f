"""The nouns that every other part speaks in: plain data, no torch.

An `Example` is one thing to answer, an `Answer` what somebody said to it, a `Task` a value made of
functions that reads examples and measures answers. Measuring gives one row of sufficient statistics
an example; a metric is a function of the *sums* of those rows. So a corpus metric (BLEU), a
breakdown by question type and ten thousand bootstrap replicates all come from one place.

Shapes   N examples, K columns of statistics; `...` any shape of replicates
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray


class UsageError(ValueError):
    """What was asked for cannot be meant: a name nobody knows, an option out of range."""


# ---------------------------------------------------------------------------- what is asked


@dataclass(frozen=True, slots=True)
class Region:
    """Part of a picture; `box` is x1, y1, x2, y2 in pixels of the original picture."""

    box: tuple[float, float, float, float]
    name: str = ""
    polygons: tuple[tuple[tuple[float, float], ...], ...] = ()


@dataclass(frozen=True, slots=True)
class Segment:
    """A run of words, or a mention of regions by index (VCR's tags), in reading order."""

    words: str
    regions: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Episode:
    """Where a walk starts and the reference path it is judged by; headings in radians."""

    scan: str
    path: tuple[str, ...]
    heading: float
    language: str = "en"


@dataclass(frozen=True, slots=True)
class Humans:
    """What several people answered to one question."""

    answers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Gold:
    """Indices of the right candidates: one for most tasks, (answer, rationale) for VCR."""

    indices: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class References:
    """Captions that people wrote."""

    captions: tuple[str, ...]


Target = Humans | Gold | References


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One thing to answer.

    `pictures` are names that `files.PictureIndex` resolves. `cluster` is the unit of independence
    (picture, movie or scan): subsets are drawn and intervals are computed over clusters. `strata`
    are the breakdowns it belongs to, kind -> value. `target` is None where the answer is hidden.
    """

    id: str
    cluster: str
    pictures: tuple[str, ...] = ()
    text: tuple[Segment, ...] = ()
    candidates: tuple[tuple[tuple[Segment, ...], ...], ...] = ()  # one tuple a question put
    regions: tuple[Region, ...] = ()
    target: Target | None = None
    strata: Mapping[str, str] = field(default_factory=dict)
    episode: Episode | None = None

    @property
    def words(self) -> str:
        """The text without its mentions of regions."""
        return " ".join(segment.words for segment in self.text)


# ---------------------------------------------------------------------------- what is answered


@dataclass(frozen=True, slots=True)
class Said:
    """Words: a label out of a closed list or a caption; `others` are n-best, best first."""

    text: str
    others: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Chose:
    """A candidate; `then` is the choice that would follow each candidate (VCR's rationales)."""

    index: int
    scores: tuple[float, ...] = ()
    then: tuple[Chose, ...] = ()


@dataclass(frozen=True, slots=True)
class Walked:
    """(viewpoint, heading, elevation) from the start on; angles in radians."""

    steps: tuple[tuple[str, float, float], ...]


Answer = Said | Chose | Walked


@dataclass(frozen=True, slots=True)
class Labels:
    """Answers come from a list of at most `limit` texts seen in the cell's own training subset.

    `credit` says what each text would earn for one example (between 0 and 1): the soft target of
    training and the source of the list.
    """

    limit: int
    credit: Callable[[Example], Mapping[str, float]]


@dataclass(frozen=True, slots=True)
class Choices:
    """Each example brings its own candidates."""


@dataclass(frozen=True, slots=True)
class Text:
    """Free words, at most `longest` of them."""

    longest: int


@dataclass(frozen=True, slots=True)
class Moves:
    """Steps through a graph, at most `longest` of them."""

    longest: int


AnswerKind = Labels | Choices | Text | Moves


# ---------------------------------------------------------------------------- how it is measured


@dataclass(frozen=True, slots=True)
class Metric:
    """Name, unit and direction of a figure, on the official scorer's own scale."""

    name: str
    unit: str
    higher_is_better: bool = True


@dataclass(frozen=True, slots=True)
class Measured:
    """Sufficient statistics: `rows[i]` belongs to `ids[i]`, its entries to `columns`."""

    ids: tuple[str, ...]
    columns: tuple[str, ...]
    rows: NDArray[np.float64]  # [N, K]

    def totals(self, weights: NDArray[np.float64] | None = None) -> dict[str, NDArray[np.float64]]:
        """Sum of every column; `weights [..., N]` count each example (a bootstrap replicate)."""
        sums = self.rows.sum(0) if weights is None else weights @ self.rows  # [..., K]
        return {name: sums[..., k] for k, name in enumerate(self.columns)}

    def where(self, keep: NDArray[np.bool_]) -> Measured:
        """The statistics of some of the examples."""
        ids = tuple(i for i, k in zip(self.ids, keep, strict=True) if k)
        return Measured(ids, self.columns, self.rows[keep])


Totals = Mapping[str, NDArray[np.float64]]


@dataclass(frozen=True, slots=True, kw_only=True)
class OfficialFile:
    """A published file: the `role` it plays for a `split`, its official name and its source."""

    role: str
    split: str
    name: str
    source: str


@dataclass(frozen=True, slots=True)
class Data:
    """Where a task's files are: anywhere under `root` by official name, or `given` by hand.

    `given` maps (role, split) to a path, under whatever name.
    """

    root: Path | None = None
    given: Mapping[tuple[str, str], Path] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Splits:
    """What each split is for. `select` is None where it must be cut from the fitting pictures."""

    fit: str
    select: str | None
    report: str
    hidden: tuple[str, ...] = ()  # splits without public answers


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A benchmark, as a value made of functions.

    examples   reads one split; a Sequence over columns, so that millions fit
    measure    (examples, answers by id) -> statistics; a missing id is a KeyError, never a zero
    reduce     sums of statistics -> metric values; works on arrays of replicates alike
    write      answers -> the official submission file
    read       a submission, or JSONL rows {"id", "answer"}, -> (id, answer) pairs in file order
    tiny       writes a few examples of every split in the published format, with pictures
    breakdowns kinds of `strata` that the official scorer reports beside the headline
    metrics    the first one is the headline
    """

    name: str
    version: int
    summary: str
    answer: AnswerKind
    metrics: tuple[Metric, ...]
    splits: Splits
    files: tuple[OfficialFile, ...]
    examples: Callable[[Data, str], Sequence[Example]]
    measure: Callable[[Sequence[Example], Mapping[str, Answer]], Measured]
    reduce: Callable[[Totals], dict[str, NDArray[np.float64]]]
    read: Callable[[Path], Iterable[tuple[str, Answer]]]
    write: Callable[[Path, Mapping[str, Answer]], None]
    tiny: Callable[[Path], None]
    breakdowns: tuple[str, ...] = ()

    @property
    def headline(self) -> Metric:
        """The metric that a comparison is about."""
        return self.metrics[0]


# ---------------------------------------------------------------------------- columns


class Strings(Sequence[str]):
    """Many strings in one block of UTF-8: a million questions in tens of megabytes."""

    def __init__(self, strings: Iterable[str]) -> None:
        ends, block = [0], bytearray()
        for string in strings:
            block += string.encode()
            ends.append(len(block))
        self._block, self._ends = bytes(block), np.array(ends, np.int64)

    def __len__(self) -> int:
        return len(self._ends) - 1

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[str]: ...
    def __getitem__(self, index: int | slice) -> str | Sequence[str]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        start, end = self._ends[index % len(self)], self._ends[index % len(self) + 1]
        return self._block[start:end].decode()


class Rows(Sequence[Any]):
    """Some rows of a sequence, in a given order, without copying it."""

    def __init__(self, whole: Sequence[Any], indices: NDArray[np.int64]) -> None:
        self._whole, self._indices = whole, indices

    def __len__(self) -> int:
        return len(self._indices)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return Rows(self._whole, self._indices[index])
        return self._whole[int(self._indices[index])]

    def __iter__(self) -> Iterator[Any]:
        return (self._whole[int(i)] for i in self._indices)
