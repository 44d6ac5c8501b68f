"""What `write` makes is what the official loaders take: their own checks, written down anew."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from clipvil import tasks
from clipvil.core import Data
from tests.contract.test_tasks import anything


def official(root: Path, name: str) -> Any:
    return json.loads((root / name).read_text())


def vqa2(root: Path, submitted: Any) -> None:
    """As GT-Vision-Lab/VQA: a list whose question ids are those of the questions file."""
    asked = official(root, "v2_OpenEnded_mscoco_val2014_questions.json")["questions"]
    assert isinstance(submitted, list)
    assert {row["question_id"] for row in submitted} == {row["question_id"] for row in asked}
    assert all(row.keys() == {"question_id", "answer"} for row in submitted)
    assert all(isinstance(row["answer"], str) for row in submitted)


def coco_caption(root: Path, submitted: Any) -> None:
    """As tylin/coco-caption: a list whose image ids are among those of the annotations."""
    told = official(root, "captions_val2014.json")["annotations"]
    assert isinstance(submitted, list)
    assert {row["image_id"] for row in submitted} <= {row["image_id"] for row in told}
    assert len({row["image_id"] for row in submitted}) == len(submitted), "one caption a picture"
    assert all(row.keys() == {"image_id", "caption"} for row in submitted)


def r2r(root: Path, submitted: Any) -> None:
    """As Matterport3DSimulator: every instruction once, from its start viewpoint on."""
    starts = {
        f"{path['path_id']}_{k}": path["path"][0]
        for path in official(root, "R2R_val_unseen.json")
        for k in range(len(path["instructions"]))
    }
    assert isinstance(submitted, list)
    for row in submitted:
        assert row.keys() == {"instr_id", "trajectory"}
        assert row["trajectory"][0][0] == starts.pop(row["instr_id"])
        for viewpoint, heading, elevation in row["trajectory"]:
            assert isinstance(viewpoint, str)
            assert isinstance(heading, float) and isinstance(elevation, float)
    assert not starts


def gqa(root: Path, submitted: Any) -> None:
    """As eval.py of the release: an answer to every balanced question, found by its id."""
    said = {row["questionId"]: row["prediction"] for row in submitted}
    asked = official(root, "testdev_balanced_questions.json")
    assert isinstance(submitted, list) and len(said) == len(submitted)
    assert all(row.keys() == {"questionId", "prediction"} for row in submitted)
    assert all(isinstance(said[name], str) for name, row in asked.items() if row["isBalanced"])
    assert said.keys() <= asked.keys()


def vcr(root: Path, submitted: list[str]) -> None:
    """As the leaderboard: a table of 20 probabilities, five distributions, of every question."""
    header, *lines = csv.reader(submitted)
    given = [f"rationale_conditioned_on_a{a}_{r}" for a in range(4) for r in range(4)]
    assert header == ["annot_id", *(f"answer_{a}" for a in range(4)), *given]
    asked = [json.loads(line)["annot_id"] for line in (root / "val.jsonl").read_text().splitlines()]
    assert sorted(line[0] for line in lines) == sorted(asked)
    for _, *cells in lines:
        table = [[float(cell) for cell in cells[k : k + 4]] for k in range(0, 20, 4)]
        assert all(min(row) >= 0 and sum(row) == pytest.approx(1) for row in table)


VALIDATORS: dict[str, Callable[[Path, Any], None]] = {
    check.__name__: check for check in (vqa2, gqa, vcr, coco_caption, r2r)
}


@pytest.mark.parametrize("name", VALIDATORS)
def test_the_official_loader_takes_it(name: str, tmp_path: Path) -> None:
    task = tasks.load(name)
    task.tiny(tmp_path)
    examples = task.examples(Data(tmp_path), task.splits.report)
    task.write(tmp_path / "said", {example.id: anything(task, example) for example in examples})
    text = (tmp_path / "said").read_text()
    VALIDATORS[name](tmp_path, text.splitlines() if name == "vcr" else json.loads(text))


@pytest.mark.parametrize("name", ["vqa", "caption", "entail", "choose", "snli_ve", "rxr"])
def test_what_has_no_official_loader_is_one_object_a_line(name: str, tmp_path: Path) -> None:
    task = tasks.load(name)
    task.tiny(tmp_path)
    examples = task.examples(Data(tmp_path), task.splits.report)
    task.write(tmp_path / "said", {example.id: anything(task, example) for example in examples})
    rows = [json.loads(line) for line in (tmp_path / "said").read_text().splitlines()]
    key = "instruction_id" if name == "rxr" else "id"
    assert [str(row[key]) for row in rows] == [example.id for example in examples]
