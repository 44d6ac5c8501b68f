"""An encoder out of a user's own file."""

from pathlib import Path

import pytest
import torch

from clipvil import encoders
from clipvil.core import UsageError

OWN = """
import torch
from torch import nn
from clipvil.encoders.base import Preprocessing

class Mine(nn.Module):
    preprocessing = Preprocessing(size=(32, 32), stride=8)

    def __init__(self, value):
        super().__init__()
        self.patches = nn.Conv2d(3, 6, 8, 8)
        nn.init.constant_(self.patches.weight, value)

    def forward(self, pixels):
        grid = self.patches(pixels).permute(0, 2, 3, 1)
        return grid, grid.mean((1, 2))[:, :4]

class Alone(Mine):
    def forward(self, pixels):
        return super().forward(pixels)[0]

def build(value="0.1"):
    torch.manual_seed(0)
    return Mine(float(value))

def alone():
    return Alone(0.1)

def nothing():
    return 3
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "mine.py"
    path.write_text(OWN)
    return path


def test_a_plain_network_becomes_an_encoder(file: Path) -> None:
    encoder = encoders.load(f"module:{file}:build")
    card = encoder.card
    assert (card.width, card.pooled_width, card.parameters) == (6, 4, 3 * 6 * 64 + 6)
    with torch.inference_mode():
        seen = encoder(torch.zeros(2, 3, 24, 40, dtype=torch.uint8))
    assert seen.grid.shape == (2, 3, 5, 6) and seen.mask.all() and seen.pooled.shape == (2, 4)
    assert encoders.load(f"module:{file}").card.width == 6, "build is the default"
    assert encoders.load(f"module:{file}:alone").card.pooled_width is None


def test_the_fingerprint_follows_weights_and_code(file: Path) -> None:
    spec = f"module:{file}:build"
    first = encoders.load(spec).card
    assert encoders.load(spec).card.fingerprint == first.fingerprint
    assert encoders.load(f"{spec},value=0.2").card.weights != first.weights
    file.write_text(OWN.replace("[:, :4]", "[:, :4] * 2"))
    second = encoders.load(spec).card
    assert second.weights == first.weights and second.fingerprint != first.fingerprint


@pytest.mark.parametrize(
    ("tail", "said"),
    [(":builds", "build"), (":nothing", "int"), (":build,values=1", "values"), ("x", "no file")],
)
def test_what_is_no_encoder_is_refused(file: Path, tail: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        encoders.load(f"module:{file}{tail}")


def test_weights_left_to_chance_are_the_same_each_time(file: Path) -> None:
    torch.manual_seed(1)
    first = encoders.load(f"module:{file}:alone").card
    assert encoders.load(f"module:{file}:alone").card.fingerprint == first.fingerprint
    drawn = torch.rand(3)
    torch.manual_seed(1)
    assert torch.equal(drawn, torch.rand(3)), "and others draw what they would have drawn"
