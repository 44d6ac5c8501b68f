"""Resampling of position embeddings, cell by cell from the definition: slow, and rectangular."""

import numpy as np
import torch
from torch import Tensor


def cubic(x: float, a: float) -> float:
    """Keys' kernel."""
    x = abs(x)
    if x <= 1:
        return (a + 2) * x**3 - (a + 3) * x**2 + 1
    return a * x**3 - 5 * a * x**2 + 8 * a * x - 4 * a if x < 2 else 0.0


def weights(size: int, wanted: int, *, antialias: bool) -> np.ndarray:
    """What each of `wanted` places takes from each of `size`, [wanted, size]."""
    scale = size / wanted
    stretch = max(scale, 1.0) if antialias else 1.0
    a = -0.5 if antialias else -0.75  # as torch has them
    table = np.zeros((wanted, size))
    for place in range(wanted):
        centre = (place + 0.5) * scale - 0.5
        for source in range(int(centre - 2 * stretch) - 2, int(centre + 2 * stretch) + 3):
            share = cubic((source - centre) / stretch, a)
            if antialias:  # what lies outside is left out, and the rest makes up for it
                if 0 <= source < size:
                    table[place, source] += share
            else:  # what lies outside is like the border
                table[place, min(max(source, 0), size - 1)] += share
    return table / table.sum(1, keepdims=True)


def resample(square: Tensor, shape: tuple[int, int], *, antialias: bool) -> Tensor:
    """[R, C, D] -> [*shape, D]."""
    down, across = (
        weights(square.shape[axis], shape[axis], antialias=antialias) for axis in (0, 1)
    )
    cells = square.detach().double().numpy()
    return torch.from_numpy(np.einsum("rR,cC,RCD->rcD", down, across, cells)).float()
