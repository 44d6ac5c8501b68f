"""What a network gives, learnt from shapes alone: nothing is computed, on torch's meta device."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from clipvil.core import UsageError
from clipvil.encoders import _options
from clipvil.encoders.base import Fit, Network, Preprocessing

# what libraries' networks raise on a word or a size that they do not take
UNFIT = (TypeError, AssertionError, RuntimeError, ValueError, AttributeError)


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
    try:
        grid, pooled = network(torch.empty(1, 3, *size, device="meta"))
    except UNFIT as error:
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UsageError(
            f"{source} takes no pictures of {size[0]}x{size[1]} pixels: {first}"
        ) from error
    stride = round(size[0] / grid.shape[1])
    return Shape(
        stride=stride,
        width=grid.shape[3],
        pooled=None if pooled is None else pooled.shape[1],
        any_size=fits(network, rectangle(size, stride), stride),
    )


def rectangle(size: tuple[int, int], stride: int, *, landscape: bool = True) -> Tensor:
    """A picture without values, of another aspect than `size`."""
    width, height = (640, 480) if landscape else (480, 640)
    keep = Preprocessing(size=size, stride=stride)
    return torch.empty(1, 3, *keep.target(width, height), device="meta")


def fits(network: Network, picture: Tensor, stride: int) -> bool:
    """Whether a network without values takes a picture and gives a cell every `stride` pixels."""
    try:
        grid, _ = network(picture)
    except UNFIT:
        return False
    return tuple(grid.shape[1:3]) == tuple(round(side / stride) for side in picture.shape[2:])


def fit(source: str, options: _options.Options, *, any_size: bool) -> Fit:
    """How pictures reach a network: whole with their aspect, where it takes any size.

    Raises
        UsageError: the aspect is to be kept and the network takes one size only
    """
    chosen = _options.fit(options, default="keep" if any_size else "squash")
    if chosen == "keep" and not any_size:
        raise UsageError(f"{source} takes pictures of one size only: fit=squash or fit=crop")
    return chosen
