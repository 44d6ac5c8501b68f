"""Houses as official files: panoramas, navigation graphs, and R2R's paths with instructions.

Files    views/<scan>/<viewpoint>/<NN>.jpg, NN being MatterSim's viewIndex 00 ... 35;
         connectivity/<scan>_connectivity.json and connectivity/scans.txt;
         R2R_{train,val_seen,val_unseen}.json
Formats  https://github.com/peteanderson80/Matterport3DSimulator (connectivity, tasks/R2R/data)
Paths    as R2R's: shortest ways of four to six moves, never under 5 m as no two viewpoints are
         within 3 m of each other; three instructions each
"""

import math
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np
from PIL import Image

from clipvil.files import write_bytes, write_json
from clipvil.worlds.tabletop.panorama import panorama
from clipvil.worlds.tabletop.plan import EYE, House, house
from clipvil.worlds.tabletop.rays import clear
from clipvil.worlds.tabletop.scene import WALK, Dice
from clipvil.worlds.tabletop.tell import instruction

SPLITS: Final = ("train", "val_seen", "val_unseen")
FEWEST: Final = 2  # houses: one to train in, one unseen
MOVES: Final = (4, 6)
INSTRUCTIONS: Final = 3
SEEN: Final = 6  # of so many paths through a house of train, one is val_seen's
TRIES: Final = 8  # headings to begin with, until words tell the first step
Row = dict[str, Any]


def write(root: Path, *, seed: int, houses: int, size: int = 64) -> None:
    """Write that many houses, the last third of them unseen; the same seed gives the same bytes."""
    for split in SPLITS:  # of an earlier world
        (root / f"R2R_{split}.json").unlink(missing_ok=True)
    rows: dict[str, list[Row]] = {split: [] for split in SPLITS}
    scans, unseen = list[str](), max(1, houses // 3)
    for index in range(houses):
        plan = house(seed, index)
        scans.append(plan.scan)
        _views(root / "views" / plan.scan, plan, size)
        write_json(root / "connectivity" / f"{plan.scan}_connectivity.json", _graph(plan))
        dice = Dice(seed, WALK, index)
        described = dice.shuffled(list(_described(plan, index, dice)))
        if index >= houses - unseen:
            rows["val_unseen"] += described
        else:
            rows["val_seen"] += described[::SEEN]
            rows["train"] += [row for k, row in enumerate(described) if k % SEEN]
    write_bytes(root / "connectivity/scans.txt", "".join(f"{s}\n" for s in scans).encode())
    for split, some in rows.items():
        write_json(root / f"R2R_{split}.json", some)


def paths(plan: House) -> Iterator[tuple[int, ...]]:
    """The shortest way between any two viewpoints, where it has as many moves as R2R's."""
    from scipy.sparse import csgraph

    count = len(plan.viewpoints)
    metres = np.zeros((count, count))
    for a, b in plan.ways:
        metres[a, b] = plan.metres(a, b)
    _, before = csgraph.shortest_path(metres, directed=False, return_predecessors=True)
    for start in range(count):
        for end in range(count):
            path = [end]
            while path[0] != start:
                path.insert(0, int(before[start, path[0]]))
            if MOVES[0] <= len(path) - 1 <= MOVES[1]:
                yield tuple(path)


def _described(plan: House, index: int, dice: Dice) -> Iterator[Row]:
    """Paths that words can tell, with a heading to begin with and instructions."""
    names = plan.names()
    for number, path in enumerate(paths(plan)):
        for _ in range(TRIES):
            heading = round(dice.between(0, 2 * math.pi), 3)
            told = [instruction(plan, path, heading, dice) for _ in range(INSTRUCTIONS)]
            if None not in told:
                metres = sum(plan.metres(a, b) for a, b in pairwise(path))
                yield {
                    "distance": round(metres, 2), "scan": plan.scan,
                    "path_id": 1000 * index + number, "path": [names[k] for k in path],
                    "heading": heading, "instructions": told,
                }  # fmt: skip
                break


def _graph(plan: House) -> list[Row]:
    """A row a viewpoint; the camera looks north, its own x to the right and y down."""
    count = range(len(plan.viewpoints))
    return [
        {
            "image_id": name,
            "pose": [1, 0, 0, round(x, 5), 0, 0, 1, round(y, 5), 0, -1, 0, EYE, 0, 0, 0, 1],
            "included": True,
            "visible": [k != other and clear(plan, (x, y), plan.viewpoints[other])
                        for other in count],
            "unobstructed": [other in plan.neighbours(k) for other in count],
            "height": EYE,
        }
        for k, (name, (x, y)) in enumerate(zip(plan.names(), plan.viewpoints, strict=True))
    ]  # fmt: skip


def _views(folder: Path, plan: House, size: int) -> None:
    """The pictures, in place: without the paths, which are written last, they do not count."""
    for here, name in enumerate(plan.names()):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number, view in enumerate(panorama(plan, here, size)):
            picture = Image.fromarray(view)
            picture.save(folder / name / f"{number:02d}.jpg", quality=95, subsampling=0)
