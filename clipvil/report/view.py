"""Records grouped for a reader: one `Comparison` a task, split and model. Nothing is computed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from clipvil.evaluate.breakdown import name
from clipvil.evaluate.result import Cell, Control, Difference, Mean, Record

CONTROLS: dict[Control, str] = {
    "prior": "sees and reads nothing",
    "text": "sees no picture",
    "shuffled": "sees the picture of another example",
    "probe": "adds up the mean cell and the words, nothing between",
    "zero-shot": "nothing trained: the sentence nearest to the picture for its text tower",
}


@dataclass(frozen=True, slots=True)
class Size:
    """An amount of training examples as asked for, and the examples it holds."""

    shots: str
    examples: int

    @property
    def text(self) -> str:
        """`5 %` or `400 examples`."""
        share = self.shots.removesuffix("%").strip()
        return f"{share} %" if share != self.shots else f"{self.shots} examples"

    @property
    def full(self) -> bool:
        """Whether nothing was left out."""
        return self.text == "100 %"


@dataclass(slots=True, kw_only=True)
class Comparison:
    """The records of one task, split and model; `encoders` and `controls` in a steady order."""

    task: str
    version: int | str
    split: str
    model: str
    metric: str
    unit: str
    higher_is_better: bool
    baseline: str | None = None
    sizes: list[Size] = field(default_factory=list)
    encoders: list[str] = field(default_factory=list)
    controls: dict[str, Control] = field(default_factory=dict)
    shifts: list[str] = field(default_factory=list)
    breakdowns: dict[str, list[str]] = field(default_factory=dict)
    cells: list[Cell] = field(default_factory=list)
    means: list[Mean] = field(default_factory=list)
    differences: list[Difference] = field(default_factory=list)

    def mean(
        self, who: str, shots: str, *, shift: str | None = None, stratum: str | None = None
    ) -> Mean | None:
        """The headline metric of an encoder or control over its seeds."""
        metric = self.metric if stratum is None else name(self.metric, stratum)
        wanted = (metric, who, shots, shift, stratum)
        for m in self.means:
            if (m.metric, m.encoder, m.shots, m.shift, m.stratum) == wanted:
                return m
        return None

    def against(
        self, who: str, shots: str, *, shift: str | None = None, baseline: str | None = None
    ) -> Difference | None:
        """The headline difference of an encoder to the baseline, or to another one."""
        other = baseline or self.baseline
        for d in self.differences:
            if (d.encoder, d.shots, d.shift, d.baseline) == (who, shots, shift, other) and (
                d.metric == self.metric and d.stratum is None
            ):
                return d
        return None

    @property
    def all(self) -> list[str]:
        """Encoders, then what stands beside them."""
        return [*self.encoders, *self.controls]

    @property
    def questions(self) -> int:
        """Examples of the unshifted test set."""
        return max((m.n for m in self.means if m.stratum is None and m.shift is None), default=0)

    @property
    def num_seeds(self) -> int:
        """The most seeds that stand behind one figure."""
        return max((len(m.seeds) for m in self.means), default=0)

    @property
    def unconverged(self) -> list[Cell]:
        """Trained models whose selection score was still rising when they ended."""
        return [c for c in self.trained if c.converged is False]

    @property
    def trained(self) -> list[Cell]:
        """One cell a model; those that take no steps have no `converged`."""
        return [c for c in self.cells
                if c.shift is None and c.stratum is None and c.metric == self.metric]  # fmt: skip

    @property
    def text_only(self) -> str | None:
        """The control that sees no picture."""
        return next((name for name, kind in self.controls.items() if kind == "text"), None)


def comparisons(records: Iterable[Record], order: Sequence[str] = ()) -> list[Comparison]:
    """Group records; encoders stand in the `order` given, then as they come, baselines first.

    Raises
        ValueError: no record is a mean over seeds, so that there is nothing to show
    """
    records = list(records)
    found: dict[tuple[object, ...], Comparison] = {}
    for record in records:
        if isinstance(record, Mean) and record.stratum is None:
            key = (record.task, record.version, record.split, record.model)
            if key not in found:
                found[key] = Comparison(
                    task=record.task, version=record.version, split=record.split,
                    model=record.model, metric=record.metric, unit=record.unit,
                    higher_is_better=record.higher_is_better,
                )  # fmt: skip
    if not found:
        raise ValueError("no record of kind mean: these are not the results of a comparison")
    for record in records:
        view = found.get((record.task, record.version, record.split, record.model))
        if view is not None:
            _add(view, record)
    for view in found.values():
        view.sizes.sort(key=lambda size: size.examples)
        first = [view.baseline] if view.baseline else []
        rank = [*first, *order, *view.encoders]
        view.encoders.sort(key=rank.index)
    return list(found.values())


def _add(view: Comparison, record: Record) -> None:
    if isinstance(record, Cell):
        view.cells.append(record)
    elif isinstance(record, Difference):
        view.differences.append(record)
        if record.family == "primary":
            view.baseline, view.metric = view.baseline or record.baseline, record.metric
    else:
        view.means.append(record)
        if record.control is None and record.encoder not in view.encoders:
            view.encoders.append(record.encoder)
        elif record.control is not None:
            view.controls[record.encoder] = record.control
        if record.shift is not None and record.shift not in view.shifts:
            view.shifts.append(record.shift)
        if record.shots not in {size.shots for size in view.sizes}:
            view.sizes.append(Size(record.shots, record.examples))
        if record.breakdown is not None and record.stratum is not None:
            strata = view.breakdowns.setdefault(record.breakdown, [])
            if record.stratum not in strata:
                strata.append(record.stratum)
