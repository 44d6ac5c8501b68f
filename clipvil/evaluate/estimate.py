"""What a comparison will take, measured on a few pictures and steps before it starts."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from clipvil import models
from clipvil.core import Labels
from clipvil.data import LabelBatch
from clipvil.encoders.base import Encoder
from clipvil.evaluate import protocol, splits
from clipvil.evaluate.compare import TEXT, Comparison, arms, plans
from clipvil.evaluate.run import Arm, Plan
from clipvil.features.lookup import missing

TRIED = 8  # pictures that are encoded to learn the speed
WORDS = 1_000  # of a question vocabulary; its size hardly matters for the time


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """Cells to train, seconds and bytes; what is there already is not counted."""

    cells: int
    trainings: int
    encode_seconds: float
    train_seconds: float
    answer_seconds: float
    feature_bytes: int
    run_bytes: int
    pictures: Mapping[str, int]  # encoder -> pictures that are still to be encoded

    @property
    def seconds(self) -> float:
        """All of it, one after the other."""
        return self.encode_seconds + self.train_seconds + self.answer_seconds


def estimate(comparison: Comparison, encoders: Sequence[Encoder]) -> Estimate:
    """Try each encoder on a few pictures and the model on a step, and multiply."""
    torch.set_num_threads(1)  # as many as a worker has
    source, (stage,) = comparison.source, comparison.recipe.stages
    task = source.load()
    files = splits.all_pictures(source)
    fitting = splits.part(source, task.splits.fit).examples
    select = splits.select(source)
    whole = protocol.available(
        protocol.clusters(fitting), None if select is None else protocol.clusters(select.examples)
    )
    steps = [stage.steps(protocol.Shots(s).examples(whole)) for s in comparison.shots]
    questions = sum(len(test.examples) for _, test in splits.tests(source))
    trainings = len(comparison.rates) + comparison.seeds - 1
    assert isinstance(task.answer, Labels)
    limit = min(task.answer.limit, 3_129)
    named = dict(zip(comparison.encoders, encoders, strict=True))
    todo = {n: missing(e.card.fingerprint, files, comparison.store) for n, e in named.items()}
    encode, train, answer, feature_bytes, run_bytes = 0.0, 0.0, 0.0, 0, 0
    # the baseline is trained twice: on its pictures and on shuffled ones
    looks = [(name, 1 + (name == comparison.baseline)) for name in named]
    for name, times in [*looks, (None, 1)]:
        width, cells = 1, 1
        if name is not None:
            encoder, pictures = named[name], len(todo[name])
            width, cells = encoder.card.width, native_cells(encoder)
            encode += pictures * encode_second(encoder, list(files.values()))
            feature_bytes += pictures * cells * width * 2
        step, forward, parameters = step_seconds(comparison, width, cells, limit)
        seen = [Arm(name=name or TEXT, encoder=name)]
        if times == 2:
            seen.append(arms(comparison, seen)[1])
        train += step * sum(
            count * unfinished(comparison, arm, shots)
            for arm in seen
            for count, shots in zip(steps, comparison.shots, strict=True)
        )
        answer += times * comparison.seeds * len(steps) * questions * forward
        run_bytes += times * trainings * len(steps) * parameters * 4
    return Estimate(
        cells=(len(encoders) + 3) * len(steps) * comparison.seeds,
        trainings=(len(encoders) + 2) * len(steps) * trainings,
        encode_seconds=encode / min(comparison.jobs, len(encoders)),
        train_seconds=train / comparison.jobs,
        answer_seconds=answer / comparison.jobs,
        feature_bytes=feature_bytes,
        run_bytes=run_bytes,
        pictures={name: len(names) for name, names in todo.items()},
    )


def unfinished(comparison: Comparison, arm: Arm, shots: str) -> int:
    """Trainings of an encoder and size that are still to be done."""

    def done(plan: Plan) -> bool:
        return (plan.folder / "fitted.json").is_file()

    first = sum(not done(plan) for plan in plans(comparison, arm, shots, 0))
    others = range(1, comparison.seeds)
    return first + sum(not any(map(done, plans(comparison, arm, shots, k))) for k in others)


def native_cells(encoder: Encoder) -> int:
    """Cells of a picture of about the native shape."""
    height, width = encoder.preprocessing.size
    return (height // encoder.preprocessing.stride) * (width // encoder.preprocessing.stride)


def encode_second(encoder: Encoder, files: Sequence[Path]) -> float:
    """Seconds to encode one picture, decoding not counted."""
    height, width = encoder.preprocessing.target(*encoder.preprocessing.size[::-1])
    pixels = torch.zeros(min(TRIED, len(files)), 3, height, width, dtype=torch.uint8)
    with torch.inference_mode():
        return timed(lambda: encoder(pixels)) / len(pixels)


def step_seconds(
    comparison: Comparison, width: int, cells: int, answers: int
) -> tuple[float, float, int]:
    """Seconds of a training step, seconds to answer one question, and the model's parameters."""
    (stage,), config = comparison.recipe.stages, comparison.recipe.config
    model = models.load(comparison.recipe.model).Model(
        config, image_width=width, num_words=WORDS, num_answers=answers
    )
    batch = LabelBatch(
        ("",) * stage.batch,
        torch.from_numpy(np.zeros((stage.batch, cells, width), np.float32)),
        torch.ones(stage.batch, cells, dtype=torch.bool),
        torch.tensor([[1, cells]]).expand(stage.batch, 2),
        torch.ones(stage.batch, 8, dtype=torch.long),
        torch.zeros(stage.batch, answers),
    )
    step = timed(lambda: model.loss(batch).total.backward())
    model.eval()
    with torch.inference_mode():
        forward = timed(lambda: model(batch)) / stage.batch
    return step, forward, sum(p.numel() for p in model.parameters())


def timed(work: Callable[[], Any]) -> float:
    """Seconds of the second of two calls: the first pays for what is set up once."""
    work()
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
