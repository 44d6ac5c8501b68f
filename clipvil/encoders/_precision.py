"""What computing in bf16 costs: the same pictures through the same weights, twice.

Shapes   B batch, H x W pixels
"""

from __future__ import annotations

import copy
from typing import NamedTuple

import torch
from jaxtyping import UInt8
from torch import Tensor
from torch.nn import functional as F

from clipvil.encoders.base import Encoder


class Difference(NamedTuple):
    """How far bf16 is from fp32."""

    cosine: float  # the least over all cells
    largest: float  # of any channel of any cell, in standard deviations of the fp32 grid
    pooled_cosine: float | None  # the least over all pictures


def of_bf16(encoder: Encoder, pixels: UInt8[Tensor, "B 3 H W"]) -> Difference:
    """Compare an fp32 encoder with a copy that holds and computes everything in bf16."""
    near = copy.deepcopy(encoder)
    near.network.to(torch.bfloat16)
    with torch.inference_mode():
        exact, rough = encoder(pixels), near(pixels)
        grid = rough.grid.float()
        pooled = None
        if exact.pooled is not None and rough.pooled is not None:
            pooled = float(F.cosine_similarity(exact.pooled, rough.pooled.float(), dim=-1).min())
        return Difference(
            cosine=float(F.cosine_similarity(exact.grid, grid, dim=-1).min()),
            largest=float((exact.grid - grid).abs().max() / exact.grid.std()),
            pooled_cosine=pooled,
        )
