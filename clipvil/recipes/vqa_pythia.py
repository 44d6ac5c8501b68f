"""A small Pythia for own data: some thousand pictures on a CPU, minutes a cell."""

from clipvil.models import pythia
from clipvil.recipes import vqa_mcan
from clipvil.train.recipe import Recipe


def recipe() -> Recipe[pythia.Config]:
    """The steps of the small MCAN, at sizes like its own."""
    like = vqa_mcan.recipe()
    config = pythia.Config(width=512, read=96, weigh=96, text=96, word_width=96)
    return Recipe(model="pythia", config=config, stages=like.stages, rates=like.rates)
