"""A very small Pythia for the embedded world's hypotheses: seconds a cell on one core."""

from clipvil.models import pythia
from clipvil.train.recipe import Recipe, Stage


def recipe() -> Recipe[pythia.Config]:
    """Sizes were chosen on other scenes than the demo shows, for seconds and not the best score.

    It learns whether what is spoken of is there; twice the steps begin to tell its colour.
    """
    config = pythia.Config(width=128, read=64, weigh=64, text=64, word_width=64)
    stage = Stage(
        epochs=7,
        least_steps=200,
        most_steps=220,
        batch=64,
        learning_rate=2e-3,
        clip=5.0,
        validations=3,
    )
    return Recipe(model="pythia", config=config, stages=(stage,))
