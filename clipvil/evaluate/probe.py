"""A linear probe: how much of an answer can be read off an encoder's mean cell by a plane.

In go the mean of a picture's cells, standardised per channel over the fitting pictures as for every
model, and a bag of the question's words; out comes a score for each answer. There is no hidden
layer, so the two are only added up: what takes both at once ("is the *left* one red?") a probe
cannot know. Ridge regression in closed form on the answers' credit: no learning rate, no steps,
no seed; its penalty is chosen on the selection data.

Shapes   B batch, N cells of width I, W words in the bag, F = I + W features, A answers
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol, Self

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from numpy.typing import NDArray
from torch import Tensor, nn

from clipvil.data.labels import LabelBatch
from clipvil.data.sight import NOWHERE, Grids, Sight
from clipvil.features.lookup import Affine

WORDS = 1_000  # of a bag: the most frequent ones of the training subset
PENALTIES = (1e-3, 1e-2, 1e-1, 1.0)  # of features of unit variance, a training example
BATCH = 256  # examples at a time
STILL = 1e-5  # deviation of a feature that says nothing; features are of order one


class Batches(Protocol):
    """Examples that can be batched."""

    def __len__(self) -> int: ...

    def batch(self, indices: NDArray[np.int64]) -> LabelBatch: ...


class Probe(nn.Module):
    """A plane an answer over the mean cell and the words."""

    def __init__(self, *, image_width: int, num_words: int, num_answers: int) -> None:
        super().__init__()
        self.num_words = min(num_words, WORDS)
        self.read = nn.Linear(image_width + self.num_words, num_answers)

    def features(self, batch: LabelBatch) -> Float[Tensor, "B F"]:
        """What it reads."""
        words = bag(batch.words, self.num_words)
        return torch.cat([mean_cell(batch.image, batch.seen), words], 1)

    def forward(self, batch: LabelBatch) -> Float[Tensor, "B A"]:
        """Scores of the answers."""
        scores: Tensor = self.read(self.features(batch))
        return scores


def mean_cell(image: Float[Tensor, "B N I"], seen: Bool[Tensor, "B N"]) -> Float[Tensor, "B I"]:
    """The mean over the cells that show the picture."""
    return (image * seen.unsqueeze(2)).sum(1) / seen.sum(1, keepdim=True)


def bag(words: Int[Tensor, "B T"], num_words: int) -> Float[Tensor, "B W"]:
    """Which of the most frequent words (numbers 2, 3, ...) a question has."""
    there = words.new_zeros(len(words), num_words + 2, dtype=torch.float32)
    known = torch.where(words < num_words + 2, words, 0)
    return there.scatter_(1, known, 1.0)[:, 2:]


class Averaged:
    """A sight whose pictures have one cell, their mean; each is looked at once a batch."""

    def __init__(self, sight: Sight) -> None:
        self._sight = sight
        self.width = sight.width

    def look(self, pictures: Sequence[str]) -> Grids:
        """The mean cell of each picture."""
        places = {name: place for place, name in enumerate(dict.fromkeys(pictures))}
        image, seen, _ = self._sight.look([*places])
        mean = mean_cell(image, seen)[[places[name] for name in pictures]]  # [B, I]
        ones = torch.ones(len(pictures), 2, dtype=torch.long)
        return Grids(mean.unsqueeze(1), ones[:, :1].bool(), ones)

    def pooled(self, pictures: Sequence[str]) -> Float[Tensor, "B P"] | None:
        """As the sight has them."""
        return self._sight.pooled(pictures)

    def affine(self, pictures: Sequence[str]) -> list[Affine]:
        """All of a picture is on its one cell."""
        return [NOWHERE] * len(pictures)


@dataclass(slots=True)
class Moments:
    """Sums over examples, all that a ridge regression needs of them; in fp64."""

    count: int
    features: Float[Tensor, " F"]
    targets: Float[Tensor, " A"]
    gram: Float[Tensor, "F F"]
    cross: Float[Tensor, "F A"]

    @classmethod
    def of(cls, probe: Probe, data: Batches, order: NDArray[np.int64]) -> Self:
        """Summed up batch by batch, where the probe is."""
        weight = probe.read.weight
        (A, F), zeros = weight.shape, partial(weight.new_zeros, dtype=torch.float64)
        sums = cls(len(order), zeros(F), zeros(A), zeros(F, F), zeros(F, A))
        for start in range(0, len(order), BATCH):
            batch = data.batch(order[start : start + BATCH]).to(weight.device)
            some, credit = probe.features(batch).double(), batch.credit.double()
            sums.features += some.sum(0)
            sums.targets += credit.sum(0)
            sums.gram += some.T @ some
            sums.cross += some.T @ credit
        return sums

    def solve(self, penalty: float) -> tuple[Float[Tensor, "A F"], Float[Tensor, " A"]]:
        """Weights and biases of least squares, `penalty` on the squares of the weights.

        The penalty is on weights of features of unit variance, a training example; biases are free.
        """
        mean, target = self.features / self.count, self.targets / self.count
        covariance = self.gram / self.count - torch.outer(mean, mean)
        deviation = covariance.diagonal().clamp_min(0).sqrt()
        scale = torch.where(deviation > STILL, 1 / deviation, 0.0)
        system = covariance * torch.outer(scale, scale)
        system.diagonal().add_(penalty)
        along = (self.cross / self.count - torch.outer(mean, target)) * scale.unsqueeze(1)
        found = torch.cholesky_solve(along, torch.linalg.cholesky(system))  # [F, A]
        weight = (found * scale.unsqueeze(1)).T
        return weight, target - weight @ mean


def fit(
    probe: Probe, data: Batches, pictures: Sequence[str], select: Callable[[Probe], float]
) -> tuple[float, float]:
    """Fill a probe's weights; gives the penalty that was chosen and its selection score.

    Args
        pictures: that of every example, as each is to be read once
        select: a filled probe -> selection score, higher is better; of equal ones the stronger
            penalty is taken
    """
    with torch.inference_mode():
        moments = Moments.of(probe, data, np.argsort(np.array(pictures), kind="stable"))

    def fill(penalty: float) -> None:
        weight, bias = moments.solve(penalty)
        probe.read.weight.data.copy_(weight)
        probe.read.bias.data.copy_(bias)

    scores = dict[float, float]()
    for penalty in PENALTIES:
        fill(penalty)
        scores[penalty] = select(probe)
    best = max(scores, key=lambda penalty: (scores[penalty], penalty))
    fill(best)
    return best, scores[best]
