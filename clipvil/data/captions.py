"""Pictures and the captions of each, joined into batches: a picture is there once.

Shapes   P pictures, N cells of width I, W width of a pooled vector, K captions of a picture,
         T words of a caption
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from numpy.typing import NDArray
from torch import Tensor

from clipvil.core import Example, References
from clipvil.data.sight import Sight
from clipvil.metrics.reward import Frequencies


@dataclass(frozen=True, slots=True)
class CaptionBatch:
    """Pictures and captions of them.

    `frequencies` gives how rare n-grams are in the captions of the training subset, which rewards
    are computed with; they are counted when somebody first asks.
    """

    ids: tuple[str, ...]
    image: Float[Tensor, "P N I"]
    seen: Bool[Tensor, "P N"]  # false on padding
    grid: Int[Tensor, "P 2"]  # rows and columns that the seen cells fill, row by row
    words: Int[Tensor, "P K T"]  # 0 ends a caption and pads it; one without words is padding
    frequencies: Callable[[], Frequencies] | None = None
    pooled: Float[Tensor, "P W"] | None = None  # the encoder's vector of the whole picture

    def to(self, device: torch.device) -> CaptionBatch:
        """The batch on a device."""
        return replace(
            self,
            image=self.image.to(device, non_blocking=True),
            seen=self.seen.to(device, non_blocking=True),
            grid=self.grid.to(device, non_blocking=True),
            words=self.words.to(device, non_blocking=True),
            pooled=None if self.pooled is None else self.pooled.to(device, non_blocking=True),
        )


Read = Callable[[Sequence[str]], NDArray[np.int64]]  # captions -> numbers of words [C, T]


class CaptionData:
    """Pictures of one split and, for training, all their captions as numbers of words."""

    def __init__(
        self,
        examples: Sequence[Example],
        pictures: Sequence[str],
        sight: Sight,
        read: Read,
        *,
        targets: bool,
    ) -> None:
        """Number the words of each caption, by `read`, where there are `targets`.

        Raises
            ValueError: a picture of which no caption has a word
        """
        self._pictures, self._sight = pictures, sight
        self._ids = [example.id for example in examples]
        told = [captions(example) if targets else () for example in examples]
        self._words = read([one for several in told for one in several])
        self._ends = np.cumsum([0, *map(len, told)])
        self._targets = targets
        if targets:
            count = np.add.reduceat(self._words[:, 0] > 0, self._ends[:-1])
            if not count.all():
                bare = self._ids[int(np.argmin(count))]
                raise ValueError(f"{bare}: no caption of it has a word")

    def __len__(self) -> int:
        return len(self._ids)

    @cached_property
    def _frequencies(self) -> Frequencies:
        return Frequencies(self._told(index) for index in range(len(self)))

    def _told(self, index: int) -> NDArray[np.int64]:
        """The captions [K, T] of a picture that have words."""
        words = self._words[self._ends[index] : self._ends[index + 1]]
        return words[words[:, 0] > 0]

    def batch(self, indices: NDArray[np.int64]) -> CaptionBatch:
        """The pictures of these rows."""
        looked = self._sight.look([self._pictures[i] for i in indices])
        told = [self._told(int(i)) for i in indices]
        words = np.zeros((len(told), max(map(len, told)), self._words.shape[1]), np.int64)
        for row, several in zip(words, told, strict=True):
            row[: len(several)] = several
        longest = max(1, int((words > 0).any((0, 1)).sum()))
        return CaptionBatch(
            tuple(self._ids[i] for i in indices),
            *looked,
            torch.from_numpy(words[..., :longest]),
            (lambda: self._frequencies) if self._targets else None,
            self._sight.pooled([self._pictures[i] for i in indices]),
        )


def captions(example: Example) -> tuple[str, ...]:
    """What people wrote of a picture.

    Raises
        ValueError: that is not public
    """
    if not isinstance(example.target, References):
        raise ValueError(f"{example.id} cannot be learnt from: its captions are not public")
    return example.target.captions
