"""The captioning rows of CLIP-ViL, each a recipe and an encoder: published, and measured here.

Source   arXiv:2107.06383, its table of COCO captions and the settings released with it
         (clip-vil/CLIP-ViL, caption/configs). A figure stands here only where a source confirms it;
         None is unknown. CIDEr, BLEU-4, METEOR and SPICE on the scorers' own scale, where tables
         have a hundred times as much
Sight    every picture squashed to 448 x 448 pixels, 14 x 14 cells at a stride of 32
Missing  rows on detected regions: nobody gives their features for these rows
"""

from __future__ import annotations

from dataclasses import dataclass

SIGHT = "size=448x448,fit=squash"
STEPS, BATCH = (169_930, 283_218), 10  # on words, then on the reward
CELLS = 14 * 14 * 123_287


@dataclass(frozen=True, kw_only=True, slots=True)
class CaptionRow:
    """One row, of Karpathy's test pictures."""

    name: str
    encoder: str
    width: int  # of a cell
    cider: float | None = None  # published
    bleu_4: float | None = None  # published
    meteor: float | None = None  # published
    spice: float | None = None  # published
    ours: float | None = None  # CIDEr, measured by this command
    known: str = ""  # what the published row does differently
    recipe: str = "coco_caption_captioner"
    task: str = "coco_caption@karpathy"

    @property
    def summary(self) -> str:
        """The row in one line."""
        words, reward = STEPS
        others = (("BLEU-4", self.bleu_4), ("METEOR", self.meteor), ("SPICE", self.spice))
        beside = "".join(f", {name} {value:.3f}" for name, value in others if value is not None)
        return (
            f"{self.encoder.partition(',')[0]} in {self.recipe}: {words:,} and {reward:,} steps of "
            f"{BATCH}, {CELLS * self.width * 2 / 1e9:.0f} GB of features; CIDEr published "
            f"{shown(self.cider)}{beside}, ours {shown(self.ours)}"
        )


def shown(score: float | None) -> str:
    """A score, or that there is none."""
    return "unknown" if score is None else f"{score:.3f}"


VIT = "timm:vit_base_patch32_clip_quickgelu_224.openai"
ROWS = {
    row.name: row
    for row in (
        CaptionRow(
            name="clip_vil/caption/captioner/imagenet-res50", width=2_048,
            encoder=f"timm:resnet50.tv_in1k,{SIGHT}",
            known="pictures kept their size, and cells were averaged into 14 x 14",
        ),
        CaptionRow(
            name="clip_vil/caption/captioner/clip-vit-b32", width=768, cider=0.580,
            encoder=f"{VIT},{SIGHT},positions=zero",
            known="position embeddings were zero, and are: --encoder without positions=zero has "
            "them, and another code base got 1.278 so (jianjieluo/OpenAI-CLIP-Feature); cells came "
            "out of the last block, before the norm after it",
        ),
        CaptionRow(
            name="clip_vil/caption/captioner/clip-res50", width=2_048,
            encoder=f"timm:resnet50_clip.openai,{SIGHT}",
        ),
        CaptionRow(
            name="clip_vil/caption/captioner/clip-res101", width=2_048,
            encoder=f"timm:resnet101_clip.openai,{SIGHT}",
        ),
        CaptionRow(
            name="clip_vil/caption/captioner/clip-res50x4", width=2_560,
            encoder=f"timm:resnet50x4_clip.openai,{SIGHT}",
            cider=1.342, bleu_4=0.402, meteor=0.297, spice=0.238,
        ),
    )
}  # fmt: skip
