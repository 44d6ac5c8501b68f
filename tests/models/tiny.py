"""Every model at tiny widths, and a few questions about ragged grids to try it on."""

from dataclasses import fields
from typing import Any

import torch
from torch import nn

from clipvil import models
from clipvil.data import LabelBatch

WIDTH, WORDS, ANSWERS = 6, 11, 5


def tiny(default: Any) -> Any:
    """A field of a model's config, made small: widths, then numbers of parts, then dropout."""
    if isinstance(default, float):
        return 0.0
    if isinstance(default, int):
        return 16 if default > 32 else min(default, 2)
    return default


def small(
    name: str = "mcan",
    *,
    num_words: int = WORDS,
    num_answers: int = ANSWERS,
    regions: bool = False,
    **chosen: Any,
) -> nn.Module:
    """The model called `name` with first weights of seed 0, made small but for what is chosen."""
    torch.manual_seed(0)
    module = models.load(name)
    default = module.Config()
    sizes = {f.name: tiny(getattr(default, f.name)) for f in fields(default)} | chosen
    model: nn.Module = module.Model(
        module.Config(**sizes),
        image_width=WIDTH,
        num_words=num_words,
        num_answers=num_answers,
        regions=regions,
    )
    return model


def some(count: int = 8) -> LabelBatch:
    """Questions about grids of 2 x 3, 3 x 1 and 1 x 2 cells; what is padding holds noise."""
    torch.manual_seed(1)
    grid = torch.tensor([(2, 3), (3, 1), (1, 2)]).repeat(count, 1)[:count]
    credit = torch.zeros(count, ANSWERS)
    credit[torch.arange(count), torch.randint(0, ANSWERS, (count,))] = 1.0
    return LabelBatch(
        ids=tuple(map(str, range(count))),
        image=torch.randn(count, 6, WIDTH),
        seen=torch.arange(6) < grid.prod(1, keepdim=True),
        grid=grid,
        words=torch.randint(1, WORDS, (count, 4)),
        credit=credit,
    )


def rows(batch: LabelBatch, indices: Any) -> LabelBatch:
    """Some questions of a batch."""
    chosen = torch.arange(len(batch.ids))[indices]
    return LabelBatch(
        tuple(batch.ids[int(i)] for i in chosen),
        batch.image[chosen],
        batch.seen[chosen],
        batch.grid[chosen],
        batch.words[chosen],
        batch.credit[chosen],
    )
