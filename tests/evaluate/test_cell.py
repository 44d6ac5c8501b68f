"""A cell goes through the stages of its recipe; what is finished of it is not done again."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from clipvil import api, tasks
from clipvil.core import UsageError
from clipvil.evaluate import cell
from clipvil.models import mcan
from clipvil.train import keep
from clipvil.train.recipe import Recipe, Stage

CONFIG = mcan.Config(width=16, heads=2, layers=1, flat=16, word_width=16)
FIRST = Stage(least_steps=4, most_steps=4, batch=4, validations=2, learning_rate=1e-3)
SECOND = Stage(least_steps=2, most_steps=2, batch=4, validations=1, learning_rate=1e-4)


def train(root: Path, out: str, *stages: Stage) -> Path:
    recipe = Recipe(model="mcan", config=CONFIG, stages=stages)
    asked = {"task": "vqa2", "data": root / "data", "store": root / "stores"}
    api.train(recipe, encoder="tiny:random", out=root / out, **asked)
    return root / out


def weights(file: Path) -> bytes:
    return file.read_bytes()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    tasks.load("vqa2").tiny(tmp_path / "data")
    return tmp_path


def test_the_first_stage_is_kept_and_the_second_begins_with_its_best(root: Path) -> None:
    alone = train(root, "alone", FIRST)
    run = train(root, "run", FIRST, SECOND)
    first = run / "stage-1" / "best.safetensors"
    assert weights(first) == weights(alone / "best.safetensors")
    assert weights(run / "best.safetensors") != weights(first)
    before, after = (keep.load(file)[0] for file in (first, run / "best.safetensors"))
    moved = max(float((after[n] - before[n]).abs().max()) for n in before)
    assert 0 < moved < 3 * SECOND.learning_rate * SECOND.steps(1), "two small steps from there"


def test_a_stage_that_makes_worse_leaves_what_it_began_with(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    worse = iter([0.31, 0.45, 0.3, 0.44, 0.2])  # two looks at the first stage, one at each after
    monkeypatch.setattr(cell, "headline", lambda *_: next(worse))
    run = train(root, "run", FIRST, SECOND, SECOND, SECOND)
    first, after, last = (
        keep.load(run / f / "best.safetensors") for f in ("stage-1", "stage-2", "")
    )
    assert all(torch.equal(first[0][name], after[0][name]) for name in first[0])
    assert all(torch.equal(first[0][name], last[0][name]) for name in first[0])
    assert first[1]["step"] == FIRST.steps(1) and last[1]["step"] == 0
    for folder in ("stage-2", "."):
        ended = json.loads((run / folder / "fitted.json").read_text())
        assert (ended["best"], ended["step"], ended["converged"]) == (0.45, 0, True)


def test_a_look_at_some_examples_writes_nothing(root: Path) -> None:
    run = train(root, "run", FIRST)
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    look = api.evaluate(run, limit=2)
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before
    assert look.keys() == {"val"} and 0 <= look["val"]["accuracy"] <= 100
    assert api.evaluate(run, limit=10**6) == api.evaluate(run)


@pytest.mark.slow
def test_stopped_between_stages_it_ends_the_same(root: Path) -> None:
    run = train(root, "run", FIRST, SECOND)
    cut = train(root, "cut", FIRST, SECOND)
    (cut / "fitted.json").unlink()
    (cut / "best.safetensors").unlink()
    (cut / "metrics.jsonl").unlink()
    seconds = json.loads((cut / "stage-1" / "timing.json").read_text())
    train(root, "cut", FIRST, SECOND)
    assert weights(cut / "best.safetensors") == weights(run / "best.safetensors")
    assert json.loads((cut / "stage-1" / "timing.json").read_text()) == seconds
    assert api.evaluate(cut) == api.evaluate(run)


def test_an_objective_that_the_model_has_not_is_refused(root: Path) -> None:
    with pytest.raises(UsageError, match="mcan has no objective 'los'"):
        train(root, "run", replace(FIRST, objective="los"))
