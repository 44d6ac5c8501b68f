"""What a check finds, and what a source library says of the encoder it published.

Shapes   B batch, H x W pixels, R x C grid cells, D cell width, P pooled width
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from clipvil.encoders.base import Encoder

NO_SOURCE = "no source library to compare with"

State = Literal["passed", "failed", "not applicable"]
Seen = tuple[Float[Tensor, "B R C D"], Float[Tensor, "B P"] | None]
Size = tuple[int, int]  # height, width in pixels
Look = Callable[[Size], UInt8[Tensor, "B 3 H W"]]  # pictures of a size to check with


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What one check found; `value` is the number it measured, in `unit`."""

    check: str
    state: State
    reason: str
    value: float | None = None
    unit: str = ""


def skipped(check: str, reason: str) -> Finding:
    """A check that this encoder does not allow."""
    return Finding(check=check, state="not applicable", reason=reason)


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """An encoder as its own library computes it, from the same weights.

    library  its name and version
    size     the native one
    mean     of every channel, as published, for pixels between 0 and 1; and `std`
    network  computes `see` at the native size; looked into for its activations
    see      normalised RGB of any size that the encoder takes -> cells and pooled, in fp32;
             raises ValueError for a size that the library itself does not take
    """

    library: str
    size: Size
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    network: nn.Module
    see: Callable[[Float[Tensor, "B 3 H W"]], Seen]

    def normalised(self, pixels: UInt8[Tensor, "B 3 H W"]) -> Float[Tensor, "B 3 H W"]:
        """Pixels as the source says that its network wants them."""
        mean, std = (
            torch.tensor(values, device=pixels.device).view(3, 1, 1)
            for values in (self.mean, self.std)
        )
        return (pixels / 255 - mean) / std


def dtype(encoder: Encoder) -> torch.dtype:
    """What the network computes in."""
    return next(encoder.network.parameters()).dtype


def exact(encoder: Encoder) -> nn.Module:
    """The network in fp32; a copy where it computes in something shorter."""
    if dtype(encoder) == torch.float32:
        return encoder.network
    return copy.deepcopy(encoder.network).float()


def apart(ours: Tensor, theirs: Tensor) -> float:
    """Length of the difference, relative to theirs."""
    theirs = theirs.float()
    return float((ours.float() - theirs).norm() / theirs.norm().clamp_min(1e-12))


def place(encoder: Encoder, source: Source | None, *, wide: bool) -> Size | str:
    """The size at which to compare with the source, or why that cannot be."""
    if source is None:
        return NO_SOURCE
    if not wide:
        return source.size
    return rectangle(encoder) or "it takes pictures of one size"


def rectangle(encoder: Encoder) -> Size | None:
    """A landscape of another aspect than the native size; None for a network of one size."""
    preprocessing = encoder.preprocessing
    if preprocessing.fit != "keep":
        return None
    return preprocessing.target(640, 352)  # wide enough to differ on a grid of few cells too
