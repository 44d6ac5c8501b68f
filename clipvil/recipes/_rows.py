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

from dataclasses import dataclass
from typing import Literal

SIGHT = "size=576x992,fit=squash"
UPDATES = {"vqa2_pythia": (22_000, 512), "vqa2_movie_mcan": (236_000, 64)}
"""Steps and batch that the release trained for: what a row costs."""
CELLS = 18 * 31 * 123_287
"""Of train2014 and val2014, whose pictures the features are of."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One row; scores are VQA accuracy in percent."""

    name: str
    recipe: Literal["vqa2_pythia", "vqa2_movie_mcan"]
    encoder: str
    width: int  # of a cell
    test_dev: float | None = None  # published
    test_std: float | None = None  # published
    ours: float | None = None  # measured by this command on test-dev
    known: str = ""  # what the published row does differently

    @property
    def task(self) -> str:
        """The task that it is a row of."""
        return "vqa2"

    @property
    def summary(self) -> str:
        """The row in one line."""
        steps, batch = UPDATES[self.recipe]
        disk = CELLS * self.width * 2 / 1e9  # fp16
        return (
            f"{self.encoder.partition(',')[0]} in {self.recipe}: {steps:,} steps of {batch}, "
            f"{disk:.0f} GB of features; test-dev published {shown(self.test_dev)}, "
            f"ours {shown(self.ours)}"
        )


def shown(score: float | None) -> str:
    """A score, or that there is none."""
    return "unknown" if score is None else f"{score:.2f}"


NO_MASK = "cells are laid into 32 x 32, the empty ones seen: --config.field 32"
NO_POSITION = (
    "position embeddings were zero, and are: --encoder without positions=zero has them; Pythia's "
    "cells came out of the last block but one: layer=-2"
)
MORE = "val2014 and Visual Genome's questions were trained on too: --task vqa2@vg adds the latter"


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
    spec = f"{encoder},{SIGHT}{options}"
    return (
        Row(name=f"clip_vil/vqa/pythia/{sight}", recipe="vqa2_pythia", encoder=spec, width=width,
            test_dev=pythia, known=known),
        Row(name=f"clip_vil/vqa/movie_mcan/{sight}", recipe="vqa2_movie_mcan", encoder=spec,
            width=width, test_dev=dev, test_std=standard,
            known="; ".join(filter(None, (known, NO_MASK, MORE)))),
    )  # fmt: skip


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
