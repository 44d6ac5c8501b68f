"""What walkers see: the views of all viewpoints out of stores or files, or nothing.

Shapes   V viewpoints, W width of a view
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clipvil.data.sight import NOWHERE, Grids, Sight, Statistics, steady
from clipvil.data.walks import Ground
from clipvil.features.lookup import Affine
from clipvil.features.views import ViewFeatures, collect
from clipvil.graphs.atlas import Atlas
from clipvil.graphs.views import VIEWS

SAMPLE = 500  # viewpoints that statistics are read from at most


class Around:
    """One vector a view, standardised per channel, out of a table that is made once.

    Args
        sources: what `features.views.collect` reads
        where: folder in which tables are kept
        seed: of the order in which viewpoints are mixed up; None leaves each its own views
        pictures: the views among the stores' pictures; None takes all
    """

    def __init__(
        self,
        sources: Sequence[Path],
        where: Path,
        statistics: Statistics,
        seed: int | None = None,
        pictures: Collection[str] | None = None,
    ) -> None:
        self._sources, self._where, self._pictures = sources, where, pictures
        self._statistics, self._seed = statistics, seed
        self.width = len(statistics.mean)

    def pooled(self, pictures: Sequence[str]) -> None:
        """None: views are vectors of that kind."""

    def affine(self, pictures: Sequence[str]) -> list[Affine]:
        """Views have one vector each, and nothing lies anywhere in it."""
        return [NOWHERE] * len(pictures)

    def look(self, pictures: Sequence[str]) -> Grids:
        """Walkers look at viewpoints: see `ground`."""
        raise TypeError("walkers look around at viewpoints: ask for the ground")

    def ground(self, atlas: Atlas) -> Ground:
        """The ground of an atlas with its views.

        Raises
            ValueError: features lack a viewpoint, or are of another width than the statistics
        """
        found = table(self._sources, self._where, atlas, self._pictures)
        found.fits(self.width)
        views: NDArray[np.float16] = found.values
        if self._seed is not None:
            views = views[np.random.default_rng(self._seed).permutation(len(views))]
        return Ground.of(atlas, views, self._statistics.mean, self._statistics.deviation)


def table(
    sources: Sequence[Path], where: Path, atlas: Atlas, pictures: Collection[str] | None = None
) -> ViewFeatures:
    """The views of all viewpoints of an atlas."""
    scans = [atlas.scans[scan] for scan in atlas.scan]
    return collect(sources, [*zip(scans, atlas.names, strict=True)], where, pictures)


def statistics(
    sources: Sequence[Path], where: Path, atlas: Atlas, pictures: Collection[str] | None = None
) -> Statistics:
    """Mean and deviation of every channel over all views of an even sample of viewpoints."""
    views = table(sources, where, atlas, pictures).values
    some = views[:: -(-len(views) // SAMPLE)].reshape(-1, views.shape[2]).astype(np.float64)
    return Statistics(some.mean(0).astype(np.float32), steady(some.std(0)))


def ground_of(atlas: Atlas, sight: Sight) -> Ground:
    """The ground of an atlas as somebody sees it, who may see nothing."""
    if isinstance(sight, Around):
        return sight.ground(atlas)
    return Ground.of(atlas, np.zeros((len(atlas), VIEWS, sight.width), np.float16))
