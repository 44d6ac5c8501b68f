"""The layers of a transformer that reads cells and of one that writes words, norms before parts.

Shapes   P pictures, N image tokens, K captions of each, T words of a caption, L of them so far,
         S places of captions that grow side by side, D model width, H heads of width W
Source   arXiv:1706.03762, with norms before each part
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from clipvil.models._attention import attend
from clipvil.models._dropout import Dropout


@dataclass(frozen=True, kw_only=True, slots=True)
class Sizes:
    """Of a layer."""

    width: int
    heads: int
    expand: int  # hidden width of the feed-forward part, in model widths
    dropout: float


class Attention(nn.Module):
    """Multi-head attention in two steps, so that keys and values can be kept."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        D = sizes.width
        self.heads, self.dropout = sizes.heads, sizes.dropout
        self.query, self.key, self.value = nn.Linear(D, D), nn.Linear(D, D), nn.Linear(D, D)
        self.merge = nn.Linear(D, D)

    def _split(self, tokens: Float[Tensor, "B T D"]) -> Float[Tensor, "B H T W"]:
        return tokens.view(*tokens.shape[:2], self.heads, -1).transpose(1, 2)

    def tell(
        self, told: Float[Tensor, "B T D"]
    ) -> tuple[Float[Tensor, "B H T W"], Float[Tensor, "B H T W"]]:
        """Keys and values."""
        return self._split(self.key(told)), self._split(self.value(told))

    def weights(
        self,
        asks: Float[Tensor, "B Q D"],
        key: Float[Tensor, "B H T W"],
        mask: Bool[Tensor, "*shape"],
    ) -> Float[Tensor, "B H Q T"]:
        """How much each asking token takes of each told one."""
        query = self._split(self.query(asks))
        weight: Tensor = query * query.shape[-1] ** -0.5 @ key.mT
        return weight.masked_fill(~mask, -torch.inf).softmax(-1)

    def forward(
        self,
        asks: Float[Tensor, "B Q D"],
        key: Float[Tensor, "B H T W"],
        value: Float[Tensor, "B H T W"],
        mask: Bool[Tensor, "*shape"] | None,
    ) -> Float[Tensor, "B Q D"]:
        """What each asking token found."""
        rate = self.dropout if self.training else 0.0
        found = attend(self._split(self.query(asks)), key, value, mask, rate)
        merged: Tensor = self.merge(found.transpose(1, 2).flatten(2))
        return merged


def feed_forward(sizes: Sizes) -> nn.Sequential:
    """The part of a layer that looks at each token by itself."""
    D, hidden = sizes.width, sizes.expand * sizes.width
    return nn.Sequential(
        nn.Linear(D, hidden), nn.ReLU(), Dropout(sizes.dropout), nn.Linear(hidden, D)
    )


class Reading(nn.Module):
    """A layer over cells."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.own, self.forth = Attention(sizes), feed_forward(sizes)
        self.before_own, self.before_forth = (nn.LayerNorm(sizes.width) for _ in range(2))
        self.dropout = Dropout(sizes.dropout)

    def forward(
        self, cells: Float[Tensor, "P N D"], seen: Bool[Tensor, "P N"]
    ) -> Float[Tensor, "P N D"]:
        """The cells, one layer on."""
        normed = self.before_own(cells)
        mask = seen[:, None, None, :]
        cells = cells + self.dropout(self.own(normed, *self.own.tell(normed), mask))
        after: Tensor = cells + self.dropout(self.forth(self.before_forth(cells)))
        return after


class Writing(nn.Module):
    """A layer over the words of captions, which see the words before them and the cells.

    The captions of a picture ask its cells together: keys and values are those of the picture.
    """

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.own, self.guide = Attention(sizes), Attention(sizes)
        self.forth = feed_forward(sizes)
        self.before_own, self.before_guide, self.before_forth = (
            nn.LayerNorm(sizes.width) for _ in range(3)
        )
        self.dropout = Dropout(sizes.dropout)

    def forward(
        self,
        words: Float[Tensor, "P K T D"],
        memory: tuple[Float[Tensor, "P H N W"], Float[Tensor, "P H N W"]],
        seen: Bool[Tensor, "P N"],
        past: Float[Tensor, "2 P H L S W"] | None = None,
        heard: Bool[Tensor, "P 1 K L*S"] | None = None,
    ) -> Float[Tensor, "P K T D"]:
        """The words, one layer on.

        `past` has keys and values of the words so far, of which each caption goes on from those
        that it has `heard`, and room at its end for those of the one word that there is then.
        """
        K, T = words.shape[1:3]
        normed = self.before_own(words)
        if past is None:
            asks = normed.flatten(0, 1)  # [P K, T, D]
            key, value = self.own.tell(asks)
            heard = torch.ones(T, T, dtype=torch.bool, device=words.device).tril()
        else:
            asks = normed.flatten(1, 2)  # [P, K, D]
            past[0, :, :, -1, :K], past[1, :, :, -1, :K] = self.own.tell(asks)
            key, value = past.flatten(-3, -2)  # each [P, H, L S, W]
        words = words + self.dropout(self.own(asks, key, value, heard).view(words.shape))
        asks = self.before_guide(words).flatten(1, 2)  # [P, K T, D]
        found = self.guide(asks, *memory, seen[:, None, None, :])
        words = words + self.dropout(found.view(words.shape))
        after: Tensor = words + self.dropout(self.forth(self.before_forth(words)))
        return after


def waves(places: Float[Tensor, "*shape"], width: int) -> Float[Tensor, "*shape D"]:
    """Sines and cosines that tell places apart, in turn."""
    speed = torch.exp(
        torch.arange(0, width, 2, device=places.device) * (-math.log(10_000.0) / width)
    )
    angle = places.unsqueeze(-1) * speed
    return torch.stack([angle.sin(), angle.cos()], -1).flatten(-2)
