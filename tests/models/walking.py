"""A small ground to walk on, and a small follower."""

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from clipvil.answers.moves import atlas_of
from clipvil.core import Data, Example
from clipvil.data.walks import Ground, WalkBatch, WalkData, undescribed
from clipvil.data.words import ranked
from clipvil.graphs.atlas import Atlas
from clipvil.graphs.views import VIEWS
from clipvil.models import follower
from clipvil.tasks import r2r

SMALL = {
    "width": 32, "word_width": 16, "action_width": 8, "longest": 200, "steps": 12, "dropout": 0.0,
    "view_dropout": 0.0, "speaker_dropout": 0.0, "channel_dropout": 0.0,
}  # fmt: skip


@cache
def walks(shared: Path, split: str) -> Any:
    """Published episodes on the shared scans."""
    folder = shared / "vln"
    given = {("annotations", split): folder / "R2R" / f"R2R_{split}.json",
             ("connectivity", split): folder / "connectivity"}  # fmt: skip
    return r2r.TASK.examples(Data(given=given), split)


def noise(atlas: Atlas, width: int = 16) -> Ground:
    """Every viewpoint and direction its own random vector: nothing is claimed about language."""
    views = np.random.default_rng(0).standard_normal((len(atlas), VIEWS, width))
    return Ground.of(atlas, views.astype(np.float16))


def data(examples: Any, longest: int = 200, width: int = 16, **options: Any) -> WalkData:
    """Episodes on random views."""
    atlas, words = atlas_of(examples), ranked(example.words for example in examples)
    return WalkData(examples, atlas, noise(atlas, width), words, longest, **options)


def some(shared: Path, count: int = 8) -> tuple[list[Example], WalkData, WalkBatch]:
    """A few training episodes."""
    examples = walks(shared, "train")[:count]
    atlas = atlas_of(examples)
    ready = data(examples, pairs=undescribed(atlas, atlas.scans))
    return examples, ready, ready.batch(np.arange(count))


def small(words: int, view_width: int = 16, **chosen: Any) -> follower.Model:
    """A follower with first weights of seed 0."""
    torch.manual_seed(0)
    config = follower.Config(**{**SMALL, **chosen})
    return follower.Model(config, image_width=view_width, num_words=words)
