"""VQA v2's files as published, and as they must not be."""

from pathlib import Path
from typing import Any

import pytest

from clipvil.core import Data, Humans, Said, UsageError
from clipvil.evaluate.score import score
from clipvil.files import MissingFilesError, read_json, write_json, write_jsonl
from clipvil.tasks.vqa2 import TASK, VARIANTS

QUESTIONS = "v2_OpenEnded_mscoco_val2014_questions.json"
ANNOTATIONS = "v2_mscoco_val2014_annotations.json"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    TASK.tiny(tmp_path)
    return tmp_path


def change(path: Path, key: str, row: int, **fields: Any) -> None:
    whole = read_json(path)
    whole[key][row] |= fields
    write_json(path, whole)


def test_an_example_has_what_the_files_say(root: Path) -> None:
    first = TASK.examples(Data(root), "val")[0]
    assert first.id == "200000"
    assert first.pictures == ("COCO_val2014_000000000200",)
    assert first.cluster == "200"
    assert first.words == "What color is the square?"
    assert first.target == Humans(("red",) * 10)
    assert first.strata == {"answer_type": "other", "question_type": "what"}


def test_annotations_may_be_in_another_order(root: Path) -> None:
    before = list(TASK.examples(Data(root), "val"))
    whole = read_json(root / ANNOTATIONS)
    whole["annotations"].reverse()
    for told in whole["annotations"][0]["answers"]:
        told["answer_id"] = 1
    write_json(root / ANNOTATIONS, whole)
    after = list(TASK.examples(Data(root), "val"))
    assert after[:-1] == before[:-1]
    assert isinstance(after[-1].target, Humans)
    assert after[-1].target.marks == ("1 yes",) * 10


def test_test_answers_are_hidden(root: Path) -> None:
    examples = TASK.examples(Data(root), "test-dev")
    assert all(example.target is None for example in examples)
    assert examples[0].pictures == ("COCO_test2015_000000000400",)
    with pytest.raises(ValueError, match="answers are not public"):
        score(TASK, examples, [(example.id, Said("red")) for example in examples])


def test_files_are_found_by_name_or_given_by_hand(root: Path) -> None:
    (root / "deep").mkdir()
    (root / QUESTIONS).rename(root / "deep" / QUESTIONS)
    (root / ANNOTATIONS).rename(root / "anything.txt")
    with pytest.raises(MissingFilesError, match=ANNOTATIONS):
        TASK.examples(Data(root), "val")
    given = {("annotations", "val"): root / "anything.txt"}
    assert len(TASK.examples(Data(root, given), "val")) == 6


def test_an_unknown_split_gets_the_nearest(root: Path) -> None:
    with pytest.raises(UsageError, match="nearest: val"):
        TASK.examples(Data(root), "vall")


@pytest.mark.parametrize(
    ("file", "key", "fields", "message"),
    [
        (QUESTIONS, "questions", {"question": 3}, "row 2: Expected `str`, got `int`"),
        (QUESTIONS, "questions", {"image_id": "x"}, "row 2: Expected `int`"),
        (QUESTIONS, "questions", {"question_id": 200000}, "more than once: 200000"),
        (ANNOTATIONS, "annotations", {"answers": []}, "row 2: a question without answers"),
        (ANNOTATIONS, "annotations", {"answers": [{}]}, "row 2: .*required field `answer`"),
        (ANNOTATIONS, "annotations", {"question_id": 7}, "1 questions of .*: 200001"),
    ],
)
def test_spoilt_files_are_named(
    root: Path, file: str, key: str, fields: dict[str, Any], message: str
) -> None:
    change(root / file, key, 1, **fields)
    with pytest.raises(ValueError, match=message) as raised:
        TASK.examples(Data(root), "val")
    assert file in str(raised.value)


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b'{"questions": 3}', b"{}", b"\x1f\x8bx"])
def test_what_is_not_such_a_file_is_named(root: Path, content: bytes) -> None:
    (root / QUESTIONS).write_bytes(content)
    with pytest.raises(ValueError, match=QUESTIONS):
        TASK.examples(Data(root), "val")


def test_predictions_come_as_submission_or_as_rows(tmp_path: Path) -> None:
    write_json(tmp_path / "official", [{"question_id": 7, "answer": "red"}])
    write_jsonl(tmp_path / "rows", [{"id": "7", "answer": "red"}])
    for name in ("official", "rows"):
        assert list(TASK.read(tmp_path / name)) == [("7", Said("red"))]
    for spoilt in ({"answer": "red"}, {"id": 1, "question_id": 1, "answer": "red"}, {"id": 1}, 3):
        write_jsonl(tmp_path / "rows", [{"id": 1, "answer": "red"}, spoilt])
        with pytest.raises(ValueError, match="rows, line 2"):
            list(TASK.read(tmp_path / "rows"))


def test_the_published_part_scores_as_published(shared: Path) -> None:
    folder = shared / "vqa_v2"
    given = {
        ("questions", "val"): folder / "v2_OpenEnded_mscoco_train2014_questions_part.json",
        ("annotations", "val"): folder / "v2_mscoco_train2014_annotations_part.json",
    }
    examples = TASK.examples(Data(given=given), "val")
    rows = read_json(given["annotations", "val"])["annotations"]
    said = [(str(row["question_id"]), Said(row["multiple_choice_answer"])) for row in rows]
    figures = score(TASK, examples, said).figures
    assert len(examples) == 6_000
    assert [*figures] == [
        "accuracy", "soft_accuracy", "accuracy/number", "accuracy/other", "accuracy/yes-no",
    ]  # fmt: skip
    rounded = {
        name: round(figure.value or 0, 2)
        for name, figure in figures.items()
        if name != "soft_accuracy"  # which the official script does not know
    }
    assert rounded == {
        "accuracy": 96.75, "accuracy/number": 96.44, "accuracy/other": 93.85,
        "accuracy/yes-no": 100.0,
    }  # fmt: skip


def test_synthetic_cases_score_as_published(expected: Path, tmp_path: Path) -> None:
    made = read_json(expected / "vqa_synthetic.json.gz")
    asked = [
        {"question_id": row["question_id"], "image_id": row["image_id"], "question": "?"}
        for row in made["annotations"]
    ]
    write_json(tmp_path / QUESTIONS, {"questions": asked})
    write_json(tmp_path / ANNOTATIONS, {"annotations": made["annotations"]})
    write_json(tmp_path / "said", made["predictions"])
    scored = score(TASK, TASK.examples(Data(tmp_path), "val"), TASK.read(tmp_path / "said"))
    ours = {row["id"]: row["accuracy"] for row in scored.examples()}
    assert ours == pytest.approx(made["per_question"], abs=1e-9)


def test_changed_priors_name_the_year_of_every_picture(tmp_path: Path) -> None:
    task, name = VARIANTS["cp"], "vqacp_v2_test_questions.json"
    task.tiny(tmp_path)
    rows = read_json(tmp_path / name)
    assert isinstance(rows, list), "a bare array, as published"
    rows[0]["coco_split"] = "train2014"
    write_json(tmp_path / name, rows)
    first, second, *_ = task.examples(Data(tmp_path), "test")
    assert first.pictures == (f"COCO_train2014_{int(first.cluster):012d}",)
    assert second.pictures == (f"COCO_val2014_{int(first.cluster):012d}",)
    assert first.target is not None, "the test split is public"
    del rows[1]["coco_split"]
    write_json(tmp_path / name, rows)
    with pytest.raises(ValueError, match=f"{name}, row 2: .*required field `coco_split`"):
        task.examples(Data(tmp_path), "test")


def test_the_soft_score_is_never_the_headline(root: Path) -> None:
    change(root / ANNOTATIONS, "annotations", 0, answers=[
        {"answer": answer, "answer_id": person} for person, answer in
        enumerate(["Red.", "red", *["blue"] * 8])
    ])  # fmt: skip
    examples = TASK.examples(Data(root), "val")[:1]
    figures = score(TASK, examples, [(examples[0].id, Said("red"))]).figures
    assert next(iter(figures)) == "accuracy" and figures["accuracy"].value == pytest.approx(60)
    assert figures["soft_accuracy"].value == pytest.approx(200 / 3)


def test_minival_is_what_the_list_names(tmp_path: Path) -> None:
    task = VARIANTS["minival"]
    task.tiny(tmp_path)
    val = TASK.examples(Data(tmp_path), "val")
    assert list(task.examples(Data(tmp_path), "minival")) == list(val[:4])
    assert list(task.examples(Data(tmp_path), "train")) == list(
        TASK.examples(Data(tmp_path), "train")
    )
    rows = read_json(tmp_path / "minival.json")
    told = {"img_id": "COCO_val2014_000000000200", "label": {"red": 1}, "sent": "What?"}
    write_json(tmp_path / "minival.json", [rows[2] | told, rows[0] | told])
    assert list(task.examples(Data(tmp_path), "minival")) == [val[0], val[2]]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([1], "1 questions are not among the val questions: 1"),
        ([200000, 200000], "questions that are there more than once: 200000 .row 1, row 2"),
        (["x"], "row 1: Expected `int`"),
    ],
)
def test_a_list_of_other_questions_is_refused(
    rows: list[Any], message: str, tmp_path: Path
) -> None:
    task = VARIANTS["minival"]
    task.tiny(tmp_path)
    write_json(tmp_path / "minival.json", [{"question_id": row} for row in rows])
    with pytest.raises(ValueError, match=message):
        task.examples(Data(tmp_path), "minival")


def test_without_the_list_there_is_no_minival(tmp_path: Path) -> None:
    TASK.tiny(tmp_path)
    with pytest.raises(MissingFilesError, match=r"minival.json .*github.com/airsplay/lxmert"):
        VARIANTS["minival"].examples(Data(tmp_path), "minival")
