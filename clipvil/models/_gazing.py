"""Soft attention of walkers over the 36 views from where they stand.

A processor takes one walker after the other, whose views stay in its cache from being converted to
being summed up. Nothing of them is kept for the backward pass but what was dropped: it looks again.

Shapes   B walkers, W width of a view
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from clipvil.data.walks import Ground
from clipvil.graphs.views import VIEWS
from clipvil.models._dropout import drop, stays

Gazed = tuple[Float[Tensor, "B W"], Float[Tensor, "B 36"]]


def gaze(
    asks: Float[Tensor, "B W"],
    lying: Float[Tensor, "B 36"],
    ground: Ground,
    place: Int[Tensor, " B"],
    rate: float,
) -> Gazed:
    """Views less their mean, weighted by how well they fit, and the weight of each.

    Args
        lying: how well it fits where the views lie
        rate: share of the views' numbers that is dropped
    """
    if asks.device.type == "cpu":
        found, weight = _OneByOne.apply(asks, lying, ground, place, rate)
        return found, weight
    return together(asks, lying, ground, place, rate)


def together(
    asks: Float[Tensor, "B W"],
    lying: Float[Tensor, "B 36"],
    ground: Ground,
    place: Int[Tensor, " B"],
    rate: float,
) -> Gazed:
    """The same of all walkers at once."""
    views = drop(ground.stored(place).float().sub_(ground.mean), rate)
    with torch.autocast(asks.device.type, enabled=False):
        weight = (lying + (views @ asks.unsqueeze(-1)).squeeze(-1)).softmax(-1)
        return (weight.unsqueeze(1) @ views).squeeze(1), weight


class _OneByOne(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, asks: Tensor, lying: Tensor, ground: Ground, place: Tensor, rate: float
    ) -> tuple[Tensor, Tensor]:
        found, weight, kept = torch.empty_like(asks), torch.empty_like(lying), list[Tensor]()
        places, views = place.tolist(), torch.empty(VIEWS, ground.width)
        asked = asks * (1 / (1 - rate))
        with torch.autocast("cpu", enabled=False):
            for row, one in enumerate(places):
                views.copy_(ground.views[one]).sub_(ground.mean)
                if rate:
                    kept.append(stays(views.shape, rate))
                    views.mul_(kept[-1])
                fits = torch.addmv(lying[row], views, asked[row])
                torch.softmax(fits, 0, out=weight[row])
                torch.mv(views.mT, weight[row], out=found[row])
        if ctx.needs_input_grad[0]:
            ctx.save_for_backward(asked, weight)
            ctx.seen = ground, places, kept, rate
        return found.mul_(1 / (1 - rate)), weight

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        asked, weight = ctx.saved_tensors
        ground, places, kept, rate = ctx.seen
        by_found, by_weight = grads[0] * (1 / (1 - rate)), grads[1]
        to_asks, to_lying = torch.empty_like(asked), torch.empty_like(weight)
        views = torch.empty(VIEWS, ground.width)
        for row, one in enumerate(places):
            views.copy_(ground.views[one]).sub_(ground.mean)
            if rate:
                views.mul_(kept[row])
            by = torch.addmv(by_weight[row], views, by_found[row])
            torch.mul(weight[row], by - by @ weight[row], out=to_lying[row])
            torch.mv(views.mT, to_lying[row], out=to_asks[row])
        return to_asks.mul_(1 / (1 - rate)), to_lying, None, None, None
