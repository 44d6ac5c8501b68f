"""Walks through buildings: whoever follows sees 36 views at every viewpoint and chooses a way.

Shapes   V viewpoints, W width of a view
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from clipvil.answers.base import build
from clipvil.core import Answer, Example, Moves, Task, Walked
from clipvil.data.around import ground_of
from clipvil.data.sight import Sight
from clipvil.data.walks import WalkData, undescribed
from clipvil.data.words import ranked
from clipvil.graphs.atlas import Atlas
from clipvil.graphs.connectivity import Graph
from clipvil.graphs.views import elevation_of, heading_of
from clipvil.models._looking import Eyes
from clipvil.train.recipe import Recipe

BATCH = 128  # episodes a walk; where one goes does not depend on it


@dataclass(frozen=True, slots=True)
class Known:
    """The words of a training subset; see `answers.base.Known`."""

    words: tuple[str, ...]
    longest: int  # words of an instruction that are read
    cut: bool

    @property
    def facts(self) -> dict[str, Any]:
        """Words."""
        return {"words": list(self.words)}

    @property
    def counts(self) -> dict[str, int]:
        """Words."""
        return {"words": len(self.words)}

    def model(self, recipe: Recipe[Any], image_width: int, **more: int) -> nn.Module:
        """A model that reads these words."""
        return build(recipe, image_width, self.words, **more)

    def data(
        self, examples: Sequence[Example], pictures: Sequence[str], sight: Sight, *, targets: bool
    ) -> WalkData:
        """Episodes on the graphs of their scans; `sight` shows the views of every viewpoint."""
        atlas = atlas_of(examples)
        pairs = undescribed(atlas, atlas.scans) if targets else None
        return WalkData(
            examples, atlas, ground_of(atlas, sight), self.words, self.longest, cut=self.cut,
            pairs=pairs,
        )  # fmt: skip

    def answers(self, model: nn.Module, data: WalkData, device: torch.device) -> dict[str, Answer]:
        """The walk of the likeliest choices for every example."""
        gone: dict[str, Answer] = {}
        model.eval()
        with torch.inference_mode():
            for start in range(0, len(data), BATCH):
                rows = np.arange(start, min(start + BATCH, len(data)))
                batch = data.batch(rows).to(device)
                walk = model.walk(batch, Eyes(batch.ground), "best")  # type: ignore[operator]
                gone |= walked(batch.ids, data.atlas, walk.place, walk.view)
        return gone

    def prior(self, examples: Sequence[Example]) -> dict[str, Answer]:
        """To stay where one is."""
        return {example.id: stay(example) for example in examples}

    def coverage(self, examples: Sequence[Example]) -> None:
        """All of it: every path can be walked."""
        return None


def learn(task: Task, examples: Sequence[Example], config: Any) -> Known:
    """The words of fitting examples."""
    return read(task, {"words": ranked(example.words for example in examples)}, config)


def read(task: Task, facts: Mapping[str, Any], config: Any) -> Known:
    """What `learn` gave, from its facts."""
    assert isinstance(task.answer, Moves)
    return Known(tuple(facts["words"]), config.longest, config.cut)


def atlas_of(examples: Sequence[Example]) -> Atlas:
    """The graphs that examples walk on."""
    floors = dict[str, Graph]()
    for example in examples:
        assert example.episode is not None and isinstance(example.episode.floor, Graph), example.id
        floors[example.episode.scan] = example.episode.floor
    return Atlas.of(floors[scan] for scan in sorted(floors))


def stay(example: Example) -> Walked:
    """The start of an episode."""
    assert example.episode is not None
    return Walked(((example.episode.path[0], example.episode.heading, 0.0),))


def walked(
    ids: Sequence[str], atlas: Atlas, places: Sequence[torch.Tensor], views: Sequence[torch.Tensor]
) -> dict[str, Answer]:
    """Walks by their ids, from viewpoints and views step by step, each [B]."""
    place, view = torch.stack([*places], 1).cpu().numpy(), torch.stack([*views], 1).cpu().numpy()
    heading, elevation = heading_of(view), elevation_of(view)
    found: dict[str, Answer] = {}
    for row, name in enumerate(ids):
        moved = np.flatnonzero(place[row, 1:] != place[row, :-1])
        last = 1 + (int(moved[-1]) + 1 if len(moved) else 0)
        found[name] = Walked(tuple(
            (atlas.names[place[row, k]], float(heading[row, k]), float(elevation[row, k]))
            for k in range(last)
        ))  # fmt: skip
    return found
