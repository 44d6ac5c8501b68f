"""One process at work on shards: pictures decoded ahead in threads, batches encoded, files written.

Shapes   B batch, H x W pixels, N cells of a picture, D cell width, P pooled width
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from clipvil import pictures
from clipvil.encoders.base import Card, Encoder, Pixels
from clipvil.features import shards
from clipvil.features.plan import Picture, batches
from clipvil.features.shards import TORCH, Dtype
from clipvil.processes import keep_memory

AHEAD = 4  # batches decoded before they are needed


class Manner(NamedTuple):
    """How shards are made."""

    batch_size: int
    dtype: Dtype
    threads: int  # of torch; last bits depend on their number
    decoders: int  # threads that open pictures


def run(
    encoder: Encoder, todo: Sequence[tuple[Path, tuple[Picture, ...]]], how: Manner
) -> Iterator[str]:
    """Encode and write shards (file, pictures); yields the id of every picture when it is done."""
    jobs = ((path, batch) for path, part in todo for batch in batches(part, how.batch_size))
    open_, writing = Open(encoder.card, how.dtype), None
    with (
        suited(encoder, how.threads),
        ThreadPoolExecutor(how.decoders, "decode") as pool,
        ThreadPoolExecutor(1, "write") as writer,
    ):
        written = writer.submit(lambda: None)
        try:
            for path, batch, decoded in prefetched(pool, encoder.card, jobs):
                if writing is not None and writing != path:
                    written.result()  # the disk is one shard behind at most
                    written = writer.submit(open_.write, writing)
                    open_ = Open(encoder.card, how.dtype)
                writing = path
                open_.add(encoder, batch, decoded)
                yield from (picture.id for picture in batch)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
        written.result()
        if writing is not None:
            open_.write(writing)


Decoded = Pixels | str  # a reason, where a picture is broken


def prefetched(
    pool: ThreadPoolExecutor, card: Card, jobs: Iterator[tuple[Path, tuple[Picture, ...]]]
) -> Iterator[tuple[Path, tuple[Picture, ...], list[Decoded]]]:
    """Batches with their pixels, decoded `AHEAD` of the one that is asked for."""
    waiting = deque[tuple[Path, tuple[Picture, ...], list[Future[Decoded]]]]()
    exhausted = False
    while True:
        while not exhausted and len(waiting) < AHEAD:
            job = next(jobs, None)
            if job is None:
                exhausted = True
            else:
                futures = [pool.submit(decode, card, picture) for picture in job[1]]
                waiting.append((*job, futures))
        if not waiting:
            return
        path, batch, pending = waiting.popleft()
        yield path, batch, [future.result() for future in pending]


def decode(card: Card, picture: Picture) -> Decoded:
    """A picture's pixels, or why there are none."""
    try:
        pixels = card.preprocessing.read(picture.path)
    except pictures.BrokenPictureError as error:
        return str(error)
    same = pixels.size == picture.size and pixels.values.shape[1:] == picture.target
    return pixels if same else "changed while it was being encoded"


@dataclass
class Open:
    """The shard in hand."""

    card: Card
    dtype: Dtype
    ids: list[str] = field(default_factory=list)
    values: list[Tensor] = field(default_factory=list)  # [B * N, D] each
    pooled: list[Tensor] = field(default_factory=list)  # [B, P] each
    grid: list[tuple[int, int]] = field(default_factory=list)
    size: list[tuple[int, int]] = field(default_factory=list)
    affine: list[tuple[float, float, float, float]] = field(default_factory=list)
    failures: dict[str, str] = field(default_factory=dict)

    def add(self, encoder: Encoder, batch: tuple[Picture, ...], decoded: list[Decoded]) -> None:
        """Encode a batch; pictures without pixels become failures."""
        whole = list[tuple[Picture, Pixels]]()
        for picture, found in zip(batch, decoded, strict=True):
            if isinstance(found, str):
                self.failures[picture.id] = found
            else:
                whole.append((picture, found))
        if not whole:
            return
        values, pooled, grid = forward(encoder, [pixels.values for _, pixels in whole])
        self.values.append(self._stored(values.flatten(0, 1), whole))
        if pooled is not None:
            self.pooled.append(self._stored(pooled, whole))
        self.ids += [picture.id for picture, _ in whole]
        self.grid += [grid] * len(whole)
        self.size += [picture.size for picture, _ in whole]
        self.affine += [pixels.affine for _, pixels in whole]

    def _stored(self, values: Tensor, whole: list[tuple[Picture, Pixels]]) -> Tensor:
        stored = values.to(TORCH[self.dtype]).cpu()
        # twenty times as fast as asking every number; one that is none makes both of them none
        if not torch.stack(stored.aminmax()).isfinite().all():
            advice = " (bf16 and fp32 reach further)" if self.dtype == "fp16" else ""
            raise ValueError(
                f"features of {whole[0][0].id} or the pictures of its batch are not finite "
                f"in {self.dtype}{advice}"
            )
        return stored

    def write(self, path: Path) -> None:
        """Write the shard."""
        dtype, n = TORCH[self.dtype], len(self.ids)
        cells = [rows * columns for rows, columns in self.grid]
        empty = torch.empty(0, self.card.width, dtype=dtype)
        tensors = {
            "values": torch.cat([empty, *self.values]),
            "offsets": torch.from_numpy(np.cumsum([0, *cells], dtype=np.int64)),
            "grid": torch.tensor(self.grid, dtype=torch.int32).reshape(n, 2),
            "size": torch.tensor(self.size, dtype=torch.int32).reshape(n, 2),
            "affine": torch.tensor(self.affine, dtype=torch.float32).reshape(n, 4),
        }
        if self.card.pooled_width is not None:
            none = torch.empty(0, self.card.pooled_width, dtype=dtype)
            tensors["pooled"] = torch.cat([none, *self.pooled])
        shards.write(path, tuple(self.ids), tensors, self.failures)


def forward(
    encoder: Encoder, pixels: list[NDArray[np.uint8]]
) -> tuple[Tensor, Tensor | None, tuple[int, int]]:
    """Cells [B, N, D], pooled [B, P] and the grid (rows, columns) of pictures of one size."""
    rows_first = np.stack([values.transpose(1, 2, 0) for values in pixels])  # [B, H, W, 3]
    # a view in torch's channels-last order: nothing is copied twice
    stacked = torch.from_numpy(rows_first).permute(0, 3, 1, 2).to(encoder.mean.device)
    with torch.inference_mode():
        encoded = encoder(stacked)
    assert bool(encoded.mask.all()), "pictures of one size have no padding"
    rows, columns = encoded.grid.shape[1:3]
    return encoded.grid.flatten(1, 2), encoded.pooled, (rows, columns)


@contextlib.contextmanager
def suited(encoder: Encoder, threads: int) -> Iterator[None]:
    """So many threads, and weights laid out as convolutions like them, a third faster."""
    keep_memory()
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    encoder.to(memory_format=torch.channels_last)
    try:
        yield
    finally:
        encoder.to(memory_format=torch.contiguous_format)
        torch.set_num_threads(before)
