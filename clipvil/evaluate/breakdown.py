"""A metric on parts of a test set: `accuracy/yes-no` is the accuracy on answer type `yes/no`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from clipvil.core import Measured, Metric, Task


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
) -> dict[str, tuple[Metric, float]]:
    """What is broken down, on every stratum of some kinds; `strata[kind]` is of `measured.ids`."""
    headline, found = task.headline(measured.columns), dict[str, tuple[Metric, float]]()
    several = [headline, *(metric for metric in task.metrics if metric.name in task.broken)]
    for kind in strata:
        for stratum, keep in parts(strata[kind]):
            whole = task.reduce(measured.where(keep).totals())
            for metric in several:
                found[name(metric.name, stratum)] = metric, float(whole[metric.name])
    return found
