"""What a feature store says of itself: whose features, of which type, in which shards.

On disk  `manifest.json`, written last. A folder without one is unfinished.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import msgspec

from clipvil import files
from clipvil.encoders.base import Card
from clipvil.features.shards import Dtype

MANIFEST = "manifest.json"
VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """A shard as the manifest lists it."""

    name: str
    pictures: int
    cells: int
    bytes: int
    sha256: str
    sha256_ids: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where features come from that no encoder of ours wrote."""

    name: str  # as the user calls them
    format: str  # of the files they were converted from
    width: int  # D
    pooled_width: int | None  # P

    @property
    def fingerprint(self) -> str:
        """sha256 of all of it; two parts of one data set share it."""
        text = json.dumps(asdict(self), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What is in a store; nothing in it depends on when or how often it was interrupted."""

    version: int
    fingerprint: str
    encoder: Card | None  # or `origin`
    dtype: Dtype
    batch_size: int | None  # of the forward passes
    pictures: int
    cells: int
    failures: Mapping[str, str]  # id -> reason
    shards: tuple[Listed, ...]
    origin: Origin | None = None

    @classmethod
    def read(cls, path: Path) -> Manifest:
        """The manifest of the store at `path`.

        Raises
            FileNotFoundError: no such folder
            ValueError: unfinished, another version, or not a manifest
        """
        if not path.is_dir():
            raise FileNotFoundError(f"no feature store {path}")
        place = path / MANIFEST
        if not place.is_file():
            inside = sorted(str(found.parent) for found in path.rglob(MANIFEST))
            if inside:
                raise ValueError(f"{path} is a folder of stores: name {' or '.join(inside)}")
            raise ValueError(
                f"{path} is no store or unfinished (no {MANIFEST}): name the folder of a store, or "
                "run the same command again that began it"
            )
        content = files.read_json(place)
        version = content.get("version") if isinstance(content, dict) else None
        if version != VERSION:
            raise ValueError(f"{place}: version {version}, this clipvil reads {VERSION}")
        try:
            manifest = msgspec.convert(content, cls)
        except msgspec.ValidationError as error:
            raise ValueError(f"{place}: {error}") from error
        if (manifest.encoder is None) == (manifest.origin is None):
            raise ValueError(f"{place} tells not one encoder or origin")
        for listed in manifest.shards:
            if Path(listed.name).name != listed.name:
                raise ValueError(f"{place} names {listed.name!r}, which is no file beside it")
        return manifest

    def write(self, path: Path) -> None:
        """Write it into the store at `path`, which is finished by that."""
        files.write_json(path / MANIFEST, asdict(self), indent=1)

    @property
    def bytes(self) -> int:
        """Bytes of all shards, ids and manifest left out."""
        return sum(shard.bytes for shard in self.shards)
