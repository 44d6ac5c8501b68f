"""MCAN (small) on VQA v2, as published: arXiv:1906.10770, section 4.2 and the released settings."""

from clipvil.models import mcan
from clipvil.train.recipe import Recipe, Stage


def recipe() -> Recipe[mcan.Config]:
    """13 epochs of batch 64 at 1e-4; the release lowers the rate in steps, this along a cosine."""
    return Recipe(
        model="mcan",
        config=mcan.Config(),
        stages=(Stage(epochs=13, batch=64, learning_rate=1e-4, warmup=0.1, least_steps=400),),
        rates=(5e-5, 1e-4, 2e-4),
    )
