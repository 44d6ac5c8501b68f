"""Pieces of words as models read them: numbers of somebody's byte-pair tokenizer.

Source   tokenizer files of https://github.com/huggingface/tokenizers (`tokenizer.json`): BPE, byte
         level or not, and whatever else that library reads. Texts are given to it as people wrote
         them, so case and punctuation are its own
Known    CIDEr-D as a reward counts runs of pieces, where as a score it counts those of words
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from clipvil.errors import UsageError

LARGEST = 64 << 20  # bytes; the largest that are published have half as many


class Pieces:
    """Numbers of pieces: 0 is none of them, 1 what the tokenizer does not know, 2 its first."""

    def __init__(self, content: str) -> None:
        """From the text of a tokenizer file.

        Raises
            ValueError: it is none
            UsageError: the library is not installed
        """
        try:
            from tokenizers import Tokenizer
        except ImportError as error:
            raise UsageError(
                "a tokenizer file needs the package tokenizers: pip install 'clipvil[tokenizers]'"
            ) from error
        try:
            self._made = Tokenizer.from_str(content)
        except Exception as error:  # the library knows no narrower one
            raise ValueError(f"not a tokenizer: {error}") from error
        self._made.no_truncation()
        self._made.no_padding()
        numbers = self._made.get_vocab()
        if not numbers:
            raise ValueError("an empty vocabulary: the tokenizer has no pieces")
        names = {number: piece for piece, number in numbers.items()}
        self.content = content
        self.words = tuple(names.get(number, "") for number in range(max(names) + 1))
        self._unknown = numbers.get(getattr(self._made.model, "unk_token", None) or "")

    @classmethod
    def of(cls, path: Path) -> Pieces:
        """From a file.

        Raises
            UsageError: there is none, or the library is not installed
            ValueError: it is no tokenizer; names it
        """
        if not path.is_file():
            raise UsageError(f"no tokenizer file {path}")
        if path.stat().st_size > LARGEST:
            raise ValueError(f"{path}: {path.stat().st_size:,} bytes, more than any tokenizer has")
        try:
            return cls(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error

    def numbers(self, text: str) -> list[int]:
        """A text's pieces."""
        found = self._made.encode(" ".join(text.split()), add_special_tokens=False).ids
        return [1 if number == self._unknown else number + 2 for number in found]

    def text(self, numbers: Sequence[int]) -> str:
        """What pieces spell."""
        spelled: str = self._made.decode([number - 2 for number in numbers if number > 1])
        return " ".join(spelled.split())
