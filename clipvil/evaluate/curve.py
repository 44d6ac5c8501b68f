"""Learning curves: how many examples an encoder needs for what another reaches with all of them.

Shapes   Z sizes, S seeds, R replicates
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clipvil.evaluate.statistics import LEVEL

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """Scores of one encoder by number of training examples, sizes rising."""

    examples: tuple[int, ...]
    seeds: Floats  # [Z, S]
    drawn: Floats  # [Z, S, R] over resampled clusters


@dataclass(frozen=True, slots=True, kw_only=True)
class Needed:
    """A share of the examples in percent; None where it lies outside the measured sizes."""

    text: str
    value: float | None
    low: float | None
    high: float | None
    interval: str


def examples_needed(
    ours: Curve, baseline: Curve, *, higher_is_better: bool = True, seed: int = 0
) -> Needed:
    """The share of examples with which our encoder reaches the baseline's score with all of them.

    Scores are joined by straight lines over log n and the first crossing counts. Its interval
    resamples clusters and, where there are several, seeds together; their deviations are widened
    by sqrt(S / (S - 1)), which resampling few of them lacks (Davison and Hinkley 1997, 2.3).

    Raises
        ValueError: fewer than two sizes, or two curves with other sizes or seeds
    """
    if len(ours.examples) < 2:
        raise ValueError("a curve takes two sizes or more")
    if ours.seeds.shape != baseline.seeds.shape or ours.examples[-1] != baseline.examples[-1]:
        raise ValueError("both curves must have the same sizes and seeds")
    sign = 1 if higher_is_better else -1
    logs = np.log(ours.examples)
    curve, goal = sign * ours.seeds.mean(1), sign * baseline.seeds[-1].mean()
    at = float(_crossing(logs, curve[:, None], np.array([goal]))[0])
    many = _crossing(
        logs, sign * _resampled(ours.seeds, ours.drawn, seed),
        sign * _resampled(baseline.seeds, baseline.drawn, seed)[-1],
    )  # fmt: skip
    ordered = np.sort(many)  # with infinities, between which nothing can be interpolated
    low = float(ordered[int(LEVEL / 2 * len(ordered))])
    high = float(ordered[-1 - int(LEVEL / 2 * len(ordered))])
    shares = [_share(x, logs) for x in (at, low, high)]
    smallest = 100 * float(np.exp(logs[0] - logs[-1]))
    texts = [_say(x, share, smallest) for x, share in zip((at, low, high), shares, strict=True)]
    span = texts[1] if texts[1] == texts[2] else f"{texts[1]} to {texts[2]}"
    return Needed(text=texts[0], value=shares[0], low=shares[1], high=shares[2], interval=span)


def _crossing(logs: Floats, curves: Floats, goals: Floats) -> Floats:
    """Where each curve [Z, R] first reaches its goal [R]; -inf before, inf after all sizes."""
    found = np.full(curves.shape[1], np.inf)
    for z in range(len(logs) - 1, 0, -1):
        before, after = curves[z - 1], curves[z]
        inside = (before < goals) & (after >= goals)
        step = np.where(inside, after - before, 1.0)
        found = np.where(inside, logs[z - 1] + (logs[z] - logs[z - 1]) * (goals - before) / step,
                         found)  # fmt: skip
    return np.where(curves[0] >= goals, -np.inf, found)


def _resampled(seeds: Floats, drawn: Floats, seed: int) -> Floats:
    """Means [Z, R] over resampled seeds, the same draw for every curve: seeds stay paired."""
    _, count, replicates = drawn.shape
    if count == 1:
        return drawn[:, 0]
    generator = np.random.default_rng([seed, count])
    chosen = generator.integers(count, size=(1, count, replicates))
    means = np.take_along_axis(drawn, np.broadcast_to(chosen, drawn.shape), 1).mean(1)
    same = drawn.mean(1)  # what the same clusters give with every seed once
    widened: Floats = same + (count / (count - 1)) ** 0.5 * (means - same)
    return widened


def _share(x: float, logs: Floats) -> float | None:
    return 100 * float(np.exp(x - logs[-1])) if np.isfinite(x) else None


def _say(x: float, share: float | None, smallest: float) -> str:
    if share is not None:
        return f"{share:.0f} %" if share >= 9.95 else f"{share:.1f} %"
    return f"< {smallest:.2g} %" if x < 0 else "> 100 %"
