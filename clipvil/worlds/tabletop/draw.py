"""Scenes to pixels: drawn with Pillow at twice the size, then halved.

A picture is a function of the scene, the style and the size. Lengths are in pixels of the doubled
canvas; a `unit` of them is what one pixel is in a picture of 64.
"""

import math
from dataclasses import dataclass
from functools import cache
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageDraw

from clipvil.worlds.tabletop.scene import SHAPES, Scene, Thing

Outline: TypeAlias = list[tuple[float, float]]
Pixels: TypeAlias = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Style:
    """How to draw: filled or as a sketch, with the usual or the other palette and grounds."""

    sketch: bool = False
    other: bool = False


PLAIN: Final = Style()
SKETCH: Final = Style(sketch=True)
OTHER: Final = Style(other=True)

# In the order of scene.COLOURS.
PALETTE: Final = (
    (214, 40, 40), (245, 135, 30), (245, 220, 50), (50, 155, 65),
    (60, 200, 210), (45, 80, 205), (130, 55, 170), (245, 130, 185),
)  # fmt: skip
_OTHER_PALETTE: Final = (
    (160, 20, 30), (205, 105, 15), (205, 180, 20), (110, 205, 95),
    (20, 145, 155), (95, 135, 240), (170, 115, 215), (215, 70, 150),
)  # fmt: skip
_GROUNDS: Final = (
    (128, 128, 128), (222, 214, 198), (70, 74, 82), (176, 160, 140), (240, 240, 238), (108, 98, 90),
)  # fmt: skip
_OTHER_GROUNDS: Final = (
    (150, 170, 160), (196, 180, 206), (64, 84, 80), (214, 190, 170), (90, 80, 110), (200, 214, 226),
)  # fmt: skip


def _ngon(num: int, start: float = -math.pi / 2, inner: float | None = None) -> Outline:
    """A regular polygon, or a star where `inner` is the radius of every other corner."""
    return [
        (r * math.cos(a), r * math.sin(a))
        for k in range(num)
        for r in [1.0 if inner is None or k % 2 == 0 else inner]
        for a in [start + 2 * math.pi * k / num]
    ]


def _heart() -> Outline:
    points = []
    for k in range(24):
        t = 2 * math.pi * k / 24
        y = 13 * math.cos(t) - 5 * math.cos(2 * t) - 2 * math.cos(3 * t) - math.cos(4 * t)
        points.append((math.sin(t) ** 3, -(y + 2) / 15))
    return points


def _moon() -> Outline:
    """A crescent: the outer arc, and back along the arc of a shifted circle."""
    outer = [math.radians(a) for a in range(50, 311, 20)]
    arc = [(math.cos(a), math.sin(a)) for a in outer]
    x, y = arc[0]
    centre = 0.62
    radius = math.hypot(x - centre, y)
    edge = math.atan2(y, x - centre)
    back = [edge + (2 * math.pi - 2 * edge) * k / 10 for k in range(9, 0, -1)]
    return [(px - 0.15, py) for px, py in arc] + [
        (centre + radius * math.cos(a) - 0.15, radius * math.sin(a)) for a in back
    ]


_T = 0.34  # half the thickness of a cross's arms
OUTLINES: Final[dict[str, Outline]] = {
    "circle": _ngon(24),
    "square": [(-0.84, -0.84), (0.84, -0.84), (0.84, 0.84), (-0.84, 0.84)],
    "triangle": [(0, -0.95), (0.98, 0.8), (-0.98, 0.8)],
    "diamond": [(0, -1.1), (0.68, 0), (0, 1.1), (-0.68, 0)],
    "star": _ngon(10, inner=0.45),
    "cross": [(-_T, -1), (_T, -1), (_T, -_T), (1, -_T), (1, _T), (_T, _T),
              (_T, 1), (-_T, 1), (-_T, _T), (-1, _T), (-1, -_T), (-_T, -_T)],
    "ring": _ngon(24),
    "heart": _heart(),
    "moon": _moon(),
    "arrow": [(-1, -0.3), (0.05, -0.3), (0.05, -0.85), (1.05, 0), (0.05, 0.85), (0.05, 0.3),
              (-1, 0.3)],
}  # fmt: skip
HOLE: Final = [(0.5 * x, 0.5 * y) for x, y in _ngon(16)]
_SHADOW: Final = 102  # of 255: how much of the ground it covers
_TINT: Final = 63  # the same of a sketch's filling


def render(scene: Scene, style: Style = PLAIN, size: int = 64) -> Pixels:
    """The picture as [size, size, 3] bytes, RGB."""
    random = np.random.default_rng([scene.salt, style.sketch, style.other])
    unit = 2 * size / 64
    canvas = Image.fromarray(_ground(random, scene, style, size)).resize(
        (2 * size, 2 * size), Image.Resampling.NEAREST
    )
    throws = random.random() < 0.5 and not style.sketch
    numbers = random.random((len(scene.things), 4)).tolist()
    palette = _OTHER_PALETTE if style.other else PALETTE
    for thing, (red, green, blue, wobble) in zip(scene.things, numbers, strict=True):
        base = palette[thing.colour]
        jitter = (red, green, blue)
        colour = tuple(
            min(255, max(0, round(c + 30 * j - 15))) for c, j in zip(base, jitter, strict=True)
        )
        if style.sketch:
            _sketch(canvas, thing, colour, unit, wobble)
        else:
            _fill(canvas, thing, colour, unit, throws)
    planes = np.array(canvas.reduce(2)).transpose(2, 0, 1).astype(np.float32)  # [3, size, size]
    noise = random.standard_normal((size, size), dtype=np.float32) * random.uniform(2, 7)
    return _bytes(planes + noise)


def _corners(outline: Outline, thing: Thing, unit: float, wobble: float = 0.0) -> Outline:
    """An outline turned by up to 15 degrees and scaled, around the middle of its tile."""
    r, angle = thing.radius * 64 * unit, thing.turn * 0.26
    c, s, mid = r * math.cos(angle), r * math.sin(angle), _half(thing, unit)
    shaky = [(x + wobble * math.sin(7 * k), y + wobble * math.cos(5 * k))
             for k, (x, y) in enumerate(outline)] if wobble else outline  # fmt: skip
    return [(mid + c * x - s * y, mid + s * x + c * y) for x, y in shaky]


def _half(thing: Thing, unit: float) -> int:
    """Half the side of the tile that a thing is drawn on."""
    return math.ceil(thing.radius * 64 * unit * 1.2) + 2


def _fill(canvas: Image.Image, thing: Thing, colour: tuple[int, ...], unit: float,
          throws: bool) -> None:  # fmt: skip
    """A filled thing, its texture in a darker shade, maybe with a shadow down to the right."""
    half = _half(thing, unit)
    mask = Image.new("1", (2 * half, 2 * half))  # of bits: pasted without blending
    pen = ImageDraw.Draw(mask)
    name = SHAPES[thing.shape]
    pen.polygon(_corners(OUTLINES[name], thing, unit), fill=1)
    if name == "ring":
        pen.polygon(_corners(HOLE, thing, unit), fill=0)
    left, top = round(thing.x * 64 * unit) - half, round(thing.y * 64 * unit) - half
    if throws:
        away = round(1.5 * unit)
        canvas.paste((10, 10, 15), (left + away, top + away), _faded(mask, _SHADOW))
    canvas.paste(colour, (left, top), mask)
    if thing.texture:
        darker = tuple(round(0.55 * c) for c in colour)
        canvas.paste(darker, (left, top), _textured(mask, thing.texture, unit))


def _sketch(canvas: Image.Image, thing: Thing, colour: tuple[int, ...], unit: float,
            wobble: float) -> None:  # fmt: skip
    """An unsteady outline in the thing's colour, tinted inside, its texture as pen strokes."""
    half = _half(thing, unit)
    inside, lines = Image.new("1", (2 * half, 2 * half)), Image.new("1", (2 * half, 2 * half))
    fill, pen = ImageDraw.Draw(inside), ImageDraw.Draw(lines)
    name = SHAPES[thing.shape]
    for outline, covers in ((OUTLINES[name], 1), (HOLE, 0))[: 2 if name == "ring" else 1]:
        corners = _corners(outline, thing, unit, 0.02 + 0.04 * wobble)
        fill.polygon(corners, fill=covers)
        pen.line([*corners, corners[0]], fill=1, width=round(1.5 * unit))
    place = (round(thing.x * 64 * unit) - half, round(thing.y * 64 * unit) - half)
    canvas.paste(colour, place, _faded(inside, _TINT))
    if thing.texture:
        canvas.paste(colour, place, _textured(inside, thing.texture, unit))
    canvas.paste(colour, place, lines)


def _faded(mask: Image.Image, level: int) -> Image.Image:
    """The mask with `level` wherever it covers."""
    return mask.point([0] + [level] * 255, "L")


def _textured(mask: Image.Image, texture: int, unit: float) -> Image.Image:
    """The part of a mask that stripes (1) or dots (2) cover."""
    return ImageChops.logical_and(mask, _pattern(texture, unit, mask.width))


@cache
def _pattern(texture: int, unit: float, side: int) -> Image.Image:
    down, across = np.mgrid[:side, :side] / unit
    if texture == 1:
        covered = (across + down) % 4 < 1.7
    else:
        covered = (across % 4 - 2) ** 2 + (down % 4 - 2) ** 2 < 1.7
    return Image.fromarray(covered)


def _ground(random: np.random.Generator, scene: Scene, style: Style, size: int) -> Pixels:
    """The table: a base colour, a pattern on it, light from one side."""
    kind, base = divmod(scene.ground, 6)
    colour = np.array((_OTHER_GROUNDS if style.other else _GROUNDS)[base], dtype=np.float32)
    if style.sketch:
        colour = 225 + colour * 0.1
    across, down = _axes(size)
    a, b, c, d = random.random(4)
    light = 24 * ((a - 0.5) * across + (b - 0.5) * down)
    pattern = _blotches(random, size) if kind == 0 else np.float32(0)
    if style.other:
        if kind:
            pattern = np.sign(np.sin(across * (6 + 8 * c)) * np.sin(down * (6 + 8 * c) + kind))
    elif kind == 1:  # planks
        pattern = np.sign(np.sin((across if d < 0.5 else down) * (8 + 10 * c)))
    elif kind == 2:  # cloth
        pattern = np.sin(across * (14 + 10 * c) + down * (14 - 28 * d))
    shade = light + (4 if style.sketch else 9) * pattern  # [size, size]
    tint = (random.random(3, dtype=np.float32) - 0.5) * 20
    return _bytes(colour[:, None, None] + (shade + tint[:, None, None]))


def _bytes(planes: NDArray[np.floating]) -> Pixels:
    """Planes [3, H, W] as pixels [H, W, 3]: cut to 0 ... 255, rounded down; changes its argument.

    Colours come last only here: numpy is slow on rows of three.
    """
    np.minimum(planes, 255, out=planes)
    np.maximum(planes, 0, out=planes)
    return np.stack([*planes.astype(np.uint8)], axis=-1)


def _blotches(random: np.random.Generator, size: int) -> NDArray[np.float32]:
    """Smooth noise of about unit size."""
    coarse = Image.fromarray(random.standard_normal((5, 5), dtype=np.float32))
    return np.asarray(coarse.resize((size, size), Image.Resampling.BICUBIC), dtype=np.float32)


@cache
def _axes(size: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Columns [1, size] and rows [size, 1] of a picture as numbers from -1 to 1."""
    line = np.linspace(-1, 1, size, dtype=np.float32)
    return line[None], line[:, None]
