"""Own questions with choices, and own hypotheses, as they must not be."""

from pathlib import Path
from typing import Any

import pytest

from clipvil.core import Chose, Data, Gold, Humans, Segment
from clipvil.evaluate.score import score
from clipvil.files import write_jsonl
from clipvil.tasks import choose, entail

ASKED = {"image": "a.jpg", "question": "What is it?", "choices": ["a cat", "a dog"], "label": 1}
TOLD = {"image": "a.jpg", "hypothesis": "It is a cat.", "label": "neutral"}


def test_a_row_is_an_example(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "test.jsonl", [ASKED])
    (example,) = choose.TASK.examples(Data(tmp_path), "test")
    assert example.candidates == (((Segment("a cat"),), (Segment("a dog"),)),)
    assert example.target == Gold((1,)) and example.id == "test-0"
    write_jsonl(tmp_path / "test.jsonl", [TOLD | {"id": 3}])
    (example,) = entail.TASK.examples(Data(tmp_path), "test")
    assert example.target == Humans(("neutral",)) and example.id == "3"
    assert example.words == "It is a cat." and example.pictures == ("a.jpg",)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (ASKED | {"label": 2}, "label 2 is no place among 2 choices"),
        (ASKED | {"label": -1}, "Expected `int` >= 0"),
        (ASKED | {"label": "a cat"}, "Expected `int`, got `str`"),
        (ASKED | {"choices": ["a cat"], "label": 0}, "two `choices` or more, all different"),
        (ASKED | {"choices": ["a cat", "a cat"]}, "two `choices` or more, all different"),
        (ASKED | {"choices": "cat"}, "Expected `array`"),
        (ASKED | {"image": "../a.jpg"}, "'../a.jpg' is not inside"),
    ],
)
def test_spoilt_questions_are_named(tmp_path: Path, row: Any, message: str) -> None:
    write_jsonl(tmp_path / "test.jsonl", [ASKED, row])
    with pytest.raises(ValueError, match=f"test.jsonl, line 2: .*{message}"):
        choose.TASK.examples(Data(tmp_path), "test")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (TOLD | {"label": "maybe"}, "'maybe' is none of entailment, neutral, contradiction"),
        (TOLD | {"label": 0}, "Expected `str`"),
        (TOLD | {"image": "/a.jpg"}, "'/a.jpg' is not inside"),
    ],
)
def test_spoilt_hypotheses_are_named(tmp_path: Path, row: Any, message: str) -> None:
    write_jsonl(tmp_path / "test.jsonl", [TOLD, row])
    with pytest.raises(ValueError, match=f"test.jsonl, line 2: .*{message}"):
        entail.TASK.examples(Data(tmp_path), "test")


def test_a_place_beyond_the_choices_is_an_error(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "test.jsonl", [ASKED, ASKED | {"choices": ["a", "b", "c"]}])
    examples = choose.TASK.examples(Data(tmp_path), "test")
    with pytest.raises(ValueError, match="test-0: 2 is no place among 2 choices"):
        score(choose.TASK, examples, [("test-0", Chose(2)), ("test-1", Chose(2))])
    figures = score(choose.TASK, examples, [("test-0", Chose(1)), ("test-1", Chose(2))]).figures
    assert figures["accuracy"].value == 50
