"""One cell of a comparison: one encoder (or control), one subset, one seed, one learning rate.

A cell is fitted and scored (see `answer`) in a folder of its own; whatever is finished there is not
done again, so any process on any machine can take it up where another was stopped.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn

from clipvil import answers, progress
from clipvil.answers.base import Batches
from clipvil.core import Task
from clipvil.encoders.base import device
from clipvil.evaluate import eyes, probe, protocol, splits
from clipvil.evaluate.answer import build, headline
from clipvil.evaluate.run import (
    VOCABULARY,
    Plan,
    begin,
)
from clipvil.files import locked, read_json, write_json
from clipvil.models._vectors import fill
from clipvil.train import keep
from clipvil.train.fit import Fitted, fit, processes


@dataclass(slots=True)
class Scene:
    """What a plan unfolds to in memory."""

    task: Task
    seeds: protocol.Seeds
    subset: protocol.Subset
    fit: splits.Part
    select: splits.Part


def unfold(plan: Plan) -> Scene:
    """Read the examples and draw the subset."""
    task = plan.source.load()
    fitting = splits.part(plan.source, task.splits.fit)
    chosen = splits.select(plan.source, plan.recipe.select)
    split = task.splits.fit
    if chosen is not None:
        split = str(splits.selected_on(plan.source, plan.recipe.select))
    return Scene(task, *_drawn(fitting, chosen, split, plan.shots, plan.repetition))


@lru_cache(maxsize=8)  # cells of a size and a seed differ in encoders and learning rates
def _drawn(
    fitting: splits.Part, chosen: splits.Part | None, split: str, amount: str, repetition: int
) -> tuple[protocol.Seeds, protocol.Subset, splits.Part, splits.Part]:
    fit_clusters = protocol.clusters(fitting.examples)
    select_clusters = None if chosen is None else protocol.clusters(chosen.examples)
    shots = protocol.Shots(amount)
    whole = protocol.available(fit_clusters, select_clusters)
    seeds = protocol.seeds(shots, whole, repetition)
    subset = protocol.subset(fit_clusters, select_clusters, shots, seeds.data, split)
    select = (chosen or fitting).rows(subset.select)
    return seeds, subset, fitting.rows(subset.fit), select


def require_known(plan: Plan) -> None:
    """See that something can be learnt from, before anything is encoded for it.

    Raises
        ValueError: nothing can be learnt from the fitting examples
    """
    scene = unfold(plan)
    answers.learn(scene.task, scene.fit.examples, plan.recipe.config)


def fit_cell(plan: Plan, *, aloud: bool = False) -> Fitted | None:
    """Fit a cell, or say how it ended where that is done; None where no steps are taken.

    Args
        aloud: say how long each stage takes before it begins
    """
    main = processes().is_main_process  # of those that torchrun started, one holds the folder
    with locked(plan.folder) if main else nullcontext():
        return _fit(plan, plan.folder / "fitted.json", aloud=aloud and main)


def fitted_in(folder: Path) -> Fitted | None:
    """How training ended in a run folder; None where no steps were taken."""
    facts = read_json(folder / "fitted.json")
    return Fitted.of(facts) if facts else None


def stage_folder(run: Path, number: int, stages: int) -> Path:
    """Where one of a run's stages, counted from 1, keeps its weights and how it ended."""
    return run if number == stages else run / f"stage-{number}"


def _fit(plan: Plan, done: Path, *, aloud: bool) -> Fitted | None:
    scene, folder = unfold(plan), plan.folder
    known = None
    if not done.is_file():
        known = answers.learn(scene.task, scene.fit.examples, plan.recipe.config)
    with processes().main_process_first():
        content = splits.digest(scene.fit, scene.select)
        begin(plan, scene.task.version, scene.seeds, manifest(plan, scene), content)
    if known is None:
        (folder / "last.safetensors").unlink(missing_ok=True)
        return fitted_in(folder)
    write_json(folder / VOCABULARY, known.facts)
    if plan.arm.control in ("prior", "zero-shot"):
        write_json(done, None)
        return None
    encoder = eyes.encoder_of(plan).freeze() if eyes.looks(plan) else None
    statistics = eyes.statistics_of(plan, scene.fit, encoder)
    model = build(plan, known, statistics, seed=scene.seeds.init)
    if plan.recipe.words is not None and plan.arm.control != "probe":
        found = fill(cast(nn.Embedding, model.embed), known.words, plan.recipe.words)
        progress.say(f"{plan.recipe.words} has {found:,} of {len(known.words):,} words")

    trained = eyes.seeing(plan, model, encoder, statistics)

    def data(part: splits.Part, *, pixels: bool) -> Batches:
        seen = eyes.sight(plan, statistics, part.files, encoder, pixels=pixels)
        return known.data(part.examples, part.pictures, seen, targets=True)

    fitting = data(scene.fit, pixels=trained is not model)
    selecting = data(scene.select, pixels=False)

    def validate(_: nn.Module) -> float:
        said = known.answers(model, selecting, next(model.parameters()).device)
        return headline(scene.task, scene.select.examples, said)

    if isinstance(model, probe.Probe):
        fit_probe(model.to(device()), cast(probe.Batches, fitting), scene, validate, folder)
        write_json(done, None)
        return None
    fitted, seconds = fit_stages(plan, trained, fitting, validate, scene.seeds, aloud=aloud)
    write_json(folder / "timing.json", {"fit": seconds})
    write_json(done, asdict(fitted), indent=1)
    (folder / "last.safetensors").unlink(missing_ok=True)
    return fitted


def fit_stages(
    plan: Plan,
    model: nn.Module,
    fitting: Batches,
    validate: Callable[[nn.Module], float],
    seeds: protocol.Seeds,
    *,
    aloud: bool,
) -> tuple[Fitted, float]:
    """Every stage in turn, each from the best weights of the one before, in a folder of its own.

    Those stay where nothing that it learns scores as well. The last one's folder is the run's.
    Gives how it ended and the seconds all took.
    """
    total, best = 0.0, None  # seconds, and the score of the weights that a stage begins with
    for number, stage in enumerate(plan.stages, 1):
        last = number == len(plan.stages)
        where = stage_folder(plan.folder, number, len(plan.stages))
        done = where / "fitted.json"
        if not last and done.is_file():
            model.load_state_dict(keep.best(where))
            total += read_json(where / "timing.json")["fit"]
            best = read_json(done)["best"]
            continue
        if aloud:
            name = f"stage {number} of {len(plan.stages)}" if len(plan.stages) > 1 else "training"
            progress.say(f"{name}: {stage.length(len(fitting), number - 1)}")
        if number > 1:  # the first goes on from where the weights were drawn
            torch.manual_seed(seeds.init)
        fitted, seconds = fit(
            model,
            stage,
            examples=len(fitting),
            batch=fitting.batch,
            validate=validate,
            run=where,
            seed=seeds.order,
            start=best,
        )
        total, best = total + seconds, fitted.best
        if not last:
            write_json(where / "timing.json", {"fit": seconds})
            write_json(done, asdict(fitted), indent=1)
            (where / "last.safetensors").unlink(missing_ok=True)
    return fitted, total


def fit_probe(
    model: probe.Probe,
    fitting: probe.Batches,
    scene: Scene,
    validate: Callable[[nn.Module], float],
    folder: Path,
) -> None:
    """Fill a linear probe; beside its weights stand its penalty and selection score."""
    start = time.monotonic()
    penalty, best = probe.fit(model, fitting, scene.fit.pictures, validate)
    keep.save_best(folder, model.state_dict(), {"penalty": penalty, "select": best})
    write_json(folder / "timing.json", {"fit": time.monotonic() - start})


def manifest(plan: Plan, scene: Scene) -> dict[str, Any]:
    """The subset by ids."""
    whole = splits.part(plan.source, scene.task.splits.fit)
    select = splits.select(plan.source, plan.recipe.select) or whole
    return scene.subset.manifest(whole.examples, select.examples)
