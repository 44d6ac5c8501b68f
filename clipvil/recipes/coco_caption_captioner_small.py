"""A very small captioner for the embedded world that learns words alone: seconds a cell."""

from clipvil.models import captioner
from clipvil.train.recipe import Recipe, Stage


def recipe() -> Recipe[captioner.Config]:
    """What the demo's captions come from; sizes were chosen on other scenes, for time.

    The likeliest word each time: beams take longer to answer than all else but the steps.
    """
    config = captioner.Config(
        width=64, heads=4, layers=1, expand=2, dropout=0.0, image_dropout=0.0, rare=1, read=24,
        longest=24, beams=1,
    )  # fmt: skip
    stage = Stage(
        epochs=2,
        least_steps=80,
        most_steps=150,
        batch=8,
        learning_rate=3e-3,
        clip=5.0,
        validations=2,
    )
    return Recipe(model="captioner", config=config, stages=(stage,))
