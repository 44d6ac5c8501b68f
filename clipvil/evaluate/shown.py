"""Test examples on which encoders' answers differ most, as a page shows them."""

from __future__ import annotations

import base64
import hashlib
import io
import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import msgspec
from PIL import ImageDraw

from clipvil import pictures, progress
from clipvil.answers.moves import atlas_of
from clipvil.core import (
    Answer,
    Chose,
    Example,
    Gold,
    Humans,
    Moves,
    References,
    Said,
    Segment,
    Task,
    Walked,
)
from clipvil.evaluate import splits
from clipvil.evaluate.compare import Comparison
from clipvil.evaluate.result import Shown
from clipvil.evaluate.run import Plan, answers_name
from clipvil.graphs.above import drawn

SHOWN = 8  # examples in a report
THUMBNAIL = 160  # pixels of a shown picture's longer side


def shown(comparison: Comparison, plans: Sequence[Plan]) -> list[Shown]:
    """Test examples on which the headline metric tells the encoders' answers apart most."""
    source = comparison.source
    task, test = source.load(), splits.part(source, source.load().splits.report)
    last = [p for p in plans if p.shots == comparison.shots[-1] and p.repetition == 0]
    last = [p for p in last if p.arm.control in (None, "text")]
    said = {p.arm.name: dict(task.read(p.folder / answers_name(task, None))) for p in last}
    worth = {name: each(task, test.examples, answers) for name, answers in said.items()}
    rows = list[tuple[float, str, Shown]]()
    taken = set[str]()
    for example, picture in zip(test.examples, test.pictures, strict=True):
        texts = {name: wording(example, answers[example.id]) for name, answers in said.items()}
        scores = {name: values[example.id] for name, values in worth.items()}
        seeing = [scores[p.arm.name] for p in last if p.arm.control is None]
        spread = max(seeing) - min(seeing)
        mixed = hashlib.sha256(example.id.encode()).hexdigest()  # no kind of question comes first
        if spread > 0:
            row = Shown(
                id=example.id, question=spoken(example, example.text), picture=picture or None,
                reference=told(example), answers=texts, scores=scores,
            )  # fmt: skip
            rows.append((-spread, mixed, row))
    chosen, known = list[Shown](), {example.id: example for example in test.examples}
    for _, _, row in sorted(rows, key=lambda r: r[:2]):
        if len(chosen) == SHOWN or row.picture in taken:
            continue
        if row.picture is not None:  # walks may have features of their views only
            taken.add(row.picture)
            row = pictured(row, test.files[row.picture], known[row.id])
        chosen.append(row)
    return from_above(chosen, known, said) if isinstance(task.answer, Moves) else chosen


def from_above(
    chosen: Sequence[Shown],
    known: Mapping[str, Example],
    said: Mapping[str, Mapping[str, Answer]],
) -> list[Shown]:
    """Walks with a drawing in place of the view at their start."""
    atlas, rows = atlas_of([known[row.id] for row in chosen]), list[Shown]()
    for row in chosen:
        episode, walks = known[row.id].episode, [said[name][row.id] for name in row.answers]
        assert episode is not None
        walked = [[place for place, _, _ in one.steps] for one in walks if isinstance(one, Walked)]
        drawing = drawn(atlas, episode, walked)
        rows.append(msgspec.structs.replace(row, picture=None, drawing=drawing))
    return rows


def each(
    task: Task, examples: Sequence[Example], answers: Mapping[str, Answer]
) -> dict[str, float]:
    """Every example's own headline figure by id; percent as shares of one."""
    measured = task.measure(examples, answers)
    metric = task.headline(measured.columns)
    scale = 100.0 if metric.unit == "%" else 1.0
    values = task.reduce(measured.each())[metric.name] / scale
    return dict(zip(measured.ids, values.tolist(), strict=True))


def wording(example: Example, answer: Answer) -> str:
    """An answer as a person reads it."""
    match answer:
        case Said(text):
            return text
        case Chose(index, _, then):
            first = spoken(example, example.candidates[0][index])
            reason = [spoken(example, example.candidates[1][one.index])
                      for one in then[index : index + 1]]  # fmt: skip
            return "\n".join([first, *reason])
        case Walked(steps):
            episode = example.episode
            assert episode is not None and episode.floor is not None
            left = episode.floor.distance(steps[-1][0], episode.path[-1])
            return f"{moves([place for place, _, _ in steps])}, {left:.1f} m from the goal"


def moves(places: Sequence[str]) -> str:
    """How often a walk goes on; turning on the spot does not count."""
    count = sum(one != other for one, other in pairwise(places))
    return progress.count(count, "move")


def told(example: Example) -> list[str]:
    """What people answered, most frequent first."""
    match example.target:
        case Humans(answers):
            return sorted(set(answers), key=lambda a: (-answers.count(a), a))[:3]
        case References(captions):
            return [" ".join(one.split()) for one in captions]
        case Gold(indices) if example.candidates:
            right = zip(example.candidates, indices, strict=True)
            return ["\n".join(spoken(example, several[index]) for several, index in right)]
    return [moves(example.episode.path)] if example.episode is not None else []


def spoken(example: Example, segments: Sequence[Segment]) -> str:
    """A text as a person reads it; a mention is the region's name and number."""
    parts = list[str]()
    for segment in segments:
        named = ", ".join(f"{example.regions[k].name} {k}" for k in segment.regions)
        parts += [segment.words] if segment.words else [f"[{named}]"]
    return re.sub(r" (?=[.,:;?!](?: |$)|n't\b|'s\b)", "", " ".join(parts))  # tokens, in VCR's files


def pictured(row: Shown, path: Path, example: Example) -> Shown:
    """With the picture made small; the regions that the text mentions are framed."""
    try:
        whole = pictures.read(path)
    except pictures.BrokenPictureError:
        return msgspec.structs.replace(row, picture=None)
    scale, buffer = THUMBNAIL / max(whole.size), io.BytesIO()
    size = max(1, round(whole.width * scale)), max(1, round(whole.height * scale))
    small = whole.resize(size)
    for number in sorted({k for segment in example.text for k in segment.regions}):
        x1, y1, x2, y2 = (round(scale * at) for at in example.regions[number].box)
        pen = ImageDraw.Draw(small)
        pen.rectangle((x1, y1, x2, y2), outline="black", width=3)
        pen.rectangle((x1 + 1, y1 + 1, x2 - 1, y2 - 1), outline="white")
        pen.text((x1 + 4, y1 + 3), str(number), "white", stroke_width=2, stroke_fill="black")
    small.save(buffer, "JPEG", quality=85)
    data = base64.b64encode(buffer.getvalue()).decode()
    return msgspec.structs.replace(row, picture=f"data:image/jpeg;base64,{data}")
