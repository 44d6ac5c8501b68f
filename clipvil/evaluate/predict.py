"""A trained run on pictures and questions that it was not trained or scored on."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

from clipvil import encoders
from clipvil.core import Data, Example, Said, Segment
from clipvil.data.sight import Blind, Shown, Sight
from clipvil.encoders.base import Encoder, device
from clipvil.evaluate import splits, zero_shot
from clipvil.evaluate.cell import answer, answers_of, nearest, restore
from clipvil.evaluate.run import Plan, read_known, read_plan
from clipvil.features.lookup import gather
from clipvil.models._seeing import Seeing


def encoder_of(plan: Plan) -> Encoder:
    """The encoder that a run was trained on.

    Raises
        ValueError: under that name there is another one now
    """
    assert plan.arm.encoder is not None
    encoder = encoders.load(plan.arm.encoder).to(device())
    if encoder.card.fingerprint != plan.arm.fingerprint:
        raise ValueError(
            f"{plan.arm.encoder} is not what {plan.folder} was trained on: its weights or its "
            "preprocessing have changed"
        )
    return encoder


def answer_one(folder: Path, picture: Path, question: str) -> str:
    """A fitted run's answer to a question about a picture, encoded on the fly."""
    plan = read_plan(folder)
    known = read_known(plan)
    model, statistics = restore(plan, known)
    example = Example(id="0", cluster="0", text=(Segment(question),))
    part = splits.Part([example], ["picture"], {"picture": picture})
    if plan.arm.control == "zero-shot":
        said = nearest(plan, part, known, zero_shot.live(encoder_of(plan), part.files))
    elif model is None:
        said = known.prior(part.examples)
    else:
        seeing: Sight = Blind()
        if plan.arm.encoder is not None and statistics is not None:
            encoder = encoder_of(plan)
            model = Seeing(model, encoder, statistics).to(device())
            seeing = Shown(encoder.preprocessing, part.files)
        said = answer(part, known, model, seeing)
    told = said["0"]
    assert isinstance(told, Said)
    return told.text


def answer_split(
    folder: Path, out: Path, data: Data | None, split: str | None, limit: int | None
) -> int:
    """Write a run's answers to a split of its task; gives their number.

    Pictures that no store of the run has are encoded into one beside it.
    """
    plan = read_plan(folder)
    task = plan.source.load()
    source = replace(plan.source, data=data or plan.source.data)
    part = splits.part(source, split or task.splits.report)
    if limit is not None:
        part = part.rows(range(min(limit, len(part.examples))))
    known = read_known(plan)
    model, statistics = restore(plan, known)
    if plan.arm.encoder is not None:
        wanted = {name: part.files[name] for name in part.pictures}
        # names are paths under a data folder: another folder's features must not be mistaken
        root = str(source.data.root and source.data.root.resolve())
        mark = hashlib.sha256(root.encode()).hexdigest()[:8]
        where = folder / "stores" if data is None else folder / f"stores-{mark}"
        found = gather(encoder_of(plan), wanted, where)
        plan = replace(plan, arm=replace(plan.arm, stores=found.stores))
    said = answers_of(plan, part, known, model, statistics)
    task.write(out, said)
    return len(said)
