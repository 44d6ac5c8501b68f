"""Which pictures go into which batch of which shard: fixed before the first forward.

Everything follows from the pictures' names and headers, so that an interrupted run finds the very
same batches again, and so the very same bytes.
"""

from __future__ import annotations

import hashlib
import os
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path

from clipvil import files, pictures, progress
from clipvil.encoders.base import Card
from clipvil.features.shards import BYTES, Dtype

PLAN = "plan.json"
SHARD_BYTES = 64 << 20  # what a kill can cost, and what is held in memory
SHARD_PICTURES = 2048
SAMPLE = 1000  # pictures whose headers tell the disk that all will need
UNTOLD = ("Cc", "Cs", "Zl", "Zp")  # Unicode's categories of controls, halves and breaks


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture to encode, as its header describes it."""

    id: str
    path: Path
    size: tuple[int, int]  # width, height of the upright original
    target: tuple[int, int]  # height, width of what the network gets
    bytes: int  # of the file


@dataclass(frozen=True, slots=True)
class Plan:
    """Shards of pictures; `failures` are those whose header could not be read."""

    shards: tuple[tuple[Picture, ...], ...]
    failures: Mapping[str, str]

    @property
    def digest(self) -> str:
        """Hash of every picture's name, header and place in the plan."""
        digest = hashlib.sha256()
        for number, shard in enumerate(self.shards):
            for picture in shard:
                row = (number, picture.id, picture.size, picture.target, picture.bytes)
                digest.update(f"{row}\n".encode())
        for failure in sorted(self.failures.items()):
            digest.update(f"{failure}\n".encode())
        return digest.hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """`plan.json`: what a run began, so that another one can tell whether it is the same."""

    version: int
    fingerprint: str
    dtype: Dtype
    batch_size: int
    pictures: int
    shards: int
    digest: str
    threads: int = 1  # of torch, in each process; their number moves last bits

    def agree(self, out: Path) -> Begun:
        """Write it, or refuse a folder that another run began; gives what `out` was begun with.

        Where nothing is finished yet, what was begun binds nobody.

        Raises
            ValueError: another encoder, type, batch size or pictures, or other files in `out`
        """
        place = out / PLAN
        seen = (path.name for path in out.iterdir() if path != place)
        there = sorted(name for name in seen if not name.startswith("."))
        if not there:
            files.write_json(place, asdict(self), indent=1)
            return self
        if not place.is_file():
            raise ValueError(f"{out} holds {there[0]}: give a folder of its own")
        before: Begun = files.read_json(place, Begun)
        apart = {
            "version": "another version of this program",
            "fingerprint": "another encoder",
            "dtype": f"dtype {before.dtype}",
            "batch_size": f"batch size {before.batch_size}",
            "pictures": f"{before.pictures:,} pictures where there are {self.pictures:,} now",
            "digest": "other pictures under the same names, or other names",
        }
        for field, said in apart.items():
            if getattr(before, field) != getattr(self, field):
                raise ValueError(
                    f"{out} was begun with {said}: go on with what it was begun with, "
                    "or give another folder"
                )
        return before


def batches(shard: Sequence[Picture], batch_size: int) -> Iterator[tuple[Picture, ...]]:
    """The batches of a shard: pictures of one size each."""
    for _, alike in groupby(shard, key=lambda picture: picture.target):
        same = tuple(alike)
        for start in range(0, len(same), batch_size):
            yield same[start : start + batch_size]


def named(folder: Path) -> dict[str, Path]:
    """Pictures under a folder, or in zips there, by id: the path under it without suffix, sorted.

    A folder that cannot be read is there as `ID/`, so that what is in it is missed.

    Raises
        OSError: no such folder, or it cannot be read
        ValueError: no pictures, or two of one id, naming both
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"no folder {folder}")
    found, closed = dict[str, Path](), list[OSError]()
    for path in files.pictures(folder, closed.append):
        identity = path.relative_to(folder).with_suffix("").as_posix()
        if identity in found:
            both = f"{found[identity]} and {path}"
            raise ValueError(f"two pictures are called {identity}: {both}")
        found[identity] = path
    for error in closed:
        if (path := Path(error.filename)) == folder:
            raise error
        found[f"{path.relative_to(folder).as_posix()}/"] = path
    if not found:
        kinds = " ".join(sorted(files.PICTURES))
        raise ValueError(f"no pictures ({kinds}) under {folder}")
    return dict(sorted(found.items()))


def make(
    card: Card,
    sources: Mapping[str, Path],
    dtype: Dtype,
    shard_pictures: int = SHARD_PICTURES,
) -> Plan:
    """Plan the encoding of `sources` (id -> file), in the order of their ids.

    Raises
        ValueError: an id that cannot be a line of text
    """
    room = SHARD_BYTES // (card.width * BYTES[dtype])  # cells a shard
    whole, open_, cells = list[tuple[Picture, ...]](), list[Picture](), 0
    failures = dict[str, str]()
    for identity, path in sources.items():
        refuse_unprintable(identity, path)
    every = progress.track(sorted(sources.items()), "headers read", total=len(sources))
    for identity, path in every:
        try:
            picture = header(card, identity, path)
        except pictures.BrokenPictureError as error:
            closed = os.path.isdir(path)
            failures[identity] = "a folder that cannot be read" if closed else str(error)
            continue
        more = estimated_cells(card, picture.target)
        if open_ and (cells + more > room or len(open_) == shard_pictures):
            whole.append(arranged(open_))
            open_, cells = [], 0
        open_.append(picture)
        cells += more
    if open_:
        whole.append(arranged(open_))
    return Plan(tuple(whole), failures)


def refuse_unprintable(identity: str, path: Path) -> None:
    """Refuse an id that a text with one id a line cannot hold."""
    try:
        identity.encode()
    except UnicodeEncodeError:
        raise ValueError(f"the name of {path!r} is not UTF-8: rename it") from None
    if not is_line(identity):
        raise ValueError(f"the name of {str(path)!r} holds a line break or the like: rename it")


def is_line(identity: str) -> bool:
    """Whether an id can be a line of text; odd blanks may be in it, as screenshots' names have."""
    return bool(identity) and not any(unicodedata.category(c) in UNTOLD for c in identity)


def header(card: Card, identity: str, path: Path) -> Picture:
    """What a picture's header says."""
    size = pictures.size(path)
    target = card.preprocessing.target(*size)
    return Picture(identity, path, size, target, path.stat().st_size)


def arranged(shard: Sequence[Picture]) -> tuple[Picture, ...]:
    """Pictures of one size beside each other, so that they make full batches."""
    return tuple(sorted(shard, key=lambda picture: (picture.target, picture.id)))


def estimated_cells(card: Card, target: tuple[int, int]) -> int:
    """Cells of a picture; networks that round at the border may give a row more or less."""
    stride = card.preprocessing.stride
    return -(-target[0] // stride) * -(-target[1] // stride)


def disk_needed(card: Card, sources: Mapping[str, Path], dtype: Dtype = "fp16") -> int:
    """Bytes that the features of `sources` will take, from the headers of some of them."""
    paths = list(sources.values())
    sample = paths[:: max(1, len(paths) // SAMPLE)]
    sizes = list[tuple[int, int]]()
    for path in sample:
        try:
            sizes.append(card.preprocessing.target(*pictures.size(path)))
        except pictures.BrokenPictureError:
            continue
    cells = sum(estimated_cells(card, target) for target in sizes)
    numbers = cells * card.width + len(sizes) * (card.pooled_width or 0)
    return round(numbers * BYTES[dtype] * len(paths) / max(1, len(sample)))
