"""Several processes at work on shards: `python -m clipvil.features.workers`.

A shard is what a process is handed: its batches are planned already, so it does not matter to a
byte of it who encodes it, or how many others are at work.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from itertools import repeat
from pathlib import Path

from clipvil import encoders, processes
from clipvil.encoders.base import Card, Encoder
from clipvil.features import work
from clipvil.features.plan import Picture
from clipvil.features.work import Manner
from clipvil.files.members import Entry, Member, member_of
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
            "pictures": [told(picture) for picture in pictures],
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


def told(picture: Picture) -> Job:
    """A picture as JSON-ready data; where one is in a zip, its place there goes along."""
    row: Job = {name: getattr(picture, name) for name in ("id", "size", "target", "bytes")}
    row["path"] = str(picture.path)
    if isinstance(picture.path, Member) and picture.path.entry is not None:
        entry = picture.path.entry
        row["entry"] = asdict(entry) | {"archive": str(entry.archive)}
    return row


def understood(row: Job) -> Picture:
    """The picture that `told` told."""
    path, entry = Path(row["path"]), row.get("entry")
    if entry is not None:
        place = Entry(**entry | {"archive": Path(entry["archive"])})
        path = member_of(row["path"], place)
    return Picture(row["id"], path, tuple(row["size"]), tuple(row["target"]), row["bytes"])


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
    pictures = tuple(map(understood, job["pictures"]))
    for _ in work.run(encoder, [(Path(job["path"]), pictures)], Manner(**job["how"])):
        yield 1


if __name__ == "__main__":
    processes.serve(do)
