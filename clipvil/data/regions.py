"""Vectors of regions, pooled from a picture's grid by their boxes.

Shapes   E examples, K regions, R rows and C columns of cells, N = R C, I width
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from clipvil.core import Example
from clipvil.data.sight import Grids
from clipvil.features.lookup import Affine

THINNEST = 1e-3  # cells: a box without an area shows the cell that it lies on


def pool(
    cells: Float[Tensor, "N I"],
    grid: tuple[int, int],
    boxes: Float[Tensor, "K 4"],
    affine: Affine,
) -> Float[Tensor, "K I"]:
    """Mean of the cells under each box, each cell weighing what the box covers of it.

    A box is cut to the grid; one that lies beside it is moved to the border.

    Args
        cells: a picture's, row by row, without padding
        grid: rows and columns of them
        boxes: x1, y1, x2, y2 in pixels of the original picture
        affine: a, b, c, d: its pixel (x, y) is at (a x + b, c y + d), in cells
    """
    rows, columns = grid
    a, b, c, d = affine
    across = share(a * boxes[:, 0] + b, a * boxes[:, 2] + b, columns)  # [K, C]
    down = share(c * boxes[:, 1] + d, c * boxes[:, 3] + d, rows)  # [K, R]
    weight = (down.unsqueeze(2) * across.unsqueeze(1)).flatten(1)  # [K, N]
    return weight.to(cells.dtype) @ cells


def share(
    start: Float[Tensor, " K"], end: Float[Tensor, " K"], count: int
) -> Float[Tensor, "K count"]:
    """How much of each stretch lies on each of `count` cells of length 1; a row sums to 1."""
    start = start.double().clamp(0, count - THINNEST)
    end = torch.maximum(end.double().clamp(0, count), start + THINNEST)
    cell = torch.arange(count, device=start.device)
    inside = torch.minimum(end.unsqueeze(1), cell + 1) - torch.maximum(start.unsqueeze(1), cell)
    covered = inside.clamp(min=0)
    return covered / covered.sum(1, keepdim=True)


def with_regions(grids: Grids, examples: Sequence[Example], affine: Sequence[Affine]) -> Grids:
    """Pictures with the vectors of their examples' regions behind their cells."""
    parts = list[Tensor]()
    for image, seen, size, example, place in zip(*grids, examples, affine, strict=True):
        cells = image[seen]  # [N, I]
        boxes = torch.tensor([region.box for region in example.regions]).reshape(-1, 4)
        rows, columns = size.tolist()
        parts.append(torch.cat([cells, pool(cells, (rows, columns), boxes, place)]))
    counts = torch.tensor([len(part) for part in parts])
    image = nn.utils.rnn.pad_sequence(parts, batch_first=True)  # [E, N, I]
    return Grids(image, torch.arange(image.shape[1]) < counts.unsqueeze(1), grids.grid)
