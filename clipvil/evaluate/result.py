"""Records: what a comparison found, one JSON object a line, and what it was run on (`about.json`).

A `Cell` is one figure of one trained model, a `Mean` the same over seeds, a `Difference` two
encoders compared. Scores are on the official scorer's own scale and `unit` says so; differences
and intervals (95 %) share that unit. What does not exist is null, never zero.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal

import msgspec

from clipvil.files import read_json, read_jsonl, write_bytes
from clipvil.graphs.above import Drawing

RESULTS = "results.jsonl"
ABOUT = "about.json"
FULL = "100%"  # how `shots` spells the whole of the training pictures

Family = Literal["primary", "shift", "control", "exploratory"]
Control = Literal["prior", "text", "shuffled", "probe", "zero-shot"]


class Seed(msgspec.Struct, frozen=True, kw_only=True):
    """What chance decided: which pictures, which first weights, which order of batches."""

    data: int
    init: int
    order: int

    @property
    def key(self) -> tuple[int, int, int]:
        """The three in a row, for sorting and pairing."""
        return self.data, self.init, self.order


class Cell(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="cell"):
    """One metric of one model, trained from one encoder, size and seed, on one test set.

    `low` and `high` bound the value over test clusters only: another seed may lie outside.
    `stratum` is a value of the breakdown `breakdown` (question type ...); both null for the whole.
    """

    task: str
    version: int | str
    split: str
    shift: str | None
    metric: str
    value: float | None
    unit: str
    higher_is_better: bool
    n: int  # test examples
    low: float | None
    high: float | None
    encoder: str
    fingerprint: str | None
    model: str
    shots: str  # share or number of training pictures, as asked for
    examples: int  # training examples that share held
    seed: Seed
    recipe: str | None
    commit: str | None
    seconds: float | None  # of training and answering
    device: str | None
    breakdown: str | None = None
    stratum: str | None = None
    control: Control | None = None  # what stands beside the encoders, and is none
    learning_rate: float | None = None
    epochs: float | None = None
    loss: float | None = None  # of training, at its end
    converged: bool | None = None
    coverage: float | None = None  # share of the fitting answers that the vocabulary holds

    @property
    def key(self) -> tuple[object, ...]:
        """What the figure is of."""
        where = (self.task, self.version, self.split, self.shift, self.metric, self.stratum)
        return ("cell", *where, self.encoder, self.model, self.shots, self.seed.key)

    @property
    def found(self) -> tuple[object, ...]:
        """What must agree where two machines ran the same cell."""
        return self.value, self.n, self.low, self.high, self.fingerprint, self.examples


class Mean(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="mean"):
    """One metric of one encoder and size over seeds.

    `seeds` are the values behind it. `drop` is the shifted value minus the unshifted one of the
    same models, so negative where a shift costs points of a metric that should be high.
    """

    task: str
    version: int | str
    split: str
    shift: str | None
    metric: str
    breakdown: str | None
    stratum: str | None
    encoder: str
    control: Control | None
    model: str
    shots: str
    examples: int
    n: int
    unit: str
    higher_is_better: bool
    value: float | None
    low: float | None
    high: float | None
    seeds: list[float]
    drop: float | None = None
    drop_low: float | None = None
    drop_high: float | None = None

    @property
    def key(self) -> tuple[object, ...]:
        """What the figure is of."""
        where = (self.task, self.version, self.split, self.shift, self.metric, self.stratum)
        return ("mean", *where, self.encoder, self.model, self.shots)

    @property
    def found(self) -> tuple[object, ...]:
        """What must agree where two machines say it."""
        return self.value, self.low, self.high, self.n, tuple(self.seeds)


class Difference(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="difference"):
    """An encoder against a baseline: value of the encoder minus that of the baseline.

    `relative` is that gain as a fraction of (baseline - prior). `examples_needed` is the share of
    the training examples with which the encoder reaches the baseline's score with all of them; it
    stands on the record of the largest size. `p_holm` is adjusted over the record's family;
    exploratory records have none and claim no significance.
    """

    task: str
    version: int | str
    split: str
    shift: str | None
    metric: str
    encoder: str
    baseline: str
    shots: str
    value: float | None
    low: float | None
    high: float | None
    p: float | None
    p_holm: float | None
    relative: float | None
    examples_needed: str | None
    family: Family
    significant: bool | None
    seeds: list[float]
    model: str
    unit: str
    higher_is_better: bool
    breakdown: str | None = None
    stratum: str | None = None
    examples_needed_value: float | None = None  # percent; null outside the measured sizes
    examples_needed_low: float | None = None
    examples_needed_high: float | None = None
    examples_needed_interval: str | None = None

    @property
    def key(self) -> tuple[object, ...]:
        """What the figure is of."""
        where = (self.task, self.version, self.split, self.shift, self.metric, self.stratum)
        return ("difference", *where, self.encoder, self.baseline, self.model, self.shots)

    @property
    def found(self) -> tuple[object, ...]:
        """What must agree where two machines say it; adjusted values depend on the company."""
        return self.value, self.low, self.high, self.p, tuple(self.seeds)


Record = Cell | Mean | Difference


class EncoderCost(msgspec.Struct, frozen=True, kw_only=True):
    """What an encoder costs to run and to store."""

    name: str
    fingerprint: str | None = None
    parameters: int | None = None
    width: int | None = None  # numbers a grid cell
    grid: tuple[int, int] | None = None  # rows, columns
    seconds_per_1000: float | None = None  # to encode a thousand pictures
    bytes_per_picture: float | None = None  # in the feature store


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """One test example with what each encoder's model said; `scores` are credits from 0 to 1."""

    id: str
    question: str
    picture: str | None  # a data URI, so that the page needs no other file
    reference: list[str]
    answers: dict[str, str]
    scores: dict[str, float]
    drawing: Drawing | None = None  # of walks, in the order of `answers`


class About(msgspec.Struct, frozen=True, kw_only=True):
    """How an output folder came to be."""

    command: str
    task: str
    data: str
    versions: dict[str, str]
    hardware: str
    encoders: list[EncoderCost]
    baseline: str
    started: str | None = None  # ISO 8601; interrupted work began but once
    notes: list[str] = msgspec.field(default_factory=list)
    examples: list[Shown] = msgspec.field(default_factory=list)


def write_records(path: Path, records: Iterable[Record]) -> None:
    """Write one record a line, whole or not at all; what is not a number becomes null."""
    write_bytes(path, b"".join(msgspec.json.encode(record) + b"\n" for record in records))


def read_records(path: Path) -> list[Record]:
    """Records of one file; errors name file and line."""
    return list(read_jsonl(path, Record))


def write_about(path: Path, about: About) -> None:
    """Write how a folder came to be."""
    write_bytes(path, msgspec.json.format(msgspec.json.encode(about), indent=2) + b"\n")


def read_about(path: Path) -> About:
    """How a folder came to be; errors name file and place."""
    about: About = read_json(path, About)
    return about


def merge(sources: Mapping[Path, Sequence[Record]]) -> list[Record]:
    """Records of several files in order, each thing once.

    Raises
        ValueError: two files have different figures for the same thing; names both
    """
    kept: dict[tuple[object, ...], tuple[Path, Record]] = {}
    for path, records in sources.items():
        for record in records:
            first, known = kept.setdefault(record.key, (path, record))
            if known.found != record.found:
                raise ValueError(
                    f"{first} and {path} disagree on {describe(record)}: "
                    f"{known.value} and {record.value}; leave one of them out"
                )
    return [record for _, record in kept.values()]


def describe(record: Record) -> str:
    """What a record is of, for a person."""
    parts = [record.task, record.shift, record.metric, record.stratum, record.encoder]
    if isinstance(record, Difference):
        parts.append(f"against {record.baseline}")
    parts.append(f"at {record.shots}")
    if isinstance(record, Cell):
        parts.append(f"seed {'/'.join(map(str, record.seed.key))}")
    return " ".join(part for part in parts if part)
