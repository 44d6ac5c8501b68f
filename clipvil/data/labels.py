"""Examples of closed answer lists and what is seen of their pictures, joined into batches.

Shapes   B batch, N image tokens of width I (cells, then regions), T words, A answers
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from numpy.typing import NDArray
from torch import Tensor

from clipvil.core import Example, Labels
from clipvil.data.sight import Sight
from clipvil.data.words import numbered, ranked


@dataclass(frozen=True, slots=True)
class LabelBatch:
    """Questions about pictures whose answer is one of a closed list."""

    ids: tuple[str, ...]
    image: Float[Tensor, "B N I"]
    seen: Bool[Tensor, "B N"]  # false on padding
    grid: Int[Tensor, "B 2"]  # rows and columns that the first of them fill, row by row
    words: Int[Tensor, "B T"]  # 0 is padding
    credit: Float[Tensor, "B A"]  # what each answer would earn
    points: Int[Tensor, "B T"] | None = None  # image token that a word mentions, -1 for none
    put: Int[Tensor, " B"] | None = None  # where rows are candidates: which of them compete

    def to(self, device: torch.device) -> LabelBatch:
        """The batch on a device."""
        return LabelBatch(
            self.ids,
            self.image.to(device, non_blocking=True),
            self.seen.to(device, non_blocking=True),
            self.grid.to(device, non_blocking=True),
            self.words.to(device, non_blocking=True),
            self.credit.to(device, non_blocking=True),
            None if self.points is None else self.points.to(device, non_blocking=True),
            None if self.put is None else self.put.to(device, non_blocking=True),
        )


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The words of the questions and the answers that a cell's own training subset has."""

    words: tuple[str, ...]
    answers: tuple[str, ...]

    @classmethod
    def of(cls, examples: Sequence[Example], labels: Labels) -> Vocabulary:
        """Read off the fitting examples; frequent first, ties in alphabetical order."""
        earned = Counter[str]()
        for example in examples:
            for answer, credit in labels.credit(example).items():
                earned[answer] += credit  # type: ignore[assignment]  # Counter adds floats too
        best = sorted(earned, key=lambda answer: (-earned[answer], answer))
        return cls(ranked(example.words for example in examples), tuple(best[: labels.limit]))


class LabelData:
    """Examples of one split, ready to be batched: words as numbers, credit as a sparse table."""

    def __init__(
        self,
        examples: Sequence[Example],
        pictures: Sequence[str],
        sight: Sight,
        vocabulary: Vocabulary,
        longest: int,
        credit: Callable[[Example], Mapping[str, float]] | None,
    ) -> None:
        self._pictures, self._sight = pictures, sight
        self._ids = [example.id for example in examples]
        self._words = numbered(vocabulary.words, [example.words for example in examples], longest)
        self._answers = len(vocabulary.answers)
        index = {answer: k for k, answer in enumerate(vocabulary.answers)}
        self._earned = [
            [(index[a], c) for a, c in credit(example).items() if a in index] if credit else []
            for example in examples
        ]

    def __len__(self) -> int:
        return len(self._ids)

    def batch(self, indices: NDArray[np.int64]) -> LabelBatch:
        """The examples of these rows."""
        looked = self._sight.look([self._pictures[i] for i in indices])
        credit = torch.zeros(len(indices), self._answers)
        for row, i in enumerate(indices):
            for column, earned in self._earned[i]:
                credit[row, column] = earned
        words = torch.from_numpy(self._words[indices])
        return LabelBatch(tuple(self._ids[i] for i in indices), *looked, words, credit)
