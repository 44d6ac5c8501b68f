"""A very small Pythia for the embedded world's choices: seconds a cell on one core."""

from clipvil.models import pythia
from clipvil.train.recipe import Recipe, Stage


def recipe() -> Recipe[pythia.Config]:
    """Sizes were chosen on other scenes than the demo shows, for seconds and not the best score."""
    config = pythia.Config(width=128, read=64, weigh=64, text=64, word_width=64, longest=30)
    stage = Stage(
        epochs=1.5,
        least_steps=150,
        most_steps=150,
        batch=8,
        learning_rate=5e-3,
        clip=5.0,
        validations=1,
    )
    return Recipe(model="pythia", config=config, stages=(stage,))
