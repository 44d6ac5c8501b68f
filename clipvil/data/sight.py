"""What a model gets to see of pictures, whatever it comes from: stores, pixels, or nothing.

Shapes   B batch, N cells of width I
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from numpy.typing import NDArray
from torch import Tensor

from clipvil import pictures as opening
from clipvil.features.lookup import Lookup

if TYPE_CHECKING:
    from clipvil.encoders.base import Encoder

SAMPLE = 2_000  # pictures that feature statistics are read from at most


class Grids(NamedTuple):
    """Cells of some pictures, row by row, padded to the longest; `grid`: rows and columns."""

    image: Float[Tensor, "B N I"]
    seen: Bool[Tensor, "B N"]
    grid: Int[Tensor, "B 2"]


class Sight(Protocol):
    """What a model gets to see of pictures, whatever it comes from."""

    @property
    def width(self) -> int: ...

    def look(self, pictures: Sequence[str]) -> Grids: ...


class Blind:
    """Nothing: empty cells, for the row that has only the text."""

    def __init__(self, width: int = 1, cells: int = 1) -> None:
        self.width, self._cells = width, cells

    def look(self, pictures: Sequence[str]) -> Grids:
        """The same for every picture."""
        count, cells = len(pictures), self._cells
        seen = torch.ones(count, cells, dtype=torch.bool)
        return Grids(
            torch.zeros(count, cells, self.width), seen, torch.tensor([[1, cells]]).repeat(count, 1)
        )


@dataclass(frozen=True, slots=True)
class Statistics:
    """Mean and standard deviation of every channel over the cells of some pictures."""

    mean: NDArray[np.float32]  # [I]
    deviation: NDArray[np.float32]  # [I]

    @classmethod
    def of(cls, lookup: Lookup, pictures: Sequence[str]) -> Statistics:
        """Read off the fitting pictures, an even sample of them where they are many."""
        names = sorted(name for name in set(pictures) if name in lookup)
        names = names[:: -(-len(names) // SAMPLE)] if names else names
        total, square, count = np.zeros(lookup.width), np.zeros(lookup.width), 0
        for name in names:
            cells = lookup.read(name).astype(np.float64)  # [N, I]
            total += cells.sum(0)
            square += (cells**2).sum(0)
            count += len(cells)
        mean = total / max(1, count)
        deviation = np.sqrt(np.maximum(square / max(1, count) - mean**2, 0.0))
        # a channel that never changes says nothing: it stays at zero instead of dividing by zero
        deviation[deviation < 1e-6 * max(1e-12, float(deviation.max(initial=0.0)))] = np.inf
        return cls(mean.astype(np.float32), deviation.astype(np.float32))


class Stored:
    """Grids out of feature stores, standardised per channel, padded to the longest in a batch."""

    def __init__(self, lookup: Lookup, statistics: Statistics) -> None:
        self._lookup, self._statistics = lookup, statistics
        self.width = lookup.width

    def look(self, pictures: Sequence[str]) -> Grids:
        """The cells of each picture; a picture that could not be read shows one empty cell."""
        known = [name in self._lookup for name in pictures]
        grid = np.array(
            [self._lookup.grid(n) if k else (1, 1) for n, k in zip(pictures, known, strict=True)],
            np.int64,
        )
        counts = grid.prod(1)
        image = np.zeros((len(pictures), counts.max(), self.width), np.float32)
        for row, (name, count) in enumerate(zip(pictures, counts, strict=True)):
            if known[row]:
                image[row, :count] = self._lookup.read(name)
                image[row, :count] -= self._statistics.mean
                image[row, :count] /= self._statistics.deviation
        seen = np.arange(image.shape[1]) < counts[:, None]  # [B, N]
        return Grids(*map(torch.from_numpy, (image, seen, grid)))


class Live:
    """Grids straight from pixels, by an encoder that is at hand instead of a store."""

    def __init__(self, encoder: Encoder, files: Mapping[str, Path], statistics: Statistics) -> None:
        self._encoder, self._files, self._statistics = encoder, files, statistics
        self.width = encoder.card.width

    def look(self, pictures: Sequence[str]) -> Grids:
        """Encode each picture by itself: their sizes may differ."""
        grids = [self._grid(self._files[name]) for name in pictures]  # each [R, C, I]
        grid = torch.tensor([seen.shape[:2] for seen in grids])
        counts = grid.prod(1)
        image = torch.zeros(len(grids), int(counts.max()), self.width)
        for row, cells in enumerate(grids):
            image[row, : counts[row]] = cells.flatten(0, 1)
        return Grids(image, torch.arange(image.shape[1]) < counts[:, None], grid)

    def _grid(self, path: Path) -> Float[Tensor, "R C I"]:
        pixels = self._encoder.preprocessing(opening.read(path)).values
        with torch.inference_mode():
            ready = torch.from_numpy(pixels)[None].to(self._encoder.mean.device)
            grid = self._encoder(ready).grid[0].float().cpu()
        mean, deviation = self._statistics.mean, self._statistics.deviation
        standard: Tensor = (grid - torch.from_numpy(mean)) / torch.from_numpy(deviation)
        return standard


class Shuffled:
    """Another picture's grid for each picture: what is learnt then owes nothing to seeing."""

    def __init__(self, sight: Sight, pictures: Sequence[str], seed: int) -> None:
        self._sight = sight
        self.width = sight.width
        names = np.array(sorted(set(pictures)), dtype=object)
        other = names[np.random.default_rng(seed).permutation(len(names))]
        self._other = dict(zip(names.tolist(), other.tolist(), strict=True))

    def look(self, pictures: Sequence[str]) -> Grids:
        """The grids of the others."""
        return self._sight.look([self._other[name] for name in pictures])
