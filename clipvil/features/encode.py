"""Pictures -> feature store: planned, decoded in threads, written shard by shard.

Killed at any instant it loses the shard in hand, and the one before where that is still being
written; the same call goes on at the first one that is missing, and what comes out is byte for byte
what an uninterrupted run on the same device writes.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from clipvil import files, progress
from clipvil.encoders.base import Card, Encoder
from clipvil.features import plan, shards, work, workers
from clipvil.features.listing import Entry, Listing
from clipvil.features.manifest import MANIFEST, VERSION, Manifest
from clipvil.features.plan import Begun, Plan
from clipvil.features.shards import Dtype
from clipvil.features.work import Manner
from clipvil.features.workers import Team

BATCH_SIZES = {"cpu": 8, "cuda": 64}  # a CPU's cache is full with eight pictures
DECODERS = 16  # threads that open pictures, at most; Pillow does some 170 a second in each
# what a killed run may leave: ours, and what safetensors writes into before it renames
TEMPORARY = (".shard-*", ".tmp*", f".{MANIFEST}.*", f".{plan.PLAN}.*")


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
    team: Team | None = None,
) -> Summary:
    """Write the features of `sources` (id -> picture) into the store `out`, or go on with it.

    Works on the device that holds the encoder, or on those of a `team` of processes, which make the
    encoder again. The device's default batch size is taken where none is given. Pictures that
    cannot be read are left out and listed in the summary and the manifest. A shard, which is what
    a kill can cost, ends at `shard_pictures` or 64 MB.

    Bytes depend on the kind of device and, in the last bits, on the number of threads that torch
    has; a store is gone on with by as many as it was begun with. A team's processes have an even
    share of them each; how many shards are in work at once changes no byte.

    Raises
        ValueError: `out` was begun with something else, is being written, or is short of disk;
            an id that is no line of text; features that are not finite in `dtype`; a process of
            the team was killed
    """
    start = time.monotonic()
    devices = (str(encoder.mean.device),) if team is None else team.devices
    kind = torch.device(devices[0]).type
    if batch_size is None:
        batch_size = BATCH_SIZES.get(kind, max(BATCH_SIZES.values()))
    with files.locked(out):
        for pattern in TEMPORARY:
            for leftover in out.glob(pattern):
                leftover.unlink()
        planned = plan.make(encoder.card, sources, dtype, shard_pictures)
        begun = Begun(
            version=VERSION,
            fingerprint=encoder.card.fingerprint,
            dtype=dtype,
            batch_size=batch_size,
            pictures=len(sources),
            shards=len(planned.shards),
            digest=planned.digest,
            threads=max(1, torch.get_num_threads() // len(devices)),
        ).agree(out)
        encoded = 0
        if not (out / MANIFEST).is_file():
            todo = [n for n in range(len(planned.shards)) if not finished(out, planned, n)]
            require_space(out, encoder.card, planned, todo, dtype)
            pieces = [(out / shards.name(n), planned.shards[n]) for n in todo]
            for path, _ in pieces:  # a damaged one must not be taken for the one that replaces it
                path.unlink(missing_ok=True)
            how = Manner(batch_size, dtype, begun.threads, decoders(len(devices)))
            listing = Listing([path for path, _ in pieces])
            done = (
                work.run(encoder, pieces, how, listing.look)
                if team is None
                else workers.run(team, encoder.card, pieces, how)
            )
            total = sum(len(pictures) for _, pictures in pieces)
            for _ in progress.track(done, "pictures", total=total):
                encoded += 1
                if team is not None:  # which writes in processes of its own
                    listing.look()
            entries = [*listing.finish([out / shards.name(n) for n in range(len(planned.shards))])]
            manifest_of(encoder.card, planned, entries, dtype, batch_size).write(out)
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


def decoders(processes: int) -> int:
    """Threads that open pictures, in each of so many processes."""
    return max(1, min(DECODERS, (os.cpu_count() or 1) // processes))


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
    if todo:
        progress.say(
            f"{len(todo_pictures):,} pictures to encode into {out}: they need "
            f"{progress.size(needed)} of disk, {progress.size(free)} are free"
        )
    if needed > free:
        raise ValueError(
            f"{out} needs {progress.size(needed)} and has {progress.size(free)} free: "
            "make room, or encode fewer pictures at a smaller size"
        )


def manifest_of(
    card: Card, planned: Plan, entries: Sequence[Entry], dtype: Dtype, batch_size: int
) -> Manifest:
    """The manifest of a store whose shards are all written."""
    failures = dict(planned.failures)
    for entry in entries:
        failures |= entry.failures
    return Manifest(
        version=VERSION,
        fingerprint=card.fingerprint,
        encoder=card,
        dtype=dtype,
        batch_size=batch_size,
        pictures=sum(entry.listed.pictures for entry in entries),
        cells=sum(entry.listed.cells for entry in entries),
        failures=dict(sorted(failures.items())),
        shards=tuple(entry.listed for entry in entries),
    )
