"""`data check`: what is there, what is wrong with it, what it is for and where the rest is."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from clipvil import cli, tasks
from clipvil.core import OfficialFile
from clipvil.evaluate.inventory import inventory
from tests.command import run

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


def test_a_task_that_tells_of_no_files_is_checked_all_the_same(root: Path) -> None:
    found = inventory(replace(TASK, files=(), archives=()), root)
    assert found["complete"] and found["splits"].keys() == {"train", "val"}


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


@pytest.mark.parametrize(
    ("name", "folder", "wanted"),
    [
        ("vqa2@cp", "", ["train pictures: train2014.zip", "13.5 GB to download", "val2014.zip"]),
        ("gqa", "", ["images.zip", "about 20.3 GB to download", "selection, scoring and pred"]),
        ("coco_caption@2017", "", ["train2017.zip", "19.3 GB", "val2017.zip", "815.6 MB"]),
        ("snli_ve", "", ["flickr30k-images", "ask for them with the form linked from"]),
        ("vcr", "vcr1images", ["a_film/train-red@0.json", "from https://visualcommonsense.com/"]),
        ("r2r", "", ["views\n  not there; for ", "matterport3d@googlegroups.com"]),
        ("rxr", "", ["views\n  not there; for ", "matterport3d@googlegroups.com"]),
    ],
)  # fmt: skip
def test_where_pictures_are_to_be_had_is_told(
    name: str, folder: str, wanted: list[str], tmp_path: Path
) -> None:
    tasks.load(name).tiny(tmp_path)
    for path in [*tmp_path.rglob("*.jpg")]:
        path.unlink()
    if folder:
        shutil.rmtree(tmp_path / folder)
    code = 0 if name in ("r2r", "rxr") else 1
    said = run("data", "check", "--task", name, "--data", str(tmp_path), code=code)
    assert all(part in said for part in wanted), said
    assert said.count(" pictures: images.zip\n") <= 1, "one zip of all splits is told once"


def test_files_that_all_splits_share_make_no_hidden_split_wanted(tmp_path: Path) -> None:
    task = tasks.load("r2r")
    task.tiny(tmp_path)
    (hidden,) = task.splits.hidden
    for path in tmp_path.rglob(f"*{hidden}*"):
        path.unlink()
    found = inventory(task, tmp_path)
    assert found["complete"] and hidden not in found["splits"]


@pytest.mark.parametrize("name", ["vcr", "r2r"])
def test_a_folder_of_folders_is_found(name: str, tmp_path: Path) -> None:
    task = tasks.load(name)
    task.tiny(tmp_path)
    (folder,) = {file.name for file in task.archives}
    for place in (tmp_path / folder / folder / "a" / "b", tmp_path / folder / "c"):
        place.mkdir(parents=True)
        (place / "07.jpg").touch()
    row = files(inventory(task, tmp_path))[folder]
    assert (row["path"], row["bytes"]) == (str(tmp_path / folder / folder), None)


def test_an_empty_folder_is_told_all_that_is_to_be_had(tmp_path: Path) -> None:
    said = run("data", "check", "--task", "vqa2", "--data", str(tmp_path), code=1)
    assert "train pictures: train2014.zip\n  missing; for fitting; 13.5 GB to download" in said
    assert "v2_mscoco_val2014_annotations.json\n  missing; for scoring; 10.5 MB" in said
    assert said.count("v2_mscoco_val2014_annotations.json") == 1
    assert "val: cannot be read: files that are told above are missing\n" in said
