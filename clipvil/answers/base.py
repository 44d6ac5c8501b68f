"""What every kind of answer promises to the training, answering and scoring of a cell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from clipvil import models
from clipvil.core import Answer, Example
from clipvil.data.sight import Sight
from clipvil.train.fit import Batch
from clipvil.train.recipe import Recipe


class Batches(Protocol):
    """Examples ready to be batched."""

    def __len__(self) -> int: ...

    def batch(self, indices: NDArray[np.int64]) -> Batch:
        """The examples of these rows."""
        ...


class Known(Protocol):
    """What a cell's own training subset says before any weight moves: words, answers, counts.

    facts   the same as JSON-ready data, which `answers.read` takes
    words   the vocabulary; word k is row k + 2 of the model's `embed`
    counts  how many there are of what, for a plan
    """

    @property
    def facts(self) -> dict[str, Any]: ...

    @property
    def words(self) -> tuple[str, ...]: ...

    @property
    def counts(self) -> dict[str, int]: ...

    def model(self, recipe: Recipe[Any], image_width: int, **more: int) -> nn.Module:
        """The recipe's model with fresh weights, sized by the data; `more` widths it asked for."""
        ...

    def data(
        self, examples: Sequence[Example], pictures: Sequence[str], sight: Sight, *, targets: bool
    ) -> Batches:
        """Examples with the pictures that `sight` shows; their targets only where asked for."""
        ...

    def answers(self, model: nn.Module, data: Any, device: torch.device) -> Mapping[str, Answer]:
        """A model's answer to every example of `data`, by id."""
        ...

    def prior(self, examples: Sequence[Example]) -> Mapping[str, Answer]:
        """What is answered without looking or reading, by id."""
        ...

    def coverage(self, examples: Sequence[Example]) -> float | None:
        """Mean of the best credit that can be earned at all, from 0 to 1; None where it is 1."""
        ...


def build(recipe: Recipe[Any], image_width: int, words: Sequence[str], **sizes: int) -> nn.Module:
    """The recipe's model for a vocabulary: numbers 0 and 1 are no words of it."""
    made: nn.Module = models.load(recipe.model).Model(
        recipe.config, image_width=image_width, num_words=len(words) + 2, **sizes
    )
    return made
