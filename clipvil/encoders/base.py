"""What every visual encoder is: host preprocessing plus a differentiable forward.

One object serves `encode`, a frozen encoder on the fly and a trained one inside a model. What comes
out is uniform whatever went in: a grid of cells, a mask of the cells that show the picture, and a
pooled vector where the network has one (its width differs from the grid's for CLIP). Encoders
trained with captions have a second half, a `TextEncoder`, whose vectors compare with the pooled.

Shapes   B batch, H x W pixels, R x C grid cells, D cell width, P pooled width, T tokens
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple, Protocol, Self

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from clipvil import pictures
from clipvil.core import UsageError

Fit = Literal["keep", "squash", "crop"]
Decode = Literal["exact", "fast"]


class Pixels(NamedTuple):
    """A picture ready for the network."""

    values: NDArray[np.uint8]  # [3, H, W]
    size: tuple[int, int]  # width, height of the original
    affine: tuple[float, float, float, float]  # grid x = a * x + b, grid y = c * y + d; in cells


@dataclass(frozen=True, slots=True, kw_only=True)
class Preprocessing:
    """How a picture becomes pixels. All of it is part of the fingerprint.

    fit   keep: the whole picture, aspect kept, sides a multiple of `stride` at about the area of
          `size`; squash: to exactly `size`; crop: short side resized, then the centre (as CLIP)
    size  (height, width)
    decode  exact: Pillow's pixels; fast: JPEGs decoded by simplejpeg, to Pillow's pixels, and
          resized by torch, up to 3 of 255 apart and 0.01 on average; up to 16 and 0.25 where
          Pillow resizes the height first, as some upright pictures. What is cropped, Pillow
          resizes: torch cuts between whole pixels only.
    """

    size: tuple[int, int]
    stride: int
    fit: Fit = "keep"
    interpolation: Literal["bilinear", "bicubic"] = "bicubic"
    mean: tuple[float, float, float] = (0.48145466, 0.4578275, 0.40821073)
    std: tuple[float, float, float] = (0.26862954, 0.26130258, 0.27577711)
    decode: Decode = "exact"

    def target(self, width: int, height: int) -> tuple[int, int]:
        """(height, width) in pixels of what the network gets; needs the picture's header only."""
        if self.fit != "keep":
            return self.size
        area = (self.size[0] // self.stride) * (self.size[1] // self.stride)  # in cells
        # no strip, however thin, costs more than `area` cells
        rows = min(area, max(1, round((area * height / width) ** 0.5)))
        columns = min(area, max(1, round((area * width / height) ** 0.5)))
        return rows * self.stride, columns * self.stride

    def read(self, path: Path) -> Pixels:
        """A file as what the network gets; the same as `self(pictures.read(path))`.

        Raises
            pictures.BrokenPictureError: not a picture, truncated or damaged
        """
        plain = pictures.read_jpeg(path) if self.decode == "fast" else None
        return self(pictures.read(path)) if plain is None else self._fitted(plain)

    def __call__(self, picture: Image.Image) -> Pixels:
        """Turn upright and resize to `target`; the network's forward normalises 0..255.

        Raises
            pictures.BrokenPictureError: truncated or damaged
        """
        upright = pictures.upright(picture)
        return self._fitted(upright if self.decode == "exact" else np.array(upright))

    def _fitted(self, picture: Image.Image | NDArray[np.uint8]) -> Pixels:
        """The picture, or its pixels [H, W, 3], resized to `target`."""
        if isinstance(picture, Image.Image):
            width, height = picture.size
        else:
            height, width = picture.shape[:2]
        rows, columns = self.target(width, height)
        box = (0.0, 0.0, float(width), float(height))
        if self.fit == "crop":
            scale = max(rows / height, columns / width)
            # no side longer than the picture's, not even by rounding
            w, h = min(width, columns / scale), min(height, rows / scale)
            box = ((width - w) / 2, (height - h) / 2, (width + w) / 2, (height + h) / 2)
            picture = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
        if isinstance(picture, Image.Image):
            resample = Image.Resampling[self.interpolation.upper()]
            small = np.array(picture.resize((columns, rows), resample, box=box))  # [H, W, 3]
        else:
            small = resized(picture, (rows, columns), self.interpolation)
        a = columns / self.stride / (box[2] - box[0])
        c = rows / self.stride / (box[3] - box[1])
        # a view: networks like their channels last, and a batch is stacked that way
        values = small.transpose(2, 0, 1)
        return Pixels(values, (width, height), (a, 0.0 - a * box[0], c, 0.0 - c * box[1]))


def resized(
    pixels: NDArray[np.uint8],
    target: tuple[int, int],
    interpolation: Literal["bilinear", "bicubic"],
) -> NDArray[np.uint8]:
    """Pixels [H, W, 3] at `target` (height, width) by torch, in 8 bits throughout as Pillow."""
    whole = torch.from_numpy(pixels).permute(2, 0, 1)[None]  # [1, 3, H, W]
    small = nn.functional.interpolate(
        whole, target, mode=interpolation, antialias=True, align_corners=False
    )
    return small[0].permute(1, 2, 0).numpy()


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """What an encoder is; its hash is the key of stored features."""

    name: str  # as the user wrote it, family first
    width: int  # D
    pooled_width: int | None  # P
    layer: str
    weights: str  # sha256 over the loaded tensors
    preprocessing: Preprocessing
    parameters: int
    options: Mapping[str, str] = field(default_factory=dict)

    @property
    def fingerprint(self) -> str:
        """sha256 of everything that decides the features."""
        text = json.dumps(asdict(self), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


class Encoded(NamedTuple):
    """What an encoder sees."""

    grid: Float[Tensor, "B R C D"]
    mask: Bool[Tensor, "B R C"]  # false on padding
    pooled: Float[Tensor, "B P"] | None


class Network(Protocol):
    """The differentiable part that a family provides: normalised pixels -> grid and pooled."""

    def __call__(
        self, pixels: Float[Tensor, "B 3 H W"]
    ) -> tuple[Float[Tensor, "B R C D"], Float[Tensor, "B P"] | None]: ...


class TextEncoder(Protocol):
    """What reads text into the space of an encoder's pooled vectors; an `nn.Module`."""

    @property
    def words(self) -> Callable[[Sequence[str]], Int[Tensor, "B T"]]:
        """Texts as token ids of one length."""

    def __call__(self, ids: Int[Tensor, "B T"]) -> Float[Tensor, "B P"]:
        """Embeddings of unit length."""


class Encoder(nn.Module):
    """An encoder made uniform. `card` says what it is, `preprocessing` how to feed it."""

    def __init__(self, card: Card, network: nn.Module) -> None:
        super().__init__()
        self.card = card
        self.preprocessing = card.preprocessing
        self.network = network
        self.frozen = False
        self.swapped = False  # whether red and blue are taken for each other
        mean, std = torch.tensor(card.preprocessing.mean), torch.tensor(card.preprocessing.std)
        self.register_buffer("mean", 255 * mean.view(3, 1, 1), persistent=False)
        self.register_buffer("std", 255 * std.view(3, 1, 1), persistent=False)
        self.mean: Tensor
        self.std: Tensor

    def forward(self, pixels: UInt8[Tensor, "B 3 H W"]) -> Encoded:
        """Encode pictures of one size."""
        dtype = next(self.network.parameters()).dtype
        if self.swapped:
            pixels = pixels.flip(1)
        normal = normalised(pixels, self.mean, self.std).to(dtype)  # [B, 3, H, W]
        grid, pooled = self.network(normal)
        mask = torch.ones(grid.shape[:3], dtype=torch.bool, device=grid.device)
        return Encoded(grid, mask, pooled)

    def mixed(self, pictures: Sequence[UInt8[Tensor, "3 _ _"]]) -> Encoded:
        """Encode pictures of several sizes, those of one size together.

        Cells are padded and masked, pixels never: convolutions and attention would see it.
        """
        alike = defaultdict[torch.Size, list[int]](list)
        for index, picture in enumerate(pictures):
            alike[picture.shape].append(index)
        seen = {
            k: (part.grid[row], None if part.pooled is None else part.pooled[row])
            for indices in alike.values()
            for part in (self(torch.stack([pictures[k] for k in indices])),)
            for row, k in enumerate(indices)
        }
        grids, pooled = zip(*(seen[k] for k in range(len(pictures))), strict=True)
        rows, columns = (max(grid.shape[axis] for grid in grids) for axis in (0, 1))
        grid = grids[0].new_zeros(len(grids), rows, columns, self.card.width)  # [B, R, C, D]
        mask = torch.zeros(grid.shape[:3], dtype=torch.bool, device=grid.device)
        for k, own in enumerate(grids):
            grid[k, : own.shape[0], : own.shape[1]] = own
            mask[k, : own.shape[0], : own.shape[1]] = True
        return Encoded(grid, mask, None if pooled[0] is None else torch.stack(pooled))

    def freeze(self) -> Self:
        """Use it as it is: no gradient for its weights, no training mode whatever surrounds it."""
        self.frozen = True
        self.requires_grad_(False)
        return self.eval()

    def train(self, mode: bool = True) -> Self:
        """Training mode, unless frozen."""
        return super().train(mode and not self.frozen)


def normalised(pixels: UInt8[Tensor, "B 3 H W"], mean: Tensor, std: Tensor) -> Tensor:
    """Pixels [B, 3, H, W] in fp32, less the mean, over the deviation (both [3, 1, 1])."""
    if pixels.is_contiguous() or not pixels.is_contiguous(memory_format=torch.channels_last):
        return (pixels.float() - mean) / std
    # by rows of pixels the same numbers come sooner than by groups of three
    batch, _, height, width = pixels.shape
    rows = pixels.permute(0, 2, 3, 1).flatten(2).float()  # [B, H, W * 3]
    normal = (rows - mean.flatten().repeat(width)) / std.flatten().repeat(width)
    return normal.view(batch, height, width, 3).permute(0, 3, 1, 2)


def device(name: str = "auto") -> torch.device:
    """Where encoders run: the device of that name; `auto` is the GPU where there is one.

    Raises
        UsageError: no such device, or not in this machine
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        torch.zeros(1, device=name).item()
    except (RuntimeError, AssertionError, NotImplementedError, ImportError) as error:
        first = str(error).splitlines()[0].partition(". ")[0]  # torch goes on for pages
        raise UsageError(f"--device {name}: {first}") from error
    return torch.device(name)


def hash_weights(network: nn.Module) -> str:
    """sha256 over names, shapes, dtypes and bytes of parameters and buffers."""
    digest = hashlib.sha256()
    for name, tensor in sorted(network.state_dict().items()):
        digest.update(f"{name}{tuple(tensor.shape)}{tensor.dtype}".encode())
        digest.update(
            tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
        )
    return digest.hexdigest()
