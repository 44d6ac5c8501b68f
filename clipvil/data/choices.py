"""Examples that bring their candidates: each candidate is a row, read as one text.

Rows     what is asked and a candidate. VCR's rationales are asked about the question and an answer:
         the right one in training, every one in turn when answering
Regions  stand behind the cells of their picture; words that mention a region point at it
Shapes   E examples, B rows, N image tokens of width I, T words
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor

from clipvil.core import Example, Gold, Segment
from clipvil.data.labels import LabelBatch
from clipvil.data.regions import with_regions
from clipvil.data.sight import Grids, Sight
from clipvil.data.words import split_words

NEXT = "|"  # no word of a text: it stands before each candidate
Token = tuple[str, int]  # a word, and the region that it mentions or -1


def tokens(segments: Sequence[Segment], example: Example) -> list[Token]:
    """The words of a text; a mention of a region is its name and its number."""
    found = list[Token]()
    for segment in segments:
        found += [(word, -1) for word in split_words(segment.words)]
        for place in segment.regions:
            name = split_words(example.regions[place].name)
            found += [(word, place) for word in (*name, f"#{place}")]
    return found


def asked(example: Example, before: Sequence[int]) -> list[list[Token]]:
    """The texts of one question put, a candidate each, after the choices `before` it."""
    context = tokens(example.text, example)
    for candidates, place in zip(example.candidates, before, strict=False):
        context += [(NEXT, -1), *tokens(candidates[place], example)]
    candidates = example.candidates[len(before)]
    return [[*context, (NEXT, -1), *tokens(candidate, example)] for candidate in candidates]


def every(example: Example) -> Iterator[tuple[int, ...]]:
    """The choices that may stand before a question put: none, then each of the first, ..."""
    counts = [range(len(candidates)) for candidates in example.candidates]
    for place in range(len(counts)):
        yield from product(*counts[:place])


def right(example: Example) -> tuple[int, ...]:
    """The right candidates.

    Raises
        ValueError: they are hidden
    """
    if not isinstance(example.target, Gold):
        raise ValueError(f"nothing is learnt from {example.id}: its answer is not public")
    return example.target.indices


# ---------------------------------------------------------------------------- batches


@dataclass(frozen=True, slots=True)
class ChoiceBatch:
    """Rows with the pictures of their examples; on its device every row gets its picture."""

    ids: tuple[str, ...]
    owner: Int[Tensor, " B"]  # example of each row
    put: Int[Tensor, " B"]  # question put of each row
    pictures: Grids
    words: Int[Tensor, "B T"]
    credit: Float[Tensor, "B 1"]
    points: Int[Tensor, "B T"] | None

    def to(self, device: torch.device) -> LabelBatch:
        """The rows on a device: pictures are moved once an example."""
        owner = self.owner.to(device, non_blocking=True)
        image, seen, grid = (part.to(device, non_blocking=True)[owner] for part in self.pictures)
        return LabelBatch(
            tuple(self.ids[k] for k in self.owner.tolist()),
            image,
            seen,
            grid,
            self.words.to(device, non_blocking=True),
            self.credit.to(device, non_blocking=True),
            None if self.points is None else self.points.to(device, non_blocking=True),
            self.put.to(device, non_blocking=True),
        )


class ChoiceData:
    """Examples of one split, made into rows as they are asked for."""

    def __init__(
        self,
        examples: Sequence[Example],
        pictures: Sequence[str],
        sight: Sight,
        words: Sequence[str],
        longest: int,
        *,
        regions: bool,
    ) -> None:
        self.examples = examples
        self._pictures, self._sight = pictures, sight
        self._index = {word: k for k, word in enumerate(words, 2)}
        self._longest, self._regions = longest, regions

    def __len__(self) -> int:
        return len(self.examples)

    def batch(self, indices: NDArray[np.int64]) -> ChoiceBatch:
        """The rows of these examples to learn from, after the right choices.

        Raises
            ValueError: the answer of one is hidden
        """
        examples = [self.examples[int(i)] for i in indices]
        golds = [right(example) for example in examples]
        befores = [[gold[:k] for k in range(len(gold))] for gold in golds]
        credit = [
            float(k == gold[put])
            for gold, example in zip(golds, examples, strict=True)
            for put, candidates in enumerate(example.candidates)
            for k in range(len(candidates))
        ]
        return self._rows(indices, examples, befores, torch.tensor(credit).unsqueeze(1))

    def asked(self, indices: NDArray[np.int64]) -> ChoiceBatch:
        """All rows of these examples, in the order of `every`."""
        examples = [self.examples[int(i)] for i in indices]
        befores = [list(every(example)) for example in examples]
        rows = sum(len(e.candidates[len(b)]) for e, s in zip(examples, befores, strict=True)
                   for b in s)  # fmt: skip
        return self._rows(indices, examples, befores, torch.zeros(rows, 1))

    def _rows(
        self,
        indices: NDArray[np.int64],
        examples: Sequence[Example],
        befores: Sequence[Sequence[tuple[int, ...]]],
        credit: Float[Tensor, "B 1"],
    ) -> ChoiceBatch:
        names = [self._pictures[int(i)] for i in indices]
        grids = self._sight.look(names)
        cells = grids.seen.sum(1).tolist()
        if self._regions:
            grids = with_regions(grids, examples, self._sight.affine(names))
        owner, put, texts = list[int](), list[int](), list[list[Token]]()
        for place, (example, several) in enumerate(zip(examples, befores, strict=True)):
            for before in several:
                rows = asked(example, before)
                owner += [place] * len(rows)
                put += [put[-1] + 1 if put else 0] * len(rows)
                texts += rows
        first = torch.tensor([cells[place] for place in owner])  # token of each row's first region
        words, points = self._numbers(texts, first)
        ids = tuple(example.id for example in examples)
        return ChoiceBatch(
            ids, torch.tensor(owner), torch.tensor(put), grids, words, credit, points
        )

    def _numbers(
        self, texts: Sequence[Sequence[Token]], first: Int[Tensor, " B"]
    ) -> tuple[Int[Tensor, "B T"], Int[Tensor, "B T"] | None]:
        """Words as numbers, 0 padding and 1 unknown, and the image tokens that they mention.

        Of a text that is too long the end is read: candidates differ there.
        """
        texts = [text[-self._longest :] for text in texts]
        words = np.zeros((len(texts), max(1, max(map(len, texts)))), np.int64)
        mentions = np.full(words.shape, -1, np.int64)
        for row, text in enumerate(texts):
            words[row, : len(text)] = [self._index.get(word, 1) for word, _ in text]
            mentions[row, : len(text)] = [place for _, place in text]
        if not self._regions:
            return torch.from_numpy(words), None
        points = torch.from_numpy(mentions)
        return torch.from_numpy(words), torch.where(points < 0, -1, points + first.unsqueeze(1))
