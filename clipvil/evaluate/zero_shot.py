"""Zero-shot answers: the answer whose sentence is nearest to the picture, and nothing trained.

For each question and each answer a sentence "QUESTION ANSWER" is read by the text tower that was
trained with the encoder; the answer whose sentence has the highest cosine with the picture's pooled
vector is given. It is zero-shot in pictures: no picture is shown with an answer to it. What it is
told of the training subset is the list of answers alone, most frequent first, which breaks ties.

Source   arXiv:2107.06383, its zero-shot table, in the plain form of the sentence
Cost     one sentence a distinct question and answer: 3,129 for every question of VQA v2
Shapes   B pictures, A answers, P pooled width
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from clipvil.core import Answer, Example, Said
from clipvil.encoders.base import Encoded, Encoder, TextEncoder
from clipvil.features.lookup import Lookup
from clipvil.pictures import BrokenPictureError

SENTENCE = "{question} {answer}"
SENTENCES = 512  # that the tower reads at once; what is answered does not depend on it

Look = Callable[[Sequence[str]], Float[Tensor, "B P"]]


def answer(
    examples: Sequence[Example],
    pictures: Sequence[str],
    look: Look,
    tower: TextEncoder,
    answers: Sequence[str],
    device: torch.device,
) -> dict[str, Answer]:
    """The nearest answer to every example, by id.

    Args
        look: names of pictures -> their pooled vectors; zeros for one that could not be read
    """
    asked = defaultdict[str, list[int]](list)
    for row, example in enumerate(examples):
        asked[example.words].append(row)
    said: dict[str, Answer] = {}
    with torch.inference_mode():
        for question, rows in asked.items():
            sentences = [SENTENCE.format(question=question, answer=one) for one in answers]
            told = read(tower, sentences, device)  # [A, P]
            seen = F.normalize(look([pictures[row] for row in rows]).float().to(device), dim=1)
            for row, best in zip(rows, (seen @ told.T).argmax(1).tolist(), strict=True):
                said[examples[row].id] = Said(answers[best])
    return {example.id: said[example.id] for example in examples}


def read(
    tower: TextEncoder, sentences: Sequence[str], device: torch.device
) -> Float[Tensor, "A P"]:
    """Vectors of unit length of sentences."""
    starts = range(0, len(sentences), SENTENCES)
    parts = [tower(tower.words(sentences[k : k + SENTENCES]).to(device)) for k in starts]
    return torch.cat(parts)


def stored(lookup: Lookup) -> Look:
    """Pooled vectors out of feature stores.

    Raises
        ValueError: they have none
    """
    width = lookup.pooled_width
    if width is None:
        raise ValueError("zero-shot answers need pooled vectors, which these features are without")

    def look(pictures: Sequence[str]) -> Float[Tensor, "B P"]:
        seen = torch.zeros(len(pictures), width)
        for row, name in enumerate(pictures):
            if name in lookup:
                seen[row] = torch.from_numpy(np.array(lookup.pooled(name), np.float32))
        return seen

    return look


def live(encoder: Encoder, files: Mapping[str, Path]) -> Look:
    """Pooled vectors straight from pixels, by name of the picture; zeros for a broken one."""

    def look(pictures: Sequence[str]) -> Float[Tensor, "B P"]:
        return torch.cat([one(files[name]) for name in pictures])

    def one(path: Path) -> Float[Tensor, "1 P"]:
        try:
            pixels = torch.from_numpy(encoder.preprocessing.read(path).values)[None]
        except BrokenPictureError:
            return torch.zeros(1, encoder.card.pooled_width or 0, device=encoder.mean.device)
        seen: Encoded = encoder(pixels.to(encoder.mean.device))
        assert seen.pooled is not None, "who has a text tower pools"
        return seen.pooled

    return look
