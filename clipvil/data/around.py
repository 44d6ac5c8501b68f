"""What walkers see: the views of all viewpoints out of stores, or nothing.

Shapes   V viewpoints, W width of a view, B pictures
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from clipvil.data.sight import Grids, Sight, Statistics
from clipvil.data.walks import Ground
from clipvil.features.lookup import Lookup
from clipvil.features.views import VIEWS, collect
from clipvil.graphs.atlas import Atlas


class Around:
    """One vector a view, standardised per channel, out of one table for all who need it.

    Args
        stores: feature stores of pictures named .../<scan>/<viewpoint>/<NN>
        where: folder in which the table is kept
        seed: of the order in which viewpoints are mixed up; None leaves each its own views
    """

    def __init__(
        self, stores: Sequence[Path], where: Path, statistics: Statistics, seed: int | None = None
    ) -> None:
        self._stores, self._where = stores, where
        self._statistics, self._seed = statistics, seed
        self.width = len(statistics.mean)

    def look(self, pictures: Sequence[str]) -> Grids:
        """One cell a picture."""
        lookup, statistics = Lookup(self._stores, pooled=True), self._statistics
        seen = np.stack([lookup.read(name) for name in pictures]).astype(np.float32)  # [B, 1, W]
        standard = torch.from_numpy((seen - statistics.mean) / statistics.deviation)
        one = torch.ones(len(pictures), 2, dtype=torch.long)
        return Grids(standard, one[:, :1] > 0, one)

    def ground(self, atlas: Atlas) -> Ground:
        """The ground of an atlas with its views.

        Raises
            ValueError: features lack a viewpoint, or are not as wide as the statistics
        """
        names = [
            (atlas.scans[scan], name) for scan, name in zip(atlas.scan, atlas.names, strict=True)
        ]
        found = collect(self._stores, names, self._where)
        found.fits(self.width)
        views = found.values
        if self._seed is not None:
            views = views[np.random.default_rng(self._seed).permutation(len(views))]
        return Ground.of(atlas, views, self._statistics.mean, self._statistics.deviation)


def ground_of(atlas: Atlas, sight: Sight) -> Ground:
    """The ground of an atlas as somebody sees it, who may see nothing."""
    if isinstance(sight, Around):
        return sight.ground(atlas)
    return Ground.of(atlas, np.zeros((len(atlas), VIEWS, sight.width), np.float16))
