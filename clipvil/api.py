"""The main job from Python: what the verbs call, and what a notebook calls.

import clipvil
records = clipvil.compare(task="vqa", data="pictures", encoders=["tiny:clip", "timm:resnet18"],
                          shots=["20%", "100%"], out="comparison")
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clipvil import encoders as encoder_families
from clipvil import models, progress, recipes, tasks
from clipvil.core import Data, Moves, UsageError
from clipvil.evaluate.protocol import Shots
from clipvil.evaluate.splits import Source

if TYPE_CHECKING:
    from clipvil.evaluate.compare import Comparison
    from clipvil.evaluate.estimate import Estimate
    from clipvil.evaluate.result import Record
    from clipvil.evaluate.run import Arm
    from clipvil.explain.captions import Looks
    from clipvil.explain.walks import Gallery
    from clipvil.train.fit import Fitted
    from clipvil.train.recipe import Recipe


def plan(
    *,
    task: str,
    data: str | Path,
    encoders: Sequence[str],
    out: str | Path,
    model: str = "mcan",
    recipe: str | Recipe[Any] | None = None,
    shots: Sequence[str] = ("5%", "20%", "100%"),
    seeds: int = 3,
    baseline: str | None = None,
    beside: Sequence[str] = (),
    store: str | Path | None = None,
    jobs: int | None = None,
    limit: int | None = None,
    files: Mapping[tuple[str, str], Path] | None = None,
) -> Comparison:
    """A comparison, checked but not started: unknown names and missing files end here.

    Args
        encoders: by family and name, or `features:PATH`, a store that stands in one's place
        shots: shares like `5%` or counts like `100` of training examples
        seeds: repetitions a cell
        baseline: the encoder that the others are compared with, by default the first
        beside: more rows beside each encoder, of `probe` and `zero-shot`
        store: folder of feature stores, by default inside `out`
        jobs: processes of one thread each, by default one a core
        limit: test examples that are answered at most
        files: (role, split) -> path of a task's file that has another name
    """
    from clipvil.evaluate.compare import Comparison, rows_beside
    from clipvil.evaluate.seen import is_given, stores_at

    if not encoders:
        raise UsageError("name at least one encoder; `clipvil list encoders` shows some")
    for name in encoders:
        if not is_given(name):
            encoder_families.parse(name)
    if model not in models.names() and not model.startswith("module:"):
        models.load(model)
    tasks.load(task)
    named = recipe if isinstance(recipe, str) else recipes.default(task, model)
    made = recipes.load(named) if recipe is None or isinstance(recipe, str) else recipe
    trainable(task, made)
    for name in filter(is_given, encoders):
        stores_at(name, made.sight)
    for amount in shots:
        Shots(amount)
    root = Path(data)
    if not root.is_dir():
        raise ValueError(f"no data folder {root}")
    given = dict(files or {})
    return Comparison(
        source=Source(task, Data(root, given), limit),
        encoders=tuple(encoders),
        recipe=made,
        recipe_name="custom" if made is recipe else named,
        shots=tuple(shots),
        seeds=seeds,
        baseline=baseline or encoders[0],
        out=Path(out),
        store=Path(store) if store is not None else Path(out) / "stores",
        jobs=jobs or len(os.sched_getaffinity(0)),
        beside=rows_beside(beside, encoders, tasks.load(task)),
    )


def trainable(task: str, recipe: Recipe[Any]) -> None:
    """Check that models learn a task, and not only that predictions for it are scored.

    Raises
        UsageError: nobody knows the task, none does, or not the recipe's, or not in its way
    """
    from clipvil import answers

    answer = tasks.load(task).answer
    if not answers.learnable(tasks.load(task)):
        raise UsageError(f"no model learns {task} yet, only predictions are scored")
    if not models.gives(recipe.model, answer):
        others = ", ".join(name for name in models.names() if models.gives(name, answer))
        raise UsageError(f"{recipe.model} gives no answers of the kind of {task}; {others} do")
    for stage in recipe.stages:
        if not hasattr(models.load(recipe.model).Model, stage.objective):
            raise UsageError(f"{recipe.model} has no objective {stage.objective!r}")
    if isinstance(answer, Moves) and recipe.sight != "stored":
        raise UsageError("who walks looks at views out of stores: leave sight as it is, stored")


def estimate(comparison: Comparison) -> Estimate:
    """Minutes and bytes that a comparison will take, from trying a few pictures and steps."""
    from clipvil.evaluate.estimate import estimate as measure
    from clipvil.evaluate.seen import given, is_given

    names, load = comparison.encoders, encoder_families.load
    return measure(
        comparison, [given(n, comparison.source) if is_given(n) else load(n) for n in names]
    )


def run(comparison: Comparison, command: str = "clipvil.compare(...)") -> list[Record]:
    """Encode, train, answer, score and report; finished parts are not done again.

    Writes `results.jsonl`, `about.json`, `report.html` and the tables into the output folder.
    """
    from clipvil.evaluate.collect import about, collect
    from clipvil.evaluate.compare import run_cells
    from clipvil.evaluate.gathering import gather_all
    from clipvil.evaluate.result import ABOUT, RESULTS, write_about, write_records
    from clipvil.evaluate.seen import is_given
    from clipvil.evaluate.splits import all_pictures
    from clipvil.evaluate.summary import summarise
    from clipvil.evaluate.workers import Workers
    from clipvil.files import locked
    from clipvil.report import page

    with locked(comparison.out), Workers(comparison.jobs) as workers:
        needed = not all(map(is_given, comparison.encoders))
        pictures = all_pictures(comparison.source, needed=needed)
        gathered = gather_all(comparison, pictures, workers)
        for name, some in gathered.items():
            tell_failures(name, some.found.failures)
        seen = [some.arm for some in gathered.values()]
        done = run_cells(workers, comparison, seen)
        scores = collect(comparison, done)
        records = summarise(scores, comparison.source.load(), baseline=comparison.baseline)
        write_records(comparison.out / RESULTS, records)
        told = about(comparison, gathered, done, command)
        write_about(comparison.out / ABOUT, told)
        page.write(comparison.out, records, [told])
    return records


def compare(**asked: Any) -> list[Record]:
    """Plan and run a comparison; the arguments are those of `plan`."""
    told = ", ".join(f"{name}={value!r}" for name, value in asked.items())
    return run(plan(**asked), f"clipvil.compare({told})")


def tell_failures(name: str, failures: Mapping[str, str]) -> None:
    """Say which pictures could not be encoded."""
    for picture, reason in list(failures.items())[:5]:
        progress.say(f"{name}: {picture}: {reason}")
    if failures:
        progress.say(f"{name}: {len(failures)} pictures could not be read; they count as empty")


def command_line(arguments: Iterable[str]) -> str:
    """A command as somebody would type it."""
    return "clipvil " + " ".join(map(shlex.quote, arguments))


def shortened(name: str, most_steps: int) -> Recipe[Any]:
    """A recipe with fewer steps a stage and no grid of learning rates, for a quick look."""
    recipe = recipes.load(name)
    stages = tuple(
        replace(stage, least_steps=min(stage.least_steps, most_steps), most_steps=most_steps)
        for stage in recipe.stages
    )
    return replace(recipe, stages=stages, rates=())


def given_features(named: str, source: Source, sight: str) -> Arm:
    """What stands in an encoder's place where features are given; for walks, files of views too.

    Raises
        UsageError, FileNotFoundError, ValueError: as `evaluate.seen.given`
    """
    from clipvil.evaluate.run import Arm
    from clipvil.evaluate.seen import FEATURES, given, stores_at
    from clipvil.features.views import stamp

    if isinstance(source.load().answer, Moves):
        path = Path(named.removeprefix(FEATURES))
        return Arm(name=named, fingerprint=stamp([path], []), stores=(path,))
    stores_at(named, sight)
    return given(named, source).arm


def train(
    recipe: str | Recipe[Any],
    *,
    task: str,
    data: str | Path,
    encoder: str,
    out: str | Path,
    shots: str = "100%",
    seed: int = 0,
    store: str | Path | None = None,
    files: Mapping[tuple[str, str], Path] | None = None,
) -> Fitted:
    """Encode what is missing and train one model in the run folder `out`.

    `encoder` may be `features:PATH`: a store, or for walks also views in R2R's TSV or HDF5.
    """
    from clipvil.encoders.base import device
    from clipvil.evaluate.cell import fit_cell
    from clipvil.evaluate.run import Arm, Plan
    from clipvil.evaluate.seen import is_given
    from clipvil.evaluate.splits import all_pictures
    from clipvil.features.lookup import gather
    from clipvil.train.fit import processes

    made = recipes.load(recipe) if isinstance(recipe, str) else recipe
    source = Source(task, Data(Path(data), dict(files or {})))
    trainable(task, made)
    if is_given(encoder):
        arm = given_features(encoder, source, made.sight)
    else:
        loaded = encoder_families.load(encoder).to(device())
        where = Path(store) if store is not None else Path(out) / "stores"
        arm = Arm(name=encoder, encoder=encoder, fingerprint=loaded.card.fingerprint)
        if made.sight == "stored":
            with processes().main_process_first():  # under torchrun one process encodes
                found = gather(loaded, all_pictures(source), where)
            tell_failures(encoder, found.failures)
            arm = replace(arm, stores=found.stores)
    plan = Plan(
        source=source, recipe=made, arm=arm, shots=shots, repetition=seed,
        rate=made.stages[0].learning_rate, folder=Path(out),
    )  # fmt: skip
    fitted = fit_cell(plan)
    assert fitted is not None
    return fitted


def adopt(
    checkpoint: str | Path,
    words: str | Path,
    *,
    encoder: str,
    out: str | Path,
    task: str = "coco_caption@karpathy",
    heads: int = 8,
) -> None:
    """Make a run `out` of a captioner that CLIP-ViL's captioning code base trained.

    `predict_folder`, `predict_split` and `explain` then take it as a run of our own.

    Args
        checkpoint: its `model*.pth`, or the same tensors in safetensors
        words: its `cocotalk.json`
        encoder: whose cells it reads, in the published way (see the papers' rows)
        heads: of attention, which no tensor tells

    Raises
        ValueError: lists tensors that do not fit by name or shape
    """
    from clipvil.evaluate.published import adopt as write
    from clipvil.evaluate.run import Arm, Plan

    recipe = recipes.load("coco_caption_captioner")
    card = encoder_families.load(encoder).card
    plan = Plan(
        source=Source(task, Data(None)), recipe=recipe,
        arm=Arm(name=encoder, encoder=encoder, fingerprint=card.fingerprint), shots="100%",
        repetition=0, rate=recipe.stages[0].learning_rate, folder=Path(out),
    )  # fmt: skip
    trainable(task, recipe)
    write(plan, Path(checkpoint), Path(words), heads, card.width)


def preview(
    recipe: str | Recipe[Any],
    *,
    task: str,
    data: str | Path,
    encoder: str,
    out: str | Path,
    shots: str = "100%",
    seed: int = 0,
    store: str | Path | None = None,
    files: Mapping[tuple[str, str], Path] | None = None,
) -> dict[str, Any]:
    """What `train` with these arguments is made from and takes; weights are not needed for it."""
    from clipvil.evaluate.preview import preview as look
    from clipvil.evaluate.seen import is_given

    if is_given(encoder):
        raise UsageError(f"what {encoder} takes is not told before: give an encoder")
    made = recipes.load(recipe) if isinstance(recipe, str) else recipe
    source = Source(task, Data(Path(data), dict(files or {})))
    trainable(task, made)
    where = Path(store) if store is not None else Path(out) / "stores"
    return look(source, made, encoder, shots, seed, where, Path(out))


def evaluate(run: str | Path) -> dict[str, dict[str, float]]:
    """Metric values of a run on the report split and each shift of it."""
    from clipvil.evaluate.cell import score_cell
    from clipvil.evaluate.run import read_plan
    from clipvil.files import read_json

    plan = read_plan(Path(run))
    score_cell(plan)
    if plan.recipe.select == "reported":
        progress.say("the weights were chosen on the split that is reported: scores are too good")
    values: dict[str, dict[str, float]] = read_json(Path(run) / "result.json")
    return values


def predict(
    run: str | Path, picture: str | Path, question: str, choices: Sequence[str] = ()
) -> str:
    """A run's answer to one question about one picture, from pixels; `choices` to choose from."""
    from clipvil.evaluate.predict import answer_one

    return answer_one(Path(run), Path(picture), question, choices)


def predict_split(
    run: str | Path,
    out: str | Path,
    *,
    data: str | Path | None = None,
    split: str | None = None,
    limit: int | None = None,
) -> int:
    """Write a run's answers to a split as the task's official submission; how many there are."""
    from clipvil.evaluate.predict import answer_split

    root = None if data is None else Data(Path(data))
    return answer_split(Path(run), Path(out), root, split, limit)


def predict_folder(
    run: str | Path, out: str | Path, images: str | Path, *, limit: int | None = None
) -> int:
    """Write a captioner's captions of all pictures under a folder; how many there are."""
    from clipvil.evaluate.predict import answer_folder

    return answer_folder(Path(run), Path(out), Path(images), limit)


def explain(run: str | Path, picture: str | Path, out: str | Path | None = None) -> Looks:
    """A captioner's caption of a picture and where each word looked; drawn into `out`."""
    from clipvil.explain.captions import look
    from clipvil.explain.strip import checked, draw

    strip = None if out is None else checked(Path(out))
    looks = look(Path(run), Path(picture))
    if strip is not None:
        draw(looks, Path(picture), strip)
    return looks


def explain_walks(
    run: str | Path,
    out: str | Path | None = None,
    *,
    data: str | Path | None = None,
    split: str | None = None,
    images: str | Path | None = None,
    limit: int | None = None,
) -> Gallery:
    """Some of a follower's best, median and worst walks of a split, step by step; a page in `out`.

    `images` is a folder of pictures <scan>/<viewpoint>/<NN> of the views.
    """
    from clipvil.explain import walks, walks_page

    root, views = (None if path is None else Path(path) for path in (data, images))
    gallery = walks.follow(Path(run), None if root is None else Data(root), split, limit, views)
    if out is not None:
        walks_page.write(Path(out), gallery)
    return gallery
