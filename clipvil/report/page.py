"""Records and abouts -> report.html, results.csv, table.md and table.tex in one folder.

The page is one file: styles, figures and pictures are in it, so it opens without a network.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from clipvil.evaluate.result import About, Cell, Record, Shown
from clipvil.files import write_bytes
from clipvil.graphs.above import WIDTH
from clipvil.progress import duration, size
from clipvil.report import figures, tables, view, words
from clipvil.report.view import Comparison

DIFFERENCES = (
    "Paired by example and seed. Significant: p below .05 after Holm's adjustment over all "
    "encoders and sizes, at least two seeds, and all seeds on the same side of zero. Relative: "
    "gain as a share of what the baseline has over the answer prior. Examples needed: for what the "
    "baseline reaches with all of them, interpolated on log n."
)
SHIFTS = (
    "Change: the same models on the shifted test set minus on the one as it is, paired by example. "
    "The difference to the baseline is under the shift itself, p adjusted over all shifts."
)
MOST_SHOWN = 12  # examples with pictures on a page


def write(folder: Path, records: Sequence[Record], abouts: Sequence[About]) -> list[Path]:
    """Write the four files and return their paths.

    Raises
        ValueError: the records hold no comparison
    """
    order = [encoder.name for about in abouts for encoder in about.encoders]
    views = view.comparisons(records, order)
    printed = [table for table in [tables.overview(views)] if table.rows]
    printed += [table for comparison in views for table in tables.every(comparison)]
    contents = {
        "report.html": html(views, abouts),
        "results.csv": tables.to_csv(records),
        "table.md": tables.to_markdown(printed),
        "table.tex": tables.to_latex(printed),
    }
    for name, text in contents.items():
        write_bytes(folder / name, text.encode())
    return [folder / name for name in contents]


def html(views: Sequence[Comparison], abouts: Sequence[About]) -> str:
    """The page."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {
        "words": words,
        "controls": view.CONTROLS,
        "size_of": size,
        "listed": listed,
        "width": WIDTH,
    }
    environment.filters |= {"breakable": breakable}
    page = environment.get_template("page.html.jinja")
    text = page.render(
        overview=tables.overview(views),
        sections=[section(comparison, abouts) for comparison in views],
        abouts=abouts,
        costs=[encoder for about in abouts for encoder in about.encoders],
        title=" · ".join(dict.fromkeys(about.task for about in abouts)) or views[0].task,
    )
    return re.sub(r"(?<=\d) %", "&nbsp;%", text)


def section(comparison: Comparison, abouts: Sequence[About]) -> dict[str, Any]:
    """What the template shows of one comparison."""
    costs = [encoder for about in abouts for encoder in about.encoders]
    legend = {who: Markup(figures.swatch(comparison, who)) for who in comparison.all}
    at_most = f"{words.amount(comparison.sizes[-1])}."
    several = len(comparison.sizes) > 1
    plots = [
        ("Learning curves" if several else "Scores",
         figures.curves(comparison) if several else figures.scores(comparison),
         f"Mean over seeds; {'bands' if several else 'lines'} are 95 % intervals over seeds and "
         "test pictures."),
        *((f"By {kind.replace('_', ' ')}", figures.strata(comparison, kind),
           f"{at_most} Exploratory: intervals are not adjusted for the number of types.")
          for kind in comparison.breakdowns),
    ]  # fmt: skip
    if comparison.shifts:
        text = "The test set as it is, and each shifted one."
        plots.append(("By shift", figures.shifts(comparison), f"{at_most} {text}"))
    if drawn := figures.cost(comparison, costs):
        plots.append(("What it costs", drawn, at_most))
    return {
        "view": comparison,
        "headline": words.headline(comparison),
        "findings": words.others(comparison),
        "cautions": words.cautions(comparison),
        "legend": legend,
        "colours": {who: figures.colour(comparison, who) for who in comparison.all},
        "figures": [(name, Markup(svg), caption) for name, svg, caption in plots],
        "differences": printed(
            tables.differences(comparison), f"Differences to {comparison.baseline}", DIFFERENCES
        ),
        "shifts": printed(tables.shifts(comparison), "Under shift", SHIFTS),
        "sizes": {size.shots: size for size in comparison.sizes},
        "runs": runs(comparison),
        "shown": shown(comparison, abouts),
    }


def printed(table: tables.Table, title: str, note: str) -> dict[str, Any] | None:
    """A table with a heading over the rows of each first entry; None where it has no rows."""
    blocks = [(name, list(rows)) for name, rows in groupby(table.rows, key=lambda row: row[0])]
    return (
        {"title": title, "note": note, "head": table.head[1:], "blocks": blocks} if blocks else None
    )


def runs(comparison: Comparison) -> list[tuple[str, list[list[Cell]]]]:
    """Trained models by encoder and size, their seeds in order."""
    found = []
    for who in comparison.all:
        cells = [cell for cell in comparison.trained if cell.encoder == who]
        cells.sort(key=lambda c: (c.shots, c.seed.key))
        sizes = {shots: list(seeds) for shots, seeds in groupby(cells, key=lambda c: c.shots)}
        there = [sizes[size.shots] for size in comparison.sizes if size.shots in sizes]
        found.append((who, there))
    return [(who, there) for who, there in found if there]


def shown(comparison: Comparison, abouts: Sequence[About]) -> list[Shown]:
    """Examples of this task, each once."""
    examples = {e.id: e for about in abouts if about.task == comparison.task
                for e in about.examples}  # fmt: skip
    return list(examples.values())[:MOST_SHOWN]


def listed(values: Iterable[Any], form: str = "%s", times: float = 1) -> str:
    """The seeds' values in a row, one where all are the same; a dash where there are none."""
    there = [value for value in values if value is not None]
    if form == "duration":
        texts = [duration(value) for value in there]
    else:
        texts = [form % (value if times == 1 else times * value) for value in there]
    return " · ".join(texts[:1] if len(set(texts)) == 1 else texts) or words.NONE


def breakable(text: str) -> Markup:
    """Text whose long names a narrow column may break after their separators."""
    parts = (str(escape(part)) for part in text.split(" "))
    cut = (re.sub(r"([_.,:/=-])(?=\w)", r"\1<wbr>", p) if len(p) >= 20 else p for p in parts)
    return Markup(" ".join(cut))
