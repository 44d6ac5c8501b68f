"""Walks through buildings as tensors: the ground that is walked on, and batches of episodes.

Shapes   V viewpoints, K neighbours of one at most, W width of a view, B walkers, T words,
         P pairs of viewpoints
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from numpy.typing import NDArray
from torch import Tensor

from clipvil.core import Example
from clipvil.data.words import numbered, split_words
from clipvil.graphs.atlas import Atlas
from clipvil.graphs.views import VIEWS, Panorama, elevation_of, heading_of, nearest
from clipvil.progress import say

EDGES, METRES = (4, 6), 5.0  # of the paths that R2R's people described: moves, and length at least


@dataclass(frozen=True, eq=False)
class Ground:
    """Panoramas of an atlas on one device; an episode is moved by looking up rows.

    Choice k < K is to walk to the k-th neighbour, choice K to stop. Where there is no k-th
    neighbour, `places` has the viewpoint itself and `free` is false.
    """

    views: Float[Tensor, "V 36 W"]  # as stored
    mean: Float[Tensor, " W"]  # views are shown less this
    scale: Float[Tensor, " W"]  # and then multiplied by this
    places: Int[Tensor, "V K"]
    free: Bool[Tensor, "V K"]
    seen: Int[Tensor, "V K"]  # the view in which each neighbour is
    heading: Float[Tensor, "V K"]
    elevation: Float[Tensor, "V K"]
    metres: Float[Tensor, "V K"]
    first: Int[Tensor, " V"]  # see `Atlas`
    row: Int[Tensor, " V"]
    table: Float[Tensor, " M"]

    @classmethod
    def of(
        cls,
        atlas: Atlas,
        views: NDArray[np.float16],
        mean: NDArray[np.float32] | None = None,
        deviation: NDArray[np.float32] | None = None,
    ) -> Ground:
        """The ground of an atlas whose viewpoints look as `views` [V, 36, W] says.

        Views are shown less `mean` and divided by `deviation`, where those are given.
        """
        assert views.shape[:2] == (len(atlas), VIEWS), views.shape
        sweep, width = Panorama.of(atlas), views.shape[2]
        free = sweep.places >= 0
        stay = np.arange(len(atlas))[:, None]
        scale = np.ones(width, np.float32) if deviation is None else 1 / deviation
        middle = np.zeros(width, np.float32) if mean is None else mean
        return cls(
            views=torch.from_numpy(views),
            mean=torch.from_numpy(middle),
            scale=torch.from_numpy(scale),
            places=torch.from_numpy(np.where(free, sweep.places, stay)),
            free=torch.from_numpy(free),
            seen=torch.from_numpy(sweep.view),
            heading=torch.from_numpy(sweep.heading.astype(np.float32)),
            elevation=torch.from_numpy(sweep.elevation.astype(np.float32)),
            metres=torch.from_numpy(sweep.metres.astype(np.float32)),
            first=torch.from_numpy(atlas.first),
            row=torch.from_numpy(atlas.row),
            table=torch.from_numpy(atlas.table.astype(np.float32)),
        )  # fmt: skip

    @cached_property
    def _elsewhere(self) -> dict[torch.device, Ground]:
        return {}

    def to(self, device: torch.device) -> Ground:
        """The ground on a device, taken there once."""
        if device == self.views.device:
            return self
        if device not in self._elsewhere:
            names = [name for name in self.__dataclass_fields__]
            self._elsewhere[device] = replace(
                self, **{name: getattr(self, name).to(device) for name in names}
            )
        return self._elsewhere[device]

    @property
    def width(self) -> int:
        """W."""
        return self.views.shape[2]

    def stored(self, place: Int[Tensor, " B"]) -> Float[Tensor, "B 36 W"]:
        """The 36 views from viewpoints in half precision, as they are stored."""
        rows = self.views.flatten(1).index_select(0, place)
        return rows.view(len(place), VIEWS, self.width)

    def distance(self, place: Int[Tensor, "*B"], goal: Int[Tensor, "*B"]) -> Float[Tensor, "*B"]:
        """Metres from viewpoints to others of the same scan."""
        return self.table[self.row[place] + goal]

    def teach(self, place: Int[Tensor, " B"], goal: Int[Tensor, " B"]) -> Int[Tensor, " B"]:
        """The choice that lies on a shortest way to the goal; to stop where one is there."""
        there = self.places[place]  # [B, K]
        whole = self.metres[place] + self.distance(there, goal[:, None].expand_as(there))
        best = whole.masked_fill(~self.free[place], torch.inf).argmin(1)
        return torch.where(place == goal, there.shape[1], best)

    def move(
        self, place: Int[Tensor, " B"], view: Int[Tensor, " B"], choice: Int[Tensor, " B"]
    ) -> tuple[Int[Tensor, " B"], Int[Tensor, " B"]]:
        """Where walkers then stand and which view they look along; who stops stays as he is."""
        stops = choice == self.places.shape[1]
        safe = choice.masked_fill(stops, 0)
        assert (self.free[place, safe] | stops).all(), "a choice that nobody has"
        return (
            torch.where(stops, place, self.places[place, safe]),
            torch.where(stops, view, self.seen[place, safe]),
        )


@dataclass(frozen=True, slots=True)
class WalkBatch:
    """Episodes on one ground. `goal` is the start where it is hidden.

    `pairs` are starts and goals that nobody described, to be walked for back-translation.
    """

    ids: tuple[str, ...]
    words: Int[Tensor, "B T"]  # 0 is padding
    place: Int[Tensor, " B"]  # where one starts
    view: Int[Tensor, " B"]  # along which view one looks
    goal: Int[Tensor, " B"]
    pairs: Int[Tensor, "P 2"]
    ground: Ground

    def to(self, device: torch.device) -> WalkBatch:
        """The batch and its ground on a device."""
        return WalkBatch(
            self.ids,
            self.words.to(device, non_blocking=True),
            self.place.to(device, non_blocking=True),
            self.view.to(device, non_blocking=True),
            self.goal.to(device, non_blocking=True),
            self.pairs.to(device, non_blocking=True),
            self.ground.to(device),
        )


class WalkData:
    """Episodes of one split, ready to be batched.

    Args
        cut: whether the words after the `longest`-th are left out instead of refused

    Raises
        ValueError: a path is not on the atlas or leads over no edge, or an instruction is too long;
            names the example
    """

    def __init__(
        self,
        examples: Sequence[Example],
        atlas: Atlas,
        ground: Ground,
        words: Sequence[str],
        longest: int,
        *,
        cut: bool = False,
        pairs: NDArray[np.int64] | None = None,
    ) -> None:
        self.atlas, self.ground, self.longest = atlas, ground, longest
        lengths = [len(split_words(example.words)) for example in examples]
        long = [k for k, length in enumerate(lengths) if length > longest]
        if long and not cut:
            raise ValueError(
                f"{examples[long[0]].id} has {lengths[long[0]]} words, {longest} are read; "
                f"{len(long):,} of {len(examples):,} instructions are too long"
            )
        if long:
            say(f"of {len(long):,} of {len(examples):,} instructions {longest} words are read")
        self._ids = [example.id for example in examples]
        self._words = numbered(words, [example.words for example in examples], longest)
        ends, headings = list[tuple[int, int]](), list[float]()
        for example in examples:
            episode = example.episode
            assert episode is not None, example.id
            try:
                path = atlas.path(episode.scan, episode.path)
            except ValueError as error:
                raise ValueError(f"{example.id}: {error}") from error
            ends.append((int(path[0]), int(path[-1])))
            headings.append(episode.heading)
        self._ends = np.array(ends, np.int64).reshape(-1, 2)
        self._view = nearest(np.array(headings), np.zeros(len(headings)))
        self._pairs = torch.from_numpy(np.empty((0, 2), np.int64) if pairs is None else pairs)

    def __len__(self) -> int:
        return len(self._ids)

    def batch(self, indices: NDArray[np.int64]) -> WalkBatch:
        """The episodes of these rows."""
        words = torch.from_numpy(self._words[indices])
        return WalkBatch(
            ids=tuple(self._ids[i] for i in indices),
            words=words[:, : max(1, int((words != 0).sum(1).max()))],
            place=torch.from_numpy(self._ends[indices, 0]),
            view=torch.from_numpy(self._view[indices]),
            goal=torch.from_numpy(self._ends[indices, 1]),
            pairs=self._pairs,
            ground=self.ground,
        )


def undescribed(atlas: Atlas, scans: Sequence[str]) -> NDArray[np.int64]:
    """Starts and goals [P, 2] in some scans whose shortest way is like those of R2R's paths."""
    found = [np.empty((0, 2), np.int64)]
    for scan in sorted(set(scans)):
        here = np.flatnonzero(atlas.scan == atlas.scans.index(scan))
        pairs = np.stack(np.meshgrid(here, here, indexing="ij"), -1).reshape(-1, 2)
        metres = atlas.metres(pairs[:, 0], pairs[:, 1])
        pairs = pairs[np.isfinite(metres)]
        goal, first = pairs[:, 1] - here[0], here[0]
        then = np.zeros((len(here), len(here)), np.int64)  # the next place on the way to a goal
        then[pairs[:, 0] - first, goal] = atlas.towards(*pairs.T) - first
        place, edges = pairs[:, 0] - first, np.zeros(len(pairs), np.int64)
        for _ in range(EDGES[1] + 1):
            edges += place != goal
            place = then[place, goal]
        like = (edges >= EDGES[0]) & (edges <= EDGES[1]) & (metres[np.isfinite(metres)] >= METRES)
        found.append(pairs[like])
    return np.concatenate(found)


def angles(heading: Tensor, elevation: Tensor) -> Float[Tensor, "*B 4"]:
    """Sine and cosine of heading and elevation."""
    return torch.stack([heading.sin(), heading.cos(), elevation.sin(), elevation.cos()], -1)


def compass(device: torch.device) -> tuple[Float[Tensor, " 36"], Float[Tensor, " 36"]]:
    """Heading and elevation of the 36 views."""
    view = np.arange(VIEWS)
    both = torch.from_numpy(np.stack([heading_of(view), elevation_of(view)])).float().to(device)
    return both[0], both[1]
