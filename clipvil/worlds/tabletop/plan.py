"""Houses: rooms on a grid of square cells, doors between them, a viewpoint a cell, landmarks.

House `index` depends on the seed and the index alone. Lengths are in metres; x grows to the east,
y to the north, and a heading is the angle clockwise from north, as in MatterSim.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from clipvil.worlds.tabletop.scene import COLOURS, HELD_OUT, HOUSE, SHAPES, Dice

COLUMNS: Final = 4
ROWS: Final = 4
CELL: Final = 4.0
EYE: Final = 1.5  # height of the camera
CEILING: Final = 2.7
DOOR: Final = (1.3, 2.1)  # width, height
PAINTS: Final = ("white", "yellow", "green", "blue", "pink", "brown", "grey")
NUM_PAPERS: Final = 3  # plain walls, striped ones, and ones with a darker lower half
NUM_FLOORS: Final = 6
NUM_OPEN: Final = 4  # pairs of cells without a wall between them
NUM_LOOPS: Final = 5  # ways beyond those that join every cell to every other
PER_CELL: Final = 2
SWAY: Final = 0.45  # how far from its cell's middle a viewpoint is; no two come within 3 m
CLEARANCE: Final = 0.75  # of a landmark from the ways between viewpoints


@dataclass(frozen=True, slots=True)
class Landmark:
    """A shape on a pole that turns to whoever looks; no other of the house has its looks."""

    shape: int
    colour: int
    cell: int
    x: float
    y: float
    z: float
    radius: float


@dataclass(frozen=True, slots=True)
class Room:
    """What the walls and the floor of one or several cells look like."""

    paint: int
    paper: int
    floor: int


@dataclass(frozen=True, slots=True)
class Wall:
    """A side of a cell, from (x, y) eastward or northward, and where along it a door is.

    `cells` are the cell to the south or west of it and the other one; none is outside.
    """

    x: float
    y: float
    eastward: bool
    cells: tuple[int | None, int | None]
    door: tuple[float, float] | None


@dataclass(frozen=True, slots=True, eq=False)
class House:
    """A plan; viewpoint k stands in cell k, `rooms[room_of[k]]` is the room around it.

    Told apart by identity: what is seen in it is kept by house.
    """

    scan: str
    rooms: tuple[Room, ...]
    room_of: tuple[int, ...]
    viewpoints: tuple[tuple[float, float], ...]
    ways: tuple[tuple[int, int], ...]
    walls: tuple[Wall, ...]
    landmarks: tuple[Landmark, ...]
    salt: int

    def names(self) -> tuple[str, ...]:
        """The viewpoints' names."""
        return tuple(f"{self.scan}v{k:02d}" for k in range(len(self.viewpoints)))

    def neighbours(self, here: int) -> list[int]:
        """Viewpoints one step away."""
        return sorted(a + b - here for a, b in self.ways if here in (a, b))

    def bearing(self, here: int, there: int) -> float:
        """Heading from a viewpoint to another, -pi to pi."""
        return bearing(self.viewpoints[here], self.viewpoints[there])

    def metres(self, here: int, there: int) -> float:
        """The straight line between two viewpoints."""
        return math.dist(self.viewpoints[here], self.viewpoints[there])


def bearing(start: tuple[float, float], end: tuple[float, float]) -> float:
    """Heading from a place to another, -pi to pi."""
    return math.atan2(end[0] - start[0], end[1] - start[1])


def apart(one: float, other: float) -> float:
    """The angle from the second heading to the first, -pi to pi."""
    return math.remainder(one - other, 2 * math.pi)


def house(seed: int, index: int) -> House:
    """A random house."""
    dice = Dice(seed, HOUSE, index)
    ways = _ways(dice)
    opened = set(ways[:NUM_OPEN])
    ways = sorted(ways)
    room_of = _joined(opened)
    viewpoints = tuple(
        (CELL * (k % COLUMNS + 0.5) + dice.between(-SWAY, SWAY),
         CELL * (k // COLUMNS + 0.5) + dice.between(-SWAY, SWAY))
        for k in range(ROWS * COLUMNS)
    )  # fmt: skip
    return House(
        scan=f"house{seed}_{index}",
        rooms=_rooms(dice, room_of),
        room_of=room_of,
        viewpoints=viewpoints,
        ways=tuple(ways),
        walls=tuple(_walls(viewpoints, set(ways), opened)),
        landmarks=_landmarks(dice, viewpoints, ways),
        salt=int(dice.unit() * 2**31),
    )


def _sides() -> list[tuple[int, int]]:
    """Pairs of cells that share a side."""
    cells = range(ROWS * COLUMNS)
    east = [(k, k + 1) for k in cells if k % COLUMNS < COLUMNS - 1]
    return east + [(k, k + COLUMNS) for k in cells if k + COLUMNS in cells]


def _ways(dice: Dice) -> list[tuple[int, int]]:
    """Pairs of cells with a way between them, in random order; every cell can be reached."""
    part = list(range(ROWS * COLUMNS))
    tree, others = list[tuple[int, int]](), list[tuple[int, int]]()
    for one, other in dice.shuffled(_sides()):
        if part[one] == part[other]:
            others.append((one, other))
        else:
            tree.append((one, other))
            part = [part[one] if p == part[other] else p for p in part]
    return dice.shuffled([*tree, *others[:NUM_LOOPS]])


def _joined(opened: set[tuple[int, int]]) -> tuple[int, ...]:
    """The room of each cell."""
    part = list(range(ROWS * COLUMNS))
    for one, other in opened:
        part = [part[one] if p == part[other] else p for p in part]
    order = sorted(set(part))
    return tuple(order.index(p) for p in part)


def _rooms(dice: Dice, room_of: Sequence[int]) -> tuple[Room, ...]:
    """Rooms side by side differ in paint."""
    rooms = list[Room]()
    for number in range(max(room_of) + 1):
        beside = {
            room_of[a] + room_of[b] - number
            for a, b in _sides()
            if number in (room_of[a], room_of[b])
        }
        taken = {rooms[other].paint for other in beside if other < number}
        paint = next(p for p in dice.shuffled(range(len(PAINTS))) if p not in taken)
        rooms.append(Room(paint, dice.pick(NUM_PAPERS), dice.pick(NUM_FLOORS)))
    return tuple(rooms)


def _walls(
    viewpoints: Sequence[tuple[float, float]],
    ways: set[tuple[int, int]],
    opened: set[tuple[int, int]],
) -> Iterator[Wall]:
    """Every side of every cell but the open ones; a door is where the way goes through."""
    for row in range(ROWS + 1):
        for column in range(COLUMNS + 1):
            for eastward in (True, False):
                low = (row - 1, column) if eastward else (row, column - 1)
                cells = _cell(*low), _cell(row, column)
                beyond = column == COLUMNS if eastward else row == ROWS
                if beyond or cells in opened:
                    continue
                x, y, door = CELL * column, CELL * row, None
                if cells in ways:
                    middle = _crossing(viewpoints[cells[0]], viewpoints[cells[1]], x, y, eastward)
                    door = (middle - DOOR[0] / 2, middle + DOOR[0] / 2)
                yield Wall(x, y, eastward, cells, door)


def _cell(row: int, column: int) -> int | None:
    inside = 0 <= row < ROWS and 0 <= column < COLUMNS
    return row * COLUMNS + column if inside else None


def _crossing(
    one: tuple[float, float], other: tuple[float, float], x: float, y: float, eastward: bool
) -> float:
    """How far along a wall from (x, y) the line between two places goes through it."""
    if eastward:
        share = (y - one[1]) / (other[1] - one[1])
        return one[0] + share * (other[0] - one[0]) - x
    share = (x - one[0]) / (other[0] - one[0])
    return one[1] + share * (other[1] - one[1]) - y


def _landmarks(
    dice: Dice, viewpoints: Sequence[tuple[float, float]], ways: Sequence[tuple[int, int]]
) -> tuple[Landmark, ...]:
    """Some in every cell, beside the ways and off the viewpoints."""
    pairs = [(s, c) for s in range(len(SHAPES)) for c in range(len(COLOURS))]
    looks = dice.shuffled([pair for pair in pairs if pair not in HELD_OUT])
    placed = list[Landmark]()
    for number in range(PER_CELL * len(viewpoints)):
        cell, (shape, colour) = number // PER_CELL, looks[number]
        lines = [(viewpoints[a], viewpoints[b]) for a, b in ways if cell in (a, b)]
        taken = [(mark.x, mark.y) for mark in placed if mark.cell == cell]
        best, place = -math.inf, viewpoints[cell]
        for _ in range(40):
            x = CELL * (cell % COLUMNS) + dice.between(0.55, CELL - 0.55)
            y = CELL * (cell // COLUMNS) + dice.between(0.55, CELL - 0.55)
            free = min(
                *(_off((x, y), line) - CLEARANCE for line in lines),
                *(math.dist((x, y), other) - 1.4 for other in taken),
                math.dist((x, y), viewpoints[cell]) - 1.2,
            )
            if free > best:
                best, place = free, (x, y)
            if free > 0:
                break
        z, radius = dice.between(1.1, 1.5), dice.between(0.42, 0.55)
        placed.append(Landmark(shape, colour, cell, *place, z, radius))
    return tuple(placed)


def _off(place: tuple[float, float], line: Sequence[tuple[float, float]]) -> float:
    """Distance of a place from a line between two others."""
    (ax, ay), (bx, by) = line
    length = (bx - ax) ** 2 + (by - ay) ** 2
    share = ((place[0] - ax) * (bx - ax) + (place[1] - ay) * (by - ay)) / length
    share = min(1.0, max(0.0, share))
    return math.dist(place, (ax + share * (bx - ax), ay + share * (by - ay)))
