"""A walk and its reference on the graph from above, in the numbers of a drawing.

Units    metres on the floor become pixels of a drawing `WIDTH` wide; north is up
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from clipvil.core import Episode
from clipvil.graphs.atlas import Atlas
from clipvil.metrics.path import NEAR

WIDTH = 480
MARGIN, LEAST = 2.0, 9.0  # metres around both paths, and across the drawing at least
STOREY = 1.5  # metres above and below both paths within which viewpoints are drawn

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Drawing:
    """What is drawn where, in pixels; `stops` are where one stood, with numbers of steps."""

    height: float
    metre: float  # pixels
    edges: tuple[tuple[Point, Point], ...]
    places: tuple[tuple[Point, bool], ...]  # and whether to stop there is a success
    reference: tuple[Point, ...]
    walk: tuple[Point, ...]
    stops: tuple[tuple[Point, str], ...]


def drawn(atlas: Atlas, episode: Episode, walked: Sequence[str]) -> Drawing:
    """The drawing of a walk, given as the viewpoints it passed."""
    seen = [name for name, _ in groupby(walked)]
    reference, walk = atlas.path(episode.scan, episode.path), atlas.path(episode.scan, seen)
    both = atlas.positions[np.concatenate([reference, walk])]
    low, high = both.min(0), both.max(0)
    middle, span = (low + high)[:2] / 2, np.maximum((high - low)[:2] + 2 * MARGIN, LEAST)
    span = np.maximum(span, span[::-1] * 0.6)  # neither a strip nor a tower
    metre = WIDTH / span[0]
    pixels = (atlas.positions[:, :2] - middle) * metre * (1, -1) + span / 2 * metre
    inside = (np.abs(atlas.positions[:, :2] - middle) < span / 2).all(1)
    storey = atlas.positions[:, 2]
    here = np.flatnonzero(
        (atlas.scan == atlas.scan[walk[0]]) & inside
        & (storey > low[2] - STOREY) & (storey < high[2] + STOREY)
    )  # fmt: skip
    near = atlas.metres(here, np.full_like(here, reference[-1])) < NEAR
    numbers = dict[int, list[str]]()
    for step, place in enumerate(walk.tolist(), 1):
        numbers.setdefault(place, []).append(str(step))

    def at(place: int) -> Point:
        x, y = pixels[place].round(1).tolist()
        return x, y

    return Drawing(
        height=round(float(span[1] * metre), 1),
        metre=round(float(metre), 2),
        edges=tuple((at(one), at(other)) for one, other in edges(atlas, here)),
        places=tuple(zip(map(at, here.tolist()), near.tolist(), strict=True)),
        reference=tuple(map(at, reference.tolist())),
        walk=tuple(map(at, walk.tolist())),
        stops=tuple((at(place), " ".join(steps)) for place, steps in numbers.items()),
    )


def edges(atlas: Atlas, some: NDArray[np.int64]) -> list[tuple[int, int]]:
    """Ways between some viewpoints, each once."""
    among = set(some.tolist())
    ways = {
        (min(one, other), max(one, other))
        for one in among
        for other in atlas.neighbours[one].tolist()
        if other in among
    }
    return sorted(ways)
