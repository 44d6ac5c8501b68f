"""The very small MCAN of the embedded world on its multiple choice: half a minute a cell."""

from dataclasses import replace

from clipvil.models import mcan
from clipvil.recipes import tabletop_mcan
from clipvil.train.recipe import Recipe


def recipe() -> Recipe[mcan.Config]:
    """Eight questions a step, which are 64 rows; tried on other scenes than the demo shows."""
    whole = tabletop_mcan.recipe()
    (stage,) = whole.stages
    stage = replace(stage, least_steps=200, most_steps=200, batch=8, learning_rate=2e-3)
    config = replace(whole.config, longest=24)
    return replace(whole, config=config, stages=(replace(stage, validations=2),), rates=())
