"""What a step can be told by, and which step is meant: turns, landmarks in sight, paints of rooms.

A clue tells a step if, by its own meaning, it leads there and nowhere else. Whoever stands at a
viewpoint looks where the last step led; at the start, where the episode says.
"""

import math
from dataclasses import dataclass
from typing import Final, TypeAlias

from clipvil.worlds.tabletop.plan import House, Landmark, apart
from clipvil.worlds.tabletop.rays import seen, width

TURNS: Final = {"ahead": 0.0, "right": math.pi / 2, "back": math.pi, "left": -math.pi / 2}
NEAR: Final = math.radians(25)  # a landmark as far off the way is still towards it
TURNED: Final = math.radians(50)  # a way as far off a turn is still meant by it
PLAIN: Final = math.radians(30)  # any other way is farther off by that
VIEW: Final = math.pi / 6  # half of what a picture shows; views are as far apart


@dataclass(frozen=True, slots=True)
class Turn:
    """The way that lies in a direction."""

    to: str


@dataclass(frozen=True, slots=True)
class Towards:
    """The way that leads towards a landmark; past it if it is in the same cell."""

    mark: Landmark


@dataclass(frozen=True, slots=True)
class Into:
    """The way into a room of that paint."""

    paint: int


Clue: TypeAlias = Turn | Towards | Into


def meant(house: House, here: int, heading: float, clue: Clue) -> int | None:
    """The neighbour that a clue leads to, or none if that is not plain."""
    match clue:
        case Turn(to):
            return _nearest(house, here, heading + TURNS[to], TURNED)
        case Into(paint):
            own, rooms = house.room_of[here], house.room_of
            fits = [n for n in house.neighbours(here)
                    if rooms[n] != own and house.rooms[rooms[n]].paint == paint]  # fmt: skip
            return fits[0] if len(fits) == 1 else None
        case Towards(mark):
            for other, direction, metres in seen(house, here):
                if other == mark:
                    there = _nearest(house, here, direction, NEAR)
                    shown = there is not None and _shown(
                        direction, width(mark, metres), house.bearing(here, there)
                    )
                    return there if shown else None
            return None


def telling(house: House, here: int, heading: float, there: int) -> list[Clue]:
    """All clues that lead from one viewpoint to another."""
    clues: list[Clue] = [Turn(to) for to in TURNS]
    clues += [Towards(mark) for mark, _, _ in seen(house, here)]
    clues.append(Into(house.rooms[house.room_of[there]].paint))
    return [clue for clue in clues if meant(house, here, heading, clue) == there]


def at_goal(house: House, goal: int) -> list[Landmark]:
    """Landmarks in sight of a viewpoint and in its own cell."""
    return [mark for mark, _, _ in seen(house, goal) if mark.cell == goal]


def _nearest(house: House, here: int, direction: float, most: float) -> int | None:
    """The neighbour nearest to a direction, if no other is nearly as near."""
    off = sorted((abs(apart(house.bearing(here, n), direction)), n) for n in house.neighbours(here))
    plain = len(off) == 1 or off[1][0] - off[0][0] > PLAIN
    return off[0][1] if off[0][0] <= most and plain else None


def _shown(direction: float, half: float, way: float) -> bool:
    """Whether a landmark is whole in the view that is nearest to a way."""
    view = round(way / VIEW) * VIEW
    return abs(apart(direction, view)) + half < VIEW
