"""What a comparison will take, measured on a few pictures and steps before it starts."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from clipvil import answers
from clipvil.data.sight import Blind
from clipvil.encoders import _tuning, load_text
from clipvil.encoders.base import Encoder
from clipvil.evaluate import protocol, splits, zero_shot
from clipvil.evaluate.compare import TEXT, Comparison, arms, plans
from clipvil.evaluate.run import Arm, Plan
from clipvil.evaluate.seen import Seen
from clipvil.features.lookup import missing
from clipvil.train.recipe import Recipe

TRIED = 8  # pictures that are encoded, and sentences that are read, to learn the speed
READ = 5_000  # fitting examples whose words and answers size the model that is tried


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """Cells, and what they still take: what is there already is not counted."""

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


def estimate(comparison: Comparison, encoders: Sequence[Encoder | Seen]) -> Estimate:
    """Try each encoder on a few pictures and the model on a step, and multiply.

    Args
        encoders: in the comparison's order; what was given as features costs no encoding
    """
    torch.set_num_threads(1)  # as many as a worker has
    source = comparison.source
    task = source.load()
    given = [isinstance(one, Seen) for one in encoders]
    files = splits.all_pictures(source, needed=not all(given))
    fitting = splits.part(source, task.splits.fit)
    select = splits.select(source, comparison.recipe.select)
    whole = protocol.available(
        protocol.clusters(fitting.examples),
        None if select is None else protocol.clusters(select.examples),
    )
    amounts = [protocol.Shots(shots).examples(whole) for shots in comparison.shots]
    questions = sum(len(test.examples) for _, test in splits.tests(source))
    named = dict(zip(comparison.encoders, encoders, strict=True))
    stored = comparison.recipe.sight == "stored"
    todo = {
        n: missing(e.card.fingerprint, files, comparison.store)
        if stored and isinstance(e, Encoder)
        else []
        for n, e in named.items()
    }
    held = round(protocol.HELD * whole) if select is None else len(select.examples)
    encode, train, answer, feature_bytes, run_bytes, trainings = 0.0, 0.0, 0.0, 0, 0, 0
    # the baseline is trained twice: on its pictures and on shuffled ones
    looks = [(name, 1 + (name == comparison.baseline)) for name in named]
    for name, times in [*looks, (None, 1)]:
        width, cells, own = 1, 1, Added()
        encoder = None if name is None else named[name]
        if isinstance(encoder, Seen):
            width, cells = encoder.width, encoder.cells
        elif encoder is not None and name is not None:
            pictures = len(todo[name])
            width, cells = encoder.card.width, native_cells(encoder)
            if pictures:
                encode += pictures * encode_second(encoder, list(files.values()))
            feature_bytes += pictures * cells * width * 2
            own = added(comparison.recipe, encoder, list(files.values()))
        steps, forward, parameters = step_seconds(comparison, fitting, Blind(width, cells))
        seen = [Arm(name=name or TEXT, encoder=name)]
        if times == 2:
            seen.append(arms(comparison, seen)[1])
        left = [sum(unfinished(comparison, arm, s) for arm in seen) for s in comparison.shots]
        train += sum(
            (
                (second + stage.batch * own.learn) * stage.steps(amount)
                + stage.validations * min(amount, held) * own.look
            )
            * count
            for amount, count in zip(amounts, left, strict=True)
            for second, stage in zip(steps, comparison.recipe.stages, strict=True)
        )
        answer += times * comparison.seeds * len(amounts) * questions * (forward + own.look)
        trainings += sum(left)
        run_bytes += sum(left) * (parameters + own.parameters) * len(steps) * 4
    towers = comparison.beside.get("zero-shot", ())
    if towers:
        spent = sentences(comparison, fitting) * sum(map(sentence_second, towers))
        answer += comparison.seeds * len(amounts) * spent
    rows = len(encoders) + 3 + sum(map(len, comparison.beside.values()))
    return Estimate(
        cells=rows * len(amounts) * comparison.seeds,
        trainings=trainings,
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


def sentences(comparison: Comparison, fitting: splits.Part) -> int:
    """Sentences that a zero-shot cell reads at most: those of all the answers there are."""
    source, config = comparison.source, comparison.recipe.config
    known = answers.learn(source.load(), fitting.examples, config).counts["answers"]
    return known * sum(len({e.words for e in test.examples}) for _, test in splits.tests(source))


def sentence_second(encoder: str) -> float:
    """Seconds in which the text tower beside an encoder reads a sentence."""
    tower, some = load_text(encoder), ["how many words has a question with its answer"] * TRIED
    with torch.inference_mode():
        return timed(lambda: zero_shot.read(tower, some, torch.device("cpu"))) / TRIED


@dataclass(frozen=True, slots=True, kw_only=True)
class Added:
    """What an encoder adds to a training: seconds a picture learnt from or looked at, weights."""

    learn: float = 0.0
    look: float = 0.0
    parameters: int = 0


def added(recipe: Recipe[Any], encoder: Encoder, files: Sequence[Path]) -> Added:
    """What it adds where pictures are encoded as they are needed; beside stores, nothing.

    Raises
        UsageError: the encoder cannot be trained as the recipe says
    """
    way = recipe.sight
    if way == "stored":
        return Added()
    look = encode_second(encoder, files)
    if way == "live":
        return Added(learn=look, look=look)
    _tuning.tune(encoder, way, recipe.rank)
    height, width = encoder.preprocessing.size
    pixels = torch.zeros(min(TRIED, len(files)), 3, height, width, dtype=torch.uint8)
    learn = timed(lambda: encoder(pixels).grid.sum().backward()) / len(pixels)
    numbers = sum(weight.numel() for weight in _tuning.learnt(encoder).values())
    return Added(learn=learn, look=look, parameters=numbers)


def step_seconds(
    comparison: Comparison, fitting: splits.Part, sight: Blind
) -> tuple[list[float], float, int]:
    """Seconds of a step of each stage, seconds to answer one question, the model's parameters."""
    recipe, some = comparison.recipe, fitting.rows(range(min(READ, len(fitting.examples))))
    known = answers.learn(comparison.source.load(), some.examples, recipe.config)
    model: Any = known.model(recipe, sight.width)
    data = known.data(some.examples, some.pictures, sight, targets=True)
    steps = list[float]()
    for stage in recipe.stages:
        batch = data.batch(np.arange(stage.batch) % len(data)).to(torch.device("cpu"))
        objective = getattr(model, stage.objective)
        steps.append(timed(lambda: objective(batch).total.backward()))  # noqa: B023
    model.eval()
    tried = some.rows(range(min(len(data), recipe.stages[0].batch)))
    asked = known.data(tried.examples, tried.pictures, sight, targets=False)
    forward = timed(lambda: known.answers(model, asked, torch.device("cpu"))) / len(asked)
    return steps, forward, sum(p.numel() for p in model.parameters())


def timed(work: Callable[[], Any]) -> float:
    """Seconds of the second of two calls: the first pays for what is set up once."""
    work()
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
