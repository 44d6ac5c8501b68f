"""Words as models read them: numbers of a vocabulary.

Shapes   T words
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

LETTER = r"[\w\u0900-\u0963\u0966-\u0dff]"  # \w has no vowel signs of Indic scripts
WORD = re.compile(rf"{LETTER}+(?:'{LETTER}+)?")


def split_words(text: str) -> list[str]:
    """Lower-cased words of a text; punctuation goes, apostrophes inside a word stay."""
    return WORD.findall(text.lower())


def ranked(texts: Iterable[str]) -> tuple[str, ...]:
    """The words of some texts, frequent first, ties in alphabetical order."""
    return frequent_first(Counter(word for text in texts for word in split_words(text)))


def frequent_first(counts: Mapping[str, int]) -> tuple[str, ...]:
    """Words by how often they are there, ties in alphabetical order."""
    return tuple(sorted(counts, key=lambda word: (-counts[word], word)))


def numbered(words: Sequence[str], texts: Sequence[str], longest: int) -> NDArray[np.int64]:
    """Word numbers [len(texts), T]: 0 padding, 1 unknown, 2 the first of `words`.

    T is the length of the longest text there is, at most `longest`.
    """
    index = {word: k for k, word in enumerate(words, 2)}
    return padded([[index.get(w, 1) for w in split_words(text)[:longest]] for text in texts])


def padded(rows: Sequence[Sequence[int]]) -> NDArray[np.int64]:
    """Numbers [len(rows), T], with 0 behind those of the shorter rows."""
    out = np.zeros((len(rows), max(1, max(map(len, rows), default=1))), np.int64)
    for row, numbers in zip(out, rows, strict=True):
        row[: len(numbers)] = numbers
    return out
