"""MCAN (small) on VQA v2, as published: arXiv:1906.10770, section 4.2 and the released settings."""

from clipvil.models import mcan
from clipvil.train.recipe import Recipe, Stage


def recipe() -> Recipe[mcan.Config]:
    """13 epochs of batch 64 at 1e-4, which falls by 0.2 after the 10th and the 12th.

    Command   clipvil train vqa2_mcan --data DIR --encoder ENCODER --words FILE --out RUN
    Expected  70.33 % on test-dev with bottom-up regions (openvqa), trained on train and val
    Known     the release holds a quarter, a half and three quarters of the rate for an epoch each;
              here it rises along a line
    """
    stage = Stage(
        epochs=13, least_steps=400, batch=64, learning_rate=1e-4, warmup=3 / 13, warmup_from=0.25,
        decay_at=(10 / 13, 12 / 13), decay=0.2, epsilon=1e-9,
    )  # fmt: skip
    return Recipe(model="mcan", config=mcan.Config(), stages=(stage,), rates=(5e-5, 1e-4, 2e-4))
