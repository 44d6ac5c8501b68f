"""Visual Genome's questions: whose pictures, what an answer earns, what is refused."""

import json
from pathlib import Path
from typing import Any

import pytest

from clipvil.core import Data
from clipvil.files import MissingFilesError
from clipvil.tasks import _vg
from clipvil.tasks.base import vqa_credits

URL = "https://cs.stanford.edu/people/rak248/"
PICTURES = [
    {"image_id": 1, "url": f"{URL}VG_100K_2/1.jpg", "width": 8, "height": 6, "coco_id": None,
     "flickr_id": None},
    {"image_id": 7, "url": f"{URL}VG_100K/7.jpg", "width": 8, "height": 6, "coco_id": 42,
     "flickr_id": 3},
]  # fmt: skip


def asked(number: int, picture: int, question: str, answer: str) -> dict[str, Any]:
    return {"qa_id": number, "image_id": picture, "question": question, "answer": answer,
            "a_objects": [], "q_objects": []}  # fmt: skip


QUESTIONS = [
    {"id": 1, "qas": [asked(10, 1, "What color is the clock?", "Green."),
                      asked(11, 1, "How many?", "Two.")]},
    {"id": 7, "qas": [asked(12, 7, "Where is it?", "On the table.")]},
]  # fmt: skip


def written(folder: Path, questions: Any = QUESTIONS, pictures: Any = PICTURES) -> Data:
    (folder / "question_answers.json").write_text(json.dumps(questions))
    (folder / "image_data.json").write_text(json.dumps(pictures))
    return Data(folder)


def test_questions_are_about_their_pictures(tmp_path: Path) -> None:
    read = _vg.examples(written(tmp_path))
    assert [(e.id, e.cluster, e.pictures, e.words) for e in read] == [
        ("vg-10", "vg-1", ("VG_100K_2/1",), "What color is the clock?"),
        ("vg-11", "vg-1", ("VG_100K_2/1",), "How many?"),
        ("vg-12", "42", ("VG_100K/7",), "Where is it?"),
    ]


def test_the_one_answer_earns_all(tmp_path: Path) -> None:
    read = _vg.examples(written(tmp_path))
    assert [vqa_credits(e) for e in read] == [{"green": 1}, {"2": 1}, {"on table": 1}]


def test_pictures_that_are_reported_on_can_be_left_out(tmp_path: Path) -> None:
    read = _vg.examples(written(tmp_path), without={"42"})
    assert [e.id for e in read] == ["vg-10", "vg-11"]


@pytest.mark.parametrize(
    ("questions", "pictures", "said"),
    [
        ([{"id": 2, "qas": []}], PICTURES, "row 1: no picture 2 is known"),
        ([*QUESTIONS, QUESTIONS[1]], PICTURES, "more than once: 12"),
        ([{"id": 1, "qas": [{"question": "?"}]}], PICTURES, "row 1: .*qa_id"),
        (QUESTIONS, [PICTURES[0], PICTURES[0]], "row 2: no place"),
        (QUESTIONS, [{"image_id": 1, "url": "http://x/../../etc/passwd"}], "row 1: no place"),
    ],
)
def test_what_is_not_as_published_is_refused(
    tmp_path: Path, questions: Any, pictures: Any, said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        _vg.examples(written(tmp_path, questions, pictures))


def test_missing_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(MissingFilesError, match=r"image_data\.json"):
        _vg.examples(Data(tmp_path))
