"""A small encoder of a user's own, and pictures to look at."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from clipvil import encoders
from clipvil.encoders.base import Encoder

OWN = """
import time
import torch
from torch import nn
from clipvil.encoders.base import Preprocessing

class Patches(nn.Module):
    preprocessing = Preprocessing(size=(32, 32), stride=8)

    def __init__(self, seed, delay):
        super().__init__()
        torch.manual_seed(seed)
        self.delay = delay
        self.patches = nn.Conv2d(3, 6, 8, 8)

    def forward(self, pixels):
        time.sleep(self.delay * len(pixels))
        grid = self.patches(pixels).permute(0, 2, 3, 1)
        return grid, grid.mean((1, 2))[:, :4]

def build(seed="0", delay="0"):
    return Patches(int(seed), float(delay))
"""


@pytest.fixture(scope="session")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("own") / "patches.py"
    path.write_text(OWN)
    return path


@pytest.fixture(scope="session")
def encoder(own: Path) -> Encoder:
    return encoders.load(f"module:{own}")


@pytest.fixture(scope="session")
def draw() -> Callable[[Path, int], None]:
    """Writes some noisy pictures of several sizes."""

    def write(folder: Path, count: int) -> None:
        noise = np.random.default_rng(0)
        for index in range(count):
            width, height = noise.integers(16, 64, 2)
            pixels = noise.integers(0, 256, (height, width, 3), np.uint8)
            path = folder / f"{index % 3}" / f"{index:03d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(path)

    return write
