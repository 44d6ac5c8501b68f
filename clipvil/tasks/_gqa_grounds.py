"""How much of a system's attention lies on the regions that a GQA question and its answer name.

Source   https://cs.stanford.edu/people/dorarad/gqa/evaluate.html
Files    scene graphs: an object, image id -> `width`, `height`, `objects`; a box is x, y, w, h in
         pixels
         attentions: an array of `questionId` and `attention`, 7 x 7, columns of the picture first
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from clipvil.files import SPOILT, read_rows
from clipvil.tasks._gqa import Answered, read_entries

MAP = 7  # cells a side of an attention map


class Box(msgspec.Struct):
    """An object of a scene graph, in pixels."""

    x: float
    y: float
    w: float
    h: float


class Scene(msgspec.Struct):
    """A scene graph."""

    width: float
    height: float
    objects: dict[str, Box]

    def __post_init__(self) -> None:
        if not (self.width > 0 and self.height > 0):
            raise ValueError(f"a picture of {self.width} x {self.height}")


class Pointed(msgspec.Struct):
    """Spans of words -> the objects that they are about."""

    question: dict[str, str] = {}
    fullAnswer: dict[str, str] = {}  # noqa: N815


class Attended(msgspec.Struct):
    """How much of its attention a system gave to each cell, column by column."""

    questionId: str  # noqa: N815
    attention: list[list[float]]

    def __post_init__(self) -> None:
        if [len(column) for column in self.attention] != [MAP] * MAP:
            raise ValueError(f"an attention map is {MAP} x {MAP}")
        if not np.isfinite(self.attention).all():
            raise ValueError("attention that is not finite")


@dataclass(frozen=True, slots=True)
class Grounds:
    """Attention maps and what they are laid over."""

    maps: Mapping[str, NDArray[np.float64]]
    scenes: Mapping[str, Scene]
    names: tuple[Path, Path]

    @classmethod
    def read(cls, attentions: Path, scenes: Path) -> Grounds:
        """Read both files.

        Raises
            ValueError: one is not such a file
        """
        maps = dict[str, NDArray[np.float64]]()
        for place, row in read_rows(attentions, Attended):
            if row.questionId in maps:
                raise ValueError(f"{attentions}, {place}: question {row.questionId} once more")
            maps[row.questionId] = np.array(row.attention)
        found = dict[str, Scene]()
        for name, scene in read_entries(scenes, Scene):
            if name in found:
                raise ValueError(f"{scenes}, entry {name!r}: it is there twice")
            found[name] = scene
        return cls(maps, found, (attentions, scenes))

    def of(self, name: str, row: Answered, path: Path) -> float:
        """The attention on what a question of `path` and its answer name; what both name counts
        twice.

        Raises
            ValueError: the map, the scene or an object is not there
        """
        attentions, scenes = self.names
        if name not in self.maps:
            raise ValueError(f"{attentions}: question {name} is missing")
        if row.image not in self.scenes:
            raise ValueError(f"{scenes}: picture {row.image} of question {name} is missing")
        pointed, scene = pointers(name, row, path), self.scenes[row.image]
        total = 0.0
        for pointer in (*pointed.question.values(), *pointed.fullAnswer.values()):
            if pointer not in scene.objects:
                raise ValueError(f"{scenes}: {row.image} has no object {pointer} (question {name})")
            box = scene.objects[pointer]
            across = shares(box.x / scene.width, (box.x + box.w) / scene.width)
            down = shares(box.y / scene.height, (box.y + box.h) / scene.height)
            total += float(across @ self.maps[name] @ down)
        return total


def pointers(name: str, row: Answered, path: Path) -> Pointed:
    """The objects that a question and its answer name."""
    try:
        return msgspec.json.decode(row.annotations, type=Pointed)
    except SPOILT as error:
        raise ValueError(f"{path}, annotations of question {name}: {error}") from error


def shares(start: float, end: float) -> NDArray[np.float64]:
    """How much of each cell of a row [MAP] lies between two places from 0 to 1."""
    edges = np.arange(MAP + 1) / MAP
    inside: NDArray[np.float64] = np.minimum(end, edges[1:]) - np.maximum(start, edges[:-1])
    return np.maximum(0.0, inside * MAP)
