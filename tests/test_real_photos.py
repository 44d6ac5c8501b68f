"""Real photographs and questions through every step: few questions, so a path and no score."""

import json
import runpy
import sys
from pathlib import Path
from typing import Any

import pytest

from clipvil.core import Data, References
from clipvil.tasks import caption
from tests.command import run as clipvil
from tests.conftest import CHECKOUT

NAMES = {"train": "train2014", "valid": "val2014"}


def official(photos: Path, out: Path) -> None:
    """The questions in the official files of their splits, beside links to the pictures."""
    questions = json.loads((photos / "v2_OpenEnded_coco_photos_questions.json").read_text())
    annotations = json.loads((photos / "v2_coco_photos_annotations.json").read_text())
    out.mkdir()
    (out / "images").symlink_to(photos / "images")
    for split, name in NAMES.items():
        asked = [q for q in questions["questions"] if q["split"] == split]
        ids = {q["question_id"] for q in asked}
        told = [a for a in annotations["annotations"] if a["question_id"] in ids]
        whole: dict[str, Any] = {"questions": asked}
        (out / f"v2_OpenEnded_mscoco_{name}_questions.json").write_text(json.dumps(whole))
        whole = {"annotations": told}
        (out / f"v2_mscoco_{name}_annotations.json").write_text(json.dumps(whole))


@pytest.mark.slow
def test_photographs_are_encoded_trained_on_evaluated_and_scored(
    shared: Path, tmp_path: Path
) -> None:
    photos, data, run = shared / "coco_photos", tmp_path / "data", tmp_path / "run"
    official(photos, data)
    store, encoder = tmp_path / "store", "timm:test_resnet.r160_in1k,weights=random"
    clipvil("encode", "--encoder", encoder, "--images", str(photos / "images"), "--out", str(store))
    made = json.loads(clipvil("features", "info", str(store), "--json"))
    assert "51" in json.dumps(made)
    few = ["--stages.0.least-steps", "20", "--stages.0.most-steps", "20"]
    where = ["--data", str(data), "--encoder", encoder, "--out", str(run)]
    clipvil("train", "tabletop_mcan", "--task", "vqa2", *where, *few)
    told = json.loads(clipvil("evaluate", str(run), "--json"))
    files = ["--questions", str(data / "v2_OpenEnded_mscoco_val2014_questions.json")]
    files += ["--annotations", str(data / "v2_mscoco_val2014_annotations.json")]
    said = ["--predictions", str(run / "answers-val.json")]
    scored = json.loads(clipvil("score", "vqa2", "--json", *said, *files))
    assert scored["metrics"]["accuracy"]["value"] == pytest.approx(told["val"]["accuracy"])
    assert scored["count"] == 3


def test_photographs_become_own_captions(
    shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every fifth of the 51 is for testing, with all that people wrote of it."""
    photos, script = shared / "coco_photos", CHECKOUT / "examples/own_captions_coco_photos.py"
    given = [photos / "captions_coco_photos.json", photos / "images", tmp_path]
    monkeypatch.setattr(sys, "argv", [str(script), *map(str, given)])
    runpy.run_path(str(script))
    found = {split: caption.TASK.examples(Data(tmp_path), split) for split in ("train", "test")}
    assert {split: len(some) for split, some in found.items()} == {"train": 41, "test": 10}
    for example in (*found["train"], *found["test"]):
        assert (tmp_path / example.pictures[0]).is_file()
        assert isinstance(example.target, References) and len(example.target.captions) == 5
