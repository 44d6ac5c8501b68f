"""Walks and their reference on the graph from above, in the numbers of a drawing.

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
MARGIN, LEAST = 2.0, 9.0  # metres around all paths, and across the drawing at least
STOREY = 1.5  # metres above and below all paths within which viewpoints are drawn

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Drawing:
    """What is drawn where, in pixels."""

    height: float
    metre: float  # pixels
    edges: tuple[tuple[Point, Point], ...]
    places: tuple[tuple[Point, bool], ...]  # and whether to stop there is a success
    reference: tuple[Point, ...]
    walks: tuple[tuple[Point, ...], ...]


def drawn(atlas: Atlas, episode: Episode, walked: Sequence[Sequence[str]]) -> Drawing:
    """The drawing of walks of one episode, each given as the viewpoints it passed."""
    reference = atlas.path(episode.scan, episode.path)
    walks = [atlas.path(episode.scan, [name for name, _ in groupby(some)]) for some in walked]
    every = atlas.positions[np.concatenate([reference, *walks])]
    low, high = every.min(0), every.max(0)
    middle, span = (low + high)[:2] / 2, np.maximum((high - low)[:2] + 2 * MARGIN, LEAST)
    span = np.maximum(span, span[::-1] * 0.6)  # neither a strip nor a tower
    metre = WIDTH / span[0]
    pixels = (atlas.positions[:, :2] - middle) * metre * (1, -1) + span / 2 * metre
    inside = (np.abs(atlas.positions[:, :2] - middle) < span / 2).all(1)
    storey = atlas.positions[:, 2]
    here = np.flatnonzero(
        (atlas.scan == atlas.scan[reference[0]]) & inside
        & (storey > low[2] - STOREY) & (storey < high[2] + STOREY)
    )  # fmt: skip
    near = atlas.metres(here, np.full_like(here, reference[-1])) < NEAR

    def at(place: int) -> Point:
        x, y = pixels[place].round(1).tolist()
        return x, y

    return Drawing(
        height=round(float(span[1] * metre), 1),
        metre=round(float(metre), 2),
        edges=tuple((at(one), at(other)) for one, other in edges(atlas, here)),
        places=tuple(zip(map(at, here.tolist()), near.tolist(), strict=True)),
        reference=tuple(map(at, reference.tolist())),
        walks=tuple(tuple(map(at, walk.tolist())) for walk in walks),
    )


def stops(walk: Sequence[Point]) -> list[tuple[Point, str]]:
    """Where one stood on a walk, with the numbers of the steps."""
    numbers = dict[Point, list[str]]()
    for step, point in enumerate(walk, 1):
        numbers.setdefault(point, []).append(str(step))
    return [(point, " ".join(steps)) for point, steps in numbers.items()]


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
