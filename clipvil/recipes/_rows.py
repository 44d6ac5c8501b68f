"""The VQA rows of CLIP-ViL, each a recipe and an encoder: what was published, what we measured.

Source   arXiv:2107.06383, its table of VQA v2 and the settings released with it (clip-vil/CLIP-ViL,
         vqa/mmf_configs). A figure stands here only where a source confirms it; None is unknown
Sight    the release warps every picture to 600 x 1000 pixels, in which a stride of 32 leaves
         18 x 31 whole cells: 576 x 992 gives those cells and drops no border
Data     Pythia's rows are trained on train2014; those called MCAN, which are MoVie + MCAN, on
         train2014, val2014 and Visual Genome's questions (of which no source says whose features
         they were). Here a row reports val2014, so that it is never trained on; the other two are
         the task `vqa2@vg`, train2014 alone `vqa2`
Places   the release lost the position embeddings of its ViTs; `positions=zero` is that
Missing  rows on detected regions, and on backbones that detection on Visual Genome had changed
         (it took 5.54 points from CLIP-Res50 in Pythia and 4.08 in MCAN): nobody gives the weights
"""

from __future__ import annotations

from clipvil.recipes._table import Row

SIGHT = "size=576x992,fit=squash"
UPDATES = {"vqa2_pythia": (22_000, 512), "vqa2_movie_mcan": (236_000, 64)}
"""Steps and batch that the release trained for: what a row costs."""
CELLS = 18 * 31 * 123_287
"""Of train2014 and val2014, whose pictures the features are of."""


NO_MASK = "cells were laid into 32 x 32, the empty ones seen (here only with --config.field 32)"
NO_POSITION = (
    "position embeddings were zero (here too, unless --encoder is named without positions=zero); "
    "Pythia's cells came out of the last block but one (here only with layer=-2 in --encoder)"
)
MORE = (
    "val2014 and Visual Genome's questions were trained on too (here only the latter, and with "
    "--task vqa2@vg)"
)


def row(
    recipe: str, sight: str, encoder: str, width: int, known: str, **published: float | None
) -> Row:
    """An encoder in one of the models."""
    steps, batch = UPDATES[recipe]
    model = recipe.removeprefix("vqa2_")
    return Row(
        name=f"clip_vil/vqa/{model}/{sight}", task="vqa2", recipe=recipe, encoder=encoder,
        width=width, vectors=CELLS, schedule=f"{steps:,} steps of {batch}", digits=2, known=known,
        published={name.replace("_", "-"): score for name, score in published.items()},
    )  # fmt: skip


def rows(
    sight: str,
    encoder: str,
    width: int,
    *,
    pythia: float | None = None,
    mcan: tuple[float, float] | None = None,
    options: str = "",
    known: str = "",
) -> tuple[Row, Row]:
    """An encoder in both models."""
    dev, standard = mcan or (None, None)
    spec, more = f"{encoder},{SIGHT}{options}", "; ".join(filter(None, (known, NO_MASK, MORE)))
    return (
        row("vqa2_pythia", sight, spec, width, known, test_dev=pythia),
        row("vqa2_movie_mcan", sight, spec, width, more, test_dev=dev, test_std=standard),
    )


ROWS = {
    row.name: row
    for pair in (
        rows("imagenet-res50", "timm:resnet50.tv_in1k", 2_048),
        rows("clip-vit-b32", "timm:vit_base_patch32_clip_quickgelu_224.openai", 768,
             options=",positions=zero", known=NO_POSITION),
        rows("clip-res50", "timm:resnet50_clip.openai", 2_048),
        rows("clip-res101", "timm:resnet101_clip.openai", 2_048),
        rows("clip-res50x4", "timm:resnet50x4_clip.openai", 2_560,
             pythia=68.37, mcan=(74.01, 74.17)),
    )
    for row in pair
}  # fmt: skip
