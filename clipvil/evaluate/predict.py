"""A trained run on pictures and questions that it was not trained or scored on."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

from clipvil.core import Data, Example, Said, Segment
from clipvil.evaluate import eyes, splits
from clipvil.evaluate.cell import answers_of, restore
from clipvil.evaluate.run import read_known, read_plan
from clipvil.features.lookup import gather


def answer_one(folder: Path, picture: Path, question: str) -> str:
    """A fitted run's answer to a question about a picture, encoded on the fly."""
    plan = read_plan(folder)
    known = read_known(plan)
    model, statistics, encoder = restore(plan, known)
    example = Example(id="0", cluster="0", text=(Segment(question),))
    part = splits.Part([example], ["picture"], {"picture": picture})
    if plan.arm.encoder is not None:
        encoder = encoder or eyes.encoder_of(plan)
    said = answers_of(plan, part, known, model, statistics, encoder)
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
    model, statistics, encoder = restore(plan, known)
    if plan.arm.encoder is not None and encoder is None:
        wanted = {name: part.files[name] for name in part.pictures}
        # names are paths under a data folder: another folder's features must not be mistaken
        root = str(source.data.root and source.data.root.resolve())
        mark = hashlib.sha256(root.encode()).hexdigest()[:8]
        where = folder / "stores" if data is None else folder / f"stores-{mark}"
        found = gather(eyes.encoder_of(plan), wanted, where)
        plan = replace(plan, arm=replace(plan.arm, stores=found.stores))
    said = answers_of(plan, part, known, model, statistics, encoder)
    task.write(out, said)
    return len(said)
