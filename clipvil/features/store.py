"""A feature store: what an encoder saw in many pictures, read at random by memory map.

On disk  `manifest.json`, written last, and the shards that it lists (see `shards`). A folder
         without a manifest is unfinished.
Shapes   N cells of a picture, D width, P pooled width
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray

from clipvil import files, progress
from clipvil.encoders.base import Card
from clipvil.features import shards
from clipvil.features.shards import Dtype, Shard

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


class Store:
    """Features by picture. Small tables are held, cells stay on disk until they are read.

    Args:
        path: the store's folder
        card: of the encoder that will use it; a store of another one is refused

    Raises
        FileNotFoundError: no such folder
        ValueError: unfinished, damaged, or of another encoder
    """

    def __init__(self, path: Path, *, card: Card | None = None) -> None:
        self.path = path
        self.manifest = Manifest.read(path)
        if card is not None and card.fingerprint != self.fingerprint:
            apart = "converted ones" if self.card is None else difference(self.card, card)
            raise ValueError(f"{path} holds other features: {apart}")
        self._shards = [shards.read(path / listed.name) for listed in self.manifest.shards]
        for listed, shard in zip(self.manifest.shards, self._shards, strict=True):
            self._check(listed, shard)
        self._values = [shards.tensor(shard.values) for shard in self._shards]
        names = (identity for shard in self._shards for identity in shard.ids)
        self.ids: Mapping[str, int] = {identity: i for i, identity in enumerate(names)}
        if len(self.ids) != self.manifest.pictures:
            raise ValueError(f"{path}: {len(self.ids)} ids for {self.manifest.pictures} pictures")
        self._starts = np.cumsum([0, *(len(shard.ids) for shard in self._shards)])

    def _check(self, listed: Listed, shard: Shard) -> None:
        widths = (shard.values.shape[1], None if shard.pooled is None else shard.pooled.shape[1])
        counts = (len(shard.ids), len(shard.values))
        if self.card is not None:
            for tensor in ("grid", "size", "affine"):
                if getattr(shard, tensor) is None:
                    raise ValueError(f"{self.path / listed.name} has no {tensor!r}")
        if counts != (listed.pictures, listed.cells) or (
            shard.ids and widths != (self.width, self.pooled_width)
        ):
            raise ValueError(f"{self.path / listed.name} is not the shard that the manifest lists")

    def __reduce__(self) -> tuple[type[Store], tuple[Path]]:
        return Store, (self.path,)  # a worker maps the files itself

    def __len__(self) -> int:
        return len(self.ids)

    def __contains__(self, picture: str) -> bool:
        return picture in self.ids

    @property
    def card(self) -> Card | None:
        """The encoder whose features these are; None where they were converted."""
        return self.manifest.encoder

    @property
    def name(self) -> str:
        """Of the encoder, or what converted features are called."""
        return self._maker.name

    @property
    def _maker(self) -> Card | Origin:
        maker = self.manifest.encoder or self.manifest.origin
        assert maker is not None, "a manifest tells one of them"
        return maker

    @property
    def fingerprint(self) -> str:
        """The encoder's fingerprint."""
        return self.manifest.fingerprint

    @property
    def dtype(self) -> Dtype:
        """How values are stored."""
        return self.manifest.dtype

    @property
    def width(self) -> int:
        """D."""
        return self._maker.width

    @property
    def pooled_width(self) -> int | None:
        """P, None where the encoder pools nothing."""
        return self._maker.pooled_width

    @property
    def failures(self) -> Mapping[str, str]:
        """Pictures that could not be read, with the reason."""
        return self.manifest.failures

    @property
    def bytes(self) -> int:
        """Bytes of all shards."""
        return self.manifest.bytes

    def _number(self, index: int) -> tuple[int, int]:
        if not 0 <= index < len(self):
            raise IndexError(index)
        number = int(np.searchsorted(self._starts, index, side="right")) - 1
        return number, index - int(self._starts[number])

    def _place(self, index: int) -> tuple[Shard, int]:
        number, row = self._number(index)
        return self._shards[number], row

    def cells(self, index: int) -> int:
        """N of a picture."""
        shard, row = self._place(index)
        return int(shard.offsets[row + 1] - shard.offsets[row])

    def grid(self, index: int) -> tuple[int, int] | None:
        """Rows and columns of a picture's cells; None where they lie in no grid."""
        shard, row = self._place(index)
        return None if shard.grid is None else (int(shard.grid[row, 0]), int(shard.grid[row, 1]))

    def size(self, index: int) -> tuple[int, int] | None:
        """Width and height of the original picture, upright, in pixels; None where not known."""
        shard, row = self._place(index)
        return None if shard.size is None else (int(shard.size[row, 0]), int(shard.size[row, 1]))

    def affine(self, index: int) -> NDArray[np.float32] | None:
        """a, b, c, d of a picture: its pixel (x, y) is at (a x + b, c y + d), in cells."""
        shard, row = self._place(index)
        return None if shard.affine is None else shard.affine[row]

    def boxes(self, index: int) -> NDArray[np.float32] | None:
        """x1, y1, x2, y2 of a picture's regions in pixels, [N, 4]; None where cells are none."""
        shard, row = self._place(index)
        return (
            None
            if shard.boxes is None
            else shard.boxes[shard.offsets[row] : shard.offsets[row + 1]]
        )

    def pooled(self, index: int) -> NDArray[Any] | None:
        """The pooled vector [P] of a picture, a view of the file."""
        shard, row = self._place(index)
        return None if shard.pooled is None else shards.floats(shard.pooled[row])

    def read(self, index: int, out: NDArray[Any] | None = None) -> NDArray[Any]:
        """The cells [N, D] of a picture, row by row.

        Without `out`, a read-only view of the file. With it (any float type), its first N rows,
        filled: a buffer that is used again is five times as fast as fresh memory.
        """
        number, row = self._number(index)
        shard = self._shards[number]
        start, end = shard.offsets[row : row + 2].tolist()
        if out is None:
            return shards.floats(shard.values[start:end])
        filled = out[: end - start]
        if filled.dtype == shard.values.dtype:  # numpy copies bytes twice as fast, torch converts
            np.copyto(filled, shard.values[start:end])
        else:
            torch.from_numpy(filled).copy_(self._values[number][start:end])
        return filled


def difference(stored: Card, wanted: Card) -> str:
    """Where two encoders differ, in words."""
    first, second = asdict(stored), asdict(wanted)
    apart = [k for k in first if first[k] != second[k]]
    if apart == ["weights"]:
        return f"of {stored.name} with other weights; encode into another folder"
    said = ", ".join(f"{k} {first[k]}, not {second[k]}" for k in apart if k != "weights")
    return f"{said}; encode into another folder"


def verify(path: Path) -> list[str]:
    """What is wrong with a store, a line each; empty where every bit is as it was written."""
    try:
        manifest = Manifest.read(path)
    except (ValueError, OSError) as error:
        return [str(error)]
    problems = []
    for listed in progress.track(manifest.shards, "shards hashed", total=len(manifest.shards)):
        place = path / listed.name
        for part, digest in (
            (place, listed.sha256),
            (shards.ids_path(place), listed.sha256_ids),
        ):
            if not part.is_file():
                problems.append(f"{part} is missing")
            elif files.sha256(part) != digest:
                problems.append(f"{part} is not what was written: its hash differs")
    known = {listed.name for listed in manifest.shards}
    extra = sorted(p for p in path.glob("*.safetensors") if p.name not in known)
    problems += [f"{part} is not in the manifest" for part in extra]
    if not problems:
        try:
            Store(path)
        except (ValueError, OSError) as error:
            problems.append(str(error))
    return problems
