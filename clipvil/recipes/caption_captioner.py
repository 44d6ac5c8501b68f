"""A small captioner for own captions: some thousand pictures on a CPU."""

from clipvil.models import captioner
from clipvil.train.recipe import Recipe, Stage


def recipe() -> Recipe[captioner.Config]:
    """Words that are there twice are known; on words first, then a shorter while on CIDEr-D."""
    config = captioner.Config(
        width=128,
        heads=4,
        layers=2,
        expand=2,
        image_dropout=0.1,
        rare=1,
        read=20,
        beams=3,
        baseline="others",
    )
    words = Stage(
        epochs=10,
        least_steps=300,
        most_steps=6_000,
        batch=16,
        learning_rate=2e-3,
        clip=5.0,
        validations=3,
    )
    reward = Stage(
        objective="self_critical",
        epochs=5,
        least_steps=60,
        most_steps=2_000,
        batch=16,
        learning_rate=5e-4,
        clip=5.0,
        validations=3,
    )
    return Recipe(model="captioner", config=config, stages=(words, reward), rates=(1e-3, 3e-3))
