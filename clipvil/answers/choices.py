"""Answers out of what every example brings itself: the likeliest of its candidates is chosen.

Loss     cross-entropy over the candidates of a question put. Of every row by itself, a small MCAN
         stayed at chance in the steps in which it learns so
Shapes   B rows, each a candidate
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from clipvil.answers.base import build
from clipvil.core import Answer, Choices, Chose, Example, Task
from clipvil.data.choices import NEXT, ChoiceData, right, tokens
from clipvil.data.sight import Sight
from clipvil.data.words import frequent_first
from clipvil.train.recipe import Recipe

BATCH = 16  # examples a forward; of VCR's, each has twenty rows


def likeliest(example: Example, logits: Float[Tensor, " B"]) -> Chose:
    """What the logits of all rows of an example choose, first what `every` puts first."""
    counts = [len(candidates) for candidates in example.candidates]
    sizes = [math.prod(counts[: k + 1]) for k in range(len(counts))]
    tables = [
        part.view(counts[: k + 1]).softmax(-1) for k, part in enumerate(torch.split(logits, sizes))
    ]

    def chose(before: tuple[int, ...]) -> Chose:
        scores: list[float] = tables[len(before)][before].tolist()
        last = len(before) + 1 == len(tables)
        then = () if last else tuple(chose((*before, k)) for k in range(len(scores)))
        return Chose(scores.index(max(scores)), tuple(scores), then)

    return chose(())


@dataclass(frozen=True, slots=True)
class Known:
    """What the training subset says before any weight moves.

    `first[k]` are the places that were right, the commonest first, of the k-th question put;
    `regions` whether pictures have some, `longest` the words of a row that are read.
    """

    words: tuple[str, ...]
    first: tuple[tuple[int, ...], ...]
    regions: bool
    longest: int

    @property
    def facts(self) -> dict[str, Any]:
        """Words, places and whether there are regions."""
        return {"words": self.words, "first": self.first, "regions": self.regions}

    @property
    def counts(self) -> dict[str, int]:
        """Words."""
        return {"words": len(self.words)}

    def model(self, recipe: Recipe[Any], image_width: int, **more: int) -> nn.Module:
        """The recipe's model with one answer: how right a row is."""
        more |= {"regions": True} if self.regions else {}
        return build(recipe, image_width, self.words, num_answers=1, **more)

    def data(
        self,
        examples: Sequence[Example],
        pictures: Sequence[str],
        sight: Sight,
        *,
        targets: bool,
    ) -> ChoiceData:
        """Rows to learn from where answers are not hidden, and to answer."""
        return ChoiceData(
            examples, pictures, sight, self.words, self.longest,
            regions=self.regions,
        )  # fmt: skip

    def answers(
        self, model: nn.Module, data: ChoiceData, device: torch.device
    ) -> dict[str, Answer]:
        """The likeliest candidate of every question put, with the probabilities of all."""
        answered = dict[str, Answer]()
        model.eval()
        with torch.inference_mode():
            for start in range(0, len(data), BATCH):
                indices = np.arange(start, min(start + BATCH, len(data)))
                batch = data.asked(indices)
                logits = model(batch.to(device)).double().squeeze(1).cpu()  # [B]
                several = torch.split(logits, torch.bincount(batch.owner).tolist())
                for place, own in zip(indices, several, strict=True):
                    example = data.examples[int(place)]
                    answered[example.id] = likeliest(example, own)
        return answered

    def prior(self, examples: Sequence[Example]) -> dict[str, Answer]:
        """The place that was right most often in training, whatever is asked."""
        return {example.id: self._commonest(example, 0) for example in examples}

    def _commonest(self, example: Example, put: int) -> Chose:
        count = len(example.candidates[put])
        place = next((place for place in self.first[put] if place < count), 0)
        if put + 1 == len(example.candidates):
            return Chose(place)
        return Chose(place, then=tuple(self._commonest(example, put + 1) for _ in range(count)))

    def coverage(self, examples: Sequence[Example]) -> float | None:
        """None: every example brings the right answer."""
        return None


def learn(task: Task, examples: Sequence[Example], config: Any) -> Known:
    """The words of fitting examples, and which places are right how often.

    Raises
        ValueError: the answer of one is hidden
    """
    assert isinstance(task.answer, Choices)
    words, places, regions = Counter[str](), list[Counter[int]](), False
    for example in examples:
        texts = [example.text, *(c for several in example.candidates for c in several)]
        words.update(word for text in texts for word, _ in tokens(text, example))
        places += [Counter() for _ in range(len(example.candidates) - len(places))]
        for count, place in zip(places, right(example), strict=True):
            count[place] += 1
        regions = regions or bool(example.regions)
    first = (tuple(sorted(count, key=lambda k: (-count[k], k))) for count in places)
    return Known((NEXT, *frequent_first(words)), tuple(first), regions, config.longest)


def read(task: Task, facts: Mapping[str, Any], config: Any) -> Known:
    """What `learn` gave, from its facts."""
    assert isinstance(task.answer, Choices)
    first = tuple(map(tuple, facts["first"]))
    return Known(tuple(facts["words"]), first, facts["regions"], config.longest)
