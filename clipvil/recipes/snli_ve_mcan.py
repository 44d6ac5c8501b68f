"""MCAN (small) on SNLI-VE: the model of VQA v2 with room for longer sentences."""

from dataclasses import replace

from clipvil.models import mcan
from clipvil.recipes import vqa2_mcan
from clipvil.train.recipe import Recipe


def recipe() -> Recipe[mcan.Config]:
    """5 epochs, as there are three answers only; 30 words of a hypothesis are read."""
    whole = vqa2_mcan.recipe()
    (stage,) = whole.stages
    config = replace(whole.config, longest=30)
    return replace(whole, config=config, stages=(replace(stage, epochs=5),))
