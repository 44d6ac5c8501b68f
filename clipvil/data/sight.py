"""What a model gets to see of pictures, whatever it comes from: stores, pixels, or nothing.

Shapes   B batch, N cells of width I, P width of a pooled vector
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, Num
from numpy.typing import NDArray
from torch import Tensor

from clipvil.features.lookup import Affine, Lookup

SAMPLE = 2_000  # pictures that feature statistics are read from at most


class Grids(NamedTuple):
    """Cells of some pictures, row by row, padded to the longest; `grid`: rows and columns."""

    image: Num[Tensor, "B N I"]  # pixels are whole numbers
    seen: Bool[Tensor, "B N"]
    grid: Int[Tensor, "B 2"]


class Sight(Protocol):
    """What a model gets to see of pictures, whatever it comes from."""

    @property
    def width(self) -> int: ...

    def look(self, pictures: Sequence[str]) -> Grids: ...

    def pooled(self, pictures: Sequence[str]) -> Float[Tensor, "B P"] | None:
        """The encoder's vectors of the whole pictures; None where no statistics tell of them."""
        ...

    def affine(self, pictures: Sequence[str]) -> list[Affine]:
        """a, b, c, d of each: its pixel (x, y) is at (a x + b, c y + d), in cells."""
        ...


NOWHERE: Affine = (0.0, 0.0, 0.0, 0.0)  # of a picture that shows nothing: all is on its first cell


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

    def pooled(self, pictures: Sequence[str]) -> None:
        """Nothing."""

    def affine(self, pictures: Sequence[str]) -> list[Affine]:
        """Nothing is anywhere."""
        return [NOWHERE] * len(pictures)


@dataclass(frozen=True, slots=True)
class Statistics:
    """Mean and standard deviation of every channel over the cells of some pictures."""

    mean: NDArray[np.float32]  # [I]
    deviation: NDArray[np.float32]  # [I]
    pooled: Statistics | None = None  # of the pooled vectors, where a model reads them

    @classmethod
    def of(cls, lookup: Lookup, pictures: Sequence[str], *, pooled: bool = False) -> Statistics:
        """Read off the fitting pictures, an even sample of them where they are many.

        Raises
            ValueError: pooled vectors are asked for, and there are none
        """
        known = [name for name in sample(pictures) if name in lookup]
        found = cls.over(lookup.width, map(lookup.read, known))
        if not pooled:
            return found
        if lookup.pooled_width is None:
            raise ValueError("these features have no pooled vectors: --config.pooled needs some")
        vectors = (np.asarray(lookup.pooled(name))[None] for name in known)  # [1, P] each
        return replace(found, pooled=cls.over(lookup.pooled_width, vectors))

    @classmethod
    def over(cls, width: int, grids: Iterable[Float[NDArray[Any], "N I"]]) -> Statistics:
        """Read off the cells of each picture."""
        total, square, count = np.zeros(width), np.zeros(width), 0
        for grid in grids:
            cells = grid.astype(np.float64)
            total += cells.sum(0)
            square += (cells**2).sum(0)
            count += len(cells)
        mean = total / max(1, count)
        deviation = np.sqrt(np.maximum(square / max(1, count) - mean**2, 0.0))
        return cls(mean.astype(np.float32), steady(deviation))


def steady(deviation: NDArray[np.float64]) -> NDArray[np.float32]:
    """Deviations to divide by: a channel that never changes stays at zero, as it says nothing."""
    still = deviation < 1e-6 * max(1e-12, float(deviation.max(initial=0.0)))
    return np.where(still, np.inf, deviation).astype(np.float32)


def sample(pictures: Sequence[str]) -> list[str]:
    """An even sample of distinct pictures, in the order of their names."""
    names = sorted(set(pictures))
    return names[:: -(-len(names) // SAMPLE)] if names else names


class Stored:
    """Grids out of feature stores, standardised per channel, padded to the longest in a batch."""

    def __init__(self, lookup: Lookup, statistics: Statistics) -> None:
        self._lookup, self._statistics = lookup, statistics
        self._mean = torch.from_numpy(statistics.mean)
        self._deviation = torch.from_numpy(statistics.deviation)
        self.width = lookup.width

    def look(self, pictures: Sequence[str]) -> Grids:
        """The cells of each picture; a picture that could not be read shows one empty cell."""
        known = [name in self._lookup for name in pictures]
        grid = np.array(
            [self._lookup.grid(n) if k else (1, 1) for n, k in zip(pictures, known, strict=True)],
            np.int64,
        )
        counts = grid.prod(1)
        image = torch.empty(len(pictures), int(counts.max()), self.width)
        for row, name, count, told in zip(image, pictures, counts, known, strict=True):
            if told:
                cells = row[:count]
                self._lookup.read(name, cells.numpy())
                cells.sub_(self._mean).div_(self._deviation)
            row[count if told else 0 :] = 0.0
        seen = np.arange(image.shape[1]) < counts[:, None]  # [B, N]
        return Grids(image, torch.from_numpy(seen), torch.from_numpy(grid))

    def pooled(self, pictures: Sequence[str]) -> Float[Tensor, "B P"] | None:
        """Standardised; zeros, which is the mean, for a picture that could not be read."""
        told = self._statistics.pooled
        if told is None:
            return None
        vectors = np.zeros((len(pictures), len(told.mean)), np.float32)
        for row, name in zip(vectors, pictures, strict=True):
            if name in self._lookup:
                row[:] = (np.asarray(self._lookup.pooled(name)) - told.mean) / told.deviation
        return torch.from_numpy(vectors)

    def affine(self, pictures: Sequence[str]) -> list[Affine]:
        """As the stores tell it."""
        known = self._lookup
        return [known.affine(name) if name in known else NOWHERE for name in pictures]


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

    def pooled(self, pictures: Sequence[str]) -> Float[Tensor, "B P"] | None:
        """Those of the others."""
        return self._sight.pooled([self._other[name] for name in pictures])

    def affine(self, pictures: Sequence[str]) -> list[Affine]:
        """Those of the others."""
        return self._sight.affine([self._other[name] for name in pictures])
