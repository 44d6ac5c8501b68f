"""A small follower: hundreds of instructions, minutes on a CPU."""

from clipvil.models import follower
from clipvil.train.recipe import Recipe, Stage


def recipe() -> Recipe[follower.Config]:
    """The teacher's choices alone, a few thousand steps at most."""
    config = follower.Config(
        width=128, word_width=64, action_width=16, longest=100, cut=True, steps=15, dropout=0.2,
        view_dropout=0.2, speaker_dropout=0.3, channel_dropout=0.2,
    )  # fmt: skip
    stage = Stage(
        objective="imitate", epochs=20, least_steps=200, most_steps=4_000, batch=32,
        learning_rate=1e-3, clip=5.0, validations=5,
    )  # fmt: skip
    return Recipe(model="follower", config=config, stages=(stage,), rates=(5e-4, 1e-3))
