"""What one training would be made from and take, before anything is downloaded or computed."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from clipvil import answers, encoders
from clipvil.answers.base import Known
from clipvil.core import Moves, UsageError
from clipvil.encoders import _tuning
from clipvil.encoders.base import Encoder
from clipvil.evaluate import seen, splits
from clipvil.evaluate.cell import unfold
from clipvil.evaluate.run import Arm, Plan, require_same
from clipvil.features import views
from clipvil.features.lookup import missing
from clipvil.features.plan import disk_needed
from clipvil.features.store import Store
from clipvil.files import MissingFilesError, find
from clipvil.graphs.views import VIEWS
from clipvil.train.recipe import Recipe

COMMON = (640, 480)  # width and height of a photograph, to tell its cells


@dataclass(frozen=True, slots=True, kw_only=True)
class Eyes:
    """What an encoder, or given features, brings to a training."""

    arm: Arm
    width: int  # of what the model reads: cells, or views
    pooled_width: int | None
    cells: list[int]  # rows and columns of a photograph, or how many a picture has, about
    parameters: int | None  # None where nobody tells who made the features
    trained: int
    encode: int  # pictures
    feature_bytes: int  # that those need


def preview(
    source: splits.Source,
    recipe: Recipe[Any],
    encoder: str,
    shots: str,
    seed: int,
    store: Path,
    out: Path,
) -> dict[str, Any]:
    """Files, examples, cells, parameters, steps and bytes, as plain data.

    Raises
        ValueError: files, pictures or word vectors that are not there; names them; `out` holds
            another run
        UsageError: nobody knows the encoder
    """
    if recipe.words is not None and not recipe.words.is_file():
        raise ValueError(f"no word vectors {recipe.words}")
    files = official(source)
    eyes = (
        by_features(encoder, source, recipe)
        if seen.is_given(encoder)
        else by_encoder(encoder, source, recipe, store)
    )
    plan = Plan(source=source, recipe=recipe, arm=eyes.arm, shots=shots, repetition=seed,
                rate=recipe.stages[0].learning_rate, folder=out)  # fmt: skip
    require_same(replace(plan, arm=replace(eyes.arm, fingerprint=None)))
    scene = unfold(plan)
    known = answers.learn(scene.task, scene.fit.examples, recipe.config)
    parameters = num_parameters(recipe, eyes.width, eyes.pooled_width, known)
    count = len(scene.fit.examples)
    there = next(folder for folder in (out.absolute(), *out.absolute().parents) if folder.exists())
    return {
        "task": source.task,
        "files": files,
        "fit": count,
        "select": len(scene.select.examples),
        "test": len(splits.part(source, scene.task.splits.report).examples),
        "counts": known.counts,
        "encoder": encoder,
        "width": eyes.width,
        "cells": eyes.cells,
        "model": recipe.model,
        "parameters": parameters,
        "sight": recipe.sight,
        "trained": eyes.trained,
        "encoder_parameters": eyes.parameters,
        "stages": [
            {
                "objective": stage.objective,
                "steps": stage.steps(count),
                "batch": stage.batch,
                "epochs": stage.steps(count) * stage.batch / count,
                "bound": stage.bound(count, number),
                "optimizer": stage.optimizer,
                "rate": stage.learning_rate,
                "precision": stage.precision,
            }
            for number, stage in enumerate(recipe.stages)
        ],
        "pictures": len(splits.all_pictures(source)),
        "encode": eyes.encode,
        "feature_bytes": eyes.feature_bytes,
        # the best weights; the last ones and two moments of them
        "run_bytes": (parameters + eyes.trained) * 4 * 4,
        "free_bytes": shutil.disk_usage(there).free,
    }


def by_encoder(name: str, source: splits.Source, recipe: Recipe[Any], store: Path) -> Eyes:
    """An encoder's, and what is still to be encoded."""
    encoder, weighted = encoder_like(name)
    card, pictures = encoder.card, splits.all_pictures(source)
    todo = missing(card.fingerprint, pictures, store) if weighted else sorted(pictures)
    if recipe.sight != "stored":
        todo = []
    pooled = isinstance(source.load().answer, Moves) and card.pooled_width
    height, width = card.preprocessing.target(*COMMON)
    stride = card.preprocessing.stride
    return Eyes(
        arm=Arm(name=name, encoder=name, fingerprint=card.fingerprint),
        width=pooled or card.width,
        pooled_width=card.pooled_width,
        cells=[height // stride, width // stride],
        parameters=card.parameters,
        trained=num_trained(recipe, encoder),
        encode=len(todo),
        feature_bytes=disk_needed(card, {name: pictures[name] for name in todo}),
    )


def by_features(name: str, source: splits.Source, recipe: Recipe[Any]) -> Eyes:
    """Those of features that stand in an encoder's place; nothing is to be encoded.

    Raises
        UsageError, FileNotFoundError, ValueError: as `seen.given`
    """
    if isinstance(source.load().answer, Moves):
        path = Path(name.removeprefix(seen.FEATURES))
        width = views.check([path], seen.viewpoints(source))
        arm, pooled, cells = Arm(name=name, fingerprint="", stores=(path,)), None, VIEWS
        parameters = None
    else:
        seen.stores_at(name, recipe.sight)
        given = seen.given(name, source)
        arm, width, cells = given.arm, given.width, given.cells
        parameters = given.card.parameters if given.card is not None else None
        pooled = Store(arm.stores[0]).pooled_width
    return Eyes(
        arm=arm, width=width, pooled_width=pooled, cells=[cells], parameters=parameters,
        trained=0, encode=0, feature_bytes=0,
    )  # fmt: skip


def encoder_like(encoder: str) -> tuple[Encoder, bool]:
    """An encoder, and whether it has its weights.

    A family that can draw random ones needs none here: they may still be to be downloaded.
    """
    if "weights=" not in encoder:
        try:
            return encoders.load(f"{encoder},weights=random"), False
        except (UsageError, FileNotFoundError):  # a family whose `weights` are always a file
            pass
    return encoders.load(encoder), True


def num_trained(recipe: Recipe[Any], encoder: Encoder) -> int:
    """How many of the encoder's parameters are trained; takes its weights away.

    Raises
        UsageError: it cannot be trained as the recipe says
    """
    if recipe.sight == "stored" or recipe.sight == "live":
        return 0
    _tuning.tune(encoder.to("meta"), recipe.sight, recipe.rank)
    return sum(weight.numel() for weight in _tuning.learnt(encoder).values())


def num_parameters(recipe: Recipe[Any], width: int, pooled: int | None, known: Known) -> int:
    """Parameters of the recipe's model, which is not filled with numbers for it."""
    more = dict[str, int]()
    if pooled is not None and getattr(recipe.config, "pooled", False):
        more["pooled_width"] = pooled
    with torch.device("meta"):
        model = known.model(recipe, width, **more)
    return sum(parameter.numel() for parameter in model.parameters())


def official(source: splits.Source) -> list[dict[str, Any]]:
    """The task's files that fitting, selecting and reporting read."""
    task = source.load()
    purposes, rows = task.splits, list[dict[str, Any]]()
    for split in dict.fromkeys(filter(None, (purposes.fit, purposes.select, purposes.report))):
        try:
            paths = find(source.data, [file for file in task.files if file.split == split])
        except MissingFilesError:
            if split != purposes.select:  # without it some fitting pictures are held back
                raise
            continue
        rows += [
            {"split": split, "role": role, "path": str(path), "bytes": path.stat().st_size}
            for role, path in paths.items()
        ]
    return rows
