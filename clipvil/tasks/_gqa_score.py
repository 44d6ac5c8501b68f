"""GQA's eight figures, as eval.py of the release computes them.

Source   https://cs.stanford.edu/people/dorarad/gqa/evaluate.html
Metric   accuracy, binary, open: equality of strings as they are, over balanced questions.
         consistency: over right answers to balanced questions with entailed ones, the share of
         those that are right too. validity, plausibility: whether the answer is listed; where two
         objects are asked what they have in common, color, material and shape always are.
         distribution: over groups of questions, chi-square of the counts of their right answers.
         grounding: attention on the regions that question and answer name
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from clipvil.core import Answer, Example, Measured, Metric, Tally, Totals
from clipvil.metrics import ratio
from clipvil.tasks._gqa import Record
from clipvil.tasks.base import only_answer, words

METRICS = (
    Metric("accuracy", "%"),
    Metric("binary", "%"),
    Metric("open", "%"),
    Metric("consistency", "%", needs="all entailed questions among the questions"),
    Metric("validity", "%", needs="--choices"),
    Metric("plausibility", "%", needs="--choices"),
    Metric("distribution", "", higher_is_better=False),
    Metric("grounding", "%", needs="--scene-graphs and --attentions"),
)
SHARED = ("color", "material", "shape")  # all that two objects can be said to have in common

Column = NDArray[np.float64]  # [N]


def credit(example: Example) -> dict[str, float]:
    """The one right answer."""
    return {only_answer(example): 1.0}


def record(example: Example) -> Record:
    """What the scorer reads of a question."""
    assert isinstance(example.record, Record), example
    return example.record


def measure(examples: Sequence[Example], answers: Mapping[str, Answer]) -> Measured:
    """What eval.py averages of every balanced question; nothing of others."""
    records, gold, said = list[Record](), dict[str, str](), dict[str, str]()
    for example in examples:
        gold[example.id] = only_answer(example)
        said[example.id] = words(answers[example.id])
        records.append(record(example))
    hits = {name: said[name] == answer for name, answer in gold.items()}
    balanced = np.array([r.balanced for r in records])
    is_open = np.array([r.open for r in records])
    right = np.array([*hits.values()])
    columns = {
        "count_binary": balanced & ~is_open,
        "count_open": balanced & is_open,
        "right_binary": balanced & ~is_open & right,
        "right_open": balanced & is_open & right,
        **_consistency(records, balanced & right, hits),
        **_listed(records, balanced, [*said.values()]),
        **_grounding(records, balanced),
    }
    rows = np.stack([*columns.values()], axis=1).astype(np.float64)  # [N, K]
    tallies = _distribution(records, [*gold.values()], [*said.values()])
    return Measured(tuple(gold), tuple(columns), rows, tallies)


def _consistency(
    records: Sequence[Record], right: NDArray[np.bool_], hits: Mapping[str, bool]
) -> dict[str, Column]:
    """Of right answers the share of entailed ones that are right; nothing if some are not there."""
    if not all(other in hits for r in records if r.balanced for other in r.entailed):
        return {}
    asked = right & np.array([bool(r.entailed) for r in records])
    shares = np.zeros(len(records))
    for place in np.flatnonzero(asked).tolist():
        shares[place] = np.mean([hits[other] for other in records[place].entailed])
    return {"count_consistency": asked, "consistency": shares}


def _listed(
    records: Sequence[Record], balanced: NDArray[np.bool_], said: Sequence[str]
) -> dict[str, Column]:
    """Whether the answers are valid and plausible; nothing without the choices."""
    if not balanced.any() or any(r.valid is None for r in records if r.balanced):
        return {}

    def listed(kind: str) -> Column:
        there = [
            answer in (SHARED if r.common else getattr(r, kind) or ())
            for r, answer in zip(records, said, strict=True)
        ]
        return np.where(balanced, there, 0.0)

    return {"validity": listed("valid"), "plausibility": listed("plausible")}


def _grounding(records: Sequence[Record], balanced: NDArray[np.bool_]) -> dict[str, Column]:
    """The attention on what is named; nothing without attention."""
    if not balanced.any() or any(r.grounding is None for r in records if r.balanced):
        return {}
    return {"grounding": np.where(balanced, [r.grounding or 0.0 for r in records], 0.0)}


def _distribution(
    records: Sequence[Record], gold: Sequence[str], said: Sequence[str]
) -> dict[str, Tally]:
    """Tables [groups, right answers in a group] of right answers and of what was said."""
    groups: defaultdict[str, dict[str, int]] = defaultdict(dict)
    for r, answer in zip(records, gold, strict=True):
        if r.balanced and r.group is not None:
            groups[r.group].setdefault(answer, len(groups[r.group]))
    number = {group: k for k, group in enumerate(groups)}
    widest = max(map(len, groups.values()), default=0)

    def cells(texts: Sequence[str]) -> NDArray[np.int64]:
        found = np.full(len(records), -1)
        for place, (r, text) in enumerate(zip(records, texts, strict=True)):
            if r.balanced and r.group is not None and text in groups[r.group]:
                found[place] = number[r.group] * widest + groups[r.group][text]
        return found

    shape = (len(groups), widest)
    return {"gold": Tally(cells(gold), shape), "said": Tally(cells(said), shape)}


def reduce(totals: Totals) -> dict[str, NDArray[np.float64]]:
    """Percentages, and the distance between two distributions."""
    binary, open_ = totals["count_binary"], totals["count_open"]
    count = binary + open_
    figures = {
        "accuracy": ratio(totals["right_binary"] + totals["right_open"], count, 100),
        "binary": ratio(totals["right_binary"], binary, 100),
        "open": ratio(totals["right_open"], open_, 100),
    }
    if "consistency" in totals:
        figures["consistency"] = ratio(totals["consistency"], totals["count_consistency"], 100)
    for name in ("validity", "plausibility", "grounding"):
        if name in totals:
            figures[name] = ratio(totals[name], count, 100)
    if "gold" in totals:
        gold = totals["gold"]  # [..., groups, answers]
        off = np.nan_to_num(ratio((totals["said"] - gold) ** 2, gold))  # no such answer: nothing
        sizes = gold.sum(-1)  # [..., groups]
        figures["distribution"] = ratio((off.sum(-1) * sizes).sum(-1), 100 * sizes.sum(-1))
    return figures
