"""How a report words questions and answers: candidates by their words, regions by name."""

from pathlib import Path

from clipvil import tasks
from clipvil.core import Chose, Data
from clipvil.evaluate.collect import spoken, told, wording


def test_a_choice_is_shown_as_its_words(tmp_path: Path) -> None:
    task = tasks.load("vcr")
    task.tiny(tmp_path)
    first = task.examples(Data(tmp_path), "val")[0]
    assert spoken(first, first.text) == "What color is [square 0] ?"
    assert told(first) == ["[square 0] is red .; It looks red ."]
    follow = tuple(Chose(place) for place in (3, 0, 0, 2))
    assert wording(first, Chose(1, then=follow)) == "[square 0] is green .; It looks purple ."


def test_own_choices_are_shown_as_they_were_written(tmp_path: Path) -> None:
    task = tasks.load("choose")
    task.tiny(tmp_path)
    first = task.examples(Data(tmp_path), "test")[0]
    assert (told(first), wording(first, Chose(2))) == (["red"], "blue")
