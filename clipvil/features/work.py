"""One process at work on shards: pictures decoded in threads, batches encoded, files written.

Shapes   B batch, H x W pixels, N cells of a picture, D cell width, P pooled width
"""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, Self, TypeVar

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

T = TypeVar("T")

AHEAD = 4  # batches decoded before they are needed, at most
TURN = 8  # the same, where the network waits: every turn ends with a core that has nothing to do


class Manner(NamedTuple):
    """How shards are made."""

    batch_size: int
    dtype: Dtype
    threads: int  # of torch; last bits depend on their number
    decoders: int  # threads that open pictures


def run(
    encoder: Encoder,
    todo: Sequence[tuple[Path, tuple[Picture, ...]]],
    how: Manner,
    wrote: Callable[[], None] = lambda: None,
) -> Iterator[str]:
    """Encode and write shards (file, pictures); yields the id of every picture when it is done.

    `wrote` is called whenever a shard is there, in the thread that wrote it.
    """

    def write(shard: Open, path: Path) -> None:
        shard.write(path)
        wrote()

    jobs = ((path, batch) for path, part in todo for batch in batches(part, how.batch_size))
    open_, writing = Open(encoder.card, how.dtype), None
    # whether there is a device of the network's own, or cores that it leaves
    beside = encoder.mean.device.type != "cpu" or how.threads < how.decoders
    with suited(encoder, how.threads), Aside(how.decoders, beside=beside) as aside:
        written = aside.write(lambda: None)
        for path, batch, decoded in prefetched(aside, encoder.card, jobs):
            if writing is not None and writing != path:
                aside.turn()
                written.result()  # the disk is one shard behind at most
                written = aside.write(partial(write, open_, writing))
                open_ = Open(encoder.card, how.dtype)
            writing = path
            open_.add(encoder, batch, decoded)
            yield from (picture.id for picture in batch)
        aside.turn()
        written.result()
        if writing is not None:
            write(open_, writing)


class Aside:
    """Threads for what is not the network's: pictures opened ahead, shards written behind.

    They work `beside` a network that leaves them cores. One that has threads on all cores has these
    wait for each other at every step, so that whoever takes a core from one takes it from all:
    there the work is held until the next `turn`, for which the network waits.
    """

    def __init__(self, decoders: int, *, beside: bool) -> None:
        self._decoders = ThreadPoolExecutor(decoders, "decode")
        self._disk = ThreadPoolExecutor(1, "write")
        self._begin, self._held = threading.Event(), list[Future[Any]]()
        self.beside = beside
        if beside:
            self._begin.set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._begin.set()
        self._decoders.shutdown(cancel_futures=True)
        self._disk.shutdown()  # what was encoded is kept

    def decode(self, work: Callable[[], T]) -> Future[T]:
        """Have a picture opened, at once or at the next turn."""
        return self._do(self._decoders, work)

    def write(self, work: Callable[[], T]) -> Future[T]:
        """Have a shard written, likewise."""
        return self._do(self._disk, work)

    def _do(self, pool: ThreadPoolExecutor, work: Callable[[], T]) -> Future[T]:
        def once_begun() -> T:
            self._begin.wait()
            return work()

        future = pool.submit(once_begun)
        if not self.beside:
            self._held.append(future)
        return future

    def turn(self) -> None:
        """Do what was held."""
        if not self.beside:
            self._begin.set()
            wait(self._held)
            self._begin.clear()
            self._held.clear()


Decoded = Pixels | str  # a reason, where a picture is broken


def prefetched(
    aside: Aside, card: Card, jobs: Iterator[tuple[Path, tuple[Picture, ...]]]
) -> Iterator[tuple[Path, tuple[Picture, ...], list[Decoded]]]:
    """Batches with their pixels, some of them decoded before they are needed."""
    waiting = deque[tuple[Path, tuple[Picture, ...], list[Future[Decoded]]]]()
    ahead = AHEAD if aside.beside else TURN
    while True:
        if aside.beside or not waiting:
            for path, batch in islice(jobs, ahead - len(waiting)):
                futures = [aside.decode(partial(decode, card, picture)) for picture in batch]
                waiting.append((path, batch, futures))
            aside.turn()
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
        # a CPU narrows fp32 twice as fast as bf16, to the same numbers
        stored = values.float().to(TORCH[self.dtype]).cpu()
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
