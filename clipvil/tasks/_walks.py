"""What navigation tasks share: episodes in columns, how walks are checked and measured.

Files    the folder `connectivity` of navigation graphs, <scan>_connectivity.json each
Metric   those of `clipvil.metrics.path`, each a mean over instructions, in metres or up to 1
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clipvil import sources
from clipvil.columns import Column
from clipvil.core import (
    Answer,
    Episode,
    Example,
    Measured,
    Metric,
    OfficialFile,
    Segment,
    Totals,
    Walked,
)
from clipvil.files import write_json
from clipvil.graphs.connectivity import SUFFIX, Graph, read_graph
from clipvil.metrics import ratio
from clipvil.metrics.path import score_path

GRAPHS = "connectivity"
SOURCE = "https://github.com/peteanderson80/Matterport3DSimulator/tree/master/connectivity"
METRICS = {
    metric.name: metric
    for metric in (
        Metric("spl", ""),
        Metric("success_rate", ""),
        Metric("navigation_error", "m", higher_is_better=False),
        Metric("oracle_success_rate", ""),
        Metric("ndtw", ""),
        Metric("sdtw", ""),
        Metric("cls", ""),
        Metric("trajectory_length", "m", higher_is_better=False),
        Metric("spl_reference", ""),
        Metric("sdtw_inclusive", ""),
    )
}
COLUMNS = (*METRICS, "count")


def graphs(splits: Sequence[str]) -> tuple[OfficialFile, ...]:
    """The folder of navigation graphs, which all splits share."""
    return tuple(
        OfficialFile(role=GRAPHS, split=split, name=GRAPHS, source=SOURCE) for split in splits
    )


def views(splits: Sequence[str]) -> tuple[OfficialFile, ...]:
    """What walkers see; who has features of it needs no pictures."""
    return tuple(
        OfficialFile(
            role="pictures", split=split, name="views", source=sources.MATTERPORT3D_SOURCE,
            optional=True, gate=sources.MATTERPORT3D,
        )
        for split in splits
    )  # fmt: skip


class Floors:
    """The graphs of a folder, each read once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._graphs = dict[str, Graph]()

    def __getitem__(self, scan: str) -> Graph:
        if scan not in self._graphs:
            self._graphs[scan] = read_graph(self._folder, scan)
        return self._graphs[scan]

    def check(self, scan: str, path: Sequence[str], *, hidden: bool) -> None:
        """A reference path lies on its graph; a hidden one is its start alone.

        Raises
            ValueError: it does not
        """
        if len(path) < (1 if hidden else 2):
            raise ValueError("a path has a start and, unless it is hidden, a goal")
        floor = self[scan]
        for viewpoint in path:
            floor.distance(viewpoint, path[-1])
        for step, (one, other) in enumerate(pairwise(path), 1):
            if one != other and not floor.joined(one, other):
                raise ValueError(f"step {step} of the path leads over no edge, {one} to {other}")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Episodes(Column[Example]):
    """Instructions, `walks[i]` being the row of scan, path and heading that instruction i is of."""

    ids: Sequence[str]
    words: Sequence[str]
    walks: Sequence[int]
    scans: Sequence[str]
    paths: Sequence[tuple[str, ...]]
    headings: Sequence[float]
    floors: Floors
    languages: Sequence[str] | None = None  # of instructions

    def __len__(self) -> int:
        return len(self.ids)

    def row(self, index: int) -> Example:
        """One instruction."""
        walk = self.walks[index]
        scan = self.scans[walk]
        language = "en" if self.languages is None else self.languages[index]
        episode = Episode(
            scan, self.paths[walk], self.headings[walk], language, floor=self.floors[scan]
        )
        strata = {} if self.languages is None else {"language": language.partition("-")[0]}
        return Example(
            id=self.ids[index],
            cluster=scan,
            text=(Segment(self.words[index]),),
            strata=strata,
            episode=episode,
        )


def on_spot(viewpoints: Sequence[str]) -> Walked:
    """A walk of which only the viewpoints are known."""
    return Walked(tuple((viewpoint, 0.0, 0.0) for viewpoint in viewpoints))


def steps(answer: Answer) -> tuple[tuple[str, float, float], ...]:
    """What was walked."""
    assert isinstance(answer, Walked), answer
    return answer.steps


def walked(example: Example, answer: Answer) -> tuple[list[str], Episode]:
    """The viewpoints of a walk, and the episode it answers.

    Raises
        ValueError: the path is hidden, or the walk does not begin at its start, or a step of it
            leads where one cannot go; names instruction and step
    """
    episode = example.episode
    assert episode is not None and episode.floor is not None, example.id
    if len(episode.path) < 2:
        raise ValueError(f"{example.id} cannot be scored: its path is not public")
    seen = [viewpoint for viewpoint, _, _ in steps(answer)]
    if seen[:1] != [episode.path[0]]:
        begins = f"begins at {seen[0]}" if seen else "is empty"
        raise ValueError(f"{example.id}: the walk {begins}, not at {episode.path[0]}")
    for number, (one, other) in enumerate(pairwise(seen), 1):
        try:
            legal = one == other or episode.floor.joined(one, other)
        except ValueError as error:
            raise ValueError(f"{example.id}, step {number}: {error}") from None
        if not legal:
            raise ValueError(
                f"{example.id}, step {number}: nobody can walk from {one} to {other} "
                f"in {episode.scan}"
            )
    return seen, episode


def measure(examples: Sequence[Example], answers: Mapping[str, Answer]) -> Measured:
    """Each walk's own figures, and a one to count it by."""
    ids, rows = list[str](), list[list[float]]()
    for example in examples:
        seen, episode = walked(example, answers[example.id])
        assert episode.floor is not None
        scores = score_path(seen, episode.path, episode.floor)
        ids.append(example.id)
        rows.append([*(getattr(scores, name) for name in METRICS), 1.0])
    return Measured(tuple(ids), COLUMNS, np.array(rows, np.float64).reshape(-1, len(COLUMNS)))


def reduce(totals: Totals) -> dict[str, NDArray[np.float64]]:
    """Means over instructions."""
    return {name: ratio(totals[name], totals["count"]) for name in METRICS}


def finite(numbers: Sequence[float]) -> None:
    """Raise where a number is none."""
    if not all(map(math.isfinite, numbers)):
        raise ValueError("a heading or elevation that is no number")


def tiny_graph(folder: Path, scan: str) -> tuple[str, ...]:
    """Write the graph of a corridor of four viewpoints, two metres apart; gives their names."""
    names = tuple(f"{scan}viewpoint{place}" for place in range(4))
    rows = [
        {
            "image_id": name,
            "pose": [1, 0, 0, 2.0 * place, 0, 1, 0, 0, 0, 0, 1, 1.5, 0, 0, 0, 1],
            "included": True,
            "unobstructed": [abs(place - other) == 1 for other in range(4)],
            "visible": [place != other for other in range(4)],
            "height": 1.5,
        }
        for place, name in enumerate(names)
    ]
    write_json(folder / f"{scan}{SUFFIX}", rows)
    return names
