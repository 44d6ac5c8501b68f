"""Words as models read them: numbers of a vocabulary.

Shapes   T words
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

# `\w` has no accents by themselves and no vowel signs
SIGNS = "".join(
    c for c in map(chr, range(0x300, 0x1C00)) if unicodedata.category(c) in ("Mn", "Mc")
)
# scripts without blanks between words: Thai, Lao, Burmese, Khmer, kana and Chinese
SOLID = r"\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
LETTER = rf"(?:[^\W{SOLID}]|[\u0900-\u0963\u0966-\u0dff])"
LETTERS = rf"{LETTER}(?:{LETTER}|[{SIGNS}])*"
WORD = re.compile(rf"{LETTERS}(?:'{LETTERS})?|(?=\w)[{SOLID}][{SIGNS}]*")
PLAIN = re.compile(r"\w+(?:'\w+)?")  # the same of what is ASCII, and quicker
APART = re.compile(rf"(?<=[{SOLID}]) (?=[{SOLID}])")


def split_words(text: str) -> list[str]:
    """Lower-cased words of a text; punctuation goes, apostrophes inside a word stay.

    However an accent is written, it belongs to its letter. Where a script has no blanks between
    words, as Thai, each letter with its signs is one.
    """
    text = text.lower()
    if text.isascii():
        return PLAIN.findall(text)
    return WORD.findall(unicodedata.normalize("NFC", text))


def joined(words: Iterable[str]) -> str:
    """Words as a text, without blanks where their script has none."""
    return APART.sub("", " ".join(words))


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
