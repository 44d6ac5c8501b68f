"""MCAN (large) on VQA v2, as released: twice the width of the small one, half its learning rate."""

from dataclasses import replace

from clipvil.models import mcan
from clipvil.recipes import vqa2_mcan
from clipvil.train.recipe import Recipe


def recipe() -> Recipe[mcan.Config]:
    """The schedule of the small model at 5e-5.

    Command   clipvil train vqa2_mcan_large --data DIR --encoder ENCODER --words FILE --out RUN
    Expected  70.48 % on test-dev with bottom-up regions (openvqa), trained on train and val
    """
    small = vqa2_mcan.recipe()
    (stage,) = small.stages
    return replace(
        small,
        config=replace(small.config, width=1_024, flat=2_048),
        stages=(replace(stage, learning_rate=5e-5),),
        rates=(2.5e-5, 5e-5, 1e-4),
    )
