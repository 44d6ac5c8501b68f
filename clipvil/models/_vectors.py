"""Word vectors from a file, as GloVe publishes them: `word d1 ... dW` a line, plain or gzipped.

Source   https://nlp.stanford.edu/projects/glove"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from clipvil.files import SPOILT, open_plain

LINE = 1 << 16  # bytes of a line at most: a thousand numbers with room to spare


def fill(embed: nn.Embedding, words: Sequence[str], path: Path) -> int:
    """Give each of `words` its vector; those that the file lacks stay as they are.

    Returns how many of them the file has. `words[k]` is row k + 2 of `embed`.

    Raises
        ValueError: not such a file, vectors of another width, or none of the words; names the line
    """
    rows = {word.encode(): row for row, word in enumerate(words, 2)}
    found, number = set[int](), 0
    with open_plain(path) as file:
        try:
            while line := file.readline(LINE):
                number += 1
                if len(line) == LINE:
                    raise ValueError("a line too long for a word and its numbers")
                word, _, rest = line.partition(b" ")
                if word in rows and (vector := numbers(rest, embed.embedding_dim)) is not None:
                    embed.weight.data[rows[word]] = torch.from_numpy(vector)
                    found.add(rows[word])
        except (ValueError, *SPOILT) as error:
            raise ValueError(f"{path}, line {number}: {error}") from error
    if not found:
        raise ValueError(f"{path} has none of the {len(words):,} words of the questions")
    return len(found)


def numbers(rest: bytes, width: int) -> NDArray[np.float32] | None:
    """What follows a word; None where that is the rest of a name and then its numbers."""
    values = rest.split()
    name = values[: len(values) - width]
    try:
        if name and not all(map(finite, name)):
            return None
        vector = np.array([float(value) for value in values], np.float32)
    except ValueError:
        vector = np.empty(0, np.float32)
    if len(vector) != width or not np.isfinite(vector).all():
        raise ValueError(f"not a word and {width} finite numbers")
    return vector


def finite(text: bytes) -> bool:
    """Whether it is written as a finite number."""
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False
