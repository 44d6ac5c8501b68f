"""A small MCAN for own data: some thousand pictures on a CPU, minutes a cell."""

from clipvil.models import mcan
from clipvil.train.recipe import Recipe, Stage


def recipe() -> Recipe[mcan.Config]:
    """Enough steps to learn from a hundred questions, bounded for a hundred thousand."""
    config = mcan.Config(width=128, heads=4, layers=2, flat=256, word_width=96, dropout=0.0)
    stage = Stage(
        epochs=12, least_steps=150, most_steps=3_000, batch=32, learning_rate=1e-3, clip=5.0
    )
    return Recipe(model="mcan", config=config, stages=(stage,), rates=(5e-4, 1e-3))
