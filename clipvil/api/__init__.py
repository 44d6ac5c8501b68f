"""The main job from Python: what the verbs call, and what a notebook calls.

import clipvil
records = clipvil.compare(task="vqa", data="pictures", encoders=["tiny:clip", "timm:resnet18"],
                          shots=["20%", "100%"], out="comparison")

`comparisons` are of encoders over amounts of data, `runs` are one training each and its use.
"""

from clipvil.api.checks import trainable
from clipvil.api.comparisons import command_line, compare, estimate, plan, run
from clipvil.api.runs import (
    adopt,
    evaluate,
    explain,
    explain_walks,
    predict,
    predict_folder,
    predict_split,
    preview,
    shortened,
    train,
)

__all__ = [
    "adopt", "command_line", "compare", "estimate", "evaluate", "explain", "explain_walks",
    "plan", "predict", "predict_folder", "predict_split", "preview", "run", "shortened", "train",
    "trainable",
]  # fmt: skip
