"""Free words: a vocabulary of the training subset's captions, told by the model's own decoding.

The vocabulary is words by their count, or the pieces of a tokenizer file, whose text is kept among
the facts so that a run needs nothing else.

The prior is the commonest caption; among captions as common as each other, that whose words are the
commonest on average.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from clipvil.answers.base import build
from clipvil.core import Answer, Example, Said, Task, UsageError
from clipvil.data.captions import CaptionData, captions
from clipvil.data.pieces import Pieces
from clipvil.data.sight import Sight
from clipvil.data.words import frequent_first, joined, numbered, padded, split_words
from clipvil.metrics import reward
from clipvil.models.base import TextModel
from clipvil.train.recipe import Recipe

BATCH = 32  # pictures that are told about at a time; what is told does not depend on it


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Words that are told, frequent first, and the caption that is told without looking."""

    words: tuple[str, ...]
    prior: str


@dataclass(frozen=True, slots=True)
class Known:
    """What the captions of a training subset say; see `answers.base.Known`."""

    vocabulary: Vocabulary
    longest: int  # words of a caption that are learnt from
    pieces: Pieces | None = None  # of which words are made, where a tokenizer is given

    @property
    def facts(self) -> dict[str, Any]:
        """Words and prior, or a tokenizer and prior."""
        if self.pieces is not None:
            return {"tokenizer": self.pieces.content, "prior": self.vocabulary.prior}
        return asdict(self.vocabulary)

    @property
    def words(self) -> tuple[str, ...]:
        """Words of the captions, or the tokenizer's pieces."""
        return self.vocabulary.words

    @property
    def counts(self) -> dict[str, int]:
        """Words."""
        return {"words": len(self.words)}

    def model(self, recipe: Recipe[Any], image_width: int, **more: int) -> nn.Module:
        """A model that tells these words.

        Raises
            UsageError: more than rewards can tell apart, and a stage learns from rewards
        """
        rewarded = any(stage.objective == "self_critical" for stage in recipe.stages)
        if rewarded and len(self.words) >= reward.MOST:
            raise UsageError(
                f"a vocabulary of {len(self.words):,}: self-critical training takes "
                f"{reward.MOST - 1:,} at most; name a smaller tokenizer, or train on words alone"
            )
        return build(recipe, image_width, self.words, **more)

    def data(
        self, examples: Sequence[Example], pictures: Sequence[str], sight: Sight, *, targets: bool
    ) -> CaptionData:
        """Pictures, and their captions where they are learnt from."""
        return CaptionData(examples, pictures, sight, self.read, targets=targets)

    def read(self, captions: Sequence[str]) -> NDArray[np.int64]:
        """Numbers of the first `longest` words of each caption, [C, T]."""
        if self.pieces is None:
            return numbered(self.words, captions, self.longest)
        return padded([self.pieces.numbers(one)[: self.longest] for one in captions])

    def answers(
        self, model: nn.Module, data: CaptionData, device: torch.device
    ) -> dict[str, Answer]:
        """The best caption of every picture; `others` are the next best and their scores."""
        said: dict[str, Answer] = {}
        model.eval()
        telling = cast(TextModel, model)
        with torch.inference_mode():
            for start in range(0, len(data), BATCH):
                batch = data.batch(np.arange(start, min(start + BATCH, len(data)))).to(device)
                words, scores = telling.tell(batch)  # [P, K, L], [P, K]
                for name, told, worth in zip(
                    batch.ids, words.tolist(), scores.tolist(), strict=True
                ):
                    ranked = [
                        (self.text(numbers), score)
                        for numbers, score in zip(told, worth, strict=True)
                        if score > -np.inf
                    ]
                    said[name] = Said(ranked[0][0], tuple(ranked[1:]))
        return said

    def text(self, numbers: Sequence[int]) -> str:
        """A caption as a person reads it."""
        end = numbers.index(0) if 0 in numbers else len(numbers)
        if self.pieces is not None:
            return self.pieces.text(numbers[:end])
        return joined(self.words[number - 2] for number in numbers[:end])

    def prior(self, examples: Sequence[Example]) -> dict[str, Answer]:
        """The same caption, always."""
        return {example.id: Said(self.vocabulary.prior) for example in examples}

    def coverage(self, examples: Sequence[Example]) -> None:
        """Nothing bounds what a caption can earn."""
        return None


def learn(task: Task, examples: Sequence[Example], config: Any) -> Known:
    """The words that captions of fitting examples have more often than `config.rare` times.

    Or all the pieces of `config.tokenizer`.

    Raises
        ValueError: there are none
        UsageError: no tokenizer is there
    """
    written = [one for example in examples for one in captions(example)]
    if config.tokenizer is not None:
        pieces = Pieces.of(Path(config.tokenizer))
        spelled = [
            tuple(pieces.text([number]) for number in pieces.numbers(one)) for one in written
        ]
        prior = commonest(spelled)
        texts = dict(zip(spelled, written, strict=True))
        return Known(Vocabulary(pieces.words, " ".join(texts[prior].split())), config.read, pieces)
    told = [tuple(split_words(one)) for one in written]
    counts = Counter(word for one in told for word in one)
    frequent = {word: count for word, count in counts.items() if count > config.rare}
    if not frequent:
        raise ValueError(
            f"an empty vocabulary: none of the {len(counts):,} words in the captions of "
            f"{len(examples):,} fitting pictures is there more than {config.rare} times "
            "(--config.rare)"
        )
    return Known(Vocabulary(frequent_first(frequent), joined(commonest(told))), config.read)


def commonest(told: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    """The commonest caption, of those as common the one whose words are the commonest.

    Raises
        ValueError: none has a word
    """
    common = Counter[tuple[str, ...]](one for one in told if one)
    if not common:
        raise ValueError("no caption of the fitting pictures has a word")
    counts = Counter(word for one in told for word in one)

    def rank(one: tuple[str, ...]) -> tuple[float, float, tuple[str, ...]]:
        return -common[one], -sum(counts[word] for word in one) / len(one), one

    return min(common, key=rank)


def read(task: Task, facts: Mapping[str, Any], config: Any) -> Known:
    """What `learn` gave, from its facts."""
    if "tokenizer" in facts:
        pieces = Pieces(facts["tokenizer"])
        return Known(Vocabulary(pieces.words, facts["prior"]), config.read, pieces)
    return Known(Vocabulary(tuple(facts["words"]), facts["prior"]), config.read)
