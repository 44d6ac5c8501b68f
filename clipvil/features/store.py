"""A feature store: what an encoder saw in many pictures, read at random by memory map.

On disk  `manifest.json`, and the shards that it lists (see `manifest` and `shards`)
Shapes   N cells of a picture, D width, P pooled width
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from clipvil import files, progress
from clipvil.encoders.base import Card
from clipvil.features import shards
from clipvil.features.manifest import Listed, Manifest, Origin
from clipvil.features.shards import Dtype, Shard


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
