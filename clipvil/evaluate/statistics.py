"""How sure a figure is: resampled test clusters, seeds, and the two together.

Two things vary when an experiment is done again: the test clusters (pictures, movies, scans) and
the seeds. Clusters are resampled whole, because questions about one picture stand and fall
together; all models answer the same resampled clusters, so every comparison is paired.

Seeds and clusters are crossed: every seed's model meets every cluster. With s^2 the variance of a
figure over its S seeds and c^2 the bootstrap variance over clusters of the mean of all seeds, the
squared error is s^2/S + c^2, with degrees of freedom after Satterthwaite (doi:10.2307/3002019).
It is Clark's min F' for subjects crossed with words (1973, doi:10.1016/S0022-5371(73)80014-3). Luck
of one seed with one cluster is in both terms and so counts twice: the error is never too small.
Taking it off once was tried and dropped: in simulations with three seeds it found fewer true gains,
because what is left has fewer degrees of freedom, and raised more false alarms.

With fewer than `ENOUGH_SEEDS` seeds the interval is Student's with that error. With more, seeds and
clusters are resampled together (the pigeonhole bootstrap, arXiv:1106.2125); as it makes too little
of few seeds (Hesterberg, arXiv:1411.5279), it gives the shape and the t distribution of that error
the scale. With one seed only clusters vary: the figure speaks of these very models, not of the
encoder. With two, where seeds vary more than clusters do, one comparison of equals in ten has
p < .05 (simulated); from three seeds on one in twenty or fewer, at worst one in fourteen.

Shapes   N examples, C clusters, K columns, R replicates, S seeds, Z sizes
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, stdtr, stdtrit

from clipvil.core import Measured, Totals

Reduce = Callable[[Totals], dict[str, NDArray[np.float64]]]
Floats = NDArray[np.float64]

REPLICATES = 2_000
ENOUGH_SEEDS = 5
LEVEL = 0.05
ROUNDING = 1e-12  # of a figure: equal rows are summed in another order here and there
BLOCK = 4_000_000  # weights held at a time: 32 MB


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A figure with its 95 % interval and the p value of its being zero.

    `low`, `high` and `p` are None where fewer than two clusters leave nothing to resample.
    """

    value: float
    low: float | None
    high: float | None
    p: float | None
    seeds: tuple[float, ...]

    @property
    def agree(self) -> bool:
        """Whether every seed has the same sign."""
        return all(s > 0 for s in self.seeds) or all(s < 0 for s in self.seeds)


# ---------------------------------------------------------------------------- resampling


def _weights(names: Sequence[str], replicates: int, seed: int) -> Iterator[Floats]:
    """Blocks [r, C] of how often each cluster is drawn; the same names get the same draws."""
    count = len(names)
    generator = np.random.default_rng([seed, zlib.crc32("\n".join(names).encode())])
    block = max(1, BLOCK // count)
    for start in range(0, replicates, block):
        rows = min(block, replicates - start)
        drawn = generator.integers(count, size=(rows, count)) + count * np.arange(rows)[:, None]
        yield np.bincount(drawn.ravel(), minlength=rows * count).reshape(rows, count).astype(float)


def bootstrap(
    several: Sequence[Measured],
    clusters: Sequence[str],
    reduce: Reduce,
    *,
    replicates: int = REPLICATES,
    seed: int = 0,
) -> list[dict[str, Floats]]:
    """Metrics [R] of every model over resampled clusters, the same draws for all of them.

    `clusters` belong to the ids of the first model; the others may have theirs in another order.

    Raises
        ValueError: the models did not answer the same examples
    """
    if len(clusters) != len(several[0].ids):
        raise ValueError(f"{len(several[0].ids)} examples but {len(clusters)} clusters")
    names, places = np.unique(np.array(clusters, dtype=np.str_), return_inverse=True)
    columns = several[0].columns
    sums = np.concatenate([
        np.bincount(_moved(places, several[0], model), column, len(names))[:, None]
        for model in several for column in model.rows.T
    ], axis=1)  # [C, models * K]  # fmt: skip
    parts: list[list[dict[str, Floats]]] = [[] for _ in several]
    for weights in _weights(names.tolist(), replicates, seed):
        totals = (weights @ sums).reshape(
            len(weights), len(several), len(columns)
        )  # [r, models, K]
        for part, one in zip(parts, totals.transpose(1, 2, 0), strict=True):
            with np.errstate(divide="ignore", invalid="ignore"):  # a rare type may be missing
                part.append(reduce(dict(zip(columns, one, strict=True))))
    return [{name: np.concatenate([p[name] for p in part]) for name in part[0]} for part in parts]


def _moved(places: NDArray[np.intp], first: Measured, model: Measured) -> NDArray[np.intp]:
    """The cluster of each row of `model`, given that of each row of the first one."""
    if model.columns != first.columns:
        raise ValueError("what is compared must be measured in the same way")
    if model.ids == first.ids:
        return places
    of = dict(zip(first.ids, places, strict=True))
    if of.keys() != set(model.ids):
        raise ValueError("what is compared must be measured on the same examples")
    return np.array([of[i] for i in model.ids])


def values(measured: Measured, reduce: Reduce) -> dict[str, float]:
    """The metrics themselves, without those of tallies: they are not resampled either."""
    alone = Measured(measured.ids, measured.columns, measured.rows)
    with np.errstate(divide="ignore", invalid="ignore"):  # nothing of a type: no value
        return {name: float(value) for name, value in reduce(alone.totals()).items()}


def ends(replicates: Floats) -> tuple[float, float]:
    """The middle 95 % of some replicates; one that a rare type is missing from has no value."""
    there = replicates[np.isfinite(replicates)]
    low, high = np.quantile(there, (LEVEL / 2, 1 - LEVEL / 2))
    return float(low), float(high)


def interval(
    measured: Measured,
    clusters: Sequence[str],
    reduce: Reduce,
    metric: str,
    *,
    replicates: int = REPLICATES,
    seed: int = 0,
) -> tuple[float, float] | None:
    """95 % percentile interval of one model's metric over clusters; None with fewer than two."""
    if len(set(clusters)) < 2:
        return None
    drawn = bootstrap([measured], clusters, reduce, replicates=replicates, seed=seed)
    return ends(drawn[0][metric])


# ---------------------------------------------------------------------------- estimating


def estimate(seeds: Floats, drawn: Floats, num_clusters: int, *, seed: int = 0) -> Estimate:
    """A mean over seeds [S] with what is known of its spread from replicates [S, R]."""
    value = float(seeds.mean())
    each = tuple(float(s) for s in seeds)
    drawn = drawn[:, np.isfinite(drawn).all(0)]
    if num_clusters < 2:
        return Estimate(value=value, low=None, high=None, p=None, seeds=each)
    error, freedom = _spread(seeds, drawn, num_clusters)
    floor = 1 / (1 + drawn.shape[1])  # what so many replicates can tell
    if error == 0:  # every model right on the same clusters: no spread is seen
        return Estimate(value=value, low=value, high=value, p=floor if value else 1.0, seeds=each)
    if len(seeds) < ENOUGH_SEEDS:
        reach = error * float(stdtrit(freedom, 1 - LEVEL / 2))
        p = 2 * float(stdtr(freedom, -abs(value) / error))
        return Estimate(value=value, low=value - reach, high=value + reach, p=p, seeds=each)
    crossed = _crossed(drawn, seed) - value  # [R]
    shape = np.clip(crossed / crossed.std(ddof=1), -8, 8)  # further out Phi is 0 or 1
    scaled = np.sort(value + error * stdtrit(freedom, ndtr(shape)))
    low, high = ends(scaled)
    below = float(np.interp(0, scaled, np.linspace(0, 1, len(scaled))))
    p = max(floor, 2 * min(below, 1 - below))
    return Estimate(value=value, low=low, high=high, p=p, seeds=each)


def gain(
    ours: Floats,
    baseline: Floats,
    ours_drawn: Floats,
    baseline_drawn: Floats,
    num_clusters: int,
    *,
    seed: int = 0,
) -> Estimate:
    """Ours minus the baseline, from values [S] and replicates [S, R] of both.

    Where all of it differs by rounding alone, nothing does: the difference is 0 and p is 1.
    """
    seeds, drawn = ours - baseline, ours_drawn - baseline_drawn
    if _equal(ours, baseline) and _equal(ours_drawn, baseline_drawn):
        seeds, drawn = np.zeros_like(seeds), np.zeros_like(drawn)
    return estimate(seeds, drawn, num_clusters, seed=seed)


def _equal(a: Floats, b: Floats) -> bool:
    return np.allclose(a, b, rtol=ROUNDING, atol=0, equal_nan=True)


def _spread(seeds: Floats, drawn: Floats, num_clusters: int) -> tuple[float, float]:
    """Standard error of the mean over seeds, and its degrees of freedom."""
    count = len(seeds)
    unbiased = num_clusters / (num_clusters - 1)
    over_clusters = unbiased * float(drawn.mean(0).var(ddof=1))  # c^2
    over_seeds = float(seeds.var(ddof=1)) / count if count > 1 else 0.0  # s^2 / S
    variance = over_seeds + over_clusters
    if variance == 0:
        return 0.0, 1.0
    parts = over_seeds**2 / max(1, count - 1) + over_clusters**2 / (num_clusters - 1)
    return variance**0.5, variance**2 / parts


def _crossed(drawn: Floats, seed: int) -> Floats:
    """Means over resampled seeds of replicates [S, R] over resampled clusters: [R]."""
    count, replicates = drawn.shape
    chosen = np.random.default_rng([seed, count]).integers(count, size=(count, replicates))
    means: Floats = np.take_along_axis(drawn, chosen, 0).mean(0)
    return means


def difference(
    ours: Sequence[Measured],
    baseline: Sequence[Measured],
    clusters: Sequence[str],
    reduce: Reduce,
    metric: str,
    *,
    replicates: int = REPLICATES,
    seed: int = 0,
) -> Estimate:
    """Ours minus the baseline, `ours[s]` and `baseline[s]` being of the same seed.

    Raises
        ValueError: not as many seeds on both sides, or other examples
    """
    if len(ours) != len(baseline) or not ours:
        raise ValueError(f"{len(ours)} seeds against {len(baseline)}")
    several = [*ours, *baseline]
    drawn = bootstrap(several, clusters, reduce, replicates=replicates, seed=seed)
    reps = np.stack([d[metric] for d in drawn])  # [2S, R]
    seen = np.array([values(m, reduce)[metric] for m in several])  # [2S]
    S = len(ours)
    return gain(seen[:S], seen[S:], reps[:S], reps[S:], len(set(clusters)), seed=seed)


def compare_answers(
    ours: Measured,
    baseline: Measured,
    clusters: Sequence[str],
    reduce: Reduce,
    metric: str,
    *,
    replicates: int = REPLICATES,
    seed: int = 0,
) -> Estimate:
    """Two systems' answers to the same examples: the paired difference over clusters."""
    return difference(
        [ours], [baseline], clusters, reduce, metric, replicates=replicates, seed=seed
    )


# ---------------------------------------------------------------------------- many at once


def holm(p: Sequence[float | None]) -> list[float | None]:
    """p values adjusted so that any false alarm among them has the level's chance.

    Source   Holm 1979, https://www.jstor.org/stable/4615733. What has no p value is left out.
    """
    known = sorted((value, place) for place, value in enumerate(p) if value is not None)
    adjusted: list[float | None] = [None] * len(p)
    largest = 0.0
    for rank, (value, place) in enumerate(known):
        largest = max(largest, min(1.0, (len(known) - rank) * value))
        adjusted[place] = largest
    return adjusted


def significant(p_adjusted: float | None, seeds: Sequence[float]) -> bool:
    """Adjusted p below .05, at least two seeds, and all of them on the same side of zero."""
    sure = p_adjusted is not None and p_adjusted < LEVEL
    same = all(s > 0 for s in seeds) or all(s < 0 for s in seeds)
    return sure and len(seeds) >= 2 and same
