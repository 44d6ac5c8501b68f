"""What every model promises.

Shapes   B batch, N image tokens of width I, T words, A answers
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

from jaxtyping import Bool, Float, Int
from torch import Tensor

from clipvil.data import LabelBatch


class Loss(NamedTuple):
    """A loss that several processes and accumulation can add up: `total / weight` is its mean."""

    total: Float[Tensor, ""]
    weight: Float[Tensor, ""]
    parts: dict[str, Tensor]  # named shares of `total`, for the log


class LabelModel(Protocol):
    """A model of a closed list of answers."""

    def __call__(
        self,
        image: Float[Tensor, "B N I"],
        seen: Bool[Tensor, "B N"],
        words: Int[Tensor, "B T"],
    ) -> Float[Tensor, "B A"]: ...

    def loss(self, batch: LabelBatch) -> Loss: ...
