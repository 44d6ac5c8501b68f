"""A small MCAN for own data: some thousand pictures on a CPU, minutes a cell."""

from clipvil.models import mcan
from clipvil.train.recipe import Recipe, Stage


def recipe() -> Recipe[mcan.Config]:
    """Enough steps to learn from a hundred questions, bounded for a hundred thousand."""
    config = mcan.Config(
        width=96, heads=4, layers=1, expand=2, weigh=96, flat=192, word_width=96, dropout=0.0
    )
    stage = Stage(
        epochs=1.75,
        least_steps=150,
        most_steps=6_000,
        batch=32,
        learning_rate=2e-3,
        clip=5.0,
        validations=3,
    )
    return Recipe(model="mcan", config=config, stages=(stage,), rates=(1e-3, 3e-3))
