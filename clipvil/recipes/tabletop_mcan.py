"""A very small MCAN for the embedded world: seconds a cell on one core."""

from clipvil.models import mcan
from clipvil.train.recipe import Recipe, Stage


def recipe() -> Recipe[mcan.Config]:
    """Sizes were chosen on other scenes than the demo shows, for minutes and not the best score."""
    config = mcan.Config(
        width=64, heads=4, layers=1, expand=2, weigh=64, flat=128, word_width=64, dropout=0.0
    )
    stage = Stage(
        epochs=2,
        least_steps=80,
        most_steps=240,
        batch=32,
        learning_rate=3e-3,
        clip=5.0,
        validations=5,
    )
    return Recipe(model="mcan", config=config, stages=(stage,), rates=(1e-3, 3e-3))
