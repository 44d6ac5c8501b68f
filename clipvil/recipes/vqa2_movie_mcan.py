"""MoVie + MCAN on VQA v2, as arXiv:2107.06383 trained it on grids: 236,000 steps of batch 64."""

from clipvil.models import movie_mcan
from clipvil.train.recipe import Recipe, Stage


def recipe() -> Recipe[movie_mcan.Config]:
    """About 34 epochs of train2014 by AdamW at 5e-5, a fifth of it at each of two steps.

    Command   clipvil train vqa2_movie_mcan --data DIR --encoder ENCODER --words FILE --out RUN
    Expected  74.01 % on test-dev with CLIP's Res50x4, trained on train, val and Visual Genome
              (`clip_vil/vqa/movie_mcan/clip-res50x4`); 71.75 % on about half of val, trained on
              train alone (facebookresearch/reliable_vqa)
    """
    stage = Stage(
        epochs=35,  # of 443,757 questions: a little more than the steps that end it
        least_steps=400,
        most_steps=236_000,
        batch=64,
        learning_rate=5e-5,
        warmup=54 / 236,
        warmup_from=0.25,
        decay_at=(180 / 236, 216 / 236),
        decay=0.2,
        epsilon=1e-9,
    )
    return Recipe(
        model="movie_mcan",
        config=movie_mcan.Config(),
        stages=(stage,),
        rates=(2.5e-5, 5e-5, 1e-4),
    )
