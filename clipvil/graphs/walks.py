"""MatterSim without pictures, for many walkers at once.

Source   https://github.com/peteanderson80/Matterport3DSimulator (src/lib/MatterSim.cpp)
Shapes   B walkers, K neighbours of a viewpoint at most
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from clipvil.graphs.atlas import Atlas, Places
from clipvil.graphs.views import (
    HIGHEST,
    STEP,
    Angles,
    Sights,
    elevation_of,
    heading_of,
    nearest,
    sights,
)


@dataclass(frozen=True, slots=True, eq=False)
class Stand:
    """Where walkers stand, where they look, and what they can walk to.

    `view` is the one of 36 that is nearest to where they look.
    """

    place: Places  # [B]
    heading: Angles  # [B], in [0, 2 pi)
    elevation: Angles  # [B]
    view: NDArray[np.int64]  # [B]
    ahead: Sights  # each [B, K]


@final
class Walks:
    """Walkers on an atlas; `reset` puts them down, `step` moves and then turns them.

    Args
        discretised: headings and elevations go by 30 degrees; only the sign of a turn counts
        restricted: one walks to what is in the picture only
    """

    def __init__(self, atlas: Atlas, *, discretised: bool = True, restricted: bool = True) -> None:
        self.atlas, self._discretised, self._restricted = atlas, discretised, restricted
        self._now: Stand | None = None

    def reset(
        self, scans: Sequence[str], viewpoints: Sequence[str], heading: ArrayLike,
        elevation: ArrayLike = 0.0,
    ) -> Stand:  # fmt: skip
        """Begin at viewpoints of scans, looking along headings and elevations.

        Raises
            ValueError: a viewpoint is not there, or nothing leads from it; names it
        """
        pairs = zip(scans, viewpoints, strict=True)
        place = np.array([self.atlas.place(scan, viewpoint) for scan, viewpoint in pairs], np.int64)
        return self._stand(place, np.asarray(heading, float), np.asarray(elevation, float))

    def step(self, index: ArrayLike, turn: ArrayLike = 0.0, tilt: ArrayLike = 0.0) -> Stand:
        """Walk to the `index`-th of `ahead`, counted from 1, or stay by 0; then turn and tilt.

        Raises
            ValueError: there is no such neighbour, or a turn is no number; names the walker
        """
        if self._now is None:
            raise ValueError("walkers step after a reset")
        now, steps = self._now, np.asarray(index, np.int64)
        reach = np.pad(now.ahead.places, ((0, 0), (1, 0)))  # [B, 1 + K]
        reach[:, 0] = now.place
        legal = (steps >= 0) & (steps < reach.shape[1])
        there = np.take_along_axis(reach, np.where(legal, steps, 0)[:, None], 1)[:, 0]
        if not (legal & (there >= 0)).all():
            walker = int((~legal | (there < 0)).argmax())
            raise ValueError(
                f"walker {walker} at {self.atlas.names[now.place[walker]]} cannot take step "
                f"{steps[walker]}: {int((now.ahead.places[walker] >= 0).sum())} neighbours are in "
                "sight"
            )
        by = [np.broadcast_to(np.asarray(angle, float), steps.shape) for angle in (turn, tilt)]
        if self._discretised:
            by = [np.sign(angle) * STEP for angle in by]
        return self._stand(there, now.heading + by[0], now.elevation + by[1])

    def _stand(self, place: Places, heading: Angles, elevation: Angles) -> Stand:
        heading, elevation = (np.broadcast_to(x, place.shape) for x in (heading, elevation))
        lost = ~(np.isfinite(heading) & np.isfinite(elevation))
        if lost.any():
            raise ValueError(f"walker {int(lost.argmax())} looks where no number says")
        view = nearest(heading, elevation)
        if self._discretised:
            heading, elevation = heading_of(view), elevation_of(view)
        else:
            heading = np.mod(heading, 2 * np.pi)
            elevation = np.clip(elevation, -HIGHEST, HIGHEST)
        seen = sights(self.atlas, place, heading, elevation, restricted=self._restricted)
        self._now = Stand(place, heading, elevation, view, seen)
        return self._now
