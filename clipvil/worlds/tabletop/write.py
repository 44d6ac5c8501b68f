"""The embedded world in a folder: pictures, houses, the official files of the tasks asked for."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

from PIL import Image

from clipvil.core import UsageError
from clipvil.files import SHIFTS
from clipvil.registry import unknown
from clipvil.worlds.tabletop import houses as homes
from clipvil.worlds.tabletop.ask import Asked, asked, unseen_pairs
from clipvil.worlds.tabletop.books import BOOKS, Book, Page
from clipvil.worlds.tabletop.draw import OTHER, PLAIN, SKETCH, Style, render
from clipvil.worlds.tabletop.scene import COLOURS, TRAIN, VAL, Dice, Scene, recolour

FIRST_VAL: Final = 500_001  # picture id; those of train2014 start at 1
SMALLEST, LARGEST = 64, 128
HOUSES: Final = "r2r"  # the task whose pictures are panoramas
RECOLOUR: Final = 9  # random numbers for the new colours
_SAME: Final = dict(enumerate(range(len(COLOURS))))

Recolour = Callable[[int, Asked], Mapping[int, int]]


def write(
    root: Path,
    *,
    seed: int,
    train: int,
    val: int,
    size: int = 64,
    shifts: bool = True,
    tasks: Sequence[str] = ("vqa2", "coco_caption"),
    houses: int = 6,
) -> None:
    """Write `train` and `val` scenes under `root`, and the val scenes shifted in three ways.

    All `tasks` share the pictures. Those with a split to select on take every tenth train picture
    for it. Only `r2r` has pictures of its own: 36 views from each of sixteen places a house, of
    which the last third are unseen in training. Houses are not shifted.

    `shifts/style` shows the val scenes as sketches, `shifts/background` on other grounds and in
    other shades, `shifts/pairs` with colours exchanged so that things show pairs of shape and
    colour that no other picture shows. Ids and questions are those of val; with the colours of
    `pairs` the colour words go along. The same seed gives the same bytes.

    Raises
        UsageError: as `check`
    """
    check(seed=seed, train=train, val=val, size=size, tasks=tasks, houses=houses)
    if HOUSES in tasks:
        homes.write(root, seed=seed, houses=houses, size=size)
    told = [task for task in tasks if task != HOUSES]
    if not told:
        return

    def exchanged(index: int, scene: Asked) -> Mapping[int, int]:
        return unseen_pairs(scene, Dice(seed, VAL, index, RECOLOUR))

    def same(index: int, scene: Asked) -> Mapping[int, int]:
        return _SAME

    def books(split: str) -> list[Book]:
        return [BOOKS[task](split, seed) for task in told]

    drawn = (asked(seed, TRAIN, k) for k in range(train))
    _write(root, "train2014", drawn, 1, size, books("train2014"))
    scenes = [asked(seed, VAL, k) for k in range(val)]
    _write(root, "val2014", scenes, FIRST_VAL, size, books("val2014"))
    if shifts:
        looks: dict[str, tuple[Style, Recolour]] = {
            "style": (SKETCH, same), "background": (OTHER, same), "pairs": (PLAIN, exchanged),
        }  # fmt: skip
        for name, (style, colours) in looks.items():
            folder = root / SHIFTS / name
            _write(folder, "val2014", scenes, FIRST_VAL, size, books("val2014"), style, colours)


def check(
    *, seed: int, train: int, val: int, tasks: Sequence[str], houses: int, size: int = SMALLEST
) -> None:
    """See that there is a world of these arguments of `write`.

    Raises
        UsageError: a size that is not 64 to 128 pixels, negative numbers, too many pictures, fewer
            than two houses, no task, or one that the world has no files for
    """
    if not tasks:
        raise UsageError(f"no tasks: name at least one of {', '.join((*BOOKS, HOUSES))}")
    for task in tasks:
        if task not in BOOKS and task != HOUSES:
            raise unknown("task of the embedded world", task, (*BOOKS, HOUSES))
    if not SMALLEST <= size <= LARGEST:
        raise UsageError(f"pictures of {size} pixels: choose {SMALLEST} to {LARGEST}")
    if min(seed, train, val) < 0 or train >= FIRST_VAL:
        raise UsageError(f"seed, train and val are at least 0, train less than {FIRST_VAL}")
    if HOUSES in tasks and houses < homes.FEWEST:
        raise UsageError(f"{houses} houses: at least {homes.FEWEST}, one of them unseen")


def _write(
    root: Path,
    split: str,
    scenes: Iterable[Asked],
    first: int,
    size: int,
    books: Sequence[Book],
    style: Style = PLAIN,
    colours: Recolour = lambda index, scene: _SAME,
) -> None:
    """One split: the pictures, then the files that make them count."""
    for name in (name for book in books for name in book.names):  # of an earlier world
        (root / name).unlink(missing_ok=True)
    (root / split).mkdir(parents=True, exist_ok=True)
    for index, scene in enumerate(scenes):
        number, new = first + index, colours(index, scene)
        shown = scene.scene if new is _SAME else recolour(scene.scene, new)
        file = f"COCO_{split}_{number:012d}.jpg"
        _save(root / split / file, shown, style, size)
        for book in books:
            book.add(Page(number, file, size, scene, shown, new))
    for book in books:
        book.write(root)


def _save(path: Path, scene: Scene, style: Style, size: int) -> None:
    """Write a picture, in place: the files that make pictures count are written, and synced, last.

    Colour is kept at full resolution: halved, as JPEG has it by default, small things fade.
    """
    with path.open("wb") as file:
        Image.fromarray(render(scene, style, size)).save(file, "JPEG", quality=95, subsampling=0)
