"""A very small captioner for the embedded world, quick to train on one core."""

from clipvil.models import captioner
from clipvil.train.recipe import Recipe, Stage


def recipe() -> Recipe[captioner.Config]:
    """Sizes were chosen on other scenes than the demo shows, for time and not the best score."""
    config = captioner.Config(
        width=64, heads=4, layers=1, expand=2, dropout=0.0, image_dropout=0.0, rare=1, read=24,
        longest=24, beams=3, baseline="others",
    )  # fmt: skip
    words = Stage(
        epochs=8,
        least_steps=80,
        most_steps=320,
        batch=16,
        learning_rate=3e-3,
        clip=5.0,
        validations=3,
    )
    reward = Stage(
        objective="self_critical",
        epochs=6,
        least_steps=40,
        most_steps=160,
        batch=16,
        learning_rate=1e-3,
        clip=5.0,
        validations=3,
    )
    return Recipe(model="captioner", config=config, stages=(words, reward), rates=(1e-3, 3e-3))
