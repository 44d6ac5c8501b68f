"""Pythia's size: that of MMF's modules in its configuration, with 18,000 words."""

import pytest
import torch

from clipvil.models import pythia


@pytest.mark.parametrize(("width", "parameters"), [(2_048, 95_437_388), (2_560, 100_557_388)])
def test_it_has_the_published_size(width: int, parameters: int) -> None:
    with torch.device("meta"):
        model = pythia.Model(
            pythia.Config(), image_width=width, num_words=18_000, num_answers=3_129
        )
    assert sum(p.numel() for p in model.parameters()) == parameters
