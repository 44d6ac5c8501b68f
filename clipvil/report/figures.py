"""Figures as SVG for a page: drawn narrow so that letters stay legible on a phone.

Colours are written as CSS variables (the page says what they are by day, by night and on paper);
each encoder also has a marker of its own, so that nothing hangs on colour. The eight-bit colours
here only stand for the variables while matplotlib draws.
"""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, MaxNLocator, NullLocator

from clipvil.evaluate.result import EncoderCost, Mean
from clipvil.report import words
from clipvil.report.view import Comparison

SERIES = ("#010101", "#020202", "#030303", "#040404", "#050505", "#060606")  # --s1 ... --s6
INK, SOFT, RULE = "#0a0a0a", "#0b0b0b", "#0c0c0c"
VARIABLES = {
    **{colour: f"var(--s{i})" for i, colour in enumerate(SERIES, 1)},
    INK: "var(--ink)", SOFT: "var(--soft)", RULE: "var(--rule)",
}  # fmt: skip
MARKERS = ("o", "s", "^", "D", "v", "P")
CONTROL_MARKERS = ("x", "+", "d", "1", "*", "2", "p", "3", "h", "4")
DASHES = ((4, 2), (1.5, 1.5), (6, 2, 1, 2), (2, 3))
WIDTH = 4.2  # inches; at 360 CSS pixels a point is then about a pixel
STYLE: Any = {
    "svg.fonttype": "none", "font.family": "sans-serif", "font.size": 10, "text.color": INK,
    "axes.edgecolor": RULE, "axes.labelcolor": SOFT, "xtick.color": SOFT, "ytick.color": SOFT,
    "axes.spines.top": False, "axes.spines.right": False, "axes.linewidth": 0.8,
    "xtick.major.width": 0.8, "ytick.major.size": 0, "axes.unicode_minus": True,
}  # fmt: skip


def look(view: Comparison, who: str) -> dict[str, Any]:
    """Colour, marker and line of an encoder or control, the same in every figure."""
    if who in view.controls:
        place = list(view.controls).index(who)
        marker = CONTROL_MARKERS[place % len(CONTROL_MARKERS)]
        return {"color": SOFT, "marker": marker, "dashes": DASHES[place % len(DASHES)]}
    place = view.encoders.index(who)
    dashes = (None, None) if place < len(SERIES) else (5, 1)
    i = place % len(SERIES)
    return {"color": SERIES[i], "marker": MARKERS[i], "dashes": dashes}


def swatch(view: Comparison, who: str) -> str:
    """A marker on a piece of line, for the legend."""
    figure = Figure(figsize=(0.36, 0.16))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.axis("off")
    axes.set(xlim=(0, 1), ylim=(-1, 1))
    line = look(view, who)
    axes.plot([0, 1], [0, 0], color=line["color"], dashes=line["dashes"], lw=1.6)
    axes.plot([0.5], [0], color=line["color"], marker=line["marker"], ms=5.5, lw=0)
    return _svg(figure, "")


def colour(view: Comparison, who: str) -> str:
    """The same as CSS."""
    return VARIABLES[look(view, who)["color"]]


def curves(view: Comparison) -> str:
    """Score by number of training examples, bands over encoders."""
    figure, axes = _canvas(3.1, words.score(view))
    for who in reversed(view.all):
        means = [(s.examples, m) for s in view.sizes if (m := view.mean(who, s.shots)) is not None]
        line, x = look(view, who), [n for n, _ in means]
        axes.plot(x, [_of(m.value) for _, m in means], lw=1.8, ms=5.5, clip_on=False, **line)
        if who in view.encoders:
            low, high = [_of(m.low) for _, m in means], [_of(m.high) for _, m in means]
            axes.fill_between(x, low, high, color=line["color"], alpha=0.14, lw=0)
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator([size.examples for size in view.sizes]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticklabels([f"{size.text}\n{size.examples:,}" for size in view.sizes])
    axes.set_xlabel("training examples, log scale")
    sizes = ", ".join(f"{s.text} ({s.examples:,})" for s in view.sizes)
    return _svg(figure, f"Learning curves: {words.score(view)} with {sizes} of the examples. "
                        f"{_said(view)}")  # fmt: skip


def scores(view: Comparison) -> str:
    """The scores with the only size."""
    (size,) = view.sizes
    rows = [(f"{size.text}\n{size.examples:,}", {w: view.mean(w, size.shots) for w in view.all})]
    return _dots(view, rows, words.score(view))


def strata(view: Comparison, kind: str) -> str:
    """Score by one breakdown (question type ...), with the largest size."""
    size = view.sizes[-1]
    rows = []
    for stratum in view.breakdowns[kind]:
        means = {who: view.mean(who, size.shots, stratum=stratum) for who in view.all}
        n = next((m.n for m in means.values() if m is not None), 0)
        rows.append((f"{stratum}\nn {n:,}", means))
    label = f"{words.score(view)} by {kind}, {size.text} of the examples"
    return _dots(view, rows, label)


def shifts(view: Comparison) -> str:
    """Score on the test set as it is and under each shift, with the largest size."""
    size = view.sizes[-1]
    places: list[str | None] = [None, *view.shifts]
    rows = [(shift or "as it is", {w: view.mean(w, size.shots, shift=shift) for w in view.all})
            for shift in places]  # fmt: skip
    return _dots(view, rows, f"{words.score(view)} by shift, {size.text} of the examples")


def _dots(view: Comparison, rows: Sequence[tuple[str, dict[str, Mean | None]]], label: str) -> str:
    """One row of dots with intervals a name, encoders one under the other."""
    figure, axes = _canvas(0.75 + 0.5 * len(rows), words.score(view))
    step = min(0.2, 0.72 / max(1, len(view.encoders)))
    for place, (_, means) in enumerate(rows):
        for who, mean in means.items():
            line = look(view, who)
            if mean is None or mean.value is None:
                continue
            if who in view.controls:
                axes.plot([mean.value], [place], color=SOFT, marker=line["marker"], ms=5, lw=0)
                continue
            y = place + step * (view.encoders.index(who) - (len(view.encoders) - 1) / 2)
            if mean.low is not None and mean.high is not None:
                axes.hlines(y, mean.low, mean.high, color=line["color"], lw=1.6)
            axes.plot([mean.value], [y], color=line["color"], marker=line["marker"], ms=5.5, lw=0)
    axes.set_yticks(range(len(rows)), [name for name, _ in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    for place in range(1, len(rows)):
        axes.axhline(place - 0.5, color=RULE, lw=0.6)
    axes.grid(False, axis="y")
    axes.grid(True, axis="x", color=RULE, lw=0.6)
    axes.tick_params(axis="y", labelcolor=INK)
    said = []
    for name, means in rows:
        there = [f"{w} {words.number(m.value, view.unit)}" for w, m in means.items() if m]
        said.append(f"{name.partition(chr(10))[0]}: {', '.join(there)}")
    return _svg(figure, f"{label}. {'; '.join(said)}.")


def cost(view: Comparison, costs: Sequence[EncoderCost]) -> str | None:
    """Score against seconds per thousand pictures; None where nobody measured them."""
    size = view.sizes[-1]
    seconds = {c.name: c.seconds_per_1000 for c in costs if c.seconds_per_1000}
    pairs = [(who, m, seconds[who]) for who in view.encoders if who in seconds
             and (m := view.mean(who, size.shots)) is not None and m.value is not None]  # fmt: skip
    if len(pairs) < 2:
        return None
    figure, axes = _canvas(2.7, words.score(view))
    for who, mean, x in pairs:
        line = look(view, who)
        axes.vlines(x, _of(mean.low), _of(mean.high), color=line["color"], lw=1.6)
        axes.plot([x], [_of(mean.value)], color=line["color"], marker=line["marker"], ms=7, lw=0)
    places = [x for _, _, x in pairs]
    if max(places) < 3 * min(places):  # from nothing on, or a hundredth would look like a lot
        axes.set_xlim(0, 1.15 * max(places))
    else:
        axes.set_xscale("log")
        axes.margins(x=0.15)
        axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(lambda x, _: f"{x:,.3g}")
    axes.set_xlabel("seconds to encode 1,000 pictures")
    said = "; ".join(f"{w}: {words.number(m.value, view.unit)} at {x:.3g} seconds"
                     for w, m, x in pairs)  # fmt: skip
    return _svg(figure, f"{words.score(view)} against encoding time: {said}.")


# ---------------------------------------------------------------------------- drawing


def _of(value: float | None) -> float:
    return float("nan") if value is None else value


def _said(view: Comparison) -> str:
    """The curves in words, for who cannot see them."""
    lines = []
    for who in view.all:
        means = [view.mean(who, size.shots) for size in view.sizes]
        lines.append(f"{who}: {', '.join(words.number(m.value, view.unit) for m in means if m)}")
    return "; ".join(lines) + "."


def _canvas(height: float, title: str) -> tuple[Figure, Axes]:
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, height), layout="constrained")
        axes = figure.add_subplot()
        axes.set_title(title, loc="left", fontsize=10, color=SOFT)
        axes.grid(True, axis="y", color=RULE, lw=0.6)
        axes.yaxis.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 5, 10]))
        axes.set_axisbelow(True)
    return figure, axes


def _svg(figure: Figure, description: str) -> str:
    """The figure as an element of a page: no header, no ids that two figures share."""
    file = io.StringIO()
    salt: Any = {**STYLE, "svg.hashsalt": description or "swatch"}
    with mpl.rc_context(salt):
        figure.savefig(file, format="svg", transparent=True, metadata={"Date": None})
    text = file.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r' id="(?!p[0-9a-f]{10}|m[0-9a-f]{10})[^"]*"', "", text)  # figure_1, axes_1 ...
    for colour, variable in VARIABLES.items():
        text = text.replace(colour, variable)
    hidden = (
        'aria-hidden="true"'
        if not description
        else f'role="img" aria-label="{_attribute(description)}"'
    )
    return re.sub(r"<svg ", f"<svg {hidden} ", text, count=1)


def _attribute(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")
