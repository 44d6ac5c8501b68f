"""How a trained follower walked: what it could choose, how likely, and which words it listened to.

Walks are ordered by the task's headline metric, then by nDTW; shown are some of the best, those
around the median, and the worst, of a path one walk at most.

Shapes   T words of an instruction, K neighbours of a viewpoint at most
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import torch
from torch import nn

from clipvil.answers.moves import BATCH
from clipvil.core import Answer, Data, Episode, Example, Metric, Text, UsageError, Walked
from clipvil.data.walks import WalkData
from clipvil.data.words import split_words
from clipvil.evaluate import eyes
from clipvil.evaluate.predict import asked, prepared
from clipvil.evaluate.run import read_plan
from clipvil.explain.captions import ONLY
from clipvil.files import PictureIndex
from clipvil.graphs.atlas import Atlas
from clipvil.graphs.views import VIEWS, heading_of, wrapped
from clipvil.models._looking import Eyes

EACH = 4  # walks of a kind
KINDS = ("best", "median", "worst")


@dataclass(frozen=True, slots=True)
class Way:
    """What could be chosen: a neighbour, how far to the right of where one looked, how likely."""

    viewpoint: str
    aside: float  # radians in (-pi, pi]
    chance: float


@dataclass(frozen=True, slots=True)
class Step:
    """One choice."""

    viewpoint: str  # where one stood
    view: int  # which of the 36 one looked along
    ways: tuple[Way, ...]
    chosen: int | None  # which of the ways; none to stop
    stop: float  # how likely that was
    words: tuple[float, ...]  # weight of each word listened to, [T]

    @property
    def chance(self) -> float:
        """How likely was what was chosen."""
        return self.stop if self.chosen is None else self.ways[self.chosen].chance


@dataclass(frozen=True, slots=True)
class Followed:
    """A walk with its choices; `kind` is why it is shown, `scores` are by the metrics' names."""

    kind: str
    id: str
    instruction: str
    words: tuple[str, ...]  # of it, as they are read
    cut: int  # words of the instruction that were not read
    episode: Episode
    answer: Walked
    steps: tuple[Step, ...]
    scores: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Gallery:
    """Some walks of a split, and the means over all of its walks."""

    run: str
    task: str
    split: str
    metrics: tuple[Metric, ...]  # in order of importance
    means: Mapping[str, float]
    count: int
    atlas: Atlas
    walks: tuple[Followed, ...]
    views: Mapping[str, Path]  # pictures by <scan>/<viewpoint>/<NN>; empty where there are none

    @property
    def facts(self) -> dict[str, Any]:
        """The walks as JSON-ready data."""
        return {
            "task": self.task, "split": self.split, "count": self.count, "means": dict(self.means),
            "walks": [
                {"kind": one.kind, "id": one.id, "scan": one.episode.scan,
                 "instruction": one.instruction, "words": one.words,
                 "reference": one.episode.path, "walk": one.answer.steps,
                 "scores": dict(one.scores), "steps": [plain(step) for step in one.steps]}
                for one in self.walks
            ],
        }  # fmt: skip


def plain(step: Step) -> dict[str, Any]:
    """A step as JSON-ready data."""
    ways = {way.viewpoint: way.chance for way in step.ways}
    chosen = None if step.chosen is None else step.ways[step.chosen].viewpoint
    return {"at": step.viewpoint, "view": step.view, "ways": ways, "stop": step.stop,
            "chosen": chosen, "words": step.words}  # fmt: skip


def follow(
    folder: Path,
    data: Data | None = None,
    split: str | None = None,
    limit: int | None = None,
    images: Path | None = None,
) -> Gallery:
    """Answer a split with a trained run, and tell how some of the walks came about.

    Args
        data: the task's files, by default those it was trained from
        split: by default the one that scores are reported on
        limit: walks at most
        images: folder with pictures of the views; by default those of the data, where there are any

    Raises
        UsageError: the run does not walk, or nothing was trained in it
        ValueError: the split's paths are hidden
    """
    plan = read_plan(folder)
    if not eyes.walks(plan):
        captions = isinstance(plan.source.load().answer, Text)
        raise UsageError(
            f"{folder} does not walk: {'give it a picture with --image' if captions else ONLY}"
        )
    part, mark = asked(plan, data, split, limit)
    ready = prepared(plan, part, mark)
    if ready.model is None:
        raise UsageError(f"{folder} is {plan.arm.name}: nothing was trained that could be shown")
    task = plan.source.load()
    sight = eyes.sight(ready.plan, ready.statistics, part.files, ready.encoder)
    given = ready.known.data(part.examples, part.pictures, sight, targets=False)
    assert isinstance(given, WalkData)
    device = next(ready.model.parameters()).device
    said = ready.known.answers(ready.model, given, device)
    measured = task.measure(part.examples, said)
    each, metric = task.reduce(measured.each()), task.headline(measured.columns)
    rank = each[metric.name] * (1 if metric.higher_is_better else -1)
    order = np.lexsort((each["ndtw"], rank))[::-1].tolist()
    paths = [(path.scan, *path.path) for path in map(path_of, part.examples)]
    walks = [
        followed(
            kind, part.examples[row], said[part.examples[row].id], given.longest,
            steps_of(ready.model, given, row, device),
            {name: float(values[row]) for name, values in each.items()},
        )
        for kind, row in chosen(order, paths)
    ]  # fmt: skip
    return Gallery(
        run=str(folder), task=task.name, split=split or task.splits.report,
        metrics=tuple(metric for metric in task.metrics if metric.name in each),
        means={name: float(mean) for name, mean in task.reduce(measured.totals()).items()},
        count=len(part.examples), atlas=given.atlas, walks=tuple(walks),
        views=views_of(walks, part.files, images),
    )  # fmt: skip


def followed(
    kind: str,
    example: Example,
    answer: Answer,
    longest: int,
    steps: tuple[Step, ...],
    scores: Mapping[str, float],
) -> Followed:
    """A walk that is shown, of whose instruction `longest` words were read."""
    heard = split_words(example.words)
    assert isinstance(answer, Walked)
    return Followed(
        kind=kind, id=example.id, instruction=example.words, words=tuple(heard[:longest]),
        cut=max(0, len(heard) - longest), episode=path_of(example), answer=answer, steps=steps,
        scores=scores,
    )  # fmt: skip


def path_of(example: Example) -> Episode:
    """The episode of an example."""
    assert example.episode is not None, example.id
    return example.episode


def chosen(order: Sequence[int], paths: Sequence[Hashable]) -> list[tuple[str, int]]:
    """Which walks are shown as what, out of all in `order`, best first; of a path one at most."""
    taken, found = set[Hashable](), list[tuple[str, int]]()
    middle = sorted(range(len(order)), key=lambda place: abs(2 * place + 1 - len(order)))
    for kind, some in zip(KINDS, (order, [order[k] for k in middle], order[::-1]), strict=True):
        count = 0
        for row in some:
            if count < EACH and paths[row] not in taken:
                taken.add(paths[row])
                found.append((kind, row))
                count += 1
    return found


def steps_of(model: nn.Module, data: WalkData, row: int, device: torch.device) -> tuple[Step, ...]:
    """The choices of one walk, among those it was answered with: the very same sums."""
    start = row - row % BATCH
    batch = data.batch(np.arange(start, min(start + BATCH, len(data)))).to(device)
    model.eval()
    with torch.inference_mode():
        walk = model.walk(batch, Eyes(batch.ground), "best")  # type: ignore[operator]
    ground, found = batch.ground, list[Step]()
    heard = int((batch.words[row - start] != 0).sum())
    for t, rows in enumerate(walk.rows):
        (here,) = (rows == row - start).nonzero()[:, 0].tolist() or (None,)
        if here is None or not walk.alive[t][here]:
            break
        place, view = int(walk.place[t][row - start]), int(walk.view[t][row - start])
        free = ground.free[place].nonzero()[:, 0].tolist()
        chances = walk.logits[t][here].float().softmax(-1).tolist()
        facing = float(heading_of(np.array(view)))
        aside = wrapped(ground.heading[place].double().cpu().numpy() - facing)
        there = ground.places[place].tolist()
        ways = tuple(Way(data.atlas.names[there[k]], float(aside[k]), chances[k]) for k in free)
        choice = int(walk.choice[t][here])
        found.append(Step(
            data.atlas.names[place], view, ways,
            free.index(choice) if choice in free else None, chances[-1],
            tuple(walk.listened[t][here][:heard].tolist()),
        ))  # fmt: skip
    return tuple(found)


def views_of(
    walks: Sequence[Followed], files: Mapping[str, Path], images: Path | None
) -> dict[str, Path]:
    """Pictures of all views around where the walks passed, by <scan>/<viewpoint>/<NN>.

    Raises
        FileNotFoundError: a folder of pictures lacks one of them
    """
    if images is not None:
        index = PictureIndex(images)
        return {
            name: index.find(name)
            for walk in walks
            for step in walk.steps
            for name in (f"{walk.episode.scan}/{step.viewpoint}/{k:02d}" for k in range(VIEWS))
        }
    return {"/".join(PurePosixPath(name).parts[-3:]): path for name, path in files.items()}
