"""What lies on the table: things with a shape, colour, texture, size and place, drawn from a seed.

Scene `index` of a purpose depends on the seed, the purpose and the index alone, never on how many
others are made. Sixteen pairs of shape and colour are held out: no sampled scene shows one.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Final, TypeVar

import numpy as np

T = TypeVar("T")

SHAPES: Final = (
    "circle", "square", "triangle", "diamond", "star", "cross", "ring", "heart", "moon", "arrow",
)  # fmt: skip
COLOURS: Final = ("red", "orange", "yellow", "green", "cyan", "blue", "purple", "pink")
TEXTURES: Final = ("plain", "striped", "dotted")
NUM_GROUNDS: Final = 18
FEWEST, MOST = 2, 5

# What a stream of random numbers is for; streams of different purposes share nothing.
TRAIN, VAL, PRETRAIN, PROBE, ORDER, CAPTION, HYPOTHESIS, CHOICE, HOUSE, WALK = range(10)

# Shapes in tenths and colours in eighths of one line: a pair is held out where the two overlap, so
# that a point falling anywhere on the line gives uniform shapes *and* uniform colours.
LINE: Final = tuple((k // 4, (5, 0, 3, 6, 1, 7, 2, 4)[k // 5]) for k in range(40))
HELD_OUT: Final = frozenset(LINE)


@dataclass(frozen=True, slots=True)
class Thing:
    """One object; `x`, `y` (down) and `radius` are fractions of the picture's side."""

    shape: int
    colour: int
    texture: int
    large: bool
    x: float
    y: float
    radius: float
    turn: float


@dataclass(frozen=True, slots=True)
class Scene:
    """Things from back to front on a ground; `salt` seeds whatever only the drawing decides."""

    things: tuple[Thing, ...]
    ground: int
    salt: int


class Dice:
    """Cheap single draws out of one numpy generator; every draw uses up one number.

    `unit()` is a number in [0, 1): an iterator's own method, as a scene takes some hundred draws.
    """

    def __init__(self, *seed: int) -> None:
        self.unit: Callable[[], float] = chain.from_iterable(_blocks(seed)).__next__

    def pick(self, num: int) -> int:
        """One of 0 ... num - 1."""
        return int(self.unit() * num)

    def chance(self, p: float) -> bool:
        """True with probability `p`."""
        return self.unit() < p

    def between(self, low: float, high: float) -> float:
        """A number in [low, high)."""
        return low + (high - low) * self.unit()

    def shuffled(self, items: Sequence[T]) -> list[T]:
        """The items in random order."""
        return [items[k] for _, k in sorted((self.unit(), k) for k in range(len(items)))]


def _blocks(seed: Sequence[int]) -> Iterator[list[float]]:
    """Random numbers without end, some at a time."""
    random = np.random.default_rng(seed)
    while True:
        yield random.random(64)[::-1].tolist()


def _shape_given_colour() -> list[list[float]]:
    """Cumulative chances of a shape for each colour: no held-out pair, both marginals uniform."""
    joint = np.ones((len(SHAPES), len(COLOURS)))
    joint[tuple(zip(*HELD_OUT, strict=True))] = 0
    for _ in range(60):  # Sinkhorn
        joint /= joint.sum(0, keepdims=True)
        joint /= joint.sum(1, keepdims=True)
    joint /= joint.sum(0, keepdims=True)
    table: list[list[float]] = joint.cumsum(0).T.tolist()
    return table


_SHAPE_GIVEN_COLOUR: Final = _shape_given_colour()


def draw_shape(dice: Dice, colour: int) -> int:
    """A shape that may go with the colour."""
    unit = dice.unit()
    return next(k for k, total in enumerate(_SHAPE_GIVEN_COLOUR[colour]) if unit < total + 1e-9)


def draw_colours(dice: Dice, num: int, *, alike: float) -> list[int]:
    """Uniform colours; each after the first repeats an earlier one with probability `alike`."""
    colours: list[int] = []
    for _ in range(num):
        again, one = dice.chance(alike), dice.unit()
        colours.append(
            colours[int(one * len(colours))] if again and colours else int(one * len(COLOURS))
        )
    return colours


def sample(
    dice: Dice,
    *,
    colours: Sequence[int] | None = None,
    ground: int | None = None,
    alike: tuple[float, float] = (0.2, 0.2),
) -> Scene:
    """A random scene; `alike` says how readily colours and shapes repeat within it."""
    if colours is None:
        colours = draw_colours(dice, FEWEST + dice.pick(MOST - FEWEST + 1), alike=alike[0])
    if ground is None:
        ground = dice.pick(NUM_GROUNDS)
    things: list[Thing] = []
    for colour in colours:
        shape, again = draw_shape(dice, colour), dice.chance(alike[1])
        earlier = things[dice.pick(len(things))].shape if things else shape
        if again and (earlier, colour) not in HELD_OUT:
            shape = earlier
        things.append(_place(dice, things, shape, colour))
    return Scene(tuple(things), ground, int(dice.unit() * 2**31))


def _place(dice: Dice, things: Sequence[Thing], shape: int, colour: int) -> Thing:
    """Put one more thing where it covers others the least, after a few tries."""
    large = dice.chance(0.45)
    radius = dice.between(0.145, 0.18) if large else dice.between(0.1, 0.12)
    best, x, y = -1.0, 0.5, 0.5
    for _ in range(12):
        u, v = dice.between(radius, 1 - radius), dice.between(radius, 1 - radius)
        free = 9.0
        for t in things:
            free = min(free, math.hypot(u - t.x, v - t.y) / (radius + t.radius))
        if free > best:
            best, x, y = free, u, v
        if best > 0.85:  # a little occlusion is wanted
            break
    return Thing(shape, colour, dice.pick(len(TEXTURES)), large, x, y, radius, dice.between(-1, 1))


def recolour(scene: Scene, colours: Mapping[int, int]) -> Scene:
    """The same scene with every colour replaced by its image under `colours`."""
    return replace(scene, things=tuple(replace(t, colour=colours[t.colour]) for t in scene.things))


def group(seed: int, index: int, size: int = 8) -> list[Scene]:
    """Scenes to tell apart by shape and place: all have the same colours, number and ground."""
    dice = Dice(seed, PRETRAIN, index)
    colours = draw_colours(dice, FEWEST + dice.pick(MOST - FEWEST + 1), alike=0.2)
    ground = dice.pick(NUM_GROUNDS)
    return [sample(dice, colours=colours, ground=ground) for _ in range(size)]
