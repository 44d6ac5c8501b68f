"""A linear layer that is used at every step of a walk, whose weight gets its gradient once.

torch adds a gradient as large as the weight at every use; for a few rows a use, that is what a
backward pass takes longest for. Here rows are kept until the last use is through.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

Box = list[tuple[Tensor, Tensor]]  # what went in, and the gradient of what came out


class _Whole(torch.autograd.Function):
    """A ticket for every use; its backward comes when all of them have had theirs."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, box: Box) -> Tensor:
        ctx.box = box
        return weight.new_zeros(())

    @staticmethod
    def backward(ctx: Any, *_: Tensor) -> tuple[Tensor, None]:
        given, back = (torch.cat(rows) for rows in zip(*ctx.box, strict=True))
        ctx.box.clear()
        return back.mT @ given, None


class _Use(torch.autograd.Function):
    """One use."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, weight: Tensor, ticket: Tensor, box: Box) -> Tensor:
        ctx.save_for_backward(rows, weight)
        ctx.box = box
        # for a few dozen rows MKL takes up to twice as long for the product the other way about
        return (weight @ rows.mT).mT.contiguous()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, Tensor, None]:
        rows, weight = ctx.saved_tensors
        back = grads[0].to(weight.dtype)
        ctx.box.append((rows.to(weight.dtype), back))
        return (back @ weight).to(rows.dtype), None, weight.new_zeros(()), None


def late(weight: Tensor) -> Callable[[Tensor], Tensor]:
    """`rows -> rows @ weight.T`, to be used any number of times before one backward pass."""
    box: Box = []
    ticket = _Whole.apply(weight, box)
    plain = weight.detach()

    def linear(rows: Tensor) -> Tensor:
        found: Tensor = _Use.apply(rows, plain, ticket, box)
        return found

    return linear
