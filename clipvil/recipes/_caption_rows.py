"""The captioning rows of CLIP-ViL, each a recipe and an encoder: published, and measured here.

Source   arXiv:2107.06383, its table of COCO captions and the settings released with it
         (clip-vil/CLIP-ViL, caption/configs). A figure stands here only where a source confirms it;
         None is unknown. CIDEr, BLEU-4, METEOR and SPICE on the scorers' own scale, where tables
         have a hundred times as much
Sight    every picture squashed to 448 x 448 pixels, 14 x 14 cells at a stride of 32
Missing  rows on detected regions: nobody gives their features for these rows
"""

from __future__ import annotations

from clipvil.recipes._table import Row

SIGHT = "size=448x448,fit=squash"
STEPS, BATCH = (169_930, 283_218), 10  # on words, then on the reward
CELLS = 14 * 14 * 123_287
NAMES = {"bleu_4": "BLEU-4", "meteor": "METEOR", "spice": "SPICE"}


def row(
    sight: str,
    encoder: str,
    width: int,
    *,
    options: str = "",
    known: str = "",
    cider: float | None = None,
    **others: float | None,
) -> Row:
    """An encoder in the captioner, on Karpathy's test pictures."""
    words, reward = STEPS
    return Row(
        name=f"clip_vil/caption/captioner/{sight}", task="coco_caption@karpathy",
        recipe="coco_caption_captioner", encoder=f"timm:{encoder},{SIGHT}{options}", width=width,
        vectors=CELLS, schedule=f"{words:,} and {reward:,} steps of {BATCH}", digits=3, known=known,
        published={"CIDEr": cider} | {NAMES[name]: score for name, score in others.items()},
    )  # fmt: skip


ROWS = {
    one.name: one
    for one in (
        row(
            "imagenet-res50", "resnet50.tv_in1k", 2_048,
            known="pictures kept their size, and cells were averaged into 14 x 14",
        ),
        row(
            "clip-vit-b32", "vit_base_patch32_clip_quickgelu_224.openai", 768, cider=0.580,
            options=",positions=zero",
            known="position embeddings were zero (here too, unless --encoder is named without "
            "positions=zero; with its own another code base got 1.278: "
            "jianjieluo/OpenAI-CLIP-Feature); cells came out of the last block, before the norm "
            "after it",
        ),
        row("clip-res50", "resnet50_clip.openai", 2_048),
        row("clip-res101", "resnet101_clip.openai", 2_048),
        row(
            "clip-res50x4", "resnet50x4_clip.openai", 2_560, cider=1.342, bleu_4=0.402,
            meteor=0.297, spice=0.238,
        ),
    )
}  # fmt: skip
