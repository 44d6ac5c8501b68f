"""Runs: one training each, what it is asked afterwards, and where it looked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clipvil import encoders as encoder_families
from clipvil import progress, recipes
from clipvil.api.checks import tell_failures, trainable
from clipvil.core import Data, Moves
from clipvil.evaluate.splits import Source

if TYPE_CHECKING:
    from clipvil.evaluate.run import Arm
    from clipvil.explain.captions import Looks
    from clipvil.explain.walks import Gallery
    from clipvil.train.fit import Fitted
    from clipvil.train.recipe import Recipe


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
    from clipvil.evaluate.cell import fit_cell, require_known
    from clipvil.evaluate.run import Arm, Plan, require_same
    from clipvil.evaluate.seen import is_given
    from clipvil.evaluate.splits import all_pictures
    from clipvil.features.lookup import gather, missing
    from clipvil.train.fit import processes

    progress.silent = not processes().is_main_process  # under torchrun one process speaks
    made, source = asked(recipe, task, data, files)

    def planned(arm: Arm) -> Plan:
        return Plan(
            source=source, recipe=made, arm=arm, shots=shots, repetition=seed,
            rate=made.stages[0].learning_rate, folder=Path(out),
        )  # fmt: skip

    if is_given(encoder):
        arm = given_features(encoder, source, made.sight)
    else:
        loaded = encoder_families.load(encoder).to(device())
        where = Path(store) if store is not None else Path(out) / "stores"
        fingerprint = loaded.card.fingerprint
        arm = Arm(name=encoder, encoder=encoder, fingerprint=fingerprint)
        require_same(planned(arm))
        if made.sight == "stored":
            pictures = all_pictures(source)
            with processes().main_process_first():  # under torchrun one process encodes
                if missing(fingerprint, pictures, where):  # which may take long
                    require_known(planned(arm))
                found = gather(loaded, pictures, where)
            tell_failures(encoder, found.failures)
            arm = replace(arm, stores=found.stores)
    fitted = fit_cell(planned(arm), aloud=True)
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

    made, source = asked(recipe, task, data, files)
    where = Path(store) if store is not None else Path(out) / "stores"
    return look(source, made, encoder, shots, seed, where, Path(out))


def evaluate(run: str | Path, *, limit: int | None = None) -> dict[str, dict[str, float]]:
    """Metric values of a run on the report split and each shift of it.

    With a `limit`, on the first so many examples of each; then nothing is written.
    """
    from clipvil.evaluate.answer import look_at, score_cell
    from clipvil.evaluate.run import read_plan
    from clipvil.files import read_json

    plan = read_plan(Path(run))
    if limit is not None:
        return look_at(plan, limit)
    score_cell(plan)
    if plan.recipe.select == "reported":
        progress.say("the weights were chosen on the split that is reported: scores are too good")
    values: dict[str, dict[str, float]] = read_json(Path(run) / "result.json")
    return values


def predict(
    run: str | Path,
    picture: str | Path,
    question: str = "",
    choices: Sequence[str] = (),
    *,
    tell: Mapping[str, Any] | None = None,
) -> str:
    """A run's answer to one question about one picture, from pixels; `choices` to choose from.

    A captioner is asked no question, and tells its caption: as it was trained to, or, by `tell`,
    with other `beams`, `length_power`, `longest`, `shortest`, `no_repeat`, `top_k`, `nucleus`.
    """
    from clipvil.evaluate.predict import answer_one

    return answer_one(Path(run), Path(picture), question, choices, tell)


def predict_split(
    run: str | Path,
    out: str | Path,
    *,
    data: str | Path | None = None,
    split: str | None = None,
    limit: int | None = None,
    tell: Mapping[str, Any] | None = None,
) -> int:
    """Write a run's answers to a split as the task's official submission; how many there are.

    `tell` as in `predict`.
    """
    from clipvil.evaluate.predict import answer_split

    root = None if data is None else Data(Path(data))
    return answer_split(Path(run), Path(out), root, split, limit, tell)


def predict_folder(
    run: str | Path,
    out: str | Path,
    images: str | Path,
    *,
    limit: int | None = None,
    tell: Mapping[str, Any] | None = None,
) -> int:
    """Write a captioner's captions of all pictures under a folder; how many there are.

    `tell` as in `predict`.
    """
    from clipvil.evaluate.predict import answer_folder

    return answer_folder(Path(run), Path(out), Path(images), limit, tell)


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


def asked(
    recipe: str | Recipe[Any],
    task: str,
    data: str | Path,
    files: Mapping[tuple[str, str], Path] | None,
) -> tuple[Recipe[Any], Source]:
    """The recipe, seen to learn the task, and where the task's files are."""
    made = recipes.load(recipe) if isinstance(recipe, str) else recipe
    trainable(task, made)
    return made, Source(task, Data(Path(data), dict(files or {})))


def given_features(named: str, source: Source, sight: str) -> Arm:
    """What stands in an encoder's place where features are given; for walks, files of views too.

    Raises
        UsageError, FileNotFoundError, ValueError: as `evaluate.seen.given`
    """
    from clipvil.evaluate.run import Arm
    from clipvil.evaluate.seen import FEATURES, given, stores_at, unshifted
    from clipvil.features.views import stamp

    if isinstance(source.load().answer, Moves):
        unshifted(named, source)
        path = Path(named.removeprefix(FEATURES))
        return Arm(name=named, fingerprint=stamp([path], []), stores=(path,))
    stores_at(named, sight)
    return given(named, source).arm


def shortened(name: str, most_steps: int) -> Recipe[Any]:
    """A recipe with fewer steps a stage and no grid of learning rates, for a quick look."""
    recipe = recipes.load(name)
    stages = tuple(
        replace(stage, least_steps=min(stage.least_steps, most_steps), most_steps=most_steps)
        for stage in recipe.stages
    )
    return replace(recipe, stages=stages, rates=())
