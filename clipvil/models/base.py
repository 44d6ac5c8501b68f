"""What every model promises, and what models of closed answer lists share.

Shapes   B batch, T words, A answers; P pictures, K captions of each, L words at most
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Protocol

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F

from clipvil.data.captions import CaptionBatch
from clipvil.data.labels import LabelBatch


class Loss(NamedTuple):
    """A loss that several processes and accumulation can add up: `total / weight` is its mean."""

    total: Float[Tensor, ""]
    weight: Float[Tensor, ""]
    parts: dict[str, Tensor]  # named shares of `total`, for the log


class LabelModel(Protocol):
    """A model of a closed list of answers; `embed` are its word vectors, row 0 the padding."""

    def __call__(self, batch: LabelBatch) -> Float[Tensor, "B A"]: ...

    def loss(self, batch: LabelBatch) -> Loss: ...


class TextModel(Protocol):
    """A model of free words; `embed` are its word vectors, row 0 that of the beginning."""

    def loss(self, batch: CaptionBatch) -> Loss: ...

    def tell(self, batch: CaptionBatch) -> tuple[Int[Tensor, "P K L"], Float[Tensor, "P K"]]:
        """The best captions of each picture, best first, and their scores; -inf is none."""
        ...


def said(words: Int[Tensor, "B T"]) -> Bool[Tensor, "B T"]:
    """Which words are no padding; an empty question reads its padding."""
    spoken = words != 0
    return spoken | ~spoken.any(1, keepdim=True)


def soft_loss(logits: Mapping[str, Float[Tensor, "B A"]], credit: Float[Tensor, "B A"]) -> Loss:
    """Cross-entropy of every answer by itself, summed: several may be right at once."""
    parts = {
        name: F.binary_cross_entropy_with_logits(some.float(), credit, reduction="sum")
        for name, some in logits.items()
    }
    total = torch.stack([*parts.values()]).sum()
    weight = torch.tensor(float(len(credit)), device=total.device)
    return Loss(total, weight, parts if len(parts) > 1 else {})
