"""Which examples a comparison may learn from: subsets that are nested, paired and written down.

One permutation of clusters (pictures) a data seed; a subset is a prefix of it, so that more shots
hold all that fewer hold; all questions about a picture stay together; every encoder gets the same.
Selection data stand apart from the fitting data and are never more of them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clipvil.core import Example, UsageError

HELD = 0.1  # share of the fitting pictures that selection gets where a task has no split for it
GENERATOR = 1  # version of the rule below: a changed rule changes subsets


@dataclass(frozen=True, slots=True)
class Shots:
    """An amount of training data: a share of what there is, or a number of examples."""

    text: str

    def __post_init__(self) -> None:
        if not re.fullmatch(r"\d+(\.\d+)?%|[1-9]\d*", self.text):
            raise UsageError(f"shots are a share like 5% or a count like 100, not {self.text!r}")
        if self.text.endswith("%") and not 0 < float(self.text[:-1]) <= 100:
            raise UsageError(f"shots between 0 and 100 %, not {self.text}")

    def examples(self, whole: int) -> int:
        """How many examples at most, out of `whole`."""
        if self.text.endswith("%"):
            return max(1, round(whole * float(self.text[:-1]) / 100))
        if int(self.text) > whole:
            raise UsageError(f"{self.text} shots asked for, the data have {whole:,} to fit on")
        return int(self.text)

    def everything(self, whole: int) -> bool:
        """Whether this is all there is; then seeds vary initialisation and order only."""
        return self.examples(whole) >= whole


@dataclass(frozen=True, slots=True)
class Seeds:
    """Seeds of the data, of the initial weights and of the order, apart from each other."""

    data: int
    init: int
    order: int


@dataclass(frozen=True, slots=True)
class Subset:
    """Indices into the fitting split and into the split that selection reads."""

    shots: str
    seed: int
    fit: NDArray[np.int64]
    select: NDArray[np.int64]
    select_split: str

    def manifest(self, fit: Sequence[Example], select: Sequence[Example]) -> dict[str, Any]:
        """What was drawn, by id, so that anybody can draw it again and compare."""
        return {
            "generator": GENERATOR,
            "shots": self.shots,
            "seed": self.seed,
            "fit": [fit[int(i)].id for i in self.fit],
            "select_split": self.select_split,
            "select": [select[int(i)].id for i in self.select],
        }


def clusters(examples: Sequence[Example]) -> list[str]:
    """The cluster of every example."""
    return [example.cluster for example in examples]


def shuffled(names: Sequence[str], seed: int) -> list[NDArray[np.int64]]:
    """Indices of the examples of each cluster, the clusters in the order of a seed."""
    distinct, inverse = np.unique(np.array(names, dtype=str), return_inverse=True)
    groups = np.split(
        np.argsort(inverse, kind="stable"), np.cumsum(np.bincount(inverse, minlength=len(distinct)))
    )[:-1]
    return [groups[k] for k in np.random.default_rng([GENERATOR, seed]).permutation(len(distinct))]


def prefix(groups: Sequence[NDArray[np.int64]], most: int) -> NDArray[np.int64]:
    """Whole clusters from the front, at least one and at most `most` examples, indices sorted."""
    ends = np.cumsum([len(group) for group in groups])
    count = max(1, int(np.searchsorted(ends, most, side="right")))
    return np.sort(np.concatenate(groups[:count]))


def subset(
    fit: Sequence[str], select: Sequence[str] | None, shots: Shots, seed: int, split: str
) -> Subset:
    """Draw a subset.

    Args
        fit: cluster of every example of the fitting split
        select: the same for the selection split, or None to hold some fitting pictures back
        split: name of the split that selection reads
    """
    groups = shuffled(fit, seed)
    if select is None:
        if len(groups) < 2:
            raise ValueError("one picture cannot be split into fitting and selection data")
        held = max(1, round(HELD * len(groups)))
        groups, kept = groups[:-held], groups[-held:]
    else:
        kept = shuffled(select, seed)
    whole = sum(len(group) for group in groups)
    # what is held back has another number of examples with every seed
    chosen = prefix(groups, shots.examples(max(whole, available(fit, select))))
    return Subset(shots.text, seed, chosen, prefix(kept, len(chosen))[: len(chosen)], split)


def available(fit: Sequence[str], select: Sequence[str] | None) -> int:
    """Examples that 100 % means: all there are, less what selection holds back."""
    if select is not None:
        return len(fit)
    groups = shuffled(fit, 0)
    return sum(len(group) for group in groups[: -max(1, round(HELD * len(groups)))])


def seeds(shots: Shots, whole: int, index: int) -> Seeds:
    """The seeds of repetition `index`: at 100 % the data stay the same."""
    return Seeds(data=0 if shots.everything(whole) else index, init=index, order=index)
