"""MCAN (small) on GQA: the model of VQA v2 with room for longer questions."""

from dataclasses import replace

from clipvil.models import mcan
from clipvil.recipes import vqa2_mcan
from clipvil.train.recipe import Recipe


def recipe() -> Recipe[mcan.Config]:
    """11 epochs over the balanced questions; 30 words of each are read."""
    whole = vqa2_mcan.recipe()
    (stage,) = whole.stages
    config = replace(whole.config, longest=30)
    return replace(whole, config=config, stages=(replace(stage, epochs=11),))
