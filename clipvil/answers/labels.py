"""Closed lists of answers: those that the training subset has, and the likeliest of them is said.

Shapes   B batch, A answers
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from clipvil.answers.base import build
from clipvil.core import Answer, Example, Labels, Said, Task
from clipvil.data.labels import LabelData, Vocabulary
from clipvil.data.sight import Sight
from clipvil.train.recipe import Recipe

BATCH = 256  # examples a forward; what is answered does not depend on it


@dataclass(frozen=True, slots=True)
class Known:
    """The vocabulary of a training subset; see `answers.base.Known`."""

    labels: Labels
    vocabulary: Vocabulary
    longest: int  # words of a question that are read

    @property
    def facts(self) -> dict[str, Any]:
        """Words and answers."""
        return asdict(self.vocabulary)

    @property
    def words(self) -> tuple[str, ...]:
        """Words of the questions."""
        return self.vocabulary.words

    @property
    def counts(self) -> dict[str, int]:
        """Words and answers."""
        return {"words": len(self.words), "answers": len(self.vocabulary.answers)}

    def model(self, recipe: Recipe[Any], image_width: int, **more: int) -> nn.Module:
        """A model with one output an answer."""
        sizes = {"num_answers": len(self.vocabulary.answers)}
        return build(recipe, image_width, self.words, **sizes, **more)

    def data(
        self, examples: Sequence[Example], pictures: Sequence[str], sight: Sight, *, targets: bool
    ) -> LabelData:
        """Questions about pictures, with what each answer would earn."""
        credit = self.labels.credit if targets else None
        return LabelData(examples, pictures, sight, self.vocabulary, self.longest, credit)

    def answers(self, model: nn.Module, data: LabelData, device: torch.device) -> dict[str, Answer]:
        """The likeliest answer to every example."""
        said: dict[str, Answer] = {}
        model.eval()
        with torch.inference_mode():
            for start in range(0, len(data), BATCH):
                batch = data.batch(np.arange(start, min(start + BATCH, len(data)))).to(device)
                logits = model(batch)  # [B, A]
                for name, best in zip(batch.ids, logits.argmax(1).tolist(), strict=True):
                    said[name] = Said(self.vocabulary.answers[best])
        return said

    def prior(self, examples: Sequence[Example]) -> dict[str, Answer]:
        """The answer that earned most in the training subset, always."""
        return {example.id: Said(self.vocabulary.answers[0]) for example in examples}

    def coverage(self, examples: Sequence[Example]) -> float:
        """Mean of the best credit that the vocabulary allows."""
        known = set(self.vocabulary.answers)
        best = [
            max((c for a, c in self.labels.credit(example).items() if a in known), default=0.0)
            for example in examples
        ]
        return sum(best) / len(best)


def learn(task: Task, examples: Sequence[Example], config: Any) -> Known:
    """The words and answers of fitting examples.

    Raises
        ValueError: they have no answer
    """
    assert isinstance(task.answer, Labels)
    vocabulary = Vocabulary.of(examples, task.answer)
    if not vocabulary.answers:
        raise ValueError(f"no answer in the {len(examples)} fitting examples")
    return Known(task.answer, vocabulary, config.longest)


def read(task: Task, facts: Mapping[str, Any], config: Any) -> Known:
    """What `learn` gave, from its facts."""
    assert isinstance(task.answer, Labels)
    vocabulary = Vocabulary(**{name: tuple(some) for name, some in facts.items()})
    return Known(task.answer, vocabulary, config.longest)
