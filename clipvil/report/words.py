"""Figures as a person reads them, and the sentences that say what was found."""

from __future__ import annotations

from clipvil.evaluate.result import Difference, Mean
from clipvil.report.view import Comparison, Size

MINUS = "\N{MINUS SIGN}"
NONE = "\N{EN DASH}"
WRITTEN = {
    "cider": "CIDEr",
    "spl": "SPL",
    "q_ar": "Q\N{RIGHTWARDS ARROW}AR",
}  # the headlines' names


def number(value: float | None, unit: str, *, signed: bool = False) -> str:
    """A figure with the digits its unit deserves; a dash for what does not exist."""
    if value is None:
        return NONE
    digits = 1 if unit == "%" or abs(value) >= 20 else 2 if abs(value) >= 2 else 3
    text = f"{value:+.{digits}f}" if signed else f"{value:.{digits}f}"
    return text.replace("-", MINUS)


def interval(low: float | None, high: float | None, unit: str, *, signed: bool = False) -> str:
    """`45.2 to 49.0`; a dash for what does not exist."""
    if low is None or high is None:
        return NONE
    return f"{number(low, unit, signed=signed)} to {number(high, unit, signed=signed)}"


def p_value(p: float | None) -> str:
    """A p value to three digits."""
    if p is None:
        return NONE
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def fraction(value: float | None) -> str:
    """A fraction as signed percent."""
    return NONE if value is None else f"{100 * value:+.0f} %".replace("-", MINUS)


def points(unit: str) -> str:
    """What differences are counted in."""
    return "points" if unit == "%" else unit if unit not in ("", "1") else ""


def score(view: Comparison) -> str:
    """The metric and its unit, as a heading."""
    name = named(view.metric)
    return f"{name} ({view.unit})" if view.unit not in ("", "1") else name


def begun(text: str) -> str:
    """With a capital, as a sentence begins; the rest as it is."""
    return text[:1].upper() + text[1:]


def named(metric: str) -> str:
    """A metric as its field writes it."""
    return WRITTEN.get(metric, metric.replace("_", " "))


def amount(size: Size) -> str:
    """`With 20 % of the examples` or `With all examples`."""
    if size.full:
        return "With all the examples"
    return f"With {size.text} of the examples" if "%" in size.text else f"With {size.text}"


def reaches(view: Comparison, mean: Mean) -> str:
    """`answers 47.1 % right`, or the metric by name."""
    value = number(mean.value, view.unit)
    if view.unit == "%" and view.metric in ("accuracy", "exact_match"):
        return f"answers {value} % right"
    unit = f" {points(view.unit)}".rstrip() if view.unit != "%" else " %"
    name = named(view.metric)
    article = "an" if name[0] in "aeioS" else "a"  # SPL is spelled when it is read
    return f"reaches {article} {name} of {value}{unit}"


def agreement(difference: Difference) -> str:
    """How many seeds are on the side of their mean."""
    value, count = difference.value or 0.0, len(difference.seeds)
    if count == 1:
        return "one seed only, so nothing is known of its spread"
    same = sum((seed > 0) == (value > 0) and seed != 0 for seed in difference.seeds)
    return f"all {count} seeds agree" if same == count else f"{same} of {count} seeds agree"


def finding(view: Comparison, size: Size, difference: Difference) -> str:
    """One difference as a sentence, honest where it is none."""
    mean = view.mean(difference.encoder, size.shots)
    if mean is None or difference.value is None:
        return ""
    begin = f"{amount(size)}, {difference.encoder} {reaches(view, mean)}"
    value, unit = difference.value, points(view.unit)
    if difference.significant:
        than, sign = ("more", 1) if value > 0 else ("less", -1)  # "3.9 points less" turns its ends
        ends = sorted(sign * x for x in (difference.low, difference.high) if x is not None)
        span = f"95 % interval {interval(ends[0], ends[1], view.unit)}; " if ends else ""
        by = f"{number(abs(value), view.unit)} {unit}".strip()
        return (f"{begin}, {by} {than} than {difference.baseline} "
                f"({span}{agreement(difference)}).")  # fmt: skip
    span = interval(difference.low, difference.high, view.unit, signed=True)
    by = f"{number(value, view.unit, signed=True)} {unit}".strip()
    return (
        f"{begin}, no significant difference from {difference.baseline} ({by}, 95 % interval "
        f"{span}, adjusted p {p_value(difference.p_holm)}; {agreement(difference)})."
    )


def headline(view: Comparison) -> str:
    """The finding of the page: of each pair's sizes the largest significant gain, else the last.

    Adjusted p values allow for the choice among encoders and sizes.
    """
    best: tuple[Size, Difference] | None = None
    for who in view.encoders:
        chosen = _telling(view, who)
        if chosen is not None and (best is None or _rank(view, chosen) > _rank(view, best)):
            best = chosen
    if best is not None:
        return finding(view, *best)
    shown = view.encoders[0] if view.encoders else None
    mean = view.mean(shown, view.sizes[-1].shots) if shown else None
    return f"{amount(view.sizes[-1])}, {shown} {reaches(view, mean)}." if mean else ""


def _rank(view: Comparison, told: tuple[Size, Difference]) -> tuple[bool, float, int]:
    size, difference = told
    gain = (difference.value or 0.0) * (1 if view.higher_is_better else -1)
    significant = bool(difference.significant)
    return significant, gain if significant else 0.0, size.examples


def _telling(view: Comparison, who: str) -> tuple[Size, Difference] | None:
    """The size that says most about an encoder."""
    pairs = [(size, view.against(who, size.shots)) for size in view.sizes]
    there = [(size, d) for size, d in pairs if d is not None]
    return max(there, key=lambda told: _rank(view, told), default=None)


def others(view: Comparison) -> list[str]:
    """Every other pair's finding, and at how many sizes it holds."""
    first, found = headline(view), []
    for who in view.encoders:
        told = _telling(view, who)
        if told is None:
            continue
        sentence = finding(view, *told)
        parts = [sentence] if sentence != first else []
        pairs = [d for size in view.sizes if (d := view.against(who, size.shots)) is not None]
        if len(pairs) > 1:
            parts.append(_over_sizes(view, who, pairs))
        if parts:
            found.append(" ".join(parts))
    return found


def _over_sizes(view: Comparison, who: str, pairs: list[Difference]) -> str:
    """At how many sizes an encoder differs, and how many examples it saves."""
    sizes = sum(bool(d.significant) for d in pairs)
    text = f"{who} differs significantly from {view.baseline} at {sizes or 'none'} of {len(pairs)}"
    needed = next((d for d in pairs if d.examples_needed is not None), None)
    if needed is None:
        return f"{text} sizes."
    return (
        f"{text} sizes; it needs {needed.examples_needed} of the examples for what {view.baseline} "
        f"reaches with all of them (95 % interval {needed.examples_needed_interval})."
    )


def cautions(view: Comparison) -> list[str]:
    """What a reader must know before believing the figures."""
    found = []
    text = view.text_only
    for who in view.encoders if text is not None else ():
        reached: list[str] = []
        close: list[str] = []
        for size in view.sizes:
            d = view.against(who, size.shots, baseline=text)
            if d is not None and d.value is not None:
                behind = d.value * (1 if view.higher_is_better else -1) <= 0
                (reached if behind else close if not d.significant else []).append(size.text)
        if reached:
            found.append(f"Text alone reaches the score of {who} with {_listed(reached)}.")
        if close:
            found.append(f"{who} is not told apart from text alone with {_listed(close)}.")
    if view.unconverged:
        steps = [cell for cell in view.trained if cell.converged is not None]
        found.append(
            f"{len(view.unconverged)} of {len(steps)} trained models had not converged: "
            "their selection score was still rising in the last tenth of training."
        )
    if any(size.full for size in view.sizes):
        found.append("At 100 % seeds vary initialisation and order only.")
    if view.num_seeds < 2:
        found.append("One seed was run: nothing is called significant on its strength.")
    return found


def _listed(sizes: list[str]) -> str:
    """`5 % and 20 %`."""
    return " and ".join([", ".join(sizes[:-1]), sizes[-1]] if len(sizes) > 1 else sizes)
