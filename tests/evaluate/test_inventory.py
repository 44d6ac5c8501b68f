"""`data check`: what is there, what is wrong with it, what it is for and where the rest is."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from clipvil import cli, tasks
from clipvil.core import OfficialFile
from clipvil.evaluate.inventory import inventory

TASK = tasks.load("vqa2")
VAL = "v2_OpenEnded_mscoco_val2014_questions.json"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    TASK.tiny(tmp_path)
    return tmp_path


def files(found: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {row["name"]: row for row in [*found["files"], *found["archives"]]}


def test_a_whole_folder_is_complete(root: Path) -> None:
    found = inventory(TASK, root)
    assert found["complete"] and not found["problems"] and not found["archives"]
    assert {row["purpose"] for row in found["files"]} == {
        "fitting", "scoring", "predictions to hand in: its answers are not public",
    }  # fmt: skip
    assert all(row["whole"] and row["rows"] == 6 for row in found["files"])


def test_a_cut_file_is_told_with_its_place(root: Path) -> None:
    content = (root / VAL).read_bytes()[:100]
    (root / VAL).write_bytes(content)
    row = files(inventory(TASK, root))[VAL]
    assert row["whole"] is False
    assert row["problem"] == f"{root / VAL}: cut short at byte 100"


def test_what_is_missing_comes_with_its_source_size_and_gate(root: Path) -> None:
    (root / VAL).unlink()
    for path in root.glob("COCO_train*"):
        path.unlink()
    gated = tuple(replace(f, gate="sign there") if f.name == VAL else f for f in TASK.files)
    found = inventory(replace(TASK, files=gated), root)
    row = files(found)[VAL]
    assert (row["path"], row["gate"]) == (None, "sign there")
    assert row["source"].startswith("https://") and row["download"][0].endswith("Val_mscoco.zip")
    pictures = files(found)["train2014.zip"]
    assert (pictures["path"], pictures["download_bytes"]) == (None, 13_510_573_713)
    assert found["splits"]["train"]["missing"] == 3
    assert not found["complete"]


def test_a_picture_in_two_splits_is_told(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own = tasks.load("vqa")
    own.tiny(root / "own")
    shutil.copy(root / "own" / "train.jsonl", root / "own" / "test.jsonl")
    given = ["check", "--task", "vqa", "--data", str(root / "own")]
    assert cli.run("data", given) == 1
    said = capsys.readouterr().out
    assert "wrong: 3 pictures are in train and in test" in said
    assert said.endswith("not complete\n")


def test_a_zip_that_is_cut_is_told(root: Path) -> None:
    (root / "train2014.zip").write_bytes(b"PK\x03\x04")
    found = inventory(TASK, root)
    assert "train2014.zip is not a whole zip" in found["problems"][0]
    assert files(found)["train2014.zip"]["whole"] is False
    assert found["splits"]["train"]["missing"] == 3, "none was looked for"
    assert not found["complete"]


def test_a_folder_of_files_is_one_official_file(root: Path) -> None:
    graphs = OfficialFile(role="graphs", split="val", name="connectivity", source="here")
    (root / "x" / "connectivity").mkdir(parents=True)
    for k in range(3):
        (root / "x" / "connectivity" / f"{k}.json").write_text("[]")
    row = files(inventory(replace(TASK, files=(*TASK.files, graphs)), root))["connectivity"]
    assert (row["path"], row["bytes"]) == (str(root / "x" / "connectivity"), 6)


def test_files_that_all_splits_share_make_no_hidden_split_wanted(tmp_path: Path) -> None:
    task = tasks.load("r2r")
    task.tiny(tmp_path)
    (hidden,) = task.splits.hidden
    for path in tmp_path.rglob(f"*{hidden}*"):
        path.unlink()
    found = inventory(task, tmp_path)
    assert found["complete"] and hidden not in found["splits"]
