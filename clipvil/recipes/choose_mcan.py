"""A small MCAN for own questions with choices: that for own questions, a row a choice."""

from dataclasses import replace

from clipvil.models import mcan
from clipvil.recipes import vqa_mcan
from clipvil.train.recipe import Recipe


def recipe() -> Recipe[mcan.Config]:
    """The same sizes and steps, half the questions a step; 30 words of question and choice.

    Lower rates: at 3e-3 it often stays at chance on the embedded world's choices.
    """
    whole = vqa_mcan.recipe()
    (stage,) = whole.stages
    config = replace(whole.config, longest=30)
    stage = replace(stage, batch=16, learning_rate=2e-3)
    return replace(whole, config=config, stages=(stage,), rates=(1e-3, 2e-3))
