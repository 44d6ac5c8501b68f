"""A metric on parts of a test set: `accuracy/yes-no` is the accuracy on answer type `yes/no`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from clipvil.core import Measured, Task


def name(metric: str, stratum: str) -> str:
    """How a metric on one stratum is called: lower case, words joined by dashes."""
    return f"{metric}/{re.sub(r'[^a-z0-9]+', '-', stratum.lower()).strip('-')}"


def parts(strata: Sequence[str]) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """Every stratum in order of name, and which examples [N] are in it."""
    named = np.asarray(strata, dtype=object)
    for stratum in sorted(set(strata)):
        yield stratum, named == stratum


def figures(
    task: Task, measured: Measured, strata: Mapping[str, Sequence[str]]
) -> dict[str, float]:
    """The headline on every stratum of some kinds; `strata[kind]` belongs to `measured.ids`."""
    headline = task.headline(measured.columns).name
    return {
        name(headline, stratum): float(task.reduce(measured.where(keep).totals())[headline])
        for kind in strata
        for stratum, keep in parts(strata[kind])
    }
