"""Records as tables: CSV of everything, Markdown and LaTeX of what a paper prints."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import msgspec

from clipvil.evaluate.result import Record
from clipvil.report import words
from clipvil.report.view import Comparison, Size


@dataclass(frozen=True, slots=True)
class Table:
    """A caption, a head and rows of text; the first column names the row."""

    caption: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def every(view: Comparison) -> list[Table]:
    """The tables of one comparison that have rows."""
    tables = [scores(view), differences(view), shifts(view)]
    return [table for table in tables if table.rows]


def overview(views: Sequence[Comparison]) -> Table:
    """Encoders and controls by task, each with the most examples; no rows of one task alone."""

    def text(view: Comparison, who: str) -> str:
        difference = view.against(who, view.sizes[-1].shots)
        told_apart = difference is not None and difference.significant
        return reached(view, who, view.sizes[-1]) + (" *" if told_apart else "")

    everyone = [*dict.fromkeys(who for view in views for who in view.encoders)]
    everyone += dict.fromkeys(who for view in views for who in view.controls)
    rows = [(marked(views, who), *(text(view, who) for view in views)) for who in everyone]
    head = ("encoder", *(f"{view.task}: {words.score(view)}" for view in views))
    caption = "Every task with the most examples: mean over seeds (95 % interval); * differs "
    caption += "significantly from the baseline"
    return Table(caption, head, tuple(rows) if len(views) > 1 else ())


def marked(views: Sequence[Comparison], who: str) -> str:
    """A row's name, which says whether it is a control."""
    return f"{who} (control)" if any(who in view.controls for view in views) else who


def reached(view: Comparison, who: str, size: Size) -> str:
    """Mean over seeds and its interval; a dash for what was not run."""
    mean = view.mean(who, size.shots)
    if mean is None:
        return words.NONE
    inside = words.interval(mean.low, mean.high, view.unit)
    return f"{words.number(mean.value, view.unit)} ({inside})"


def scores(view: Comparison) -> Table:
    """Encoders and controls by size: mean over seeds and its interval."""
    rows = [
        (marked([view], who), *(reached(view, who, size) for size in view.sizes))
        for who in view.all
    ]
    count = f"{view.num_seeds} seeds" if view.num_seeds > 1 else "one seed"
    caption = (f"{view.task}, {view.split}: {words.score(view)}, mean over {count} "
               f"(95 % interval), n = {view.questions}")  # fmt: skip
    return Table(caption, ("encoder", *(size.text for size in view.sizes)), tuple(rows))


def differences(view: Comparison) -> Table:
    """Encoders against the baseline, on the unshifted test set."""
    rows = []
    for who in view.encoders:
        for size in view.sizes:
            d = view.against(who, size.shots)
            if d is not None:
                rows.append((
                    who, size.text, words.number(d.value, view.unit, signed=True),
                    words.interval(d.low, d.high, view.unit, signed=True), words.p_value(d.p_holm),
                    "yes" if d.significant else "no", words.fraction(d.relative),
                    _needed(d.examples_needed, d.examples_needed_interval),
                ))  # fmt: skip
    unit = f", {words.points(view.unit)}" if words.points(view.unit) else ""
    head = ("encoder", "examples", f"difference{unit}", "95 % interval", "p (Holm)",
            "significant", "relative", "examples needed")  # fmt: skip
    return Table(f"{view.task}: difference to {view.baseline}", head, tuple(rows))


def shifts(view: Comparison) -> Table:
    """Every encoder under every shift, with all the examples it was given."""
    rows, size = [], view.sizes[-1]
    for shift in view.shifts:
        for who in view.encoders:
            mean = view.mean(who, size.shots, shift=shift)
            d = view.against(who, size.shots, shift=shift)
            if mean is None:
                continue
            rows.append((
                shift, who,
                words.number(mean.value, view.unit),
                words.number(mean.drop, view.unit, signed=True),
                words.interval(mean.drop_low, mean.drop_high, view.unit, signed=True),
                words.number(d.value, view.unit, signed=True) if d else words.NONE,
                words.interval(d.low, d.high, view.unit, signed=True) if d else words.NONE,
                words.p_value(d.p_holm) if d else words.NONE,
                ("yes" if d.significant else "no") if d else words.NONE,
            ))  # fmt: skip
    head = ("shift", "encoder", words.score(view), "change", "95 % interval",
            f"difference to {view.baseline}", "95 % interval", "p (Holm)",
            "significant")  # fmt: skip
    return Table(f"{view.task}: shifted test sets, {size.text}", head, tuple(rows))


def _needed(text: str | None, span: str | None) -> str:
    if text is None:
        return words.NONE
    return f"{text} ({span})" if span and span != text else text


# ---------------------------------------------------------------------------- writers


def to_csv(records: Iterable[Record]) -> str:
    """Every record a row; columns are the union of all keys, seeds spelled out."""
    rows = []
    for record in records:
        row = dict[str, object](msgspec.to_builtins(record))
        seed = row.pop("seed", None)
        if isinstance(seed, dict):
            row |= {f"seed_{name}": value for name, value in seed.items()}
        if isinstance(seeds := row.get("seeds"), list):
            row["seeds"] = " ".join(map(str, seeds))
        rows.append(row)
    columns = list(dict.fromkeys(name for row in rows for name in row))
    file = io.StringIO()
    writer = csv.DictWriter(file, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue()


def to_markdown(tables: Sequence[Table]) -> str:
    """Pipe tables under their captions."""
    blocks = []
    for table in tables:
        lines = [table.head, tuple("---" for _ in table.head), *table.rows]
        text = "\n".join("| " + " | ".join(c.replace("|", r"\|") for c in r) + " |" for r in lines)
        blocks.append(f"**{table.caption}**\n\n{text}\n")
    return "\n".join(blocks)


def to_latex(tables: Sequence[Table]) -> str:
    """Floats with booktabs rules, to be put in by \\input."""
    blocks = [r"% \usepackage{booktabs}"]
    for table in tables:
        body = [" & ".join(map(_latex, row)) + r" \\" for row in table.rows]
        blocks += [
            r"\begin{table}", r"\centering", rf"\caption{{{_latex(table.caption)}}}",
            rf"\begin{{tabular}}{{l{'r' * (len(table.head) - 1)}}}", r"\toprule",
            " & ".join(map(_latex, table.head)) + r" \\", r"\midrule", *body, r"\bottomrule",
            r"\end{tabular}", r"\end{table}", "",
        ]  # fmt: skip
    return "\n".join(blocks)


LATEX = str.maketrans({
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_",
    "{": r"\{", "}": r"\}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "<": r"$<$", ">": r"$>$", words.MINUS: "$-$", words.NONE: "--",
})  # fmt: skip


def _latex(text: str) -> str:
    return text.translate(LATEX)
