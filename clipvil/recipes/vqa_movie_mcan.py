"""A small MoVie + MCAN for own data: some thousand pictures on a CPU, minutes a cell."""

from clipvil.models import movie_mcan
from clipvil.recipes import vqa_mcan
from clipvil.train.recipe import Recipe


def recipe() -> Recipe[movie_mcan.Config]:
    """The steps of the small MCAN, at sizes like its own."""
    like = vqa_mcan.recipe()
    config = movie_mcan.Config(
        width=96, heads=4, layers=1, expand=2, blocks=2, narrow=24, flat=192, word_width=96,
        dropout=0.0,
    )  # fmt: skip
    return Recipe(model="movie_mcan", config=config, stages=like.stages, rates=like.rates)
