"""Pythia on VQA v2, as arXiv:2107.06383 trained it on grids: 22,000 steps of batch 512."""

from clipvil.models import pythia
from clipvil.train.recipe import Recipe, Stage


def recipe() -> Recipe[pythia.Config]:
    """About 25 epochs of train2014 by Adamax at 0.01, a tenth of it at each of four steps.

    Command   clipvil train vqa2_pythia --data DIR --encoder ENCODER --words FILE --out RUN
    Expected  68.37 % on test-dev with CLIP's Res50x4 (`clip_vil/vqa/pythia/clip-res50x4`)
    """
    stage = Stage(
        epochs=26,  # of 443,757 questions: a little more than the steps that end it
        least_steps=400,
        most_steps=22_000,
        batch=512,
        learning_rate=0.01,
        warmup=1 / 22,
        warmup_from=0.2,
        decay_at=(15 / 22, 18 / 22, 20 / 22, 21 / 22),
        decay=0.1,
        optimizer="adamax",
        betas=(0.9, 0.999),
        clip=0.25,
    )
    return Recipe(model="pythia", config=pythia.Config(), stages=(stage,), rates=(5e-3, 1e-2, 2e-2))
