"""Recipes and the rows over them: complete, with the published schedules, and ready to run."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from clipvil import cli, models, recipes, tasks
from clipvil.core import Data, UsageError
from clipvil.evaluate.run import Arm, Plan, from_json, plainly, require_same, to_json
from clipvil.evaluate.splits import Source
from clipvil.files import write_json
from clipvil.recipes._rows import UPDATES
from clipvil.tasks import _vg
from clipvil.train.recipe import Recipe
from clipvil.worlds import tabletop

TRAIN2014 = 443_757  # questions
QUICK = "clip_vil/vqa/pythia/clip-vit-b32"
ROWS = [name for name in recipes.rows() if "/vqa/" in name]


@pytest.mark.parametrize("name", recipes.names())
def test_a_recipe_is_of_a_known_task_and_model(name: str) -> None:
    made = recipes.load(name)
    assert models.gives(made.model, tasks.load(recipes.task_of(name)).answer)
    assert isinstance(made.config, models.load(made.model).Config)
    own = recipes.default(recipes.task_of(name), made.model)
    assert name.startswith((own, f"tabletop_{made.model}"))
    assert all(stage.learning_rate > 0 for stage in made.stages)


def planned(made: Recipe[Any], folder: Path) -> Plan:
    return Plan(
        source=Source("vqa2", Data(folder)), recipe=made, arm=Arm(name="some"), shots="100%",
        repetition=0, rate=1e-3, folder=folder,
    )  # fmt: skip


@pytest.mark.parametrize("name", recipes.names())
def test_a_recipe_survives_its_run_folder(name: str, tmp_path: Path) -> None:
    made = replace(recipes.load(name), words=tmp_path / "vectors.txt")
    assert from_json(plainly(to_json(planned(made, tmp_path))), tmp_path).recipe == made


def test_a_run_is_not_gone_on_with_when_its_own_model_was_changed(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text("first = True")
    plan = planned(replace(recipes.load("vqa2_mcan"), model=f"module:{file}"), tmp_path)
    write_json(tmp_path / "recipe.json", to_json(plan))
    require_same(plan)
    file.write_text("first = False")
    with pytest.raises(ValueError, match="holds another run \\(the file of your model\\)"):
        require_same(plan)


@pytest.mark.parametrize("name", [row.recipe for row in recipes.rows().values()][:2])
def test_published_schedules_have_their_published_length(name: str) -> None:
    (stage,) = recipes.load(name).stages
    assert (stage.steps(TRAIN2014), stage.batch) == UPDATES[name]


def test_every_row_has_a_recipe_and_an_encoder_of_its_task() -> None:
    for name, row in recipes.rows().items():
        assert recipes.load(name) == recipes.load(row.recipe)
        assert recipes.task_of(name).partition("@")[0] == recipes.task_of(row.recipe)
        assert f"/{recipes.load(name).model}/" in name


def test_an_unknown_row_gets_the_nearest() -> None:
    with pytest.raises(UsageError, match="clip_vil/vqa/pythia/clip-res50"):
        recipes.load("clip_vil/vqa/pythia/clip-res5")


def test_rows_are_listed_without_anything_heavy() -> None:
    program = """
import sys
from clipvil import cli
try:
    cli.main(["list", "recipes", "--json"])
finally:
    heavy = {"torch", "numpy", "timm"} & set(sys.modules)
    assert not heavy, heavy
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    res50x4 = "clip_vil/{}/follower/clip-res50x4{}"
    assert "published 0.592, ours unknown" in told[res50x4.format("r2r", "-back")]
    assert "nDTW published 0.557, success rate 0.426" in told[res50x4.format("rxr", "")]
    assert told.keys() == {*recipes.names(), *recipes.rows()}
    assert (
        "published 74.01, test-std 74.17, ours unknown"
        in told["clip_vil/vqa/movie_mcan/clip-res50x4"]
    )


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tabletop's files of official names."""
    folder = tmp_path_factory.mktemp("tabletop")
    tabletop.write(folder, seed=0, train=6, val=3, shifts=False)
    return folder


def run(*given: str) -> int:
    with pytest.raises(SystemExit) as raised:
        cli.main(given)
    assert isinstance(raised.value.code, int)
    return raised.value.code


@pytest.mark.slow
@pytest.mark.parametrize("name", ROWS)
def test_a_row_is_ready_to_run(
    name: str, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    given = ("train", name, "--data", str(data), "--out", str(out), "--dry-run")
    assert run(*given, "--json") == 0
    found, row = json.loads(capsys.readouterr().out), recipes.rows()[name]
    assert found["width"] == row.width and found["cells"] == [18, 31]
    assert {Path(file["path"]).name for file in found["files"]} == {
        f"v2_{kind}_{split}2014_{role}.json"
        for split in ("train", "val")
        for kind, role in (("OpenEnded_mscoco", "questions"), ("mscoco", "annotations"))
    }
    cells = found["pictures"] * 18 * 31 * row.width * 2
    assert 1 <= found["feature_bytes"] / cells < 1.01, "cells, and a pooled vector"
    assert found["parameters"] > 50_000_000 and found["stages"][0]["steps"] == 400
    assert not out.exists(), "nothing is written"


def test_a_dry_run_tells_what_it_found(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ("--data", str(data), "--encoder", "tiny:random", "--out", str(tmp_path / "run"))
    assert run("train", QUICK, *given, "--dry-run") == 0
    said = capsys.readouterr().out
    assert recipes.rows()[QUICK].summary in said and "position embeddings were zero" in said
    assert "tiny:random: " in said and "400 steps of 512" in said and "disk: " in said
    assert "(at least 400 by stages.0.least_steps, where stages.0.epochs " in said


def test_what_published_rows_did_otherwise_is_told_with_the_switch_for_it() -> None:
    for name, row in recipes.rows().items():
        if row.task in ("r2r", "rxr"):  # whose pooled vectors kept their position embeddings
            assert ("channels=bgr" in row.encoder) == ("/clip-" in name)
            assert "--select reported" in row.known
            continue
        assert ("positions=zero" in row.encoder) == ("without positions=zero" in row.known)
        assert ("positions=zero" in row.encoder) == ("-vit-" in name)
        assert ("--task vqa2@vg" in row.known) == (row.recipe == "vqa2_movie_mcan")


def test_a_row_takes_visual_genomes_questions_too(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    more = tmp_path / "data"
    shutil.copytree(data, more)
    _vg.tiny(more)
    name, found = "clip_vil/vqa/movie_mcan/clip-res50x4", []
    for task in ("vqa2", "vqa2@vg"):
        given = ("--data", str(more), "--encoder", "tiny:random", "--out", str(tmp_path / "run"))
        assert run("train", name, "--task", task, *given, "--dry-run", "--json") == 0
        found.append(json.loads(capsys.readouterr().out))
    whole = [told["fit"] + told["select"] for told in found]
    assert whole[0] < whole[1] and found[1]["pictures"] == found[0]["pictures"] + 3
    assert {"vg-questions", "vg-images"} <= {file["role"] for file in found[1]["files"]}


def test_help_lists_the_fields_of_a_recipe(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("train", "tabletop_mcan", "--data", "world", "--help") == 0
    said = capsys.readouterr().out
    assert "--dry-run" in said and "--stages.0.least-steps" in said and "--config.width" in said
    assert run("train", "tabletop_mca", "--help") == 2
    assert "nearest: tabletop_mcan" in capsys.readouterr().err


def test_a_recipe_needs_an_encoder(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("train", "vqa2_pythia", "--data", str(data), "--dry-run") == 2
    assert "needs --encoder" in capsys.readouterr().err
    assert run("train", "clip_vil/vqa/pythia/clip-res5", "--data", str(data)) == 2
    assert "nearest: clip_vil/vqa/pythia/clip-res50" in capsys.readouterr().err


@pytest.mark.parametrize("field", ["stages.0.batch", "stages.0.most-steps", "rank"])
def test_no_step_is_of_nothing(field: str, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = ("--data", str(data), "--encoder", "tiny:random", "--out", str(data / "run"))
    assert run("train", QUICK, *given, f"--{field}", "0") == 2
    assert f"--{field} is at least 1" in capsys.readouterr().err


def test_missing_files_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("train", QUICK, "--data", str(tmp_path), "--dry-run") == 1
    assert "v2_OpenEnded_mscoco_train2014_questions.json" in capsys.readouterr().err


def test_word_vectors_reach_the_model(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    vectors, width = tmp_path / "vectors.txt", 64
    vectors.write_text("".join(f"{word} {'0.5 ' * width}\n" for word in ("the", "is", "nobody")))
    given = (
        "train", "tabletop_mcan", "--data", str(data), "--encoder", "tiny:random",
        "--words", str(vectors), "--out", str(tmp_path / "run"),
        "--stages.0.least-steps", "1", "--stages.0.most-steps", "1", "--stages.0.validations", "1",
    )  # fmt: skip
    assert run(*given) == 0
    said = capsys.readouterr()
    assert "vectors.txt has 2 of" in said.out + said.err
