"""Pictures found over several feature stores of one encoder; what no store has is encoded first.

Stores grow by parts: pictures that are not there yet go into a part of their own, named after what
it holds, so that an interrupted run finds its part again and finished parts are never touched.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from clipvil.features.manifest import MANIFEST
from clipvil.features.store import Store
from clipvil.files import read_json, write_json
from clipvil.files.pictures import number

if TYPE_CHECKING:
    from clipvil.encoders.base import Encoder
    from clipvil.features.workers import Team

SOURCES = "sources.json"  # what the pictures of a part were when they were encoded
TIMING = "timing.json"  # seconds of one process; no part of the store, no two runs take the same


Affine = tuple[float, float, float, float]


class Lookup:
    """Grids by picture name, out of stores that share one fingerprint.

    Args
        loosely: names are not those of our own encoding: see `called`
    """

    def __init__(self, paths: Sequence[Path], *, loosely: bool = False) -> None:
        self._stores = [Store(path) for path in paths]
        self._place = {
            name: (store, index) for store in self._stores for name, index in store.ids.items()
        }
        self._loosely = loosely
        self._broken = dict[str, str]()
        self._numbers = dict[int, str | None]()
        if loosely:
            for store in self._stores:
                self._broken |= store.failures
            for name in {*self._place, *self._broken}:
                if (own := number(name)) is not None:  # several of one number: it tells nothing
                    self._numbers[own] = None if own in self._numbers else name
        self.width = self._stores[0].width
        self.pooled_width = self._stores[0].pooled_width

    def expect(self, fingerprint: str | None) -> None:
        """See that these are an encoder's features.

        Raises
            ValueError: they are another one's; names the store
        """
        for store in self._stores:
            if store.fingerprint != fingerprint:
                raise ValueError(
                    f"{store.path} has another encoder's features than those that were trained on: "
                    f"its fingerprint is {store.fingerprint[:8]}, not {str(fingerprint)[:8]}"
                )

    def called(self, picture: str) -> str | None:
        """The stores' own name of a picture, None where they have not tried it.

        Where they are searched loosely, that is the whole path, else the longest end of it that
        they know, else its number in any of COCO's spellings.
        """
        if picture in self._place or not self._loosely:
            return picture
        parts = picture.split("/")
        for name in ("/".join(parts[k:]) for k in range(len(parts))):
            if name in self._place or name in self._broken:
                return name
        own = number(parts[-1])
        return None if own is None else self._numbers.get(own)

    def broken(self, picture: str) -> str | None:
        """Why a picture's features could not be read when they were converted, if so."""
        name = self.called(picture)
        return None if name in self._place else self._broken.get(name or "")

    def __contains__(self, picture: str) -> bool:
        return self.called(picture) in self._place

    def _find(self, picture: str) -> tuple[Store, int]:
        name = self.called(picture)
        if name is None:
            raise KeyError(picture)
        return self._place[name]

    def grid(self, picture: str) -> tuple[int, int]:
        """Rows and columns of a picture's cells; regions, which lie in no grid, stand in a row."""
        store, index = self._find(picture)
        return store.grid(index) or (1, store.cells(index))

    def affine(self, picture: str) -> Affine:
        """a, b, c, d: a pixel (x, y) of the picture is at (a x + b, c y + d), in cells.

        Raises
            ValueError: its cells lie in no grid
        """
        store, index = self._find(picture)
        found = store.affine(index)
        if found is None:
            raise ValueError(
                f"{picture}: {store.path} does not tell where in the picture a cell is, and this "
                "task asks about regions: encode the pictures instead"
            )
        a, b, c, d = found.tolist()
        return a, b, c, d

    def read(self, picture: str, out: NDArray[Any] | None = None) -> NDArray[Any]:
        """The grid of a picture, [N, D]: a view of the file, or the first rows of `out`, filled."""
        store, index = self._find(picture)
        return store.read(index, out)

    def pooled(self, picture: str) -> NDArray[Any] | None:
        """The pooled vector of a picture, [P]; None where its encoder pools nothing."""
        store, index = self._find(picture)
        return store.pooled(index)


@dataclass(frozen=True, slots=True)
class Gathered:
    """Where the features of some pictures are, and the pictures that could not be read."""

    stores: tuple[Path, ...]
    failures: Mapping[str, str]
    seconds: float | None  # to encode one picture
    bytes: float | None  # of one picture's features


def slug(name: str) -> str:
    """A name as part of a file name."""
    return re.sub(r"[^\w.=-]+", "_", name)


def stores_of(fingerprint: str, *where: Path) -> dict[Path, dict[str, Any]]:
    """Finished stores under folders that hold an encoder's features, with their manifests."""
    paths = [path for folder in where for path in sorted(folder.rglob(MANIFEST))]
    manifests = {path.parent: read_json(path) for path in paths}
    return {  # other programs call files so as well
        p: m
        for p, m in manifests.items()
        if isinstance(m, dict) and m.get("fingerprint") == fingerprint
    }


def state(path: Path) -> list[int]:
    """Size and time of a picture, by which a changed one is known."""
    found = path.stat()
    return [found.st_size, found.st_mtime_ns]


def changed(store: Path, pictures: Mapping[str, Path]) -> set[str]:
    """Names of the pictures that are not what a store has tried under them."""
    before = read_json(store / SOURCES) if (store / SOURCES).is_file() else {}
    return {n for n in before.keys() & pictures.keys() if before[n] != state(pictures[n])}


def outdated(fingerprint: str, pictures: Mapping[str, Path], *where: Path) -> list[Path]:
    """Finished stores under folders that have features of pictures which are others now."""
    stores = stores_of(fingerprint, *where).items()
    return [path for path, m in stores if changed(path, pictures) - m["failures"].keys()]


def missing(
    fingerprint: str,
    pictures: Mapping[str, Path],
    where: Path,
    also: Sequence[Path] = (),
    *,
    mended: bool = False,
) -> list[str]:
    """Names of the pictures that no finished store under `where` or a folder of `also` has tried.

    Args
        mended: those that could not be read, and are others now, are missing too

    Raises
        ValueError: a picture is not the one that a store has under its name
    """
    have = set[str]()
    for store, manifest in stores_of(fingerprint, where, *also).items():
        others = changed(store, pictures)
        again = others & manifest["failures"].keys() if mended else set()
        if others - again:
            raise ValueError(
                f"{pictures[min(others - again)]} is not what {store} was encoded from: remove "
                "that folder, or take another --store"
            )
        have |= {*Store(store).ids, *manifest["failures"]} - again
    return sorted(set(pictures) - have)


def gather(
    encoder: Encoder,
    pictures: Mapping[str, Path],
    where: Path,
    team: Team | None = None,
    also: Sequence[Path] = (),
    *,
    mended: bool = False,
) -> Gathered:
    """Features of `pictures` (name -> file) under `where`; those that are missing are encoded.

    By the processes of a `team`, where there is one. What stores of `also` have is not missing, but
    broken pictures that were `mended` are.
    """
    from clipvil.features.encode import encode

    wanted = missing(encoder.card.fingerprint, pictures, where, also, mended=mended)
    if wanted:
        # of one name, a part that was tried before and one that is mended are two
        told = [f"{name} {state(pictures[name])}" for name in wanted] if mended else wanted
        part = hashlib.sha256("\n".join(told).encode()).hexdigest()[:8]
        folder = f"{slug(encoder.card.name)}-{encoder.card.fingerprint[:8]}"
        out = where / folder / f"part-{part}"
        summary = encode(encoder, {name: pictures[name] for name in wanted}, out, team=team)
        write_json(out / SOURCES, {name: state(pictures[name]) for name in wanted})
        processes = 1 if team is None else len(team.devices)
        seconds = summary.seconds * processes
        write_json(out / TIMING, {"seconds": seconds, "pictures": len(wanted)})
    found = stores_of(encoder.card.fingerprint, where, *also)
    failures = dict[str, str]()
    for path, manifest in found.items():
        tried = {name: pictures[name] for name in manifest["failures"] if name in pictures}
        again = changed(path, tried)  # another store has tried those as they are
        failures |= {name: manifest["failures"][name] for name in tried if name not in again}
    return Gathered(tuple(found), failures, *cost(list(found)))


def cost(stores: Sequence[Path]) -> tuple[float | None, float | None]:
    """Seconds a picture took to encode and bytes it takes, where they were noted."""
    notes = [read_json(path / TIMING) for path in stores if (path / TIMING).is_file()]
    pictures = sum(note["pictures"] for note in notes)
    seconds = sum(note["seconds"] for note in notes) / pictures if pictures else None
    count = sum(len(Store(path).ids) for path in stores)
    return seconds, sum(Store(path).bytes for path in stores) / count if count else None
