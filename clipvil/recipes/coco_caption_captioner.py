"""The captioner on COCO, as arXiv:2107.06383 trained it: on words, then on CIDEr-D."""

from clipvil.models import captioner
from clipvil.train.recipe import Recipe, Stage


def recipe() -> Recipe[captioner.Config]:
    """15 epochs on words, 25 more on the reward of five samples a picture against the likeliest.

    Command   clipvil train coco_caption_captioner --task coco_caption@karpathy --data DIR
              --encoder ENCODER --out RUN
    Expected  CIDEr 1.342 on Karpathy's test with CLIP's Res50x4
              (`clip_vil/caption/captioner/clip-res50x4`)
    Known     a batch carries all captions of its pictures, of which the release draws five. Its
              second stage goes on with the first one's Adam, here it starts anew. What it tells
              with is not said; its code base reports five beams, which is what is set here
    """
    words = Stage(
        epochs=15,
        least_steps=400,
        batch=10,
        learning_rate=(512 * 20_000) ** -0.5,
        warmup=20_000 / 169_930,  # of 113,287 pictures
        fall="root",
        epsilon=1e-9,
        clip_each=0.1,
        validations=57,  # every 3,000 steps
    )
    reward = Stage(
        objective="self_critical",
        epochs=25,
        least_steps=100,
        batch=10,
        learning_rate=5e-6,
        warmup=0.0,
        fall="none",
        epsilon=1e-9,
        clip_each=0.1,
        validations=94,
    )
    return Recipe(
        model="captioner",
        config=captioner.Config(),
        stages=(words, reward),
        rates=(1.5e-4, words.learning_rate, 6e-4),
    )
