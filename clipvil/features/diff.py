"""Two stores of the same pictures, compared: how far apart are their cells?

Shapes   N cells, D width, P pooled width
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clipvil.features.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One picture in both stores; without numbers where `reason` says why."""

    id: str
    cosine: float | None = None  # mean over cells
    lowest: float | None = None  # of the cell that is furthest apart
    largest: float | None = None  # absolute difference of any number
    pooled: float | None = None  # cosine of the pooled vectors, where both have one
    reason: str = ""


def compare(first: Store, second: Store, limit: int | None = None) -> Iterator[Difference]:
    """Every picture that both stores have, in the order of the first one.

    Raises
        ValueError: the stores' widths differ
    """
    if first.width != second.width:
        raise ValueError(
            f"{first.path} has cells of {first.width} numbers and {second.path} of "
            f"{second.width}: they cannot be compared"
        )
    for identity in islice((i for i in first.ids if i in second), limit):
        yield one(identity, first, second)


def one(identity: str, first: Store, second: Store) -> Difference:
    """One picture."""
    a, b = first.ids[identity], second.ids[identity]
    shapes = [shape(first, a), shape(second, b)]
    if shapes[0] != shapes[1]:
        return Difference(id=identity, reason=f"{shapes[0]} against {shapes[1]}")
    ours, theirs = (s.read(i).astype(np.float32) for s, i in ((first, a), (second, b)))
    cosines = cosine(ours, theirs)  # [N]
    vectors = first.pooled(a), second.pooled(b)
    pooled = None
    if vectors[0] is not None and vectors[1] is not None and len(vectors[0]) == len(vectors[1]):
        pooled = float(cosine(*(v.astype(np.float32)[None] for v in vectors if v is not None))[0])
    return Difference(
        id=identity,
        cosine=float(cosines.mean()),
        lowest=float(cosines.min()),
        largest=float(np.abs(ours - theirs).max()),
        pooled=pooled,
    )


def shape(store: Store, index: int) -> str:
    """How a picture's cells lie, in words."""
    grid = store.grid(index)
    return f"{store.cells(index)} in no grid" if grid is None else f"{grid[0]}x{grid[1]} cells"


def cosine(ours: NDArray[Any], theirs: NDArray[Any]) -> NDArray[np.float64]:
    """Cosine row by row, [N, D] each; 1 between two rows of zeros, 0 if one of them is."""
    a, b = ours.astype(np.float64), theirs.astype(np.float64)
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)  # [N]
    same = ~a.any(1) & ~b.any(1)
    found: NDArray[np.float64] = (a * b).sum(1) / np.where(lengths > 0, lengths, 1)
    return np.where(same, 1.0, found)
