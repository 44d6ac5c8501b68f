"""The R2R and RxR rows of CLIP-ViL, each a recipe and an encoder: published, and measured here.

Source   arXiv:2107.06383, its tables of navigation, and the settings released with it
         (clip-vil/CLIP-ViL, CLIP-ViL-VLN/run); ResNet-152's is that of airsplay/R2R-EnvDrop. A
         figure stands here only where a source confirms it; None is unknown. As shares of one, of
         val_unseen; RxR's are means over English, Hindi and Telugu
Sight    the pooled vector of the middle of each of the 36 views (10,567 viewpoints), at the size of
         CLIP's own pictures; the released script takes the simulator's BGR for RGB, and so do rows
Select   the release reports what it selects by: `--select reported` is that, by SPL (RxR: nDTW)
         where the release goes by success
"""

from __future__ import annotations

from collections.abc import Mapping

from clipvil.recipes._table import Row

VECTORS = 36 * 10_567
STEPS = {
    "r2r_follower": "80,000 steps of 64",
    "r2r_follower_back": "80,000 steps, 80,000 of the speaker and 100,000 on both, each of 64",
    "rxr_follower": "200,000 steps of 64",
}
SELECTED = "val_unseen selected what it reports (here only with --select reported)"
LANGUAGES = "there was an agent a language (here one learns all three)"
CAFFE = "its views came from Caffe (here only with --encoder features:ResNet-152-imagenet.tsv)"
SHORTER = "it was trained for 150,000 steps"
UNKNOWN = {
    "r2r": {"success rate": None, "SPL": None},
    "rxr": {"nDTW": None, "success rate": None},
}


def row(
    recipe: str, sight: str, encoder: str, width: int, published: Mapping[str, float], known: str
) -> Row:
    """An encoder with one of the recipes."""
    task = recipe.partition("_")[0]
    back = "-back" if recipe.endswith("_back") else ""
    own = (LANGUAGES,) if task == "rxr" else ()
    return Row(
        name=f"clip_vil/{task}/follower/{sight}{back}", task=task, recipe=recipe,
        encoder=f"{encoder},fit=crop", width=width, vectors=VECTORS, schedule=STEPS[recipe],
        published={**UNKNOWN[task], **published}, digits=3,
        known="; ".join(filter(None, (known, *own, SELECTED))),
    )  # fmt: skip


def rows(
    sight: str,
    encoder: str,
    width: int,
    *,
    back: Mapping[str, float] | None = None,
    rxr: Mapping[str, float] | None = None,
    known: str = "",
    known_rxr: str = "",
) -> tuple[Row, ...]:
    """An encoder on R2R, there with back-translation, and on RxR."""
    more = "; ".join(filter(None, (known, known_rxr)))
    return (
        row("r2r_follower", sight, encoder, width, {}, known),
        row("r2r_follower_back", sight, encoder, width, back or {}, known),
        row("rxr_follower", sight, encoder, width, rxr or {}, more),
    )


CLIP = ",size={},channels=bgr"
ROWS = {
    one.name: one
    for several in (
        rows("imagenet-res152", "timm:resnet152.tv_in1k,size=224", 2_048, known=CAFFE,
             known_rxr=SHORTER, back={"success rate": 0.535, "SPL": 0.488}),
        rows("clip-vit-b32", "timm:vit_base_patch32_clip_quickgelu_224.openai" + CLIP.format(224),
             512),
        rows("clip-res50", "timm:resnet50_clip.openai" + CLIP.format(224), 1_024),
        rows("clip-res101", "timm:resnet101_clip.openai" + CLIP.format(224), 512),
        rows("clip-res50x4", "timm:resnet50x4_clip.openai" + CLIP.format(288), 640,
             back={"success rate": 0.592}, rxr={"nDTW": 0.557, "success rate": 0.426}),
    )
    for one in several
}  # fmt: skip
