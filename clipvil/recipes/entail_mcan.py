"""A small MCAN for own hypotheses: that for own questions with room for longer sentences."""

from dataclasses import replace

from clipvil.models import mcan
from clipvil.recipes import vqa_mcan
from clipvil.train.recipe import Recipe


def recipe() -> Recipe[mcan.Config]:
    """The same sizes and steps; 30 words of a hypothesis are read."""
    whole = vqa_mcan.recipe()
    return replace(whole, config=replace(whole.config, longest=30))
