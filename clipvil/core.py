"""The nouns that every other part speaks in: plain data, no torch.

An `Example` is one thing to answer, an `Answer` what somebody said to it, a `Task` a value made of
functions that reads examples and measures answers. Measuring gives one row of sufficient statistics
an example; a metric is a function of the *sums* of those rows. So a corpus metric (BLEU), a
breakdown by question type and ten thousand bootstrap replicates all come from one place.

Shapes   N examples, K columns of statistics; `...` any shape of replicates
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from clipvil.errors import UsageError as UsageError

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


class Floor(Protocol):
    """The walkable graph of one scan; all its episodes share one."""

    def distance(self, start: str, end: str) -> float:
        """Length of the shortest way between two viewpoints in metres."""
        ...

    def joined(self, start: str, end: str) -> bool:
        """Whether one step leads from a viewpoint to another."""
        ...


@dataclass(frozen=True, slots=True)
class Episode:
    """Where a walk starts and the reference path it is judged by; headings in radians.

    `floor` is None where nobody needs distances.
    """

    scan: str
    path: tuple[str, ...]
    heading: float
    language: str = "en"
    floor: Floor | None = None


@dataclass(frozen=True, slots=True)
class Humans:
    """What several people answered to one question.

    `marks` tell equal answers apart; empty where every answer is somebody's own.
    """

    answers: tuple[str, ...]
    marks: tuple[str, ...] = ()


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
    `record` is what only the task's own scorer reads.
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
    record: object = None

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
    """Name, unit and direction of a figure, on the official scorer's own scale.

    `needs` is what it takes beyond the task's required files (`Java`, `--choices`), and so the
    reason when it could not be computed.
    """

    name: str
    unit: str
    higher_is_better: bool = True
    needs: str = ""


@dataclass(frozen=True, slots=True)
class Tally:
    """Counts too many for columns: example i counts in cell `cells[i]` of a table, -1 in none."""

    cells: NDArray[np.int64]  # [N], numbered row by row
    shape: tuple[int, int]

    def totals(self, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """The table `[..., *shape]` for `weights [..., N]`."""
        counted, size = self.cells >= 0, self.shape[0] * self.shape[1]
        several = weights[..., counted].reshape(math.prod(weights.shape[:-1]), -1)
        tables = [np.bincount(self.cells[counted], one, size) for one in several]
        return np.array(tables, np.float64).reshape(*weights.shape[:-1], *self.shape)


@dataclass(frozen=True, slots=True)
class Measured:
    """Sufficient statistics: `rows[i]` belongs to `ids[i]`, its entries to `columns`.

    `tallies` are for metrics of a whole test set that no example has by itself.
    """

    ids: tuple[str, ...]
    columns: tuple[str, ...]
    rows: NDArray[np.float64]  # [N, K]
    tallies: Mapping[str, Tally] = field(default_factory=dict)

    def totals(self, weights: NDArray[np.float64] | None = None) -> dict[str, NDArray[np.float64]]:
        """Sum of every column; `weights [..., N]` count each example (a bootstrap replicate)."""
        if weights is None:
            weights = np.ones(len(self.ids))
        sums = weights @ self.rows  # [..., K]
        columns = {name: sums[..., k] for k, name in enumerate(self.columns)}
        return columns | {name: tally.totals(weights) for name, tally in self.tallies.items()}

    def each(self) -> dict[str, NDArray[np.float64]]:
        """Every column as it is [N]: reducing these gives each example's own figures."""
        return {name: self.rows[:, k] for k, name in enumerate(self.columns)}

    def where(self, keep: NDArray[np.bool_]) -> Measured:
        """The statistics of some of the examples."""
        ids = tuple(i for i, k in zip(self.ids, keep, strict=True) if k)
        tallies = {n: Tally(tally.cells[keep], tally.shape) for n, tally in self.tallies.items()}
        return Measured(ids, self.columns, self.rows[keep], tallies)


Totals = Mapping[str, NDArray[np.float64]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Download:
    """What a server has: the official file itself, or the zip whose `member` it is.

    `urls` are mirrors in the order in which they are tried; `bytes` and `sha256` are of what the
    server has, None where they are not known; `about` is a published size in round numbers, which
    people are told and nothing is checked against.
    """

    urls: tuple[str, ...]
    member: str = ""
    bytes: int | None = None
    about: int | None = None
    sha256: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OfficialFile:
    """A published file: the `role` it plays for a `split`, its official name and its source.

    Without an `optional` one some metrics cannot be computed, or the data are laid out otherwise.
    `gate` tells the steps to a file that is only given to those who agree to its terms.
    """

    role: str
    split: str
    name: str
    source: str
    optional: bool = False
    download: Download | None = None
    gate: str = ""


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
    reduce     sums of statistics -> metric values, those that the columns allow; works on arrays
               of replicates alike; what has no value (nothing to count) is NaN
    write      answers -> the official submission file
    read       a submission, or JSONL rows {"id", "answer"}, -> (id, answer) pairs in file order
    tiny       writes a few examples of every split in the published format, with pictures
    archives   zips of its pictures as published, which are read without unpacking them
    breakdowns kinds of `strata` that the official scorer reports beside the headline
    broken     metrics that are broken down like the headline
    metrics    in order of importance; the headline is the first that the data allow
    thorough   as `measure`, with what takes other programs (METEOR, SPICE): for `score`
    compared   (examples, answers of several systems) -> statistics of each, with what another
               program counts soon enough for many of them (METEOR): for `compare`
    partial    whether the official scorer scores what was answered and leaves out the rest
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
    archives: tuple[OfficialFile, ...] = ()
    breakdowns: tuple[str, ...] = ()
    broken: tuple[str, ...] = ()
    thorough: Callable[[Sequence[Example], Mapping[str, Answer]], Measured] | None = None
    compared: (
        Callable[[Sequence[Example], Sequence[Mapping[str, Answer]]], list[Measured]] | None
    ) = None
    partial: bool = False

    def headline(self, columns: Collection[str]) -> Metric:
        """The metric that a comparison is about, given the columns of `measure`."""
        computed = self.reduce(dict.fromkeys(columns, np.zeros(())))
        return next(metric for metric in self.metrics if metric.name in computed)
