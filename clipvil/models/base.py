"""What every model promises, and what models of closed answer lists share.

Shapes   B batch, N image tokens of width I, T words of width W, A answers; P pictures,
         K captions of each, L words at most
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Protocol

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
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


def spelled(
    batch: LabelBatch, embed: nn.Embedding, point: nn.Linear | None
) -> Float[Tensor, "B T W"]:
    """Vectors of the words; to one that mentions a region, what is seen there is added.

    `point` maps image tokens to words; None in a model whose words mention nothing.
    """
    words: Tensor = embed(batch.words)
    if point is None:
        return words
    assert batch.points is not None
    mentions = batch.points.unsqueeze(-1)  # [B, T, 1]
    shown = torch.take_along_dim(batch.image, mentions.clamp(min=0), 1)  # [B, T, I]
    pointed: Tensor = words + point(shown).masked_fill(mentions < 0, 0.0)
    return pointed


def soft_loss(logits: Mapping[str, Float[Tensor, "B A"]], batch: LabelBatch) -> Loss:
    """Cross-entropy, summed: of every answer by itself, as several may be right at once.

    Where rows are candidates, of those that compete for one question put: one of them is right.
    """
    credit, put = batch.credit, batch.put
    if put is None:
        parts = {
            name: F.binary_cross_entropy_with_logits(some.float(), credit, reduction="sum")
            for name, some in logits.items()
        }
        weight = torch.tensor(float(len(credit)), device=credit.device)
    else:
        apart = put.unsqueeze(1) != put  # [B, B]
        parts = {}
        for name, some in logits.items():
            row = some.float().squeeze(1)  # [B]
            whole = row.expand(len(row), -1).masked_fill(apart, -torch.inf).logsumexp(1)
            parts[name] = (credit.squeeze(1) * (whole - row)).sum()
        weight = credit.sum()
    return Loss(torch.stack([*parts.values()]).sum(), weight, parts if len(parts) > 1 else {})
