"""Pictures of noise in three shapes, and one that is broken."""

from pathlib import Path

import numpy as np
from PIL import Image

SHAPES = {"a": (64, 64), "b": (96, 48), "c": (40, 100)}  # width, height
NAMES = [f"{shape}{copy}" for shape in SHAPES for copy in range(3)]
BROKEN = "broken"


def write(folder: Path) -> dict[str, Path]:
    """All of them, name -> file."""
    noise = np.random.default_rng(0)
    for name in NAMES:
        width, height = SHAPES[name[0]]
        pixels = noise.integers(0, 256, (height, width, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{name}.png")
    (folder / f"{BROKEN}.png").write_bytes(b"no picture")
    return {name: folder / f"{name}.png" for name in (*NAMES, BROKEN)}
