"""One cell of a comparison: one encoder (or control), one subset, one seed, one learning rate.

A cell is fitted and scored in a folder of its own; whatever is finished there is not done again,
so any process on any machine can take it up where another was stopped.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn

from clipvil import models, progress
from clipvil.core import Answer, Example, Labels, Said, Task
from clipvil.data import Blind, LabelData, Shuffled, Sight, Statistics, Stored, Vocabulary
from clipvil.evaluate import protocol, splits
from clipvil.evaluate.answer import answer_labels, headline
from clipvil.evaluate.run import (
    Plan,
    answers_name,
    begin,
    read_statistics,
    read_vocabulary,
    write_statistics,
)
from clipvil.features.lookup import Lookup
from clipvil.files import locked, read_json, write_json
from clipvil.models._vectors import fill
from clipvil.train import keep
from clipvil.train.fit import Fitted, fit, processes


@dataclass(slots=True)
class Scene:
    """What a plan unfolds to in memory."""

    task: Task
    labels: Labels
    seeds: protocol.Seeds
    subset: protocol.Subset
    fit: splits.Part
    select: splits.Part


def unfold(plan: Plan) -> Scene:
    """Read the examples and draw the subset."""
    task = plan.source.load()
    assert isinstance(task.answer, Labels), "only closed lists of answers are trained so far"
    fitting = splits.part(plan.source, task.splits.fit)
    chosen = splits.select(plan.source)
    fit_clusters = protocol.clusters(fitting.examples)
    select_clusters = None if chosen is None else protocol.clusters(chosen.examples)
    shots = protocol.Shots(plan.shots)
    whole = protocol.available(fit_clusters, select_clusters)
    seeds = protocol.seeds(shots, whole, plan.repetition)
    split = task.splits.fit if chosen is None else str(task.splits.select)
    subset = protocol.subset(fit_clusters, select_clusters, shots, seeds.data, split)
    select = (chosen or fitting).rows(subset.select)
    return Scene(task, task.answer, seeds, subset, fitting.rows(subset.fit), select)


def sight(plan: Plan, statistics: Statistics | None, files: list[str]) -> Sight:
    """What the arm's model gets to see; `files` are the pictures that may be swapped."""
    if not plan.arm.stores or statistics is None:
        return Blind()
    stored = Stored(Lookup(plan.arm.stores), statistics)
    if plan.arm.control == "shuffled":
        return Shuffled(stored, files, seed=plan.repetition)
    return stored


def fit_cell(plan: Plan) -> Fitted | None:
    """Train a cell, or say how it ended where that is done; the prior needs no training."""
    main = processes().is_main_process  # of those that torchrun started, one holds the folder
    with locked(plan.folder) if main else nullcontext():
        return _fit(plan, plan.folder / "fitted.json")


def fitted_in(folder: Path) -> Fitted | None:
    """How training ended in a run folder; None for the prior."""
    facts = read_json(folder / "fitted.json")
    return Fitted.of(facts) if facts else None


def _fit(plan: Plan, done: Path) -> Fitted | None:
    scene, folder = unfold(plan), plan.folder
    vocabulary = Vocabulary.of(scene.fit.examples, scene.labels)
    if not vocabulary.answers:
        raise ValueError(f"no answer in the {len(scene.fit.examples)} fitting examples")
    with processes().main_process_first():
        content = splits.digest([scene.fit, scene.select])
        begin(plan, scene.task.version, scene.seeds, manifest(plan, scene), content)
    if done.is_file():
        (folder / "last.safetensors").unlink(missing_ok=True)
        return fitted_in(folder)
    write_json(folder / "vocabulary.json", asdict(vocabulary))
    if plan.arm.control == "prior":
        write_json(done, None)
        return None
    statistics = None
    if plan.arm.stores:
        statistics = Statistics.of(Lookup(plan.arm.stores), scene.fit.pictures)
        write_statistics(folder / "statistics.safetensors", statistics)
    model = build(plan, vocabulary, statistics, seed=scene.seeds.init)
    if plan.recipe.words is not None:
        known = fill(cast(nn.Embedding, model.embed), vocabulary.words, plan.recipe.words)
        progress.say(f"{plan.recipe.words} has {known:,} of {len(vocabulary.words):,} words")
    longest = plan.recipe.config.longest
    credit = scene.labels.credit

    def data(part: splits.Part) -> LabelData:
        seeing = sight(plan, statistics, sorted(part.files))
        return LabelData(part.examples, part.pictures, seeing, vocabulary, longest, credit)

    fitting, selecting = data(scene.fit), data(scene.select)

    def validate(trained: nn.Module) -> float:
        device = next(trained.parameters()).device
        said = answer_labels(trained, selecting, vocabulary.answers, device)
        return headline(scene.task, scene.select.examples, said)

    fitted, seconds = fit(
        model,
        plan.stage,
        examples=len(fitting),
        batch=fitting.batch,
        validate=validate,
        run=folder,
        seed=scene.seeds.order,
    )
    write_json(folder / "timing.json", {"fit": seconds})
    write_json(done, asdict(fitted), indent=1)
    (folder / "last.safetensors").unlink(missing_ok=True)
    return fitted


def build(
    plan: Plan, vocabulary: Vocabulary, statistics: Statistics | None, *, seed: int
) -> nn.Module:
    """The recipe's model with fresh weights from a seed, sized by the data."""
    torch.manual_seed(seed)
    width = 1 if statistics is None else len(statistics.mean)
    model: nn.Module = models.load(plan.recipe.model).Model(
        plan.recipe.config,
        image_width=width,
        num_words=len(vocabulary.words) + 2,
        num_answers=len(vocabulary.answers),
    )
    return model


def score_cell(plan: Plan) -> None:
    """Answer the report split and its shifts, once; official submissions, then `result.json`."""
    start, task = time.monotonic(), plan.source.load()
    asked = {
        shift or task.splits.report: splits.digest([p]) for shift, p in splits.tests(plan.source)
    }
    answered = plan.folder / "answered.json"  # the tests that `result.json` is of
    if answered.is_file() and read_json(answered) == asked:
        return
    with locked(plan.folder):
        vocabulary = read_vocabulary(plan.folder)
        result = dict[str, Any]()
        model, statistics = restore(plan, vocabulary)
        for shift, test in splits.tests(plan.source):
            answers = _answer(plan, test, vocabulary, model, statistics)
            task.write(plan.folder / answers_name(task, shift), answers)
            totals = task.measure(test.examples, answers).totals()
            reduced = {name: float(value) for name, value in task.reduce(totals).items()}
            # a recall without pairs of that label has no value, and JSON has no NaN
            values = {name: value for name, value in reduced.items() if math.isfinite(value)}
            result[shift or task.splits.report] = values
        timing = plan.folder / "timing.json"
        seconds = read_json(timing) if timing.is_file() else {}
        write_json(timing, seconds | {"answer": time.monotonic() - start})
        write_json(plan.folder / "result.json", result, indent=1)
        write_json(answered, asked, indent=1)


def _answer(
    plan: Plan,
    test: splits.Part,
    vocabulary: Vocabulary,
    model: nn.Module | None,
    statistics: Statistics | None,
) -> dict[str, Answer]:
    if model is None:  # the prior: the answer that earned most in the training subset, always
        return {example.id: Said(vocabulary.answers[0]) for example in test.examples}
    seeing = sight(plan, statistics, sorted(test.files))
    return answers_of(plan, test, vocabulary, model, seeing)


def answers_of(
    plan: Plan, test: splits.Part, vocabulary: Vocabulary, model: nn.Module, seeing: Sight
) -> dict[str, Answer]:
    """A model's answers to some examples about pictures that it sees as `seeing` shows them."""
    longest = plan.recipe.config.longest
    data = LabelData(test.examples, test.pictures, seeing, vocabulary, longest, None)
    return answer_labels(model, data, vocabulary.answers, next(model.parameters()).device)


def restore(plan: Plan, vocabulary: Vocabulary) -> tuple[nn.Module | None, Statistics | None]:
    """A fitted cell's best model and its feature statistics; no model for the prior."""
    if not (plan.folder / "fitted.json").is_file():
        raise ValueError(f"{plan.folder} is not trained to its end: run the same train again")
    best, stored = plan.folder / "best.safetensors", plan.folder / "statistics.safetensors"
    statistics = read_statistics(stored) if stored.is_file() else None
    if plan.arm.control == "prior":
        return None, None
    model = build(plan, vocabulary, statistics, seed=0)
    model.load_state_dict(keep.part(keep.load(best)[0], "model."))
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return model.to(device).eval(), statistics


def manifest(plan: Plan, scene: Scene) -> dict[str, Any]:
    """The subset by ids."""
    whole = splits.part(plan.source, scene.task.splits.fit)
    select = splits.select(plan.source) or whole
    return scene.subset.manifest(whole.examples, select.examples)


def coverage(examples: Sequence[Example], labels: Labels, vocabulary: Vocabulary) -> float:
    """Mean of the best credit that the vocabulary allows, from 0 to 1."""
    known = set(vocabulary.answers)
    best = [_best(example, labels, known) for example in examples]
    return sum(best) / len(best)


def _best(example: Example, labels: Labels, known: set[str]) -> float:
    return max((c for a, c in labels.credit(example).items() if a in known), default=0.0)
