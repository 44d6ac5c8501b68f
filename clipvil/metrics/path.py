"""How well a walk follows a path: success, length-weighted success, and likeness of the two.

Source   success, SPL: arXiv:1807.06757 and the evaluator of peteanderson80/Matterport3DSimulator;
         CLS: arXiv:1905.12255; nDTW, sDTW: arXiv:1907.05446 and google-research/r4r
Units    metres, measured along the graph; all others between 0 and 1

A walk that ends exactly 3 m from the goal has failed by R2R's rule, and by r4r's sDTW has not:
`sdtw` follows R2R, `sdtw_inclusive` r4r. `spl` weighs by the shortest way to the goal, which on
paths that wander (RxR, R4R) is not the path asked for; `spl_reference` weighs by that path.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise

from clipvil.core import Floor

NEAR = 3.0  # metres
STIR = 0.01  # metres; the published guard: a path back to its start has SPL 0, however it is walked


@dataclass(frozen=True, slots=True, kw_only=True)
class PathScores:
    """One walk measured against its reference path."""

    navigation_error: float
    oracle_error: float
    trajectory_length: float
    success_rate: float
    oracle_success_rate: float
    spl: float
    spl_reference: float
    dtw: float
    ndtw: float
    sdtw: float
    sdtw_inclusive: float
    cls: float


def score_path(walked: Sequence[str], reference: Sequence[str], floor: Floor) -> PathScores:
    """Measure a walk, given as the viewpoints it passed, against the reference path.

    Turns on the spot, which repeat a viewpoint, count for nothing.

    Raises
        ValueError: one of the two is empty, or the graph lacks one of their viewpoints
    """
    if not walked or not reference:
        raise ValueError("a walk and a path have at least one viewpoint each")
    seen = [viewpoint for viewpoint, _ in groupby(walked)]
    goal = reference[-1]
    errors = [floor.distance(viewpoint, goal) for viewpoint in seen]
    length, asked = path_length(seen, floor), path_length(reference, floor)
    error, shortest = errors[-1], floor.distance(reference[0], goal)
    near = [[floor.distance(one, other) for other in seen] for one in reference]
    dtw = warped(near)
    ndtw = math.exp(-dtw / (NEAR * len(reference)))
    success = float(error < NEAR)
    return PathScores(
        navigation_error=error,
        oracle_error=min(errors),
        trajectory_length=length,
        success_rate=success,
        oracle_success_rate=float(min(errors) < NEAR),
        spl=success * shortest / max(length, shortest, STIR),
        spl_reference=success * asked / max(length, asked, STIR),
        dtw=dtw,
        ndtw=ndtw,
        sdtw=success * ndtw,
        sdtw_inclusive=float(error <= NEAR) * ndtw,
        cls=covered(near, asked, length),
    )


def path_length(path: Sequence[str], floor: Floor) -> float:
    """Sum of the shortest ways between neighbours on a path."""
    return sum(floor.distance(one, other) for one, other in pairwise(path))


def warped(distances: Sequence[Sequence[float]]) -> float:
    """Cost of the best alignment of two paths that keeps their order (dynamic time warping)."""
    above = [0.0] + [math.inf] * len(distances[0])
    for row in distances:
        here = [math.inf]
        for column, metres in enumerate(row):
            here.append(metres + min(above[column], above[column + 1], here[column]))
        above = here
    return above[-1]


def covered(distances: Sequence[Sequence[float]], asked: float, length: float) -> float:
    """Coverage weighted by length score: how much of the path was seen, without wandering."""
    coverage = sum(math.exp(-min(row) / NEAR) for row in distances) / len(distances)
    wanted = coverage * asked
    if (
        wanted == length == 0
    ):  # 0 / 0 in the paper's formula; who need not move and does not is right
        return coverage
    return coverage * wanted / (wanted + abs(wanted - length))
