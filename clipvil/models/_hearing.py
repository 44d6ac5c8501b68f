"""Soft attention of walkers over the words of their instructions, at every step of a walk.

A processor takes one walker after the other, and no padding. What the words' gradient is made from
is kept until the last use is through: torch adds one as large as all words at every use.

Shapes   B instructions of T words of width D, R walkers still at hand
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

Heard = tuple[Float[Tensor, "R D"], Float[Tensor, "R T"]]
Hear = Callable[[Float[Tensor, "R D"], Int[Tensor, " R"]], Heard]
Box = list[tuple[Tensor, Tensor, Tensor]]  # rows, and two factors of the gradient of their words


def hearing(told: Float[Tensor, "B T D"], real: Bool[Tensor, "B T"]) -> Hear:
    """Questions of some rows -> the words, weighted by how well they fit, and the weight of each.

    To be used any number of times before one backward pass. `real` words come first.
    """
    if told.device.type != "cpu":
        return lambda asks, rows: attend(asks, told[rows], real[rows])
    box: Box = []
    lengths = real.sum(1).tolist()
    told = told.float()
    ticket, plain = _Whole.apply(told, box), told.detach()

    def hear(asks: Tensor, rows: Tensor) -> Heard:
        found, weight = _Use.apply(asks.float(), plain, lengths, rows, ticket, box)
        return found, weight

    return hear


def attend(
    asks: Float[Tensor, "R D"], told: Float[Tensor, "R T D"], real: Bool[Tensor, "R T"]
) -> Heard:
    """The same as torch does it."""
    fits = torch.einsum("btd,bd->bt", told, asks)
    weight = fits.float().masked_fill(~real, -torch.inf).softmax(-1)
    return torch.einsum("btd,bt->bd", told, weight.to(told.dtype)), weight


class _Whole(torch.autograd.Function):
    """A ticket for every use; its backward comes when all of them have had theirs."""

    @staticmethod
    def forward(ctx: Any, told: Tensor, box: Box) -> Tensor:
        ctx.box, ctx.shape = box, told.shape
        return told.new_zeros(())

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        rows, words, wide = (torch.cat(parts) for parts in zip(*ctx.box, strict=True))
        ctx.box.clear()
        whole = wide.new_zeros(ctx.shape)
        for row in range(len(whole)):
            mine = (rows == row).nonzero()[:, 0]
            torch.mm(words[mine].mT, wide[mine], out=whole[row])
        return whole, None


class _Use(torch.autograd.Function):
    """One use."""

    @staticmethod
    def forward(
        ctx: Any, asks: Tensor, told: Tensor, lengths: list[int], rows: Tensor, ticket: Tensor,
        box: Box,
    ) -> tuple[Tensor, Tensor]:  # fmt: skip
        found, weight = torch.empty_like(asks), asks.new_zeros(len(asks), told.shape[1])
        for k, row in enumerate(rows.tolist()):
            words, mine = told[row, : lengths[row]], weight[k, : lengths[row]]
            torch.softmax(torch.mv(words, asks[k]), 0, out=mine)
            torch.mv(words.mT, mine, out=found[k])
        ctx.save_for_backward(asks, told, rows, weight)
        ctx.rest = lengths, box
        return found, weight

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        asks, told, rows, weight = ctx.saved_tensors
        lengths, box = ctx.rest
        by_found, by_weight = grads
        to_asks, to_fits = torch.empty_like(asks), torch.zeros_like(weight)
        for k, row in enumerate(rows.tolist()):
            length = lengths[row]
            words, mine = told[row, :length], weight[k, :length]
            by = torch.addmv(by_weight[k, :length], words, by_found[k])
            torch.mul(mine, by - by @ mine, out=to_fits[k, :length])
            torch.mv(words.mT, to_fits[k, :length], out=to_asks[k])
        box.append((rows, to_fits, asks))
        box.append((rows, weight, by_found))
        return to_asks, None, None, None, told.new_zeros(()), None
