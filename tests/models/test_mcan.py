"""MCAN's sizes: those of its release, counted there with 18,000 words and cells 2,048 wide."""

import pytest
import torch

from clipvil.models import mcan


@pytest.mark.parametrize(
    ("config", "parameters"),
    [(mcan.Config(), 57_040_891), (mcan.Config(width=1_024, flat=2_048), 200_951_291)],
    ids=["small", "large"],
)
def test_it_has_the_published_size(config: mcan.Config, parameters: int) -> None:
    with torch.device("meta"):
        model = mcan.Model(config, image_width=2_048, num_words=18_000, num_answers=3_129)
    assert sum(p.numel() for p in model.parameters()) == parameters
