"""Own captions: rows of one picture are its references."""

from pathlib import Path
from typing import Any

import pytest

from clipvil.core import Data, Example, References
from clipvil.evaluate.score import score
from clipvil.files import write_json, write_jsonl
from clipvil.tasks.caption import TASK

ROW = {"image": "a.jpg", "caption": "a red cat"}
OTHER = {"image": "b.jpg", "caption": "a blue dog"}


def read(root: Path, rows: list[Any], split: str = "test") -> list[Example]:
    write_jsonl(root / f"{split}.jsonl", rows)
    return list(TASK.examples(Data(root), split))


def test_rows_of_a_picture_are_its_references(tmp_path: Path) -> None:
    again = {"image": "./a.jpg", "caption": "the cat is red"}
    first, second = read(tmp_path, [ROW, OTHER, again])
    assert (first.id, first.pictures, first.cluster) == ("test-0", ("a.jpg",), "a.jpg")
    assert first.target == References(("a red cat", "the cat is red"))
    assert (second.id, second.target) == ("test-1", References(("a blue dog",)))


def test_a_picture_goes_by_the_id_of_its_first_row(tmp_path: Path) -> None:
    rows = [ROW | {"id": 7}, ROW | {"id": 7}, OTHER | {"id": "b"}, OTHER | {"id": "c"}]
    assert [example.id for example in read(tmp_path, rows)] == ["7", "b"]
    with pytest.raises(ValueError, match=r"test\.jsonl, line 2: id '7' is also that of line 1"):
        read(tmp_path, [ROW | {"id": 7}, OTHER | {"id": 7}])


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (ROW | {"image": "../a.jpg"}, "'../a.jpg' is not inside"),
        (ROW | {"caption": " "}, "an empty caption"),
        (ROW | {"caption": None}, "Expected `str`"),
        ({"image": "a.jpg"}, "required field `caption`"),
        (ROW | {"id": [1]}, "Expected `int"),
        (3, "Expected `object`"),
    ],
)
def test_spoilt_rows_are_named(tmp_path: Path, row: Any, message: str) -> None:
    with pytest.raises(ValueError, match=rf"test\.jsonl, line 2: .*{message}"):
        read(tmp_path, [ROW, row])


def test_captions_are_scored_by_id(tmp_path: Path) -> None:
    examples = read(tmp_path, [ROW, OTHER])
    write_jsonl(tmp_path / "said", [{"id": "test-1", "answer": "a blue dog"},
                                    {"id": "test-0", "answer": "a green cat"}])  # fmt: skip
    figures = score(TASK, examples, TASK.read(tmp_path / "said")).figures
    assert figures["bleu_1"].value == pytest.approx(5 / 6)


def test_a_file_alone_is_split_by_picture(tmp_path: Path) -> None:
    rows = [{"image": f"{k}.jpg", "caption": "a cat"} for k in range(10) for _ in range(3)]
    write_jsonl(tmp_path / "mine.jsonl", rows)
    parts = [TASK.examples(Data(tmp_path), split) for split in ("train", "val", "test")]
    assert [len(part) for part in parts] == [8, 1, 1]
    assert len({example.cluster for part in parts for example in part}) == 10


@pytest.mark.parametrize(
    "spoilt",
    [{}, {"id": 1}, {"answer": "a"}, {"id": 1, "caption": "a"}, {"image_id": 1, "answer": "a"},
     {"id": 1, "answer": "a", "image_id": 1, "caption": "a"}, {"id": 1.5, "answer": "a"}, []],
)  # fmt: skip
def test_spoilt_predictions_are_named(tmp_path: Path, spoilt: Any) -> None:
    write_json(tmp_path / "said", [{"id": 1, "answer": "a"}, spoilt])
    with pytest.raises(ValueError, match="said, row 2: "):
        list(TASK.read(tmp_path / "said"))
