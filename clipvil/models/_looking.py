"""What follower and speaker share: soft attention, angles as wide features, environment dropout.

Shapes   B walkers, N things looked at, W width of a view, A = 4 x tiles of angles, Q of a query,
         D of what is told
Source   https://github.com/airsplay/R2R-EnvDrop (r2r_src/model.py)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from clipvil.data.walks import Ground, angles, compass
from clipvil.graphs.views import VIEWS
from clipvil.models._dropout import drop
from clipvil.models._gazing import gaze
from clipvil.models._hearing import Heard

TILES = 32  # how often sine and cosine of both angles are repeated, as published


@dataclass(frozen=True, slots=True)
class Eyes:
    """How features are seen: some numbers dropped at random, or some channels for all of a batch.

    `channels` is 0 for a dropped channel and scales the others up; then nothing else is dropped.
    What is published are views with angles tiled behind them. Here both are apart, and what every
    view would be multiplied by is multiplied into questions and answers.
    """

    ground: Ground
    rate: float = 0.0
    channels: Float[Tensor, " W"] | None = None

    def gather(
        self, asks: Float[Tensor, "B WA"], place: Int[Tensor, " B"], view: Int[Tensor, " B"]
    ) -> Float[Tensor, "B WA"]:
        """The 36 views, weighted by how well they answer, and behind them their tiled angles.

        Headings are relative to that of `view`.
        """
        heading, elevation = compass(place.device)
        aside = heading - heading[view][:, None]
        angle = angles(aside, elevation.expand_as(aside))  # [B, 36, 4]
        asked, where = self._parts(asks)
        lying = (angle * where.unsqueeze(1)).sum(-1)  # no product that autocast would round
        found, weight = gaze(asked, lying, self.ground, place, self._rate)
        lies = (angle * weight.unsqueeze(-1)).sum(1)
        return torch.cat([found * self._scale, lies.repeat(1, TILES)], -1)

    def fits(
        self, asks: Float[Tensor, "B WA"], place: Int[Tensor, " B"], view: Int[Tensor, " B"]
    ) -> Float[Tensor, "B K"]:
        """How well each neighbour's view and angles answer; -inf where there is none."""
        free = self.ground.free[place]
        row, k = free.nonzero(as_tuple=True)  # [F]
        shown, angle = self._ahead(place[row], view[row], k)
        asked, where = (part.index_select(0, row) for part in self._parts(asks))
        fits = (shown * asked).sum(-1) + (angle * where).sum(-1)
        return fits.new_full(free.shape, -torch.inf).index_put((row, k), fits)

    def ahead(
        self, place: Int[Tensor, " B"], view: Int[Tensor, " B"], choice: Int[Tensor, " B"]
    ) -> Float[Tensor, "B WA"]:
        """The view that the chosen neighbour is in, its tiled angles behind it; a stop is zeros."""
        stop = choice == self.ground.places.shape[1]
        shown, angle = self._ahead(place, view, choice.masked_fill(stop, 0))
        took = torch.cat([shown * self._scale, angle.repeat(1, TILES)], -1)
        return took.masked_fill(stop[:, None], 0.0)

    @property
    def _rate(self) -> float:
        return self.rate if self.channels is None else 0.0

    @property
    def _scale(self) -> Float[Tensor, " W"]:
        """What is shown is to be multiplied by it."""
        return self.ground.scale if self.channels is None else self.ground.scale * self.channels

    def _parts(self, asks: Float[Tensor, "B WA"]) -> tuple[Tensor, Tensor]:
        """Questions about views as they are shown, and about angles that are not tiled."""
        width = self.ground.width
        asked, where = asks[:, :width].float(), asks[:, width:].float()
        return asked * self._scale, where.view(-1, TILES, 4).sum(1)

    def _ahead(self, place: Tensor, view: Tensor, k: Tensor) -> tuple[Tensor, Tensor]:
        """The views that k-th neighbours are in, to be scaled, and their angles."""
        ground, (heading, _) = self.ground, compass(place.device)
        rows = ground.views.flatten(0, 1).index_select(0, place * VIEWS + ground.seen[place, k])
        beside = ground.heading[place, k] - heading[view]
        shown = drop(rows.float().sub_(ground.mean), self._rate)
        return shown, angles(beside, ground.elevation[place, k])


def facing(view: Int[Tensor, " B"]) -> Float[Tensor, "B A"]:
    """The tiled angles of the views that walkers look along."""
    heading, elevation = compass(view.device)
    return angles(heading[view], elevation[view]).repeat(1, TILES)


def question(asks: int, width: int) -> nn.Linear:
    """What makes a question about views `width` wide and their tiled angles."""
    return nn.Linear(asks, width + 4 * TILES, bias=False)


class Listen(nn.Module):
    """Attention of a state over words or steps, joined with the state."""

    def __init__(self, width: int, told_width: int) -> None:
        super().__init__()
        self.query = nn.Linear(width, told_width, bias=False)
        self.join = nn.Linear(width + told_width, width, bias=False)

    def forward(
        self, state: Float[Tensor, "B Q"], hear: Callable[[Float[Tensor, "B D"]], Heard]
    ) -> tuple[Float[Tensor, "B Q"], Float[Tensor, "B T"]]:
        """The state with what was found, and the weight of each word."""
        found, weight = hear(self.query(state))
        joined: Tensor = torch.tanh(self.join(torch.cat([found, state], -1)))
        return joined, weight
