"""Pythia's size, that of MMF's modules in its configuration, and its maps of learnt length."""

import pytest
import torch
from torch import nn
from torch.nn.utils.parametrizations import weight_norm

from clipvil.models import pythia


@pytest.mark.parametrize(("width", "parameters"), [(2_048, 95_437_388), (2_560, 100_557_388)])
def test_it_has_the_published_size(width: int, parameters: int) -> None:
    with torch.device("meta"):
        model = pythia.Model(
            pythia.Config(), image_width=width, num_words=18_000, num_answers=3_129
        )
    assert sum(p.numel() for p in model.parameters()) == parameters


def test_maps_of_learnt_length_are_torch_s() -> None:
    torch.manual_seed(0)
    ours = pythia.Normed(4, 3).double()
    theirs = weight_norm(nn.Linear(4, 3).double(), dim=None)
    ours.length.data *= 1.7
    length, direction = theirs.parametrizations.weight.parameters()
    for mine, other in (
        (ours.length, length),
        (ours.direction, direction),
        (ours.bias, theirs.bias),
    ):
        other.data = mine.detach().clone()
    tokens = torch.randn(5, 4, dtype=torch.double)
    torch.testing.assert_close(ours(tokens), theirs(tokens))
    for model in (ours, theirs):
        model(tokens).square().sum().backward()
    torch.testing.assert_close(ours.length.grad, length.grad)
    torch.testing.assert_close(ours.direction.grad, direction.grad)
    torch.testing.assert_close(ours.bias.grad, theirs.bias.grad)
