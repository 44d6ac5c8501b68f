"""MCAN (small) on VCR: the model of VQA v2 with room for question, answer and rationale."""

from dataclasses import replace

from clipvil.models import mcan
from clipvil.recipes import vqa2_mcan
from clipvil.train.recipe import Recipe


def recipe() -> Recipe[mcan.Config]:
    """10 epochs of 16 questions a step, which are 128 rows; the last 64 words of each are read."""
    whole = vqa2_mcan.recipe()
    (stage,) = whole.stages
    config = replace(whole.config, longest=64)
    return replace(whole, config=config, stages=(replace(stage, epochs=10, batch=16),))
