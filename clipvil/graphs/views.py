"""What can be seen and walked to from where one stands, as MatterSim and R2R-EnvDrop have it.

Source   https://github.com/peteanderson80/Matterport3DSimulator (src/lib/MatterSim.cpp),
         https://github.com/airsplay/R2R-EnvDrop (r2r_src/env.py, `make_candidate`)
Camera   640 x 480 pixels, 60 degrees high. A neighbour is in sight within 40 degrees to either
         side, which is MatterSim's rule and not the lens's; how high it is hides none
Angles   radians. Heading 0 is along +y and grows to the right; elevation grows upwards
Views    36 of a viewpoint: 12 headings of 30 degrees at elevations -30, 0 and 30, so that view
         v looks along heading step v % 12 at elevation row v // 12
Shapes   B walkers, V viewpoints, K neighbours at most; -1 is padding of places
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from clipvil.graphs.atlas import Atlas, Places

HEADINGS, ROWS = 12, 3
VIEWS = HEADINGS * ROWS
STEP = 2 * np.pi / HEADINGS  # between headings, and between rows
SIDE = np.radians(60) * 640 / 480 / 2
HIGHEST = 0.94  # a continuous camera looks no higher and no lower

Angles = NDArray[np.float64]


def heading_of(view: NDArray[np.int64]) -> Angles:
    """Heading of views."""
    return np.asarray(view % HEADINGS * STEP, np.float64)


def elevation_of(view: NDArray[np.int64]) -> Angles:
    """Elevation of views."""
    return np.asarray((view // HEADINGS - 1) * STEP, np.float64)


def nearest(heading: Angles, elevation: Angles) -> NDArray[np.int64]:
    """The view that a camera is turned to; half-way it goes on to the right, but not up or down."""
    column = np.floor(np.mod(heading, 2 * np.pi) / STEP + 0.5).astype(np.int64) % HEADINGS
    row = 1 + (elevation > STEP / 2).astype(np.int64) - (elevation < -STEP / 2)
    view: NDArray[np.int64] = HEADINGS * row + column
    return view


def wrapped(angle: Angles) -> Angles:
    """The same angle in (-pi, pi]."""
    return np.pi - np.mod(np.pi - angle, 2 * np.pi)


class Bearings(NamedTuple):
    """Where viewpoints lie as seen from others: absolute heading, elevation, and metres."""

    heading: Angles
    elevation: Angles
    metres: Angles


def bearings(atlas: Atlas, start: Places, end: Places) -> Bearings:
    """Of `end` as seen from `start`, both of one shape."""
    offset = (atlas.single[end] - atlas.single[start]).astype(np.float64)
    flat = np.hypot(offset[..., 0], offset[..., 1])
    return Bearings(
        np.arctan2(offset[..., 0], offset[..., 1]),
        np.arctan2(offset[..., 2], flat),
        np.hypot(flat, offset[..., 2]),
    )


class Sights(NamedTuple):
    """Neighbours in sight, the one nearest the middle of the picture first; each [B, K]."""

    places: Places
    heading: Angles  # relative to the camera, positive to the right
    elevation: Angles  # relative to the camera
    metres: Angles


def sights(
    atlas: Atlas, place: Places, heading: Angles, elevation: Angles, *, restricted: bool = True
) -> Sights:
    """What can be walked to from `place` [B], in MatterSim's order; `restricted` to the picture."""
    there = atlas.neighbours[place]  # [B, K]
    seen = bearings(atlas, place[:, None], np.maximum(there, 0))
    aside = wrapped(seen.heading - heading[:, None])
    above = seen.elevation - elevation[:, None]
    hidden = there < 0
    if restricted:
        hidden |= np.abs(aside) > SIDE
    order = np.where(hidden, np.inf, np.hypot(aside, above)).argsort(1, kind="stable")
    places = np.where(hidden, -1, there)
    return Sights(*(np.take_along_axis(x, order, 1) for x in (places, aside, above, seen.metres)))


@dataclass(frozen=True, eq=False)
class Panorama:
    """Each viewpoint's neighbours after a sweep over its 36 views, in the order they come up.

    A neighbour is shown by the view whose middle it is nearest; its heading is that view's plus
    what is relative to it, and so between -pi / 6 and 2 pi + pi / 6.
    """

    places: Places  # [V, K]
    view: NDArray[np.int64]  # [V, K]
    heading: Angles  # [V, K]
    elevation: Angles  # [V, K]
    metres: Angles  # [V, K]

    @classmethod
    def of(cls, atlas: Atlas) -> Panorama:
        """Sweep over all viewpoints of an atlas."""
        there = atlas.neighbours  # [V, K]
        seen = bearings(atlas, np.arange(len(atlas))[:, None], np.maximum(there, 0))
        aside = wrapped(seen.heading[..., None] - np.arange(HEADINGS) * STEP)  # [V, K, 12]
        above = seen.elevation[..., None] - (np.arange(ROWS) - 1) * STEP  # [V, K, 3]
        column, row = np.abs(aside).argmin(-1), np.abs(above).argmin(-1)  # [V, K]
        first = (np.abs(aside) <= SIDE).argmax(-1)  # the heading at which it comes up
        then = np.take_along_axis(aside, first[..., None], -1)[..., 0]
        order = np.lexsort((np.hypot(then, above[..., 0]), first, there < 0))
        near = np.take_along_axis(aside, column[..., None], -1)[..., 0]
        found = there, HEADINGS * row + column, column * STEP + near, seen.elevation, seen.metres
        return cls(*(np.take_along_axis(x, order, 1) for x in found))

    @cached_property
    def counts(self) -> NDArray[np.int64]:
        """How many neighbours each has [V]."""
        counts: NDArray[np.int64] = (self.places >= 0).sum(1)
        return counts
