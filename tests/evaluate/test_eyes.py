"""Runs with an encoder in the loop: a store's numbers; a trained one answers from its folder."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from clipvil import api, encoders, recipes, tasks
from clipvil.core import Data, UsageError
from clipvil.evaluate import cell, earlier, eyes, splits
from clipvil.evaluate.result import ABOUT, read_about
from clipvil.evaluate.run import read_plan
from clipvil.features.encode import encode
from clipvil.files import read_json, read_jsonl, write_json
from clipvil.models import mcan
from clipvil.train import keep
from clipvil.train.recipe import Recipe, Stage

CONFIG = mcan.Config(width=16, heads=2, layers=1, flat=16, word_width=16)
STAGE = Stage(least_steps=6, most_steps=6, batch=4, validations=2, learning_rate=3e-3)
RECIPE = Recipe(model="mcan", config=CONFIG, stages=(STAGE,), rates=(3e-3,))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    tasks.load("vqa2").tiny(tmp_path / "data")
    return tmp_path


def train(root: Path, out: str, sight: Any, *stages: Stage, encoder: str = "tiny:clip") -> Path:
    recipe = replace(RECIPE, sight=sight, rank=2, stages=stages or RECIPE.stages)
    asked = {"task": "vqa2", "data": root / "data", "out": root / out, "encoder": encoder}
    api.train(recipe, **asked)
    return root / out


def weights(run: Path) -> dict[str, torch.Tensor]:
    return keep.load(run / "best.safetensors")[0]


@pytest.mark.slow
def test_on_the_fly_a_run_is_that_of_an_exact_store(root: Path) -> None:
    """Bit for bit: the encoder gives the same numbers, and nothing else draws other ones."""
    pictures = splits.all_pictures(splits.Source("vqa2", Data(root / "data")))
    encode(encoders.load("tiny:clip"), pictures, root / "stored" / "stores" / "one", dtype="fp32")
    stored, live = (train(root, sight, sight) for sight in ("stored", "live"))
    assert [*(stored / "stores").iterdir()] == [stored / "stores" / "one"], "it was found"
    assert not (live / "stores").exists(), "nothing is stored"
    for name in ("best.safetensors", "metrics.jsonl", "statistics.safetensors"):
        assert (stored / name).read_bytes() == (live / name).read_bytes(), name
    assert api.evaluate(stored) == api.evaluate(live)


@pytest.mark.slow
@pytest.mark.parametrize("sight", ["lora", "full"])
def test_a_trained_encoder_answers_out_of_the_run_folder(sight: str, root: Path) -> None:
    run = train(root, "run", sight)
    assert not (run / "stores").exists()
    assert any(name.startswith("model.encoder.") for name in weights(run))
    scores = api.evaluate(run)
    plan = read_plan(run)
    base = eyes.encoder_of(plan)
    _, learnt = eyes.best(plan)
    assert learnt is not None
    assert any(
        not torch.equal(new, old)
        for new, old in zip(learnt.parameters(), base.parameters(), strict=True)
    )
    moved = root / "moved"
    shutil.copytree(run, moved)
    (moved / "answered.json").unlink()
    assert api.evaluate(moved) == scores
    task = plan.source.load()
    assert api.predict_split(run, root / "said.json") > 0
    said = dict(task.read(root / "said.json"))
    assert said == dict(task.read(run / f"answers-{task.splits.report}.json"))
    part = splits.part(plan.source, task.splits.report)
    example, picture = part.examples[0], part.pictures[0]
    one = api.predict(run, part.files[picture], example.words)
    assert one == said[example.id].text


def test_a_later_stage_goes_on_with_the_encoder_that_was_trained(root: Path) -> None:
    slow = replace(STAGE, least_steps=2, most_steps=2, validations=1, learning_rate=1e-4)
    run = train(root, "run", "lora", STAGE, slow)
    before, after = (keep.load(run / f / "best.safetensors")[0] for f in ("stage-1", "."))
    assert before.keys() == after.keys()
    assert max(float((after[n] - before[n]).abs().max()) for n in before) < 3e-4


@pytest.mark.slow
@pytest.mark.parametrize("sight", ["live", "lora"])
def test_compare_stores_nothing_where_pictures_are_encoded_in_the_loop(
    sight: Any, root: Path
) -> None:
    comparison = api.plan(
        task="vqa2", data=root / "data", encoders=["tiny:clip"], out=root / "out",
        recipe=replace(RECIPE, sight=sight, rank=2), shots=["100%"], seeds=1, jobs=1,
        beside=("probe", "zero-shot"),
    )  # fmt: skip
    broken = min((root / "data").glob("*val2014*.jpg"))
    broken.write_bytes(broken.read_bytes()[:-60])  # its header is whole
    estimate = api.estimate(comparison)
    assert estimate.feature_bytes == 0 and estimate.pictures == {"tiny:clip": 0}
    assert estimate.encode_seconds == 0 < estimate.train_seconds
    write_json(root / "out" / earlier.STARTED, "2026-11-22T13:33:24+00:00")  # and interrupted
    api.run(comparison)
    assert not (root / "out" / "stores").exists()
    arms = {row.get("encoder") for row in read_jsonl(root / "out" / "results.jsonl")}
    beside = {f"tiny:clip, {row}" for row in ("pictures shuffled", "linear probe", "zero-shot")}
    assert {"tiny:clip", "text only", "answer prior", *beside} <= arms
    told = read_about(root / "out" / ABOUT)
    assert any("LoRA of rank 2" in note for note in told.notes) == (sight == "lora")
    assert "1 pictures could not be read and were shown as empty." in told.notes
    assert told.started == "2026-11-22T13:33:24+00:00"
    assert not (root / "out" / earlier.STARTED).exists(), "what comes next begins anew"


def preview(root: Path, sight: Any, encoder: str) -> dict[str, Any]:
    recipe = replace(RECIPE, sight=sight)
    return api.preview(recipe, task="vqa2", data=root / "data", encoder=encoder, out=root / "run")


def test_a_dry_run_tells_what_is_trained_of_the_encoder(root: Path) -> None:
    stored, live, lora, full = (
        preview(root, sight, "tiny:clip") for sight in ("stored", "live", "lora", "full")
    )
    assert stored["feature_bytes"] > 0 == live["feature_bytes"] == full["feature_bytes"]
    assert stored["trained"] == live["trained"] == 0 < lora["trained"] < full["trained"]
    assert full["trained"] < full["encoder_parameters"], "what pools is not on the way to cells"
    assert full["run_bytes"] - stored["run_bytes"] == 16 * full["trained"]


def test_an_encoder_that_cannot_be_trained_is_refused_before_anything_is_done(root: Path) -> None:
    with pytest.raises(UsageError, match="too coarse"):
        preview(root, "full", "tiny:clip,precision=bf16")


def test_weights_of_another_encoder_are_refused(root: Path) -> None:
    run = train(root, "run", "lora")
    told = read_json(run / "recipe.json")
    told["recipe"]["sight"] = "full"
    (run / "recipe.json").write_text(json.dumps(told))
    with pytest.raises(ValueError, match="not the trained weights"):
        api.evaluate(run)


@pytest.mark.slow
def test_other_answers_and_objectives_train_the_encoder_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Captions: on words first, then on rewards of captions that the model samples."""
    monkeypatch.setattr(cell, "headline", lambda *_: 0.0)  # two steps may well make them worse
    tasks.load("caption").tiny(tmp_path / "data")
    made = recipes.load("caption_captioner")
    short = {"least_steps": 2, "most_steps": 2, "batch": 4, "validations": 1}
    stages = tuple(replace(stage, **short) for stage in made.stages)
    recipe = replace(made, sight="lora", rank=2, stages=stages)
    run, data = tmp_path / "run", tmp_path / "data"
    api.train(recipe, task="caption", data=data, encoder="tiny:clip", out=run)
    assert len({stage.objective for stage in stages}) > 1
    before, after = (keep.part(weights(run / f), "model.encoder.") for f in ("stage-1", "."))
    assert before and any(not torch.equal(after[name], before[name]) for name in before)
    assert api.evaluate(run)
