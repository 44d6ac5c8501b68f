"""Pictures -> feature store: planned, decoded ahead in threads, written shard by shard.

Killed at any instant it loses the shard in hand; the same call goes on at the first one that is
missing, and what comes out is byte for byte what an uninterrupted run on the same device writes.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from clipvil import files, pictures, progress
from clipvil.encoders.base import Card, Encoder, Pixels
from clipvil.features import plan, shards
from clipvil.features.plan import Begun, Picture, Plan
from clipvil.features.shards import TORCH, Dtype
from clipvil.features.store import MANIFEST, VERSION, Listed, Manifest

BATCH_SIZES = {"cpu": 8, "cuda": 64}  # a CPU's cache is full with eight pictures
AHEAD = 4  # batches decoded before they are needed
THREADS = 16  # at most; Pillow decodes some 170 pictures a second and thread
TEMPORARY = (".shard-*", f".{MANIFEST}.*", f".{plan.PLAN}.*")  # what a killed run may leave


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What a call did, and what the store now holds."""

    path: Path
    pictures: int
    failures: Mapping[str, str]  # id -> reason
    shards: int
    bytes: int
    encoded: int  # pictures in this call; the others were there already
    seconds: float  # of this call


def encode(
    encoder: Encoder,
    sources: Mapping[str, Path],
    out: Path,
    *,
    dtype: Dtype = "fp16",
    batch_size: int | None = None,
    shard_pictures: int = plan.SHARD_PICTURES,
) -> Summary:
    """Write the features of `sources` (id -> picture) into the store `out`, or go on with it.

    Works on the device that holds the encoder, whose default batch size is taken where none is
    given. Pictures that cannot be read are left out and listed in the summary and the manifest.
    A shard, which is what a kill can cost, ends at `shard_pictures` or 64 MB.

    Raises
        ValueError: `out` was begun with something else, is being written, or is short of disk;
            an id that is no line of text; features that are not finite in `dtype`
    """
    start = time.monotonic()
    if batch_size is None:
        batch_size = BATCH_SIZES.get(encoder.mean.device.type, max(BATCH_SIZES.values()))
    with files.locked(out):
        for pattern in TEMPORARY:
            for leftover in out.glob(pattern):
                leftover.unlink()
        planned = plan.make(encoder.card, sources, dtype, batch_size, shard_pictures)
        begun = Begun(
            version=VERSION,
            fingerprint=encoder.card.fingerprint,
            dtype=dtype,
            batch_size=batch_size,
            pictures=len(sources),
            shards=len(planned.shards),
            digest=planned.digest,
        )
        begun.agree(out)
        encoded = 0
        if not (out / MANIFEST).is_file():
            todo = [n for n in range(len(planned.shards)) if not finished(out, planned, n)]
            require_space(out, encoder.card, planned, todo, dtype)
            total = sum(len(planned.shards[n]) for n in todo)
            with channels_last(encoder):
                done = run(encoder, planned, todo, out, dtype)
                for _ in progress.track(done, "pictures", total=total):
                    encoded += 1
            listing(encoder.card, planned, out, dtype).write(out)
        manifest = Manifest.read(out)
    return Summary(
        path=out,
        pictures=manifest.pictures,
        failures=manifest.failures,
        shards=len(manifest.shards),
        bytes=manifest.bytes,
        encoded=encoded,
        seconds=time.monotonic() - start,
    )


@contextlib.contextmanager
def channels_last(encoder: Encoder) -> Iterator[None]:
    """Lay weights out as convolutions like them, a third faster; values are the same."""
    encoder.to(memory_format=torch.channels_last)
    try:
        yield
    finally:
        encoder.to(memory_format=torch.contiguous_format)


def finished(out: Path, planned: Plan, number: int) -> bool:
    """Whether a shard is there, whole and about the pictures that the plan puts into it."""
    try:
        shard = shards.read(out / shards.name(number))
    except (ValueError, OSError):
        return False
    return {*shard.ids, *shard.failures} == {picture.id for picture in planned.shards[number]}


def require_space(out: Path, card: Card, planned: Plan, todo: list[int], dtype: Dtype) -> None:
    """Refuse what will not fit on the disk, before it is full."""
    todo_pictures = [picture for number in todo for picture in planned.shards[number]]
    cells = sum(plan.estimated_cells(card, picture.target) for picture in todo_pictures)
    numbers = cells * card.width + len(todo_pictures) * (card.pooled_width or 0)
    needed, free = numbers * shards.BYTES[dtype], shutil.disk_usage(out).free
    if needed > free:
        raise ValueError(
            f"{out} needs {progress.size(needed)} and has {progress.size(free)} free: "
            "make room, or encode fewer pictures at a smaller size"
        )


def run(encoder: Encoder, planned: Plan, todo: list[int], out: Path, dtype: Dtype) -> Iterator[str]:
    """Encode and write the shards of `todo`; yields the id of every picture when it is done."""
    jobs = ((number, batch) for number in todo for batch in planned.batches(number))
    workers = min(THREADS, os.cpu_count() or 1)
    open_, number = Open(encoder.card, dtype), -1
    with ThreadPoolExecutor(workers, "decode") as pool:
        try:
            for current, batch, decoded in prefetched(pool, encoder.card, jobs):
                if current != number and number >= 0:
                    open_.write(out / shards.name(number))
                    open_ = Open(encoder.card, dtype)
                number = current
                open_.add(encoder, batch, decoded)
                yield from (picture.id for picture in batch)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
    if number >= 0:
        open_.write(out / shards.name(number))


Decoded = Pixels | str  # a reason, where a picture is broken


def prefetched(
    pool: ThreadPoolExecutor, card: Card, jobs: Iterator[tuple[int, tuple[Picture, ...]]]
) -> Iterator[tuple[int, tuple[Picture, ...], list[Decoded]]]:
    """Batches with their pixels, decoded `AHEAD` of the one that is asked for."""
    waiting = deque[tuple[int, tuple[Picture, ...], list[Future[Decoded]]]]()
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
        number, batch, pending = waiting.popleft()
        yield number, batch, [future.result() for future in pending]


def decode(card: Card, picture: Picture) -> Decoded:
    """A picture's pixels, or why there are none."""
    try:
        pixels = card.preprocessing(pictures.read(picture.path))
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
        if not stored.isfinite().all():
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
    stacked = torch.from_numpy(np.stack(pixels)).to(encoder.mean.device)  # [B, 3, H, W]
    stacked = stacked.contiguous(memory_format=torch.channels_last)
    with torch.inference_mode():
        encoded = encoder(stacked)
    assert bool(encoded.mask.all()), "pictures of one size have no padding"
    rows, columns = encoded.grid.shape[1:3]
    return encoded.grid.flatten(1, 2), encoded.pooled, (rows, columns)


def listing(card: Card, planned: Plan, out: Path, dtype: Dtype) -> Manifest:
    """The manifest of a store whose shards are all written."""
    listed, failures = list[Listed](), dict(planned.failures)
    for number in range(len(planned.shards)):
        path = out / shards.name(number)
        shard = shards.read(path)
        failures |= shard.failures
        listed.append(
            Listed(
                name=path.name,
                pictures=len(shard.ids),
                cells=len(shard.values),
                bytes=path.stat().st_size,
                sha256=files.sha256(path),
                sha256_ids=files.sha256(shards.ids_path(path)),
            )
        )
    return Manifest(
        version=VERSION,
        fingerprint=card.fingerprint,
        encoder=card,
        dtype=dtype,
        batch_size=planned.batch_size,
        pictures=sum(shard.pictures for shard in listed),
        cells=sum(shard.cells for shard in listed),
        failures=dict(sorted(failures.items())),
        shards=tuple(listed),
    )
