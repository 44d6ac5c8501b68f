"""The follower on RxR: longer instructions and walks, no back-translation."""

from dataclasses import replace

from clipvil.models import follower
from clipvil.recipes import r2r_follower
from clipvil.train.recipe import Recipe


def recipe() -> Recipe[follower.Config]:
    """200,000 steps of batch 64; 160 words of an instruction are read.

    Command   clipvil train rxr_follower --data DIR --encoder features:VIEWS.tsv --out RUN
    Known     the release trains an agent a language; here one learns all that are in the data. It
              is led along the shortest way to the goal, as in the release, and not along the path
    """
    whole = r2r_follower.recipe()
    (stage,) = whole.stages
    config = replace(whole.config, longest=160, imitation=0.4)
    return replace(whole, config=config, stages=(replace(stage, epochs=162, most_steps=200_000),))
