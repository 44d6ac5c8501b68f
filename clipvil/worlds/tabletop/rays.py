"""What can be seen in a house from a place: rays against its walls, landmarks in the open.

Shapes   A rays, S walls
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from clipvil.worlds.tabletop.plan import CELL, House, Landmark, apart, bearing

Numbers = NDArray[np.float64]
FARTHEST: Final = 6.5  # metres: a landmark farther away is too small to be named
TOUCH: Final = 1e-6  # metres by which walls overlap where they meet, so that no ray slips out


@dataclass(frozen=True, slots=True)
class Walls:
    """Walls as columns: where they start, which way they run, from where to where the door is."""

    start: Numbers  # [S, 2]
    along: Numbers  # [S, 2], of length 1
    door: Numbers  # [S, 2]; -1 where there is none


@dataclass(frozen=True, slots=True)
class Hits:
    """Where rays meet walls: how far away, which wall, how far along it; doors let them through."""

    metres: Numbers  # [A]
    wall: NDArray[np.int64]  # [A]
    along: Numbers  # [A]
    doors: Numbers  # [A, S]: how far away the ray goes through a door of wall s, or inf


@lru_cache(maxsize=4)
def walls(house: House) -> Walls:
    """The walls of a house."""
    start = np.array([(w.x, w.y) for w in house.walls])
    along = np.array([(w.eastward, not w.eastward) for w in house.walls], np.float64)
    return Walls(start, along, np.array([w.door or (-1, -1) for w in house.walls], np.float64))


def cast(house: House, place: tuple[float, float], headings: Numbers) -> Hits:
    """Rays from a place inside, one a heading."""
    of = walls(house)
    normal = of.along[:, ::-1]  # [S, 2]
    ray = np.stack([np.sin(headings), np.cos(headings)], 1)  # [A, 2]
    to = of.start - np.array(place)  # [S, 2]
    with np.errstate(divide="ignore", invalid="ignore"):  # rays along a wall
        metres = (to * normal).sum(1) / (ray @ normal.T)  # [A, S]
        along = metres * (ray @ of.along.T) - (to * of.along).sum(1)  # [A, S]
        met = (metres > 0) & (along > -TOUCH) & (along < CELL + TOUCH)
        through = met & (along > of.door[:, 0]) & (along < of.door[:, 1])
    solid = np.where(met & ~through, metres, np.inf)
    wall = solid.argmin(1)
    rows = np.arange(len(headings))
    return Hits(solid[rows, wall], wall, along[rows, wall], np.where(through, metres, np.inf))


def clear(house: House, place: tuple[float, float], other: tuple[float, float]) -> bool:
    """Whether no wall is between two places."""
    hits = cast(house, place, np.array([bearing(place, other)]))
    return bool(hits.metres[0] > math.dist(place, other))


def width(mark: Landmark, metres: float) -> float:
    """Half the angle that a landmark takes up."""
    return math.atan(mark.radius / metres)


@lru_cache(maxsize=64)
def seen(house: House, here: int) -> tuple[tuple[Landmark, float, float], ...]:
    """Landmarks plainly seen from a viewpoint, the nearest first, with heading and metres."""
    place = house.viewpoints[here]
    found, nearer = list[tuple[Landmark, float, float]](), list[tuple[float, float]]()
    ordered = sorted((math.dist(place, (m.x, m.y)), k) for k, m in enumerate(house.landmarks))
    for metres, number in ordered:
        mark = house.landmarks[number]
        heading, half = bearing(place, (mark.x, mark.y)), width(mark, metres)
        if metres > FARTHEST:
            break
        rays = cast(house, place, heading + half * np.array([-1, 0, 1]))
        hidden = any(abs(apart(heading, h)) < half * 0.5 + w for h, w in nearer)
        if (rays.metres > metres).all() and not hidden:
            found.append((mark, heading, metres))
        nearer.append((heading, half))
    return tuple(found)
