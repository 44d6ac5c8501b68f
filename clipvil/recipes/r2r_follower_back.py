"""The follower on R2R with back-translation: agent, speaker, then both on undescribed ways."""

from dataclasses import replace

from clipvil.models import follower
from clipvil.recipes import r2r_follower
from clipvil.train.recipe import Recipe


def recipe() -> Recipe[follower.Config]:
    """The agent's 80,000 steps, the speaker's 80,000, and 100,000 of both kinds of ways.

    Command   clipvil train r2r_follower_back --data DIR --encoder features:VIEWS.tsv --out RUN
    Expected  success 59.2 % on val_unseen with CLIP's Res50x4 as published, selected there
    Known     undescribed ways are drawn from all shortest ones of four to six moves and 5 m in the
              buildings of train, instead of from the release's list; the speaker's last weights
              are taken, as nothing selects among them
    """
    whole = r2r_follower.recipe()
    (agent,) = whole.stages
    speaker = replace(
        agent, objective="describe", optimizer="adamw", betas=(0.9, 0.999), validations=1
    )
    back = replace(agent, objective="back_translate", epochs=456, most_steps=100_000)
    config = replace(whole.config, view_dropout=0.4)
    return replace(whole, config=config, stages=(agent, speaker, back))
