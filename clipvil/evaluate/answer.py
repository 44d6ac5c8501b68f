"""A fitted cell at work: its model as it was learnt, what it answers, and what that is worth."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from clipvil import encoders
from clipvil.answers.base import Known
from clipvil.core import Answer, Example, Task
from clipvil.data.sight import Statistics
from clipvil.encoders.base import Encoder, device
from clipvil.evaluate import eyes, probe, splits, zero_shot
from clipvil.evaluate.run import Plan, answers_name, read_known, read_statistics
from clipvil.features.lookup import Lookup
from clipvil.files import locked, read_json, write_json


def headline(task: Task, examples: Sequence[Example], answers: Mapping[str, Answer]) -> float:
    """The task's headline metric over examples, higher is better whatever its direction."""
    measured = task.measure(examples, answers)
    metric = task.headline(measured.columns)
    value = float(task.reduce(measured.totals())[metric.name])
    return value if metric.higher_is_better else -value


def values_of(
    task: Task, examples: Sequence[Example], said: Mapping[str, Answer]
) -> dict[str, float]:
    """The metrics that have a value: a recall without pairs of its label has none."""
    totals = task.measure(examples, said).totals()
    reduced = {name: float(value) for name, value in task.reduce(totals).items()}
    return {name: value for name, value in reduced.items() if math.isfinite(value)}


def build(plan: Plan, known: Known, statistics: Statistics | None, *, seed: int) -> nn.Module:
    """The recipe's model, or the probe's, with fresh weights from a seed, sized by the data."""
    torch.manual_seed(seed)
    width = 1 if statistics is None else len(statistics.mean)
    if plan.arm.control == "probe":
        return probe.Probe(
            image_width=width, num_words=len(known.words), num_answers=known.counts["answers"]
        )
    pooled = None if statistics is None else statistics.pooled
    more = {} if pooled is None else {"pooled_width": len(pooled.mean)}
    return known.model(plan.recipe, width, **more)


def score_cell(plan: Plan) -> None:
    """Answer the report split and its shifts, once; official submissions, then `result.json`."""
    start, task = time.monotonic(), plan.source.load()
    asked = {
        shift or task.splits.report: splits.digest(p) for shift, p in splits.tests(plan.source)
    }
    answered = plan.folder / "answered.json"  # the tests that `result.json` is of
    if answered.is_file() and read_json(answered) == asked:
        return
    with locked(plan.folder):
        known = read_known(plan)
        result = dict[str, Any]()
        model, statistics, encoder = restore(plan, known)
        for shift, test in splits.tests(plan.source):
            said = answers_of(plan, test, known, model, statistics, encoder)
            task.write(plan.folder / answers_name(task, shift), said)
            result[shift or task.splits.report] = values_of(task, test.examples, said)
        timing = plan.folder / "timing.json"
        seconds = read_json(timing) if timing.is_file() else {}
        write_json(timing, seconds | {"answer": time.monotonic() - start})
        write_json(plan.folder / "result.json", result, indent=1)
        write_json(answered, asked, indent=1)


def look_at(plan: Plan, limit: int) -> dict[str, dict[str, float]]:
    """What a cell scores on the first examples of each test; nothing is written."""
    task, known, result = plan.source.load(), read_known(plan), dict[str, dict[str, float]]()
    model, statistics, encoder = restore(plan, known)
    for shift, test in splits.tests(plan.source):
        some = test.rows(range(min(limit, len(test.examples))))
        said = answers_of(plan, some, known, model, statistics, encoder)
        result[shift or task.splits.report] = values_of(task, some.examples, said)
    return result


def answers_of(
    plan: Plan,
    test: splits.Part,
    known: Known,
    model: nn.Module | None,
    statistics: Statistics | None,
    encoder: Encoder | None,
) -> Mapping[str, Answer]:
    """What a cell answers to examples whose pictures its stores have, or its encoder encodes."""
    if plan.arm.control == "zero-shot":
        return nearest(plan, test, known, encoder)
    if model is None:
        return known.prior(test.examples)
    seen = eyes.sight(plan, statistics, test.files, encoder)
    data = known.data(test.examples, test.pictures, seen, targets=False)
    return known.answers(model, data, next(model.parameters()).device)


def nearest(
    plan: Plan, test: splits.Part, known: Known, encoder: Encoder | None
) -> Mapping[str, Answer]:
    """Zero-shot answers out of those of the training subset."""
    assert plan.arm.encoder is not None
    if encoder is None:
        look = zero_shot.stored(Lookup(plan.arm.stores))
    else:
        look = zero_shot.live(encoder, test.files)
    tower, answered = encoders.load_text(plan.arm.encoder), known.facts["answers"]
    where = device()
    if isinstance(tower, nn.Module):
        tower.to(where)
    return zero_shot.answer(test.examples, test.pictures, look, tower, answered, where)


def restore(plan: Plan, known: Known) -> tuple[nn.Module | None, Statistics | None, Encoder | None]:
    """A fitted cell's best model, its feature statistics and its encoder.

    No model where nothing is trained; no encoder where stores stand in for it.
    """
    if not (plan.folder / "fitted.json").is_file():
        raise ValueError(f"{plan.folder} is not trained to its end: run the same train again")
    stored = plan.folder / eyes.STATISTICS
    statistics = read_statistics(stored) if stored.is_file() else None
    if plan.arm.control in ("prior", "zero-shot"):
        return None, None, eyes.encoder_of(plan).freeze() if eyes.looks(plan) else None
    weights, encoder = eyes.best(plan)
    model = build(plan, known, statistics, seed=0)
    model.load_state_dict(weights)
    return model.to(device()).eval(), statistics, encoder
