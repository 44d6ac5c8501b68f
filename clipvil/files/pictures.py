"""Pictures under a folder, or in zips there, by any of their names.

Source   https://cocodataset.org (COCO_<year>_<12 digits>.jpg in 2014, 12 digits in 2017); a picture
         is found by any of these spellings, by its path or by its bare number; a view of a
         panorama, views/<scan>/<viewpoint>/<NN>, by its path alone
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

from clipvil.files.finding import walk
from clipvil.files.members import members

PICTURES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff"})
VIEW = re.compile(r"(?:.*/)?views/[^/]+/[^/]+/\d\d")  # the 12th of a panorama is no picture 12


def pictures(root: Path, closed: Callable[[OSError], object] | None = None) -> Iterator[Path]:
    """Every picture file under `root`, then those in zips that do not lie there unpacked as well.

    `closed` is told of folders that cannot be read.

    Raises
        ValueError: a zip that is not whole, or has names that lead out of it
    """
    archives, seen = list[Path](), set[Path]()
    for path in walk(root, closed):
        if path.suffix.lower() in PICTURES:
            seen.add(path)
            yield path
        elif path.suffix.lower() == ".zip":
            archives.append(path)
    for archive in archives:
        yield from (member for member in members(archive, PICTURES) if member not in seen)


def number(name: str) -> int | None:
    """The numeric id that ends a picture's name in COCO's and Visual Genome's spellings."""
    match = re.fullmatch(r"(?:COCO_[a-z]+\d{4}_)?(\d+)", name)
    return int(match.group(1)) if match else None


class PictureIndex:
    """Pictures under a folder, found by relative path, by name, or by number in any spelling.

    count   how many there are

    Raises
        ValueError: as `pictures`
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._places = defaultdict[str | int, list[Path]](list)
        self.count = 0
        for path in pictures(root):
            self.count += 1
            for key in self._keys(path.relative_to(root).with_suffix("")):
                self._places[key].append(path)

    @staticmethod
    def _keys(relative: Path) -> set[str | int]:
        """`/a/b/7` for the whole path, then `a/b/7`, `b/7`, `7` and 7 for the ends of it."""
        parts, panorama = relative.parts, VIEW.fullmatch(relative.as_posix())
        ends = len(parts) - 2 if panorama else len(parts)
        keys: set[str | int] = {"/".join(parts[k:]) for k in range(ends)}
        numeric = None if panorama else number(relative.name)
        return keys | {f"/{relative.as_posix()}"} | (set() if numeric is None else {numeric})

    def find(self, name: str) -> Path:
        """The picture called `name`: path under the folder, file name or number.

        Raises
            FileNotFoundError: no such picture under the folder
            ValueError: several pictures answer to the name
        """
        # only what the walk saw can be found, so `../x` never leaves the folder; a name with a
        # folder in it never falls back to its last part, which may be another folder's picture
        suffix = Path(name).suffix.lower()
        relative = Path(name).with_suffix("") if suffix in PICTURES else Path(name)
        place = relative.as_posix()
        for key in (f"/{place}", place, None if "/" in place else number(place)):
            places = self._places.get(key, []) if key is not None else []
            if suffix in PICTURES:
                places = [p for p in places if p.suffix.lower() == suffix] or places
            if len(places) > 1:
                raise ValueError(f"two pictures are called {name}: {places[0]} and {places[1]}")
            if places:
                return places[0]
        raise FileNotFoundError(f"no picture called {name} under {self.root}")
