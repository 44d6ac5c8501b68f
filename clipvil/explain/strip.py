"""A caption as a strip of pictures: a column a word, where it looked and what spoke for it.

Colours share one scale over the strip, up to the most that any word has of any cell: orange for
attention, and for gradient times input orange where a cell speaks for a word, blue where against.
A cell is drawn as the part of the picture it stands for; what the encoder did not see stays grey.
"""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from jaxtyping import Float, UInt8
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from clipvil import pictures, progress
from clipvil.core import UsageError
from clipvil.explain.captions import Looks
from clipvil.features.lookup import Affine
from clipvil.files import atomic

FORMATS = (".png", ".svg", ".pdf")
SIDE = 240  # pixels of a picture's longer side
ABREAST = 8  # words in a line
PANEL = 1.35  # inches
ROWS = ("attention", "gradient\n× input")
FOR, AGAINST = (np.array(colour) / 255.0 for colour in ((227, 83, 0), (0, 92, 200)))
GLYPH = re.compile(r"Glyph (\d+) ")  # of matplotlib's warning
MOST = 0.85  # share of colour where a cell has the most


def checked(out: Path) -> Path:
    """A file that a strip can be written to.

    Raises
        UsageError: its name is of another kind
    """
    if out.suffix not in FORMATS:
        raise UsageError(f"{out} should end in {', '.join(FORMATS)}")
    return out


def draw(looks: Looks, picture: Path, out: Path) -> None:
    """Write the strip, as PNG, SVG or PDF by the name of `out`.

    Letters that no font here has are said, but in SVG, which its readers draw with their own fonts.
    """
    shown = pictures.read(picture)
    scale = SIDE / max(shown.size)
    small = shown.resize([max(1, round(scale * side)) for side in shown.size])
    with (
        mpl.rc_context({"text.parse_math": False, "svg.fonttype": "none"}),  # a dollar is a dollar
        warnings.catch_warnings(record=True) as said,
    ):
        warnings.filterwarnings("always", "Glyph .* missing")
        figure = drawn(looks, small, scale)
        with atomic(out) as temporary:
            figure.savefig(temporary, format=out.suffix[1:], dpi=130, bbox_inches="tight")
    numbers = {int(number[1]) for one in said if (number := GLYPH.match(str(one.message)))}
    if numbers and out.suffix != ".svg":
        lacking = " ".join(map(chr, sorted(numbers)[:8]))
        progress.say(f"no font here has {lacking}: in an .svg the reader's own fonts are taken")


def drawn(looks: Looks, picture: Image.Image, scale: float) -> Figure:
    """The strip of a picture that was made smaller by `scale`."""
    across = min(len(looks.words), ABREAST)
    lines = -(-len(looks.words) // ABREAST)
    tall = PANEL * picture.height / max(picture.size)
    height = lines * (2 * tall + 0.45) + 0.4
    figure = Figure(figsize=(PANEL * (across + 1.25), height))
    figure.suptitle(looks.caption, fontsize=11, x=0.01, y=1 - 0.1 / height, ha="left")
    grid = figure.add_gridspec(
        lines, 1, left=0.01, right=0.99, bottom=0.02, top=1 - 0.6 / height, hspace=0.22
    )
    pixels = np.asarray(picture)
    heats = (
        looks.attention / looks.attention.max(),
        looks.gradient / (np.abs(looks.gradient).max() or 1.0),
    )
    for line in range(lines):
        some = looks.words[line * ABREAST : (line + 1) * ABREAST]
        inner = grid[line].subgridspec(
            2, across + 2, width_ratios=(1, 0.25, *(1,) * across), wspace=0.05, hspace=0.05
        )
        if line == 0:
            shown = figure.add_subplot(inner[0, 0], xticks=[], yticks=[])
            shown.imshow(picture)
        for row, heat in enumerate(heats):
            named = figure.add_subplot(inner[row, 1])
            named.axis("off")
            named.text(0.9, 0.5, ROWS[row], rotation=90, fontsize=8, va="center", ha="right")
            for column, word in enumerate(some):
                panel = figure.add_subplot(inner[row, column + 2])
                panel.axis("off")
                over = heat[line * ABREAST + column]
                panel.imshow(laid_over(pixels, over, looks.affine, scale))
                if row == 0:
                    panel.set_title(word, fontsize=10, pad=3)
    return figure


def laid_over(
    pixels: UInt8[NDArray[Any], "H W 3"],
    heat: Float[NDArray[Any], "R C"],
    affine: Affine,
    scale: float,
) -> Float[NDArray[Any], "H W 3"]:
    """A pale grey picture, coloured as far as its cells are from 0; `heat` lies in -1 to 1."""
    a, b, c, d = affine
    height, width = pixels.shape[:2]
    column = np.floor(a * (np.arange(width) + 0.5) / scale + b).astype(int)
    row = np.floor(c * (np.arange(height) + 0.5) / scale + d).astype(int)
    seen = ((row >= 0) & (row < heat.shape[0]))[:, None] & (column >= 0) & (column < heat.shape[1])
    value = heat[row.clip(0, heat.shape[0] - 1)][:, column.clip(0, heat.shape[1] - 1)]
    value = np.where(seen, value, 0.0)[..., None]  # [H, W, 1]
    grey = 0.35 + 0.65 * pixels.mean(-1, keepdims=True) / 255.0
    share = MOST * np.abs(value)
    over: NDArray[Any] = (1 - share) * grey + share * np.where(value > 0, FOR, AGAINST)
    return over
