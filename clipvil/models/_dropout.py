"""Dropout that on a processor draws four decisions from one random number.

torch draws a number a decision there, and that shows in the time of a training step.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float, Int16
from torch import Tensor, nn
from torch.nn import functional as F

LOTS = 1 << 16  # a decision is one of so many; the rate is met to half of one


def drop(tokens: Float[Tensor, "*shape"], rate: float) -> Float[Tensor, "*shape"]:
    """Zeros in a random share `rate` of the places, what stays scaled up to the same mean."""
    if rate == 0.0:
        return tokens
    if tokens.device.type != "cpu":
        return F.dropout(tokens, rate)
    return tokens * stays(tokens.shape, rate).to(tokens.dtype).mul_(1 / (1 - rate))


def stays(shape: torch.Size, rate: float) -> Int16[Tensor, "*shape"]:
    """0 in a random share `rate` of the places and 1 elsewhere, on a processor.

    No truth values: torch makes those, and numbers of them, one after the other there.
    """
    count = math.prod(shape)
    numbers = torch.empty(-(-count // 4), dtype=torch.int64).random_(-(1 << 63), None)
    lots = numbers.view(torch.int16)[:count].view(shape)
    return lots.ge_(round(rate * LOTS) - LOTS // 2)


class Dropout(nn.Module):
    """`drop` while a model is trained."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, tokens: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """The tokens, some of them zero."""
        return drop(tokens, self.rate) if self.training else tokens
