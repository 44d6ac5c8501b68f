"""Visual Genome's questions: whose pictures, what an answer earns, what is refused."""

import json
from pathlib import Path
from typing import Any

import pytest

from clipvil import tasks
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
    read = _vg.examples(written(tmp_path), "train")
    assert [(e.id, e.cluster, e.pictures, e.words) for e in read] == [
        ("vg-10", "vg-1", ("VG_100K_2/1",), "What color is the clock?"),
        ("vg-11", "vg-1", ("VG_100K_2/1",), "How many?"),
        ("vg-12", "42", ("VG_100K/7",), "Where is it?"),
    ]


def test_the_one_answer_earns_all(tmp_path: Path) -> None:
    read = _vg.examples(written(tmp_path), "train")
    assert [vqa_credits(e) for e in read] == [{"green": 1}, {"2": 1}, {"on table": 1}]


def test_they_are_trained_on_but_not_about_pictures_that_are_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    task, plain = tasks.load("vqa2@vg"), tasks.load("vqa2")
    task.tiny(tmp_path)
    data = Data(tmp_path)
    official = [e.id for e in plain.examples(data, "train")]
    assert [e.id for e in task.examples(data, "train")] == [*official, "vg-1", "vg-2"]
    said = capsys.readouterr().err
    assert "1 of Visual Genome's questions are left out: their 1 pictures are in val" in said
    assert [e.id for e in task.examples(data, "val")] == [e.id for e in plain.examples(data, "val")]


def test_two_questions_about_one_picture_stay_together(tmp_path: Path) -> None:
    """COCO's copy of a picture and Visual Genome's are one cluster: no subset parts them."""
    task = tasks.load("vqa2@vg")
    task.tiny(tmp_path)
    read = task.examples(Data(tmp_path), "train")
    assert {e.id for e in read if e.cluster == "100"} == {"100000", "100001", "vg-2"}


def test_it_takes_files_under_other_names(tmp_path: Path) -> None:
    task = tasks.load("vqa2@vg")
    task.tiny(tmp_path)
    place = (tmp_path / "question_answers.json").rename(tmp_path / "qa_1.4.json")
    with pytest.raises(MissingFilesError, match=r"question_answers\.json"):
        task.examples(Data(tmp_path), "train")
    given = Data(tmp_path, {("vg-questions", "train"): place})
    assert len(task.examples(given, "train")) == 8


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
        _vg.examples(written(tmp_path, questions, pictures), "train")


def test_missing_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(MissingFilesError, match=r"image_data\.json"):
        _vg.examples(Data(tmp_path), "train")
