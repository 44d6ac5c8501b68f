"""How a report words questions and answers: candidates by their words, regions by name."""

import base64
import io
from pathlib import Path

import numpy as np
from PIL import Image

from clipvil import tasks
from clipvil.core import Chose, Data, Example, Region, Segment
from clipvil.evaluate.result import Shown
from clipvil.evaluate.shown import pictured, spoken, told, wording


def test_a_choice_is_shown_as_its_words(tmp_path: Path) -> None:
    task = tasks.load("vcr")
    task.tiny(tmp_path)
    first = task.examples(Data(tmp_path), "val")[0]
    assert spoken(first, first.text) == "What color is [square 0]?"
    assert told(first) == ["[square 0] is red.\nIt looks red."]
    follow = tuple(Chose(place) for place in (3, 0, 0, 2))
    assert wording(first, Chose(1, then=follow)) == "[square 0] is green.\nIt looks purple."


def test_own_choices_are_shown_as_they_were_written(tmp_path: Path) -> None:
    task = tasks.load("choose")
    task.tiny(tmp_path)
    first = task.examples(Data(tmp_path), "test")[0]
    assert (told(first), wording(first, Chose(2))) == (["red"], "blue")


def test_regions_that_are_asked_about_are_framed(tmp_path: Path) -> None:
    Image.new("RGB", (320, 240), "green").save(tmp_path / "a.png")
    regions = (Region((40, 60, 120, 200)), Region((200, 20, 300, 80)))
    text = (Segment("", (0,)), Segment("stands"))
    example = Example(id="a", cluster="a", text=text, regions=regions)
    row = Shown(id="a", question="", picture="a", reference=[], answers={}, scores={})
    data = pictured(row, tmp_path / "a.png", example).picture
    assert data is not None
    small = Image.open(io.BytesIO(base64.b64decode(data.partition(",")[2])))
    drawn = np.argwhere(np.abs(np.asarray(small, int) - (0, 128, 0)).sum(2) > 200)  # rows, columns
    assert small.size == (160, 120), "half as large"
    assert (
        np.abs(drawn.min(0) - (30, 20)).max() <= 2 and np.abs(drawn.max(0) - (100, 60)).max() <= 2
    )
