"""A very small follower: a handful of the embedded world's houses, seconds on one core."""

from clipvil.models import follower
from clipvil.train.recipe import Recipe, Stage


def recipe() -> Recipe[follower.Config]:
    """Sizes were chosen on other houses than the demo shows, for time and not the best score."""
    config = follower.Config(
        width=48, word_width=32, action_width=16, longest=60, cut=True, steps=10, dropout=0.1,
        view_dropout=0.0, speaker_dropout=0.1, channel_dropout=0.0,
    )  # fmt: skip
    stage = Stage(
        objective="imitate", epochs=3, least_steps=40, most_steps=40, batch=64,
        learning_rate=5e-3, clip=5.0, validations=1,
    )  # fmt: skip
    return Recipe(model="follower", config=config, stages=(stage,))
