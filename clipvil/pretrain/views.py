"""What the embedded encoders learn from and are probed on: pictures, captions, labels, batches.

Shapes   N pictures, B batch, H x W pixels, T words
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from jaxtyping import Float, UInt8
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from clipvil.encoders.base import Preprocessing
from clipvil.encoders.tiny import LONGEST, NATIVE, STRIDE, Words
from clipvil.worlds.tabletop.describe import captions, vocabulary
from clipvil.worlds.tabletop.draw import OTHER, PLAIN, SKETCH, render
from clipvil.worlds.tabletop.scene import (
    CAPTION,
    COLOURS,
    ORDER,
    PRETRAIN,
    PROBE,
    SHAPES,
    Dice,
    Scene,
    group,
    sample,
)

GROUP: Final = 8
PREPROCESSING: Final = Preprocessing(size=NATIVE, stride=STRIDE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What a run is; 2,000 steps of 256 pictures are 512k views, 13 of each picture."""

    objective: str
    steps: int = 2_000
    batch: int = 256
    groups: int = 5_000
    rate: float = 1.5e-3
    warmup: int = 100
    weight_decay: float = 0.05
    sketched: float = 0.15
    other_palette: float = 0.15
    jitter: int = 3  # pixels that a batch is moved by at most
    probe_every: int = 300
    probed: int = 2_500
    seed: int = 20_210


@dataclass(frozen=True, slots=True)
class Views:
    """What there is to learn from."""

    pixels: UInt8[Tensor, "N 3 H W"]
    captions: NDArray[np.int16]  # [N, 5, T], 0 pads
    labels: NDArray[np.int64]  # [N], the shape of the largest object


def picture(scene: Scene, recipe: Recipe) -> NDArray[np.uint8]:
    """A scene drawn in one of the styles; which one is the scene's own."""
    unit = np.random.default_rng([scene.salt, PRETRAIN]).random()
    style = SKETCH if unit < recipe.sketched else PLAIN
    if recipe.sketched <= unit < recipe.sketched + recipe.other_palette:
        style = OTHER
    return render(scene, style, PREPROCESSING.size[0]).transpose(2, 0, 1)


def views(recipe: Recipe) -> Views:
    """Draw and describe all scenes."""
    words, number = Words(vocabulary()), recipe.groups * GROUP
    pixels = np.empty((number, 3, *PREPROCESSING.size), np.uint8)
    told = np.zeros((number, 5, LONGEST), np.int16)
    labels = np.empty(number, np.int64)
    scenes = (scene for k in range(recipe.groups) for scene in group(recipe.seed, k, GROUP))
    for row, scene in enumerate(scenes):
        pixels[row] = picture(scene, recipe)
        ids = words(captions(scene, Dice(recipe.seed, CAPTION, row))).numpy()
        told[row, :, : ids.shape[1]] = ids
        labels[row] = max(scene.things, key=lambda thing: thing.radius).shape
    return Views(torch.from_numpy(pixels), told, labels)


def normal(pixels: UInt8[Tensor, "B 3 H W"]) -> Float[Tensor, "B 3 H W"]:
    """Bytes as the network wants them."""
    mean = 255 * torch.tensor(PREPROCESSING.mean).view(3, 1, 1)
    std = 255 * torch.tensor(PREPROCESSING.std).view(3, 1, 1)
    return ((pixels.float() - mean) / std).contiguous(memory_format=torch.channels_last)


def rows_of(recipe: Recipe, step: int) -> NDArray[np.int64]:
    """The pictures of a step: whole groups, each once an epoch."""
    held = recipe.batch // GROUP
    epoch, place = divmod(step, recipe.groups // held)
    order = np.random.default_rng([recipe.seed, ORDER, epoch]).permutation(recipe.groups)
    chosen = order[place * held : (place + 1) * held]
    rows: NDArray[np.int64] = (chosen[:, None] * GROUP + np.arange(GROUP)).reshape(-1)
    return rows


def moved(pixels: Tensor, recipe: Recipe, step: int) -> Tensor:
    """The whole batch moved by the same few pixels, its borders repeated."""
    most = recipe.jitter
    down, right = np.random.default_rng([recipe.seed, step]).integers(2 * most + 1, size=2)
    height, width = pixels.shape[-2:]
    wide = F.pad(pixels, (most,) * 4, mode="replicate")
    return wide[..., down : down + height, right : right + width]


class Probe:
    """Ridge regression from single cells to the shape and the colour of what lies there."""

    def __init__(self, recipe: Recipe) -> None:
        scenes = [sample(Dice(recipe.seed, PROBE, k)) for k in range(recipe.probed)]
        self.pixels = torch.from_numpy(np.stack([picture(s, recipe) for s in scenes]))
        cells = PREPROCESSING.size[0] // PREPROCESSING.stride
        found = {
            (k, int(t.y * cells), int(t.x * cells)): (t.shape, t.colour)  # the topmost stays
            for k, scene in enumerate(scenes)
            for t in scene.things
        }
        self.places = torch.tensor(list(found)).T  # picture, row, column
        self.labels = torch.tensor(list(found.values()))  # [things, 2]

    def __call__(self, network: nn.Module) -> dict[str, float]:
        """Accuracy on the last fifth of the pictures, fitted on the others."""
        network.eval()
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            grids = [network(normal(part))[0].float() for part in torch.split(self.pixels, 250)]
        network.train()
        picture, row, column = self.places
        cells = torch.cat(grids)[picture, row, column].double()
        fitting = picture < 0.8 * len(self.pixels)
        cells = (cells - cells[fitting].mean(0)) / (cells[fitting].std(0) + 1e-6)
        cells = F.pad(cells, (0, 1), value=1.0)
        gram = cells[fitting].T @ cells[fitting] + 10 * torch.eye(cells.shape[1])
        scores = {}
        for name, kind in (("shape", 0), ("colour", 1)):
            labels = self.labels[:, kind]
            target = F.one_hot(labels, (len(SHAPES), len(COLOURS))[kind]).double()
            weights = torch.linalg.solve(gram, cells[fitting].T @ target[fitting])
            right = (cells[~fitting] @ weights).argmax(1) == labels[~fitting]
            scores[name] = round(right.double().mean().item(), 4)
        return scores
