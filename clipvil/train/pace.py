"""What a step takes: which examples, at what rate, by which optimizer."""

from __future__ import annotations

import math
from typing import Any, assert_never

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.optim import Optimizer

from clipvil.models._seeing import Seeing
from clipvil.train.recipe import Stage


def order(step: int, examples: int, batch: int, seed: int) -> NDArray[np.int64]:
    """Indices of the examples of a step: epoch after epoch, each in its own order.

    A function of the step alone, so that a resumed run needs no memory of where it was.
    """
    start, chosen = step * batch, list[NDArray[np.int64]]()
    while batch > 0:
        epoch, offset = divmod(start, examples)
        some = np.random.default_rng([seed, epoch]).permutation(examples)[offset : offset + batch]
        chosen.append(some)
        start, batch = start + len(some), batch - len(some)
    return np.concatenate(chosen)


def rate(step: int, steps: int, stage: Stage) -> float:
    """Learning rate of a step: a linear rise, then a fall in steps or along the stage's curve."""
    warm = max(1, round(stage.warmup * steps))
    if step < warm:
        risen = (step + 1) / warm
        return stage.learning_rate * (stage.warmup_from * (1 - risen) + risen)
    if stage.decay_at:
        falls = sum(step >= round(share * steps) for share in stage.decay_at)
        return stage.learning_rate * stage.decay**falls
    match stage.fall:
        case "cosine":
            along = 0.5 * (1 + math.cos(math.pi * (step - warm) / (steps - warm)))
        case "root":
            along = math.sqrt(warm / (step + 1))
        case "none":
            along = 1.0
        case _:
            assert_never(stage.fall)
    return stage.learning_rate * along


def groups_of(model: nn.Module, stage: Stage) -> list[dict[str, Any]]:
    """The weights that are learnt, and the share of the learning rate that each follows."""
    own = {*model.encoder.parameters()} if isinstance(model, Seeing) else set()
    learnt = [p for p in model.parameters() if p.requires_grad]
    groups = [([p for p in learnt if p not in own], 1.0)]
    groups += [([p for p in learnt if p in own], stage.encoder_rate)]
    return [{"params": weights, "share": share} for weights, share in groups if weights]


def optimizer_of(model: nn.Module, stage: Stage) -> Optimizer:
    """The stage's optimizer over all weights of a model that are learnt."""
    groups = groups_of(model, stage)
    settings: dict[str, Any] = {
        "lr": stage.learning_rate, "betas": stage.betas, "eps": stage.epsilon,
        "weight_decay": stage.weight_decay,
    }  # fmt: skip
    match stage.optimizer:
        case "adamw":
            return torch.optim.AdamW(groups, fused=True, **settings)
        case "adamax":
            return torch.optim.Adamax(groups, foreach=True, **settings)
        case "rmsprop":
            return torch.optim.RMSprop(
                groups, stage.learning_rate, stage.betas[1], stage.epsilon, stage.weight_decay,
                foreach=True,
            )  # fmt: skip
        case _:
            assert_never(stage.optimizer)
