"""What follower and speaker share: soft attention, angles as wide features, environment dropout.

Shapes   B walkers, N things looked at, W width of a view, A = 4 x tiles of angles, Q of a query,
         D of what is told
Source   https://github.com/airsplay/R2R-EnvDrop (r2r_src/model.py)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from clipvil.data.walks import Ground, angles, compass
from clipvil.models._dropout import drop

TILES = 32  # how often sine and cosine of both angles are repeated, as published


class Seen(NamedTuple):
    """Views with where they lie; the published features are `view` and `angle` tiled behind it."""

    view: Float[Tensor, "B N W"]
    angle: Float[Tensor, "B N 4"]


@dataclass(frozen=True, slots=True)
class Eyes:
    """How features are seen: some numbers dropped at random, or some channels for all of a batch.

    `channels` is 0 for a dropped channel and scales the others up; then nothing else is dropped.
    """

    ground: Ground
    rate: float = 0.0
    channels: Float[Tensor, " W"] | None = None

    def look(self, place: Int[Tensor, " B"], view: Int[Tensor, " B"]) -> tuple[Seen, Seen]:
        """The 36 views, and those of them in which the neighbours are, [B, K].

        Headings are relative to that of `view`. What is no neighbour shows some view.
        """
        ground, (heading, elevation) = self.ground, compass(place.device)
        views, row = self.ground.look(place), torch.arange(len(place), device=place.device)
        ahead = views[row[:, None], ground.seen[place]]  # [B, K, W]
        aside = heading - heading[view][:, None]  # [B, 36]
        beside = ground.heading[place] - heading[view][:, None]  # [B, K]
        return (
            Seen(self._dim(views), angles(aside, elevation.expand_as(aside))),
            Seen(self._dim(ahead), angles(beside, ground.elevation[place])),
        )

    def _dim(self, views: Float[Tensor, "B N W"]) -> Float[Tensor, "B N W"]:
        return drop(views, self.rate) if self.channels is None else views * self.channels


def facing(view: Int[Tensor, " B"]) -> Float[Tensor, "B A"]:
    """The tiled angles of the views that walkers look along."""
    heading, elevation = compass(view.device)
    return angles(heading[view], elevation[view]).repeat(1, TILES)


def question(asks: int, width: int) -> nn.Linear:
    """What makes a question about views `width` wide and their tiled angles."""
    return nn.Linear(asks, width + 4 * TILES, bias=False)


def fits(asks: Float[Tensor, "B WA"], seen: Seen) -> Float[Tensor, "B N"]:
    """How well each view answers a question, as if its angles were tiled behind it."""
    width = seen.view.shape[-1]
    view, angle = asks[:, :width].float(), asks[:, width:].float()
    where = angle.view(-1, TILES, 4).sum(1)
    return torch.einsum("bnw,bw->bn", seen.view, view) + torch.einsum(
        "bna,ba->bn", seen.angle, where
    )


def gather(asks: Float[Tensor, "B WA"], seen: Seen) -> Float[Tensor, "B WA"]:
    """The views, weighted by how well they answer, and behind them their tiled angles."""
    weight = fits(asks, seen).softmax(-1)
    view = torch.einsum("bnw,bn->bw", seen.view, weight)
    angle = torch.einsum("bna,bn->ba", seen.angle, weight)
    return torch.cat([view, angle.repeat(1, TILES)], -1)


class Listen(nn.Module):
    """Attention of a state over words or steps, joined with the state."""

    def __init__(self, width: int, told_width: int) -> None:
        super().__init__()
        self.query = nn.Linear(width, told_width, bias=False)
        self.join = nn.Linear(width + told_width, width, bias=False)

    def forward(
        self,
        state: Float[Tensor, "B Q"],
        told: Float[Tensor, "B T D"],
        real: Bool[Tensor, "B T"],
    ) -> tuple[Float[Tensor, "B Q"], Float[Tensor, "B T"]]:
        """The state with what was found, and the weight of each word."""
        fits = torch.einsum("btd,bd->bt", told, self.query(state))
        weight = fits.float().masked_fill(~real, -torch.inf).softmax(-1)
        found = torch.einsum("btd,bt->bd", told, weight.to(told.dtype))
        joined: Tensor = torch.tanh(self.join(torch.cat([found, state], -1)))
        return joined, weight
