"""Word vectors from a file: whose words get them, and what is refused."""

import gzip
from pathlib import Path

import pytest
import torch
from torch import nn

from clipvil.models._vectors import fill

WORDS = ("red", "at", "squarish")


def filled(path: Path) -> tuple[torch.Tensor, torch.Tensor, int]:
    torch.manual_seed(0)
    embed = nn.Embedding(len(WORDS) + 2, 3, padding_idx=0)
    before = embed.weight.detach().clone()
    return before, embed.weight.detach(), fill(embed, WORDS, path)


@pytest.mark.parametrize("packed", [False, True])
def test_known_words_get_their_vectors_and_others_stay(tmp_path: Path, packed: bool) -> None:
    text = b"the 9 9 9\nat 0.5 -1 2e-1\nat home 7 7 7\nred 1 2 3\n. . 4 4 4\n"
    path = tmp_path / "vectors.txt"
    path.write_bytes(gzip.compress(text) if packed else text)
    before, after, known = filled(path)
    assert known == 2
    assert after[2].tolist() == [1, 2, 3]
    torch.testing.assert_close(after[3], torch.tensor([0.5, -1, 0.2]))
    assert torch.equal(after[[0, 1, 4]], before[[0, 1, 4]])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"the 1 2 3\nred 1 2\n", "line 2: not a word and 3 finite numbers"),
        (b"red 1 2 3 4\n", "line 1: not a word"),
        (b"red 1 nan 3\n", "line 1: not a word"),
        (b"red 1 x 3\n", "line 1: not a word"),
        (b"\x80\x02red" * 20_000, "line 1: a line too long"),
        (b"\x1f\x8b\x08spoilt", "line 0"),
        (b"the 1 2 3\n", "none of the 3 words"),
        (b"", "none of the 3 words"),
    ],
)
def test_what_is_no_such_file_is_refused(tmp_path: Path, text: bytes, said: str) -> None:
    path = tmp_path / "vectors.txt"
    path.write_bytes(text)
    with pytest.raises(ValueError, match=said):
        filled(path)
