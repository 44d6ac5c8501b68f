"""What a network gives, learnt from shapes alone: nothing is computed, on torch's meta device."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from clipvil.core import UsageError
from clipvil.encoders import _options
from clipvil.encoders.base import Fit, Network

# what libraries' networks raise on a word or a size that they do not take
UNFIT = (TypeError, AssertionError, RuntimeError, ValueError, AttributeError)

PROBE = (448, 448)  # pixels: a multiple of most strides that networks have
RECTANGLES = ((6, 9), (12, 3))  # cells


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """Widths and places of a network's grid."""

    stride: int  # pixels a cell
    width: int  # D
    pooled: int | None  # P
    any_size: bool


def measure(source: str, network: Network, size: tuple[int, int]) -> Shape:
    """Run a network without values on pictures without values.

    Raises
        UsageError: it does not take `size`
    """
    problem: Exception | None = None
    found = {}
    for probe in (size, PROBE):
        try:
            found[probe] = network(torch.empty(1, 3, *probe, device="meta"))
        except UNFIT as error:
            problem = error
    any_size = False
    for probe in reversed(found):
        grid, pooled = found[probe]
        stride = round(probe[0] / grid.shape[1])
        # last, for transformers' Swin does not recover from a picture smaller than its window
        if probe[0] % stride == 0 and all(fits(network, cells, stride) for cells in RECTANGLES):
            any_size = True
            break
    if not (found and (any_size or size in found)) or min(size) < stride:
        raise UsageError(f"{source} takes no pictures of {size[0]}x{size[1]} pixels") from problem
    return Shape(
        stride=stride,
        width=grid.shape[3],
        pooled=None if pooled is None else pooled.shape[1],
        any_size=any_size,
    )


def fits(network: Network, cells: tuple[int, int], stride: int) -> bool:
    """Whether a network gives as many cells as its stride says."""
    try:
        picture = torch.empty(1, 3, cells[0] * stride, cells[1] * stride, device="meta")
        return tuple(network(picture)[0].shape[1:3]) == cells
    except UNFIT:
        return False


def fit(source: str, options: _options.Options, *, any_size: bool) -> Fit:
    """How pictures reach a network: whole with their aspect, where it takes any size.

    Raises
        UsageError: the aspect is to be kept and the network takes one size only
    """
    chosen = _options.fit(options, default="keep" if any_size else "squash")
    if chosen == "keep" and not any_size:
        raise UsageError(f"{source} takes pictures of one size only: fit=squash or fit=crop")
    return chosen
