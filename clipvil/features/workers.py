"""Several processes at work on shards: `python -m clipvil.features.workers`.

A shard is what a process is handed: its batches are planned already, so it does not matter to a
byte of it who encodes it, or how many others are at work.
"""

from __future__ import annotations

import base64
import pickle
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import repeat
from pathlib import Path

from clipvil import encoders, processes
from clipvil.encoders.base import Card, Encoder
from clipvil.features import work
from clipvil.features.plan import Picture
from clipvil.features.work import Manner
from clipvil.processes import Job


@dataclass(frozen=True, slots=True, kw_only=True)
class Team:
    """Processes that encode side by side."""

    encoder: str  # what `encoders.load` makes it from
    devices: tuple[str, ...]  # one a process


def run(
    team: Team, card: Card, todo: Sequence[tuple[Path, tuple[Picture, ...]]], how: Manner
) -> Iterator[None]:
    """Encode and write shards (file, pictures) in the processes of a team; yields for each picture.

    Raises
        ValueError: a shard failed, or a process was killed; finished shards stay
    """
    jobs: list[Job] = [
        {
            "what": path.name,
            "path": str(path),
            "encoder": team.encoder,
            "fingerprint": card.fingerprint,
            "how": how._asdict(),
            # by and for ourselves: a path may be more than its text
            "pictures": base64.b64encode(pickle.dumps(pictures)).decode(),
        }
        for path, pictures in todo
    ]
    with processes.Workers(
        __name__,
        team.devices[: len(jobs)],
        threads=how.threads,
        advice="fewer --processes or a smaller --batch-size",
    ) as workers:
        for done in workers.run(jobs):
            yield from repeat(None, done)


@cache
def loaded(spec: str, device: str) -> Encoder:
    """The encoder of this process."""
    return encoders.load(spec).to(device)


def do(job: Job, device: str) -> Iterator[int]:
    """One shard, in this process.

    Raises
        ValueError: this process has made another encoder of the same text
    """
    encoder = loaded(job["encoder"], device)
    if encoder.card.fingerprint != job["fingerprint"]:
        raise ValueError(f"{job['encoder']} is another encoder in every process: fix its weights")
    pictures: tuple[Picture, ...] = pickle.loads(base64.b64decode(job["pictures"]))
    for _ in work.run(encoder, [(Path(job["path"]), pictures)], Manner(**job["how"])):
        yield 1


if __name__ == "__main__":
    processes.serve(do)
