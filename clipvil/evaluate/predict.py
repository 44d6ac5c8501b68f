"""A trained run on pictures and questions that it was not trained or scored on."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, assert_never

import torch
from torch import nn

from clipvil import pictures, progress
from clipvil.answers.base import Known
from clipvil.core import (
    Answer,
    Choices,
    Chose,
    Data,
    Example,
    Labels,
    Moves,
    Said,
    Segment,
    Task,
    Text,
    UsageError,
)
from clipvil.data.sight import Statistics
from clipvil.encoders.base import Encoder
from clipvil.evaluate import eyes, splits
from clipvil.evaluate.answer import answers_of, restore
from clipvil.evaluate.gathering import unreadable
from clipvil.evaluate.run import Plan, read_known, read_plan
from clipvil.evaluate.seen import covered
from clipvil.features.lookup import Gathered, gather, outdated
from clipvil.features.manifest import MANIFEST
from clipvil.features.plan import named
from clipvil.files.pictures import number
from clipvil.registry import unknown

TELLING = ("beams", "length_power", "longest", "shortest", "no_repeat", "top_k", "nucleus")
Tell = Mapping[str, Any] | None  # those fields of a captioner's config, where not as it was trained


def answer_one(
    folder: Path,
    picture: Path,
    question: str = "",
    choices: Sequence[str] = (),
    tell: Tell = None,
) -> str:
    """A fitted run's answer to a question about a picture, or its caption, encoded on the fly.

    Raises
        UsageError: choices to a task without, or none to one with, or several questions in a row;
            a question to a captioner, or none to another
        ValueError: the picture cannot be read
    """
    plan = telling(read_plan(folder), tell)
    if eyes.walks(plan):
        raise UsageError(f"{folder} walks through buildings: ask it for a split, with --out")
    if eyes.reads_only(plan):
        raise UsageError(
            f"{folder} was trained on features, and nobody here can make those of a picture: ask "
            "it for a split, with --out"
        )
    example = put(plan.source.load(), question, choices)
    pictures.require(picture)
    known = read_known(plan)
    model, statistics, encoder = restore(plan, known)
    part = splits.Part([example], ["picture"], {"picture": picture})
    if plan.arm.encoder is not None:
        encoder = encoder or eyes.encoder_of(plan)
    said = answers_of(plan, part, known, model, statistics, encoder)
    told = said["0"]
    if isinstance(told, Chose):
        return choices[told.index]
    assert isinstance(told, Said)
    return told.text


def telling(plan: Plan, tell: Tell) -> Plan:
    """A captioner's plan that tells in another way than it was trained with; beams draw no lots.

    Raises
        UsageError: what tells no captions, or no such way
    """
    if not tell:
        return plan
    if not isinstance(plan.source.load().answer, Text):
        raise UsageError(f"{plan.folder} tells no captions: give {ways(plan.folder)}")
    for name in tell:
        if name not in TELLING:
            raise unknown("way of telling", name, TELLING)
    alone = {"top_k": 0, "nucleus": 0.0} if "beams" in tell else {}
    config = replace(plan.recipe.config, **(alone | dict(tell)))
    return replace(plan, recipe=replace(plan.recipe, config=config))


def ways(folder: Path) -> str:
    """What a run can be asked, as the options of `predict` for it."""
    plan = read_plan(folder)
    task = plan.source.load()
    match task.answer:
        case Text():
            said = ["--image FILE for its caption", "--images DIR and --out FILE for a folder's"]
        case Choices():
            said = ["--image FILE, --text QUESTION and --choices ANSWER ANSWER for one answer"]
        case Labels():
            said = ["--image FILE and --text QUESTION for one answer"]
        case Moves():
            said = []
        case _:
            assert_never(task.answer)
    if eyes.reads_only(plan) or task.name == "vcr":  # no picture by itself
        said = said[1:]
    return ", or ".join([*said, "--out FILE for the answers to a split"])


def put(task: Task, question: str, choices: Sequence[str]) -> Example:
    """A question, or none to a captioner, as an example of a task."""
    if isinstance(task.answer, Text) and question:
        raise UsageError(f"{task.name} tells captions and answers no question: leave --text out")
    if not isinstance(task.answer, Choices):
        if choices:
            raise UsageError(f"{task.name} has no choices")
    elif task.name == "vcr":
        raise UsageError(
            "vcr puts two questions in a row, about regions: answer a split with --out"
        )
    elif len(set(choices)) < max(2, len(choices)):
        raise UsageError(f"{task.name} needs two choices or more, all different")
    if not isinstance(task.answer, Text) and not question:
        raise UsageError(f"{task.name} asks about the picture: give --text as well")
    candidates = (tuple((Segment(choice),) for choice in choices),) if choices else ()
    return Example(id="0", cluster="0", text=(Segment(question),), candidates=candidates)


def answer_split(
    folder: Path, out: Path, data: Data | None, split: str | None, limit: int | None, tell: Tell
) -> int:
    """Write a run's answers to a split of its task; gives their number.

    Pictures that no store of the run has are encoded into one beside it.
    """
    plan = telling(read_plan(folder), tell)
    part, mark = asked(plan, data, split, limit)
    ready = prepared(plan, part, mark)
    for name, reason in (ready.failures or {}).items():
        progress.say(f"{name}: {reason}; it counts as empty")
    said = answered(ready, part)
    plan.source.load().write(out, said)
    return len(said)


def asked(
    plan: Plan, data: Data | None, split: str | None, limit: int | None
) -> tuple[splits.Part, str | None]:
    """Examples of a split of a run's task, and what features of other data are kept under."""
    source = replace(plan.source, data=data or plan.source.data)
    part = splits.part(source, split or plan.source.load().splits.report)
    if limit is not None:
        part = part.rows(range(min(limit, len(part.examples))))
    if data is None or data.root is None or inside(plan, data.root) == Path():
        return part, None
    return part, _mark(data.root)


def answer_folder(folder: Path, out: Path, images: Path, limit: int | None, tell: Tell) -> int:
    """Write a run's captions of all pictures under a folder; gives their number.

    One that cannot be read is left out, and said.

    Raises
        UsageError: the run is no captioner's
        ValueError: no picture can be read
    """
    plan = telling(read_plan(folder), tell)
    task = plan.source.load()
    if not isinstance(task.answer, Text):
        raise UsageError(f"{folder} tells no captions: give {ways(folder)}")
    found = dict([*named(images).items()][:limit])
    within = inside(plan, images)
    top = within or Path()
    files = {str(top / name): path for name, path in found.items()}
    ready = prepared(
        plan, splits.Part([], [*files], files), None if within is not None else _mark(images)
    )
    broken = ready.failures
    if broken is None:
        broken = unreadable(files, torch.get_num_threads())
    for name, place in zip(found, files, strict=True):
        if place in broken:
            progress.say(f"no caption of {name}: {broken[place]}")
    files = {place: path for place, path in files.items() if place not in broken}
    if not files:
        raise ValueError(f"no picture under {images} can be read")
    ids = called(task, [path.relative_to(images) for path in files.values()])
    examples = [
        Example(id=i, cluster=name, pictures=(name,)) for i, name in zip(ids, files, strict=True)
    ]
    said = answered(ready, splits.Part(examples, [*files], files))
    task.write(out, said)
    return len(said)


def called(task: Task, paths: Sequence[Path]) -> list[str]:
    """Ids of pictures in a submission: COCO's numbers where all have one, else the paths."""
    numbers = [number(path.stem) for path in paths]
    official = task.name.startswith("coco_caption") and None not in numbers
    if official and len(set(numbers)) == len(numbers):
        return [*map(str, numbers)]
    return [path.as_posix() for path in paths]


def inside(plan: Plan, folder: Path) -> Path | None:
    """The path to a folder under the run's own data, of which its stores have features, if so."""
    own, whole = plan.source.data.root, folder.resolve()
    if own is None or not whole.is_relative_to(own.resolve()):
        return None
    return whole.relative_to(own.resolve())


def _mark(root: Path) -> str:
    """What the features of another folder are kept under, whose names mean other pictures."""
    return hashlib.sha256(str(root.resolve()).encode()).hexdigest()[:8]


def answered(ready: Ready, part: splits.Part) -> Mapping[str, Answer]:
    """A run's answers to examples."""
    return answers_of(ready.plan, part, ready.known, ready.model, ready.statistics, ready.encoder)


class Ready(NamedTuple):
    """A run that can answer: see `restore`; the plan's stores have the pictures asked about."""

    plan: Plan
    known: Known
    model: nn.Module | None
    statistics: Statistics | None
    encoder: Encoder | None
    failures: Mapping[str, str] | None  # pictures that stores have as broken; None without stores


def prepared(plan: Plan, part: splits.Part, mark: str | None) -> Ready:
    """A run with its weights; pictures that no store of it has are encoded into one beside it.

    Where pictures of its own data are others now than those in its stores, into one apart.
    """
    known = read_known(plan)
    model, statistics, encoder = restore(plan, known)
    failures: Mapping[str, str] | None = None
    if plan.arm.encoder is not None and encoder is None:
        names = part.files if eyes.walks(plan) else part.pictures
        wanted = {name: part.files[name] for name in names}
        found = features(plan, eyes.encoder_of(plan), wanted, mark)
        plan, failures = replace(plan, arm=replace(plan.arm, stores=found.stores)), found.failures
    elif eyes.reads_only(plan) and not eyes.walks(plan):
        failures = covered(plan.arm.name, eyes.features_of(plan), part.pictures)
    return Ready(plan, known, model, statistics, encoder, failures)


def features(
    plan: Plan, encoder: Encoder, wanted: Mapping[str, Path], mark: str | None
) -> Gathered:
    """Features of pictures as they are now; only what was encoded for answers is ever removed."""
    fingerprint, where = encoder.card.fingerprint, plan.folder / "stores"
    if mark is None and not outdated(fingerprint, wanted, where, *plan.arm.stores):
        return gather(encoder, wanted, where, also=plan.arm.stores, mended=True)
    where = plan.folder / f"stores-{mark or 'now'}"
    for store in outdated(fingerprint, wanted, where):
        (store / MANIFEST).unlink()  # first: without it nobody takes for whole what is left
        shutil.rmtree(store)
    return gather(encoder, wanted, where, mended=True)
