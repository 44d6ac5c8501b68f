"""The follower on R2R, as R2R-EnvDrop and arXiv:2107.06383 trained it: no back-translation."""

from clipvil.models import follower
from clipvil.train.recipe import Recipe, Stage


def recipe() -> Recipe[follower.Config]:
    """80,000 steps of batch 64 by RMSprop at 1e-4, which does not fall.

    Command   clipvil train r2r_follower --data DIR --encoder features:VIEWS.tsv --out RUN
    Known     the release selects by success on val_unseen, which it then reports; here val_seen
              selects by SPL, and with `--select reported` val_unseen does. It shows views as they
              are; here they are standardised per channel
    """
    stage = Stage(
        epochs=365,  # of 14,039 instructions: a little more than the steps that end it
        least_steps=400,
        most_steps=80_000,
        batch=64,
        learning_rate=1e-4,
        warmup=0.0,
        fall="none",
        optimizer="rmsprop",
        betas=(0.9, 0.99),
        clip=40.0,
        validations=40,
    )
    config = follower.Config(cut=True)
    return Recipe(model="follower", config=config, stages=(stage,), rates=(5e-5, 1e-4, 2e-4))
