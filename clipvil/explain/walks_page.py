"""A gallery of walks as one HTML page: styles, drawings and pictures are in it."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from PIL import Image

from clipvil import pictures
from clipvil.explain.walks import KINDS, Followed, Gallery, Step
from clipvil.files import write_bytes
from clipvil.graphs.above import WIDTH, drawn, stops
from clipvil.graphs.views import HEADINGS, STEP
from clipvil.metrics.path import NEAR
from clipvil.report import page

SHOWN = ("spl", "success_rate", "navigation_error", "ndtw", "trajectory_length")
HEIGHT, VIEW = 84, 132  # pixels of what is all around, and of a view
SLICE = math.tan(STEP / 2) / math.tan(math.pi / 6)  # of a view's height: as wide as 30 degrees are
AHEAD = math.radians(15)


def write(path: Path, gallery: Gallery) -> None:
    """Write the page.

    Raises
        ValueError: a picture of a view cannot be read; names it
    """
    write_bytes(path, html(gallery).encode())


def html(gallery: Gallery) -> str:
    """The page."""
    environment = Environment(
        loader=FileSystemLoader([Path(__file__).parent, Path(page.__file__).parent]),
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    sections = [
        (kind, [section(gallery, walk) for walk in gallery.walks if walk.kind == kind])
        for kind in KINDS
    ]
    return environment.get_template("walks.html.jinja").render(
        gallery=gallery, sections=[(kind, walks) for kind, walks in sections if walks],
        means=figures(gallery, gallery.means), width=WIDTH, near=NEAR, stops=stops,
    )  # fmt: skip


def figures(gallery: Gallery, scores: Mapping[str, float]) -> list[tuple[str, str]]:
    """Names and values of the metrics that are shown."""
    return [
        (m.name.replace("_", " "), f"{scores[m.name]:.1f} m" if m.unit else f"{scores[m.name]:.2f}")
        for m in gallery.metrics
        if m.name in SHOWN
    ]


def section(gallery: Gallery, walk: Followed) -> dict[str, Any]:
    """What the template shows of one walk."""
    passed = [viewpoint for viewpoint, _, _ in walk.answer.steps]
    after = [*walk.steps[1:], None]
    return {
        "walk": walk,
        "figures": figures(gallery, walk.scores),
        "drawing": drawn(gallery.atlas, walk.episode, [passed]),
        "steps": [
            choice(gallery.views, walk, step, then)
            for step, then in zip(walk.steps, after, strict=True)
        ],
    }


def choice(
    views: Mapping[str, Path], walk: Followed, step: Step, then: Step | None
) -> dict[str, Any]:
    """What the template shows of one choice; `then` is the next."""
    view = step.view if step.chosen is None or then is None else then.view
    most = max(step.words, default=0.0) or 1.0
    taken = None if step.chosen is None else step.ways[step.chosen]
    files = {k: views.get(f"{walk.episode.scan}/{step.viewpoint}/{k:02d}") for k in level(view)}
    there = {k: file for k, file in files.items() if file is not None}
    return {
        "said": "stops" if taken is None else f"goes {turn(taken.aside)}",
        "chance": step.chance,
        "stop": step.stop,
        "ways": [(across(way.aside), way.chance, way is taken, turn(way.aside))
                 for way in step.ways],
        "words": [(word, weight, weight / most)
                  for word, weight in zip(walk.words, step.words, strict=True)],
        "around": around(there, step.view) if len(there) == HEADINGS else None,
        "view": shown(there[view]) if view in there else None,
    }  # fmt: skip


def turn(aside: float) -> str:
    """A direction in words."""
    if abs(aside) < AHEAD:
        return "straight on"
    return f"{math.degrees(abs(aside)):.0f}° to the {'right' if aside > 0 else 'left'}"


def across(aside: float) -> float:
    """Where a direction is in a picture of all around, in percent; ahead is the middle."""
    return 100 * ((0.5 + aside / (2 * math.pi)) % 1)


def level(view: int) -> range:
    """The views of the same elevation."""
    first = view - view % HEADINGS
    return range(first, first + HEADINGS)


def around(files: Mapping[int, Path], facing: int) -> str:
    """All around, from the middle of each view, as a data URI; in the middle is what one faces."""
    slices = []
    for file in (files[k] for k in sorted(files)):
        whole = opened(file)
        half = SLICE * whole.height / 2
        box = (whole.width / 2 - half, 0, whole.width / 2 + half, whole.height)
        slices.append(whole.resize((round(SLICE * HEIGHT), HEIGHT), box=box))
    wide = slices[0].width
    ring = Image.new("RGB", (HEADINGS * wide, HEIGHT))
    first = (facing % HEADINGS) * wide + wide // 2 - ring.width // 2  # of the ring, at the left
    for number, one in enumerate(slices):
        left = (number * wide - first) % ring.width
        for place in (left, left - ring.width):  # one slice goes over the edge
            ring.paste(one, (place, 0))
    return uri(ring)


def shown(file: Path) -> str:
    """A view as a data URI."""
    whole = opened(file)
    scale = VIEW / whole.height
    return uri(whole.resize((round(scale * whole.width), VIEW)))


def opened(file: Path) -> Image.Image:
    """A picture; one that is broken says which."""
    try:
        return pictures.read(file)
    except pictures.BrokenPictureError as error:
        raise ValueError(f"{file}: {error}") from error


def uri(picture: Image.Image) -> str:
    """A picture inside a page."""
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=85)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"
