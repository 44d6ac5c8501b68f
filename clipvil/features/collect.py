"""Features of many pictures, collected into shards that say only what is known of them.

Shapes   N cells or regions, D width, P pooled width
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from clipvil.features import plan, shards
from clipvil.features.legacy import Item
from clipvil.features.shards import BYTES, TORCH, Dtype, Shard


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """What all pictures of a store have in common; the first one decides."""

    width: int
    pooled_width: int | None
    grid: bool
    boxes: bool
    size: bool
    affine: bool

    def apart(self, other: Layout) -> str:
        """Where a picture differs."""
        mine, theirs = asdict(self), asdict(other)
        said = (f"{k} {theirs[k]} where the first picture has {mine[k]}" for k in mine
                if mine[k] != theirs[k])  # fmt: skip
        return ", ".join(said)


@dataclass(frozen=True, slots=True, kw_only=True)
class Whole:
    """A picture's features with all that was found about it."""

    id: str
    item: Item
    pooled: NDArray[np.generic] | None
    affine: tuple[float, float, float, float] | None

    @property
    def layout(self) -> Layout:
        """What it has."""
        item = self.item
        return Layout(
            width=item.values.shape[1],
            pooled_width=None if self.pooled is None else len(self.pooled),
            grid=item.grid is not None,
            boxes=item.boxes is not None,
            size=item.size is not None,
            affine=self.affine is not None,
        )


@dataclass
class Open:
    """The shard in hand."""

    dtype: Dtype
    whole: list[Whole] = field(default_factory=list)
    values: list[Tensor] = field(default_factory=list)  # [N, D] each
    pooled: list[Tensor] = field(default_factory=list)  # [P] each
    failures: dict[str, str] = field(default_factory=dict)

    def add(self, whole: Whole) -> None:
        """Take a picture in.

        Raises
            ValueError: it does not fit into the type
        """
        values = stored(whole.item.values, self.dtype)
        if whole.pooled is not None:
            self.pooled.append(stored(whole.pooled, self.dtype))
        self.values.append(values)
        self.whole.append(whole)

    @property
    def full(self) -> bool:
        """Whether it is time to write."""
        held = sum(values.numel() for values in self.values) * BYTES[self.dtype]
        entries = len(self.whole) + len(self.failures)
        return held >= plan.SHARD_BYTES or entries >= plan.SHARD_PICTURES

    def write(self, path: Path, layout: Layout) -> None:
        """Write the shard."""
        n, items = len(self.whole), [whole.item for whole in self.whole]
        dtype, cells = TORCH[self.dtype], [len(values) for values in self.values]
        tensors = {
            "values": torch.cat([torch.empty(0, layout.width, dtype=dtype), *self.values]),
            "offsets": torch.from_numpy(np.cumsum([0, *cells], dtype=np.int64)),
        }
        if layout.grid:
            grid = [item.grid for item in items]
            tensors["grid"] = torch.tensor(grid, dtype=torch.int32).reshape(n, 2)
        if layout.size:
            size = [item.size for item in items]
            tensors["size"] = torch.tensor(size, dtype=torch.int32).reshape(n, 2)
        if layout.affine:
            affine = [whole.affine for whole in self.whole]
            tensors["affine"] = torch.tensor(affine, dtype=torch.float32).reshape(n, 4)
        if layout.boxes:
            none = np.empty((0, 4), np.float32)
            boxes = [item.boxes for item in items if item.boxes is not None]
            tensors["boxes"] = torch.from_numpy(np.concatenate([none, *boxes]))
        if layout.pooled_width is not None:
            none_pooled = torch.empty(0, layout.pooled_width, dtype=dtype)
            pooled = [vector[None] for vector in self.pooled]
            tensors["pooled"] = torch.cat([none_pooled, *pooled])
        shards.write(path, tuple(whole.id for whole in self.whole), tensors, self.failures)


def stored(values: NDArray[np.generic], dtype: Dtype) -> Tensor:
    """Numbers in the store's type.

    Raises
        ValueError: too large for it
    """
    with np.errstate(over="ignore"):  # said below
        exact = np.array(values, np.float32)
    kept = torch.from_numpy(exact).to(TORCH[dtype])
    if not bool(kept.isfinite().all()):
        raise ValueError(f"not finite in {dtype}: bf16 and fp32 reach further")
    return kept


def described(shard: Shard) -> Layout:
    """What the pictures of a shard have."""
    return Layout(
        width=shard.values.shape[1],
        pooled_width=None if shard.pooled is None else shard.pooled.shape[1],
        grid=shard.grid is not None,
        boxes=shard.boxes is not None,
        size=shard.size is not None,
        affine=shard.affine is not None,
    )
