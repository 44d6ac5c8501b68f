"""From what every trained model scored to the records of a comparison.

In go the statistics of each cell (encoder x size x seed x test set), out come records: each
metric of each cell, means over seeds, differences to the baseline, and encoders against what
answers without seeing. Families of tests: `primary` is the headline metric on the unshifted test
set, over encoders and sizes; `shift` the same on shifted sets; `control` encoders against text
alone. Other metrics and breakdowns are `exploratory`: with intervals, without adjusted p values.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from clipvil.core import Metric, Task
from clipvil.evaluate import statistics
from clipvil.evaluate.curve import Curve, Needed, examples_needed
from clipvil.evaluate.result import Cell, Difference, Family, Mean, Record
from clipvil.evaluate.scores import CellScores, Group, Groups, Part, Questions, Who, metrics, parts
from clipvil.evaluate.statistics import Estimate

__all__ = ["CellScores", "Questions", "adjust", "readjust", "summarise"]

Floats = NDArray[np.float64]

NOTHING = np.full(1, np.nan)  # replicates of a metric that was not computed

# what a record tells of its cell as it is
TOLD = (
    "encoder", "model", "shots", "examples", "seed", "control", "fingerprint", "recipe", "commit",
    "seconds", "device", "learning_rate", "epochs", "loss", "converged", "coverage",
)  # fmt: skip


class Frame(NamedTuple):
    """What every record of one comparison is about."""

    task: Task
    headline: Metric
    baseline: str
    seed: int  # of the resampling


def summarise(
    cells: Sequence[CellScores],
    task: Task,
    *,
    baseline: str,
    replicates: int = statistics.REPLICATES,
    seed: int = 0,
) -> list[Record]:
    """All records of a comparison; the other encoders are compared with `baseline`.

    Raises
        ValueError: no cell is of the baseline, or models of one test set answered other examples
    """
    if not any(c.encoder == baseline and c.control is None for c in cells):
        raise ValueError(f"no cell of the baseline {baseline}")
    frame = Frame(task, task.headline(cells[0].measured.columns), baseline, seed)
    records: list[Record] = []
    groups: Groups = defaultdict(dict)
    for whole, members, measured, clusters in parts(cells, frame.headline.name):
        num_clusters = len(set(clusters))
        drawn = statistics.bootstrap(
            measured, clusters, task.reduce, replicates=replicates, seed=seed
        )
        for cell, statistic, many in zip(members, measured, drawn, strict=True):
            exact = statistics.values(statistic, task.reduce)
            for part in metrics(whole, task, frame.headline.name, cell.questions):
                value, reps = exact.get(part.metric, np.nan), many.get(part.metric, NOTHING)
                records.append(_cell(cell, frame, part, value, reps, num_clusters, len(clusters)))
                if np.isfinite(value):
                    who = Who(cell.encoder, cell.shots)
                    new = Group(cell, len(clusters), num_clusters)
                    group = groups[part].setdefault(who, new)
                    group.examples.append(cell.examples)
                    group.seeds[cell.seed.key] = value, reps
    records += _means(groups, frame)
    return records + adjust(_differences(groups, frame))


def _what(frame: Frame, part: Part, split: str) -> dict[str, Any]:
    """What all kinds of record begin with."""
    task = frame.task
    of = {m.name: m for m in task.metrics}.get(part.metric, frame.headline)
    return {
        "task": task.name, "version": task.version, "split": split, "shift": part.shift,
        "metric": part.name, "breakdown": part.breakdown, "stratum": part.stratum,
        "unit": of.unit, "higher_is_better": of.higher_is_better,
    }  # fmt: skip


def _cell(
    cell: CellScores,
    frame: Frame,
    part: Part,
    value: float,
    replicates: Floats,
    num_clusters: int,
    n: int,
) -> Cell:
    exists = bool(np.isfinite(value))
    low, high = statistics.ends(replicates) if exists and num_clusters > 1 else (None, None)
    told = {name: getattr(cell, name) for name in TOLD}
    value_or_none = value if exists else None
    what = _what(frame, part, cell.questions.split)
    return Cell(**what, **told, value=value_or_none, low=low, high=high, n=n)


def _means(groups: Groups, frame: Frame) -> list[Mean]:
    found = []
    for part, members in groups.items():
        for who, group in members.items():
            values, drawn = group.arrays(sorted(group.seeds))
            mean = statistics.estimate(values, drawn, group.num_clusters, seed=frame.seed)
            plain = groups.get(part._replace(shift=None), {}).get(who)
            drop = _paired(group, plain, frame.seed) if part.shift is not None and plain else None
            cell = group.first
            found.append(
                Mean(
                    **_what(frame, part, cell.questions.split),
                    encoder=who.encoder, control=cell.control, model=cell.model, shots=who.shots,
                    examples=group.size, n=group.n, value=mean.value, low=mean.low,
                    high=mean.high, seeds=list(mean.seeds), drop=drop.value if drop else None,
                    drop_low=drop.low if drop else None, drop_high=drop.high if drop else None,
                )
            )  # fmt: skip
    return found


def _paired(ours: Group, baseline: Group, seed: int) -> Estimate | None:
    """Ours minus the baseline over the seeds that both have; None where they share none."""
    keys = sorted(ours.seeds.keys() & baseline.seeds.keys())
    if not keys:
        return None
    (a, a_drawn), (b, b_drawn) = ours.arrays(keys), baseline.arrays(keys)
    num_clusters = min(ours.num_clusters, baseline.num_clusters)
    return statistics.gain(a, b, a_drawn, b_drawn, num_clusters, seed=seed)


def _differences(groups: Groups, frame: Frame) -> list[Difference]:
    found = []
    for part, members in groups.items():
        headline = part.name == frame.headline.name
        if part.shift is not None and not headline:
            continue
        family: Family = "exploratory" if not headline else "shift" if part.shift else "primary"
        blind = [w.encoder for w, g in members.items() if g.first.control == "text"]
        for who, group in members.items():
            if group.first.control is not None:
                continue
            if who.encoder != frame.baseline:
                found += _against(members, frame, part, who, frame.baseline, family)
            for control in sorted(set(blind)) if family == "primary" else ():
                found += _against(members, frame, part, who, control, "control")
    return found


def _against(
    members: Mapping[Who, Group], frame: Frame, part: Part, who: Who, baseline: str, family: Family
) -> list[Difference]:
    """One difference, or none where the baseline has no model of that size and seed."""
    ours, theirs = members[who], members.get(Who(baseline, who.shots))
    gain = _paired(ours, theirs, frame.seed) if theirs else None
    if theirs is None or gain is None:
        return []
    what = _what(frame, part, ours.first.questions.split)
    higher: bool = what["higher_is_better"]
    wanted = family in ("primary", "shift")
    needed = _needed(members, who, baseline, higher, frame.seed) if wanted else None
    prior = [g for w, g in members.items() if g.first.control == "prior" and w.shots == who.shots]
    return [
        Difference(
            **what, encoder=who.encoder, baseline=baseline, model=ours.first.model,
            shots=who.shots, value=gain.value, low=gain.low, high=gain.high, p=gain.p,
            p_holm=None, family=family, significant=None, seeds=list(gain.seeds),
            relative=_relative(gain, theirs, prior, higher),
            examples_needed=needed.text if needed else None,
            examples_needed_value=needed.value if needed else None,
            examples_needed_low=needed.low if needed else None,
            examples_needed_high=needed.high if needed else None,
            examples_needed_interval=needed.interval if needed else None,
        )
    ]  # fmt: skip


def _relative(gain: Estimate, theirs: Group, prior: list[Group], higher: bool) -> float | None:
    """Gain as a fraction of what the baseline has over the prior; None where it has nothing."""
    if not prior:
        return None
    theirs_mean, prior_mean = (
        np.mean([v for v, _ in g.seeds.values()]) for g in (theirs, prior[0])
    )
    over = float(theirs_mean - prior_mean)
    return gain.value / over if (over > 0) == higher and over != 0 else None


def _needed(
    members: Mapping[Who, Group], who: Who, baseline: str, higher: bool, seed: int
) -> Needed | None:
    """Examples needed, told once: at the largest size, where both have two sizes or more."""
    sizes = [(g.size, w.shots) for w, g in members.items()
             if w.encoder == who.encoder and Who(baseline, w.shots) in members]  # fmt: skip
    sizes.sort()
    if len(sizes) < 2 or sizes[-1][1] != who.shots:
        return None
    pairs = [(members[Who(who.encoder, s)], members[Who(baseline, s)]) for _, s in sizes]
    keys = sorted(set.intersection(*(set(g.seeds) for pair in pairs for g in pair)))
    if not keys:
        return None
    curves = []
    for side in range(2):
        arrays = [pair[side].arrays(keys) for pair in pairs]
        seeds, drawn = np.stack([a for a, _ in arrays]), np.stack([d for _, d in arrays])
        curves.append(Curve(examples=tuple(n for n, _ in sizes), seeds=seeds, drawn=drawn))
    return examples_needed(curves[0], curves[1], higher_is_better=higher, seed=seed)


def adjust(records: Iterable[Difference]) -> list[Difference]:
    """Holm's adjustment over each family of one task, model and baseline, and what follows."""
    records = list(records)
    families: dict[tuple[object, ...], list[int]] = defaultdict(list)
    for place, r in enumerate(records):
        if r.family != "exploratory":
            families[r.task, r.version, r.split, r.model, r.baseline, r.family].append(place)
    for places in families.values():
        adjusted = statistics.holm([records[place].p for place in places])
        for place, p in zip(places, adjusted, strict=True):
            sure = statistics.significant(p, records[place].seeds)
            records[place] = msgspec.structs.replace(records[place], p_holm=p, significant=sure)
    return records


def readjust(records: Sequence[Record]) -> list[Record]:
    """Records with p values adjusted anew, after families of several machines came together."""
    adjusted = iter(adjust(r for r in records if isinstance(r, Difference)))
    return [next(adjusted) if isinstance(r, Difference) else r for r in records]
