"""Words read without being packed: the same as torch reads packed ones, gradients and all."""

import torch
from torch import nn

from clipvil.models._reading import packed, read


def test_words_are_read_as_packed_ones_are() -> None:
    torch.manual_seed(0)
    lstm = nn.LSTM(6, 4, batch_first=True, bidirectional=True)
    words = torch.randn(20, 9, 6, requires_grad=True)  # [B, T, E]
    real = torch.arange(9) < torch.randint(1, 10, (20, 1))  # [B, T]
    found = list[tuple[torch.Tensor, ...]]()
    for way in (read, packed):
        told, *ends = way(lstm, words, real)
        told = told * real.unsqueeze(-1)
        asked = (told**2).sum() + sum((end**2).sum() for end in ends)
        grads = torch.autograd.grad(asked, [words, *lstm.parameters()])
        found.append((told, *ends, *grads))
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other)
