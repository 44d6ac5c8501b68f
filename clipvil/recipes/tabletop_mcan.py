"""A very small MCAN for the embedded world: seconds a cell on one core."""

from clipvil.models import mcan
from clipvil.train.recipe import Recipe, Stage


def recipe() -> Recipe[mcan.Config]:
    """The sizes were chosen on development seeds for a demo of minutes, not for the best score."""
    config = mcan.Config(width=64, heads=4, layers=2, flat=128, word_width=64, dropout=0.0)
    stage = Stage(
        epochs=3, least_steps=60, most_steps=300, batch=32, learning_rate=2e-3, clip=5.0,
        validations=5,
    )  # fmt: skip
    return Recipe(model="mcan", config=config, stages=(stage,), rates=(1e-3, 3e-3))
