"""What is seen from a viewpoint: 36 square pictures, as MatterSim takes them.

View 12 * e + h looks 30 degrees * h clockwise from north and 30 * (e - 1) degrees up; a picture is
60 degrees wide and high. Every pixel of a doubled canvas is a ray: to a wall, a lintel, the floor
or the ceiling; landmarks are painted over it, the farthest first, where no wall is nearer.

Shapes   F pixels of the doubled canvas a side, A rays around the place
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from clipvil.worlds.tabletop.draw import HOLE, OUTLINES, PALETTE, Outline, Pixels
from clipvil.worlds.tabletop.plan import (
    CEILING,
    CELL,
    COLUMNS,
    DOOR,
    EYE,
    ROWS,
    House,
    Landmark,
    apart,
    bearing,
)
from clipvil.worlds.tabletop.rays import cast
from clipvil.worlds.tabletop.scene import SHAPES

HEADINGS: Final = 12
ELEVATIONS: Final = (-1, 0, 1)  # times 30 degrees
STEP: Final = math.pi / 6
RAYS: Final = 360 * 12  # around a place; a multiple of HEADINGS
LINTELS: Final = 3  # doors in a row whose lintels are drawn
FRAME: Final = 0.14  # metres around a door
POLE: Final = 0.03  # half its width
DADO: Final = 1.0  # height of the lower part of a wall
SKIRTING: Final = 0.12
BOARD, TILE = 0.3, 0.5  # widths
FOCAL: Final = 0.5 / math.tan(STEP)  # in sides of a picture

# In the order of plan.PAINTS.
_PAINTS: Final = np.array([
    (236, 234, 228), (238, 216, 132), (166, 204, 150), (148, 182, 224), (238, 184, 200),
    (172, 134, 100), (142, 145, 150),
], np.float32)  # fmt: skip
_FLOORS: Final = np.array([
    (150, 108, 72), (188, 156, 118), (120, 116, 112), (202, 196, 184), (112, 84, 66),
    (96, 108, 124),
], np.float32)  # fmt: skip
_REST: Final = np.array([(242, 242, 240), (88, 62, 44), (196, 224, 246)], np.float32)
_TABLE: Final = np.concatenate([_PAINTS, _FLOORS, _REST])
_FLOOR: Final = len(_PAINTS)
_JAMB, _GLASS, _SASH = 1, 2, 3  # parts of a wall that doors and windows take; glass and sash last
_CEILING, _WOOD, _SKY = range(len(_PAINTS) + len(_FLOORS), len(_TABLE))


@dataclass(frozen=True, slots=True)
class Around:
    """What rays from one place meet, [A] each."""

    metres: NDArray[np.float32]
    paint: NDArray[np.int64]
    upper: NDArray[np.float32]  # how light the wall is, and its lower part
    lower: NDArray[np.float32]
    pane: NDArray[np.int64]  # whether it is a window's or a door's
    lintels: NDArray[np.float32]  # [LINTELS, A], metres, the nearest first
    beams: NDArray[np.int64]  # [LINTELS, A], their paint


def panorama(house: House, here: int, size: int = 64) -> Iterator[Pixels]:
    """The 36 views from a viewpoint, [size, size, 3] bytes each, RGB."""
    around = _around(house, here)
    random = np.random.default_rng([house.salt, here])
    place = house.viewpoints[here]
    marks = _in_sight(house, place, around)
    for elevation in ELEVATIONS:
        for heading in range(HEADINGS):
            canvas, metres = _empty(house, place, around, heading, elevation, 2 * size)
            for mark in marks:
                away = bearing(place, (mark.x, mark.y))
                if abs(apart(away, heading * STEP)) < 2.5 * STEP:
                    _stand(canvas, metres, place, mark, heading, elevation)
            noise = random.standard_normal((size, size, 1), dtype=np.float32) * random.uniform(1, 5)
            small = np.asarray(Image.fromarray(canvas).reduce(2), np.float32)
            yield np.clip(small + noise, 0, 255).astype(np.uint8)


@cache
def _rays(heading: int, elevation: int, side: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """For every pixel of a view: which ray it is on, and the slope of its sight."""
    line = (np.arange(side) + 0.5) / side - 0.5
    right, up = line[None] / FOCAL, -line[:, None] / FOCAL
    tilt = elevation * STEP
    ahead = math.cos(tilt) - up * math.sin(tilt)
    slope = (math.sin(tilt) + up * math.cos(tilt)) / np.hypot(right, ahead)
    rays = np.rint(np.arctan2(right, ahead) * RAYS / (2 * math.pi)).astype(np.int64)
    return (rays + heading * (RAYS // HEADINGS)) % RAYS, slope.astype(np.float32)


def _around(house: House, here: int) -> Around:
    """Meet every wall around a viewpoint."""
    place = house.viewpoints[here]
    hits = cast(house, place, np.arange(RAYS, dtype=np.float64) * (2 * math.pi / RAYS))
    rooms, shades, outside = list[tuple[int, int]](), list[float](), list[bool]()
    for wall in house.walls:
        low = place[1] < wall.y if wall.eastward else place[0] < wall.x
        side, other = wall.cells if low else wall.cells[::-1]
        assert side is not None, "viewpoints are inside"
        room = house.rooms[house.room_of[side]]
        rooms.append((room.paint, room.paper))
        shades.append((1.0 if low else 0.93) if wall.eastward else (0.88 if low else 0.82))
        outside.append(other is None)
    painted = np.array(rooms)
    paint, paper = painted[hits.wall].T
    upper = np.array(shades)[hits.wall] * np.where(
        (paper == 1) & (hits.along % 0.5 < 0.25), 0.88, 1
    )
    doors = np.array([wall.door or (-np.inf, -np.inf) for wall in house.walls])[hits.wall]  # [A, 2]
    beside = np.maximum(doors[:, 0] - hits.along, hits.along - doors[:, 1])
    off = np.where(np.array(outside)[hits.wall], np.abs(hits.along - CELL / 2), np.inf)
    pane = np.select(
        [beside < FRAME, (off > 0.04) & (off < 0.52), off < 0.6], [_JAMB, _GLASS, _SASH], 0
    )
    order = hits.doors.argsort(1)[:, :LINTELS]
    return Around(
        metres=hits.metres.astype(np.float32),
        paint=paint,
        upper=upper.astype(np.float32),
        lower=(upper * np.where(paper == 2, 0.8, 1)).astype(np.float32),
        pane=pane,
        lintels=np.take_along_axis(hits.doors, order, 1).T.astype(np.float32),
        beams=painted[order, 0].T,
    )


def _in_sight(house: House, place: tuple[float, float], around: Around) -> list[Landmark]:
    """Landmarks of which no walls hide the whole, the farthest first."""
    found = list[tuple[float, int]]()
    for number, mark in enumerate(house.landmarks):
        metres, heading = math.dist(place, (mark.x, mark.y)), bearing(place, (mark.x, mark.y))
        half = math.atan(1.2 * mark.radius / metres)
        rays = np.arange(*(round((heading + k * half) * RAYS / (2 * math.pi)) for k in (-1, 1)))
        if (around.metres[rays % RAYS] > metres).any():
            found.append((metres, number))
    return [house.landmarks[number] for _, number in sorted(found, reverse=True)]


def _empty(
    house: House,
    place: tuple[float, float],
    around: Around,
    heading: int,
    elevation: int,
    side: int,
) -> tuple[Pixels, NDArray[np.float32]]:
    """A view without landmarks, [F, F, 3], and how far away the wall behind each pixel is."""
    rays, slope = _rays(heading, elevation, side)
    metres = around.metres[rays]
    height = EYE + metres * slope
    colour, shade = _walls(around, rays, height)
    flat = np.maximum(slope / (CEILING - EYE), -slope / EYE)  # 1 / metres to ceiling or floor
    far = 1 / np.maximum(1 / metres, flat)
    colour[height > CEILING], shade[height > CEILING] = _CEILING, 1.0
    down = height < 0
    colour[down], shade[down] = _floor(house, place, rays[down], far[down])
    for beam, paint in zip(around.lintels, around.beams, strict=True):
        crossed = beam[rays]
        high = EYE + crossed * slope
        covers = (high > DOOR[1]) & (high < CEILING) & (crossed < far)
        colour[covers], shade[covers] = paint[rays[covers]], 0.9
        far[covers] = crossed[covers]
        colour[covers & (high < DOOR[1] + FRAME)] = _WOOD
    shade *= 1.05 - 0.04 * np.minimum(far, 10)
    pixels = _TABLE.take(colour, 0)  # [F, F, 3]
    pixels *= shade[..., None]
    return np.minimum(pixels, 255, out=pixels).astype(np.uint8), metres


def _walls(
    around: Around, rays: NDArray[np.int64], height: NDArray[np.float32]
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Colour and shade of walls that go on below the floor and above the ceiling."""
    colour = around.paint[rays]
    shade = np.where(height < DADO, around.lower[rays], around.upper[rays])
    pane, middle = around.pane[rays], np.abs(height - 1.6)
    framed = (pane == _JAMB) & (height < DOOR[1] + FRAME)
    colour[framed | ((pane >= _GLASS) & (middle < 0.55)) | (height < SKIRTING)] = _WOOD
    glass = (pane == _GLASS) & (middle < 0.47)
    colour[glass], shade[glass] = _SKY, 1.1
    return colour, shade


def _floor(
    house: House,
    place: tuple[float, float],
    rays: NDArray[np.int64],
    metres: NDArray[np.float32],
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Colour and shade of the floor where rays reach it: boards, tiles or carpet."""
    east, north = _directions()
    x, y = place[0] + metres * east[rays], place[1] + metres * north[rays]
    column = np.minimum((x / CELL).astype(np.int64), COLUMNS - 1)
    row = np.minimum((y / CELL).astype(np.int64), ROWS - 1)
    floors = np.array([house.rooms[room].floor for room in house.room_of])
    kind = floors[row * COLUMNS + column]
    odd = np.array([(x / BOARD).astype(np.int64), (x / TILE).astype(np.int64),
                    np.zeros(len(x), np.int64)])  # fmt: skip
    odd[1] += (y / TILE).astype(np.int64)
    darker = odd[kind // 2, np.arange(len(x))] % 2 == 1
    return _FLOOR + kind, np.where(darker, np.float32(0.82), np.float32(1))


@cache
def _directions() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Metres eastward and northward a metre along each ray, [A] each."""
    angle = np.arange(RAYS) * (2 * math.pi / RAYS)
    return np.sin(angle).astype(np.float32), np.cos(angle).astype(np.float32)


def _stand(
    canvas: Pixels,
    metres: NDArray[np.float32],
    place: tuple[float, float],
    mark: Landmark,
    heading: int,
    elevation: int,
) -> None:
    """Paint a landmark and its pole over a view, where no wall is nearer."""
    away, r, name = math.dist(place, (mark.x, mark.y)), mark.radius, SHAPES[mark.shape]
    turn, tilt = bearing(place, (mark.x, mark.y)) - heading * STEP, elevation * STEP

    def corners(outline: Outline) -> Outline | None:
        """Pixels of places so many metres to the right of the mark's middle and down from it."""
        placed, side = [], len(canvas)
        for right, below in outline:
            x = away * math.sin(turn) + right * math.cos(turn)
            y = away * math.cos(turn) - right * math.sin(turn)
            z = mark.z - below - EYE
            ahead = y * math.cos(tilt) + z * math.sin(tilt)
            up = z * math.cos(tilt) - y * math.sin(tilt)
            if ahead < 0.05:  # beside the camera, and far out of the picture
                return None
            placed.append((side * (0.5 + FOCAL * x / ahead), side * (0.5 - FOCAL * up / ahead)))
        return placed

    nearer = metres <= away
    pole = corners([(-POLE, 0), (POLE, 0), (POLE, mark.z), (-POLE, mark.z)])
    shape = corners([(r * x, r * y) for x, y in OUTLINES[name]])
    hole = corners([(r * x, r * y) for x, y in HOLE]) if name == "ring" else None
    _paint(canvas, nearer, (50, 50, 52), pole)
    _paint(canvas, nearer, PALETTE[mark.colour], shape, hole)


def _paint(
    canvas: Pixels,
    nearer: NDArray[np.bool_],
    colour: tuple[int, ...],
    corners: Outline | None,
    hole: Outline | None = None,
) -> None:
    """Fill a polygon but for its hole and for what is nearer; only its own rectangle is touched."""
    if corners is None:
        return
    across, down = (
        slice(max(0, math.floor(min(line))), min(len(canvas), math.ceil(max(line)) + 1))
        for line in zip(*corners, strict=True)
    )
    if across.start >= across.stop or down.start >= down.stop:
        return
    mask = Image.new("L", (across.stop - across.start, down.stop - down.start))
    pen = ImageDraw.Draw(mask)
    for outline, covers in ((corners, 1), (hole, 0)):
        if outline is not None:
            pen.polygon([(x - across.start, y - down.start) for x, y in outline], fill=covers)
    canvas[down, across][np.asarray(mask, bool) & ~nearer[down, across]] = colour
