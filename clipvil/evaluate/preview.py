"""What one training would be made from and take, before anything is downloaded or computed."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import torch

from clipvil import answers, encoders
from clipvil.answers.base import Known
from clipvil.core import Moves, UsageError
from clipvil.encoders import _tuning
from clipvil.encoders.base import Encoder
from clipvil.evaluate import splits
from clipvil.evaluate.cell import unfold
from clipvil.evaluate.run import Arm, Plan
from clipvil.features.lookup import missing
from clipvil.features.plan import disk_needed
from clipvil.files import MissingFilesError, find
from clipvil.train.recipe import Recipe

COMMON = (640, 480)  # width and height of a photograph, to tell its cells


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
        ValueError: files, pictures or word vectors that are not there; names them
        UsageError: nobody knows the encoder
    """
    if recipe.words is not None and not recipe.words.is_file():
        raise ValueError(f"no word vectors {recipe.words}")
    files = official(source)
    loaded, weighted = encoder_like(encoder)
    card = loaded.card
    arm = Arm(name=encoder, encoder=encoder, fingerprint=card.fingerprint)
    plan = Plan(source=source, recipe=recipe, arm=arm, shots=shots, repetition=seed,
                rate=recipe.stages[0].learning_rate, folder=out)  # fmt: skip
    scene = unfold(plan)
    pictures = splits.all_pictures(source)
    todo = missing(card.fingerprint, pictures, store) if weighted else sorted(pictures)
    if recipe.sight != "stored":
        todo = []
    known = answers.learn(scene.task, scene.fit.examples, recipe.config)
    pooled = isinstance(scene.task.answer, Moves) and card.pooled_width
    width_seen = pooled or card.width
    parameters = num_parameters(recipe, width_seen, card.pooled_width, known)
    trained = num_trained(recipe, loaded)
    count = len(scene.fit.examples)
    height, width = card.preprocessing.target(*COMMON)
    stride = card.preprocessing.stride
    there = next(folder for folder in (out.absolute(), *out.absolute().parents) if folder.exists())
    return {
        "task": source.task,
        "files": files,
        "fit": count,
        "select": len(scene.select.examples),
        "test": len(splits.part(source, scene.task.splits.report).examples),
        "counts": known.counts,
        "encoder": encoder,
        "width": width_seen,
        "cells": [height // stride, width // stride],
        "model": recipe.model,
        "parameters": parameters,
        "sight": recipe.sight,
        "trained": trained,
        "encoder_parameters": card.parameters,
        "stages": [
            {
                "objective": stage.objective,
                "steps": stage.steps(count),
                "batch": stage.batch,
                "epochs": stage.steps(count) * stage.batch / count,
                "optimizer": stage.optimizer,
                "rate": stage.learning_rate,
                "precision": stage.precision,
            }
            for stage in recipe.stages
        ],
        "pictures": len(pictures),
        "encode": len(todo),
        "feature_bytes": disk_needed(card, {name: pictures[name] for name in todo}),
        # the best weights; the last ones and two moments of them
        "run_bytes": (parameters + trained) * 4 * 4,
        "free_bytes": shutil.disk_usage(there).free,
    }


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
