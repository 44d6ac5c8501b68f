"""VCR's rows, boxes and submissions as published, and as they must not be."""

import csv
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clipvil.core import Chose, Data, Gold, Region, Segment
from clipvil.evaluate.score import score
from clipvil.files import (
    MissingFilesError,
    read_json,
    read_jsonl,
    write_bytes,
    write_json,
    write_jsonl,
)
from clipvil.tasks import vcr
from clipvil.tasks._vcr_submission import HEADER
from clipvil.tasks.vcr import TASK

META = "a_film/val-red@0.json"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    TASK.tiny(tmp_path)
    return tmp_path


def change(root: Path, row: int, **fields: Any) -> None:
    rows = list(read_jsonl(root / "val.jsonl"))
    rows[row] |= fields
    write_jsonl(root / "val.jsonl", rows)


def test_an_example_has_what_the_files_say(root: Path) -> None:
    tokens = ["Why", "do", [0, 1], "look", "at", [1], "?"]
    change(root, 0, question=tokens, objects=["person", "dog"])
    meta = root / "vcr1images" / META
    polygons = [[[0, 0], [3, 0], [3, 2]], [[5, 5], [6, 5], [6, 6]]]
    write_json(meta, {"boxes": [[0, 0, 3, 2, 0.9], [5, 5, 6, 6, 1]], "segms": [polygons, []]})
    example = TASK.examples(Data(root), "val")[0]
    assert example.id == "val-0" and example.target == Gold((0, 3))
    assert example.pictures == ("a_film/val-red@0.jpg",)
    assert example.text == (
        Segment("Why do"), Segment("", (0, 1)), Segment("look at"), Segment("", (1,)), Segment("?"),
    )  # fmt: skip
    assert [len(candidates) for candidates in example.candidates] == [4, 4]
    assert example.candidates[0][1] == (Segment("", (0,)), Segment("is green ."))
    assert example.regions == (
        Region((0, 0, 3, 2), "person", (((0, 0), (3, 0), (3, 2)), ((5, 5), (6, 5), (6, 6)))),
        Region((5, 5, 6, 6), "dog"),
    )


def test_a_question_reads_the_same_whether_it_is_kept(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = list(TASK.examples(Data(root), "val"))
    monkeypatch.setattr(vcr, "KEPT", 1)
    examples = TASK.examples(Data(root), "val")
    assert list(examples) == kept and list(examples) == kept, "and again"


def test_scoring_needs_no_boxes(root: Path) -> None:
    given = {("annotations", "val"): root / "val.jsonl"}
    assert all(example.regions == () for example in TASK.examples(Data(given=given), "val"))


def test_boxes_that_are_missing_are_named(root: Path) -> None:
    (root / "vcr1images" / META).unlink()
    examples = TASK.examples(Data(root), "val")
    assert examples[1].regions
    with pytest.raises(MissingFilesError, match=META):
        examples[0]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"question": ["Is", [1], "?"]}, "line 2: tag 1, but there are 1 objects"),
        ({"question": ["Is", [-1], "?"]}, "line 2: tag -1"),
        ({"answer_choices": [[[3]], [], [], []]}, "line 2: tag 3"),
        ({"rationale_choices": [["so"]] * 3}, "line 2: 3 choices, not 4"),
        ({"answer_label": 4}, "line 2: Expected `int` <= 3"),
        ({"answer_label": None}, "line 2: no `answer_label`"),
        ({"question": "Is it?"}, "line 2: Expected `array`"),
        ({"question": [1.5]}, "line 2: Expected `str | array`"),
        ({"img_fn": "../../x.jpg"}, "line 2: image '../../x.jpg' is not inside"),
        ({"metadata_fn": "/etc/x.json"}, "line 2: image '/etc/x.json' is not inside"),
        ({"annot_id": "val-0"}, "questions that are there more than once: val-0"),
    ],
)
def test_spoilt_rows_are_named(root: Path, fields: dict[str, Any], message: str) -> None:
    change(root, 1, **fields)
    with pytest.raises(ValueError, match=r"val\.jsonl.*" + re.escape(message)):
        TASK.examples(Data(root), "val")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"boxes": [[NaN, 0, 1, 1]], "segms": [[]]}', "malformed: invalid character (byte 12)"),
        ('{"boxes": [[1e999, 0, 1, 1]], "segms": [[]]}', ""),
        ('{"boxes": [[2, 0, 1, 1]], "segms": [[]]}', "box 0 is none: [2.0, 0.0, 1.0, 1.0]"),
        ('{"boxes": [[0, 0, 1]], "segms": [[]]}', "box 0 is none"),
        ('{"boxes": [], "segms": []}', "0 boxes, but 1 objects in val-0"),
        ('{"boxes": [[0, 0, 1, 1]], "segms": []}', "1 boxes, but polygons of 0 objects"),
        ('{"boxes": [[0, 0, 1, 1]], "seg', "cut short at byte 30"),
    ],
)
def test_spoilt_boxes_are_named(root: Path, content: str, message: str) -> None:
    (root / "vcr1images" / META).write_text(content)
    examples = TASK.examples(Data(root), "val")
    with pytest.raises(ValueError, match=f"{META}.*{re.escape(message)}"):
        examples[0]


# ---------------------------------------------------------------------------- scoring


def test_both_right_is_a_conjunction_and_not_a_product(root: Path, tmp_path: Path) -> None:
    examples = TASK.examples(Data(root), "val")  # right are (0, 3), (1, 2), (2, 1)
    rows = [
        {"id": "val-0", "answer": 0, "rationale": [3, 0, 0, 0]},  # both right
        {"id": "val-1", "answer": {"answer": 0, "rationale": [2, 2, 0, 0]}},  # the rationale only
        {"id": "val-2", "answer": 2, "rationale": [1, 1, 0, 1]},  # the answer only
    ]
    write_jsonl(tmp_path / "said", rows)
    figures = score(TASK, examples, TASK.read(tmp_path / "said")).figures
    assert {name: figure.value for name, figure in figures.items()} == pytest.approx(
        {"q_ar": 100 / 3, "q_a": 200 / 3, "qa_r": 200 / 3}
    )


def test_the_first_of_equal_probabilities_counts(tmp_path: Path) -> None:
    values = [0.1, 0.4, 0.4, 0.1] * 5
    lines = [",".join(HEADER), ",".join(["val-0", *map(str, values)])]
    write_bytes(tmp_path / "said", "\r\n".join(lines).encode())
    ((name, answer),) = TASK.read(tmp_path / "said")
    assert name == "val-0" and isinstance(answer, Chose)
    assert [answer.index, *(then.index for then in answer.then)] == [1] * 5


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("val-0" + ",0.1" * 19, "line 2: rationale_conditioned_on_a3_3 is None"),
        ("val-0" + ",0.1" * 19 + ",nan", "line 2: rationale_conditioned_on_a3_3 is nan"),
        ("val-0" + ",0.1" * 19 + ",x", "line 2: could not convert string to float"),
        ('"val-0', "unexpected end of data"),
        ("\udcff", "line 1: 'utf-8' codec"),
    ],
)
def test_spoilt_submissions_are_named(tmp_path: Path, line: str, message: str) -> None:
    content = f"{','.join(HEADER)}\n{line}\n".encode(errors="surrogateescape")
    write_bytes(tmp_path / "said", content)
    with pytest.raises(ValueError, match=f"said, .*{message}"):
        list(TASK.read(tmp_path / "said"))


@pytest.mark.parametrize("content", ["", "annot_id,answer_0\nval-0,1\n", "nothing"])
def test_columns_that_are_missing_are_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "said").write_text(content)
    with pytest.raises(ValueError, match=r"said, line .*: no column .*answer_1"):
        list(TASK.read(tmp_path / "said"))


@pytest.mark.parametrize(
    "row",
    [
        {"answer": 1},
        {"answer": 4, "rationale": [0, 0, 0, 0]},
        {"answer": 1, "rationale": [0, 0, 0]},
        {"answer": {"answer": 1, "rationale": [0, 0, 0, 0]}, "rationale": [0, 0, 0, 0]},
        {"answer": "1", "rationale": [0, 0, 0, 0]},
    ],
)
def test_spoilt_places_are_named(tmp_path: Path, row: dict[str, Any]) -> None:
    write_jsonl(tmp_path / "said", [{"id": 1} | row])
    with pytest.raises(ValueError, match="said, line 1: "):
        list(TASK.read(tmp_path / "said"))


def test_a_submission_is_the_official_table(root: Path, tmp_path: Path) -> None:
    generator = np.random.default_rng(0)

    def chose(then: tuple[Chose, ...] = ()) -> Chose:
        scores = generator.dirichlet(np.ones(4)).tolist()
        return Chose(scores.index(max(scores)), tuple(scores), then)

    examples = TASK.examples(Data(root), "val")
    said = {e.id: chose(tuple(chose() for _ in range(4))) for e in examples}
    TASK.write(tmp_path / "said.csv", said)
    assert dict(TASK.read(tmp_path / "said.csv")) == said
    with (tmp_path / "said.csv").open(newline="") as file:
        header, *lines = csv.reader(file)
    assert header[:6] == ["annot_id", "answer_0", "answer_1", "answer_2", "answer_3",
                          "rationale_conditioned_on_a0_0"]  # fmt: skip
    assert header[-1] == "rationale_conditioned_on_a3_3" and len(header) == 21
    assert [line[0] for line in lines] == [example.id for example in examples]
    table = np.array([line[1:] for line in lines], float).reshape(-1, 5, 4)
    assert (table >= 0).all()
    np.testing.assert_allclose(table.sum(-1), 1)


def test_boxes_lie_in_the_tiny_pictures(root: Path) -> None:
    for example in TASK.examples(Data(root), "train"):
        meta = read_json(root / "vcr1images" / example.pictures[0].replace(".jpg", ".json"))
        for region in example.regions:
            assert region.box[2] <= meta["width"] and region.box[3] <= meta["height"]
