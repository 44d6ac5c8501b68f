"""Pictures from their files: their pixels, or what an encoder at hand sees in them.

Shapes   B batch, N cells of width I (or pixels of width 3), H x W pixels, R x C cells
"""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F
from torch.nn.utils import parametrize

from clipvil import pictures as opening
from clipvil import progress
from clipvil.data.sight import Grids, Statistics, sample
from clipvil.encoders.base import Encoded, Encoder, Pixels, Preprocessing
from clipvil.errors import UsageError
from clipvil.features.lookup import Affine

ROOM = 256 << 20  # bytes of decoded pictures that are kept
TOGETHER = 32  # pictures a forward of an encoder


class Shown:
    """Pictures as they are, for a model that brings its encoder: a cell is a pixel, 0 to 255.

    What was decoded is kept in memory, the latest `room` bytes of it.
    """

    width = 3

    def __init__(
        self, preprocessing: Preprocessing, files: Mapping[str, Path], room: int = ROOM
    ) -> None:
        self._preprocessing, self._files, self._room = preprocessing, files, room
        self._kept = OrderedDict[str, Pixels]()
        self._held = 0  # bytes
        self._told = set[str]()

    def look(self, pictures: Sequence[str]) -> Grids:
        """The pixels of each picture; one that cannot be read has none, which is said once."""
        found = self.read(pictures)
        grid = np.array([pixels.values.shape[1:] for pixels in found], np.int64)
        counts = grid.prod(1)
        image = np.zeros((len(pictures), max(1, counts.max()), 3), np.uint8)
        for row, (pixels, count) in enumerate(zip(found, counts, strict=True)):
            image[row, :count] = pixels.values.transpose(1, 2, 0).reshape(-1, 3)
        seen = np.arange(image.shape[1]) < counts[:, None]  # [B, N]
        return Grids(*map(torch.from_numpy, (image, seen, grid)))

    def pooled(self, pictures: Sequence[str]) -> None:
        """None: whoever sees pixels has an encoder."""

    def affine(self, pictures: Sequence[str]) -> list[Affine]:
        """Nothing is pooled out of pixels.

        Raises
            UsageError: regions of pictures were asked for
        """
        raise UsageError("regions are pooled from cells: train with sight=stored or sight=live")

    def read(self, pictures: Sequence[str]) -> list[Pixels]:
        """Pictures as the encoder wants them."""
        found = {name: self._kept[name] for name in pictures if name in self._kept}
        new = [name for name in dict.fromkeys(pictures) if name not in found]
        with ThreadPoolExecutor(torch.get_num_threads()) as pool:  # Pillow lets others run
            found |= zip(new, pool.map(self._decode, new), strict=True)
        for name in dict.fromkeys(pictures):
            self._keep(name, found[name])
        return [found[name] for name in pictures]

    def _decode(self, name: str) -> Pixels:
        try:
            return self._preprocessing.read(self._files[name])
        except opening.BrokenPictureError as error:
            if name not in self._told:
                self._told.add(name)
                progress.say(f"{self._files[name]}: {error}; it counts as empty")
            return Pixels(np.zeros((3, 0, 0), np.uint8), (0, 0), (0.0, 0.0, 0.0, 0.0))

    def _keep(self, name: str, pixels: Pixels) -> None:
        """Keep what was looked at last, as far as there is room."""
        if name not in self._kept:
            self._held += pixels.values.nbytes
        self._kept[name] = pixels
        self._kept.move_to_end(name)
        while self._held > self._room:
            self._held -= self._kept.popitem(last=False)[1].values.nbytes


class Live:
    """Cells straight from pixels, by an encoder that is at hand instead of a store."""

    def __init__(self, encoder: Encoder, files: Mapping[str, Path], statistics: Statistics) -> None:
        self._encoder, self._shown = encoder, Shown(encoder.preprocessing, files)
        device = encoder.mean.device
        self._mean = torch.from_numpy(statistics.mean).to(device)
        self._deviation = torch.from_numpy(statistics.deviation).to(device)
        self.width = encoder.card.width
        self._pooled = statistics.pooled

    def look(self, pictures: Sequence[str]) -> Grids:
        """The cells of each picture, as `Stored` has them of a store that keeps every bit."""
        image, _, grid = self._shown.look(pictures)
        device = self._mean.device
        with torch.no_grad():
            found = cells(
                self._encoder, image.to(device), grid.to(device), self._mean, self._deviation
            )
        return Grids(*(part.cpu() for part in found))

    def pooled(self, pictures: Sequence[str]) -> Float[Tensor, "B P"] | None:
        """As `Stored` has them of a store that keeps every bit."""
        if self._pooled is None:
            return None
        mean, deviation = self._pooled.mean, self._pooled.deviation
        image, _, sizes = self._shown.look(pictures)
        vectors, device = torch.zeros(len(pictures), len(mean)), self._mean.device
        with torch.no_grad():
            for rows, seen in encoded(self._encoder, image.to(device), sizes):
                assert seen.pooled is not None, "statistics tell of pooled vectors"
                values = seen.pooled.float().cpu() - torch.from_numpy(mean)
                vectors[rows] = values / torch.from_numpy(deviation)
        return vectors

    def affine(self, pictures: Sequence[str]) -> list[Affine]:
        """a, b, c, d of each: its pixel (x, y) is at (a x + b, c y + d), in cells."""
        return [pixels.affine for pixels in self._shown.read(pictures)]


def cells(
    encoder: Encoder,
    pixels: UInt8[Tensor, "B N 3"],
    sizes: Int[Tensor, "B 2"],
    mean: Float[Tensor, " I"],
    deviation: Float[Tensor, " I"],
) -> Grids:
    """The standardised cells of pictures that `Shown` gave; no pixels make one empty cell."""
    new = torch.ones(len(pixels), dtype=torch.bool, device=pixels.device)
    # questions about a picture stand together in a split: it is encoded once
    new[1:] = (pixels[1:] != pixels[:-1]).flatten(1).any(1) | (sizes[1:] != sizes[:-1]).any(1)
    found_in = encoded(encoder, pixels[new], sizes[new])
    grids = [(rows, seen.grid.float()) for rows, seen in found_in]
    longest = max((found.shape[1] * found.shape[2] for _, found in grids), default=1)
    count = int(new.sum())
    grid = torch.ones(count, 2, dtype=torch.long)
    order, parts = list[int](), list[Tensor]()
    for rows, found in grids:
        standard = (found.flatten(1, 2) - mean) / deviation  # [b, N, I]
        parts.append(F.pad(standard, (0, 0, 0, longest - standard.shape[1])))
        grid[rows] = torch.tensor(found.shape[1:3])
        order += rows
    empty = sorted({*range(count)} - {*order})
    parts.append(mean.new_zeros(len(empty), longest, len(mean)))
    shown = new.cumsum(0) - 1  # [B], which of the distinct ones
    place = torch.tensor([*order, *empty]).argsort().to(pixels.device)[shown]
    grid = grid.to(pixels.device)[shown]
    seen = torch.arange(longest, device=pixels.device) < grid.prod(1, keepdim=True)
    return Grids(torch.cat(parts)[place], seen, grid)


def encoded(
    encoder: Encoder, pixels: UInt8[Tensor, "B N 3"], sizes: Int[Tensor, "B 2"]
) -> Iterator[tuple[list[int], Encoded]]:
    """Rows of pictures of one size, and what is seen in them; those without pixels are left out."""
    alike = defaultdict[tuple[int, int], list[int]](list)
    for row, (height, width) in enumerate(sizes.tolist()):
        if height:
            alike[height, width].append(row)
    with parametrize.cached():  # LoRA: attention asks for a weight several times
        for (height, width), rows in alike.items():
            for start in range(0, len(rows), TOGETHER):
                some = rows[start : start + TOGETHER]
                whole = pixels[some, : height * width].reshape(len(some), height, width, 3)
                # permuted only: networks like their channels last
                yield some, encoder(whole.permute(0, 3, 1, 2))


def statistics(encoder: Encoder, files: Mapping[str, Path], pictures: Sequence[str]) -> Statistics:
    """Of an encoder's cells of some pictures, as `Statistics.of` has them of stored ones."""

    def grids() -> Iterator[NDArray[np.float32]]:
        names, shown = sample(pictures), Shown(encoder.preprocessing, files, room=0)
        for start in range(0, len(names), TOGETHER):
            image, _, sizes = shown.look(names[start : start + TOGETHER])
            device = encoder.mean.device
            with torch.inference_mode():
                found = {
                    row: grid.reshape(-1, grid.shape[-1])  # [N, I]
                    for rows, seen in encoded(encoder, image.to(device), sizes)
                    for row, grid in zip(rows, seen.grid.float().cpu().numpy(), strict=True)
                }
            yield from (found[row] for row in sorted(found))

    return Statistics.over(encoder.card.width, grids())
