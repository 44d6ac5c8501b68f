"""Walks through `train`, `evaluate`, `predict`: from features and from pictures of views."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from clipvil import api, tasks
from clipvil.answers import moves
from clipvil.api.runs import given_features
from clipvil.core import Data, UsageError
from clipvil.data.words import split_words
from clipvil.evaluate import splits
from clipvil.features.convert import Given, convert
from clipvil.recipes import r2r_follower_small
from clipvil.train import keep
from clipvil.train.recipe import Recipe
from tests.features.legacy_files import R2R, draw, text, write_tsv

WIDTH = 8
TASKS = pytest.mark.parametrize("name", ["r2r", "rxr"])


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def recipe(*objectives: str) -> Recipe[Any]:
    whole = r2r_follower_small.recipe()
    stage = replace(whole.stages[0], most_steps=6, least_steps=6, batch=4, validations=2)
    config = replace(whole.config, width=16, word_width=8, action_width=4, steps=5)
    stages = tuple(replace(stage, objective=objective) for objective in objectives)
    return replace(whole, config=config, stages=stages)


def features(root: Path, name: str) -> Path:
    """Views of all viewpoints that a task's tiny files have."""
    tasks.load(name).tiny(root)
    rows = [
        {"scanId": path.name.removesuffix("_connectivity.json"), "viewpointId": row["image_id"],
         "image_w": 640, "image_h": 480, "vfov": 60, "features": text(draw(36, WIDTH, seed=k))}
        for path in sorted((root / "connectivity").glob("*.json"))
        for k, row in enumerate(json.loads(path.read_text()))
    ]  # fmt: skip
    write_tsv(root / "views.tsv", R2R, rows)
    return root / "views.tsv"


def train(root: Path, name: str, source: Path, out: Path, *objectives: str) -> Any:
    return api.train(
        recipe(*objectives), task=name, data=root, encoder=f"features:{source}", out=out
    )


@pytest.mark.slow
@TASKS
@pytest.mark.parametrize("kind", ["tsv", "store"])
def test_a_follower_is_trained_scored_and_asked(tmp_path: Path, name: str, kind: str) -> None:
    source = features(tmp_path / "data", name)
    if kind == "store":
        convert(Given(source=source, name="views", dtype="fp16"), tmp_path / "store")
        source = tmp_path / "store"
    run = tmp_path / "run"
    fitted = train(tmp_path / "data", name, source, run, "loss")
    assert fitted.steps == 6 and np.isfinite(fitted.loss)
    figures = api.evaluate(run)["val_unseen"]
    assert {"spl", "success_rate", "ndtw"} <= figures.keys()
    task = tasks.load(name)
    hidden = task.splits.hidden[0]
    count = api.predict_split(run, tmp_path / "said", split=hidden)
    asked = task.examples(Data(tmp_path / "data"), hidden)
    said = dict(task.read(tmp_path / "said"))
    assert count == len(said) == len(asked) and said.keys() == {e.id for e in asked}
    for example in asked:
        assert example.episode is not None
        assert said[example.id].steps[0][0] == example.episode.path[0]  # type: ignore[union-attr]


def test_a_follower_is_asked_no_question_about_a_picture(tmp_path: Path) -> None:
    source, run = features(tmp_path / "data", "r2r"), tmp_path / "run"
    train(tmp_path / "data", "r2r", source, run, "imitate")
    with pytest.raises(UsageError, match="walks through buildings"):
        api.predict(run, tmp_path / "a.png", "where?")


@pytest.mark.slow
def test_three_stages_follow_each_other_and_come_again(tmp_path: Path) -> None:
    source = features(tmp_path / "data", "r2r")
    results = []
    for out in ("one", "two"):
        # the corridor has no way of four moves: there every stage is of those that need none
        train(tmp_path / "data", "r2r", source, tmp_path / out, "imitate", "describe", "loss")
        results.append((tmp_path / out / "best.safetensors").read_bytes())
    assert results[0] == results[1]
    walked, spoke = (
        keep.load(tmp_path / "one" / folder / "best.safetensors")[0]
        for folder in ("stage-1", "stage-2")
    )
    learnt = {name for name in walked if not torch.equal(walked[name], spoke[name])}
    assert learnt and all(name.startswith("model.speaker.") for name in learnt), "no score tells it"


def test_back_translation_needs_ways_to_walk(tmp_path: Path) -> None:
    source = features(tmp_path / "data", "r2r")
    with pytest.raises(ValueError, match="no way of 4 to 6 moves"):
        train(tmp_path / "data", "r2r", source, tmp_path / "run", "back_translate")


def test_features_that_lack_a_viewpoint_are_counted(tmp_path: Path) -> None:
    source = features(tmp_path / "data", "r2r")
    lines = source.read_text().splitlines(keepends=True)
    source.write_text("".join(lines[1:]))
    with pytest.raises(ValueError, match=r"the features lack 1 of 4 viewpoints, in scans tiny1"):
        train(tmp_path / "data", "r2r", source, tmp_path / "run", "imitate")


def test_features_of_another_width_are_refused(tmp_path: Path) -> None:
    source, run = features(tmp_path / "data", "r2r"), tmp_path / "run"
    train(tmp_path / "data", "r2r", source, run, "imitate")
    rows = [line.split("\t") for line in source.read_text().splitlines()]
    wide = text(draw(36, WIDTH + 2))
    source.write_text("".join("\t".join([*row[:5], wide]) + "\n" for row in rows))
    with pytest.raises(ValueError, match="10 numbers wide, the model reads 8"):
        api.evaluate(run)


def test_walks_without_views_are_refused(tmp_path: Path) -> None:
    source = splits.Source("r2r", Data(tmp_path / "data"))
    tasks.load("r2r").tiny(tmp_path / "data")
    with pytest.raises(FileNotFoundError, match="no features"):
        given_features("features:nothing.tsv", source, "stored")
    with pytest.raises(ValueError, match="no views <scan>/<viewpoint>/<NN> of these walks"):
        splits.all_pictures(source)


def pictures(root: Path) -> None:
    """A picture for every view of every viewpoint."""
    noise = np.random.default_rng(0)
    tasks.load("r2r").tiny(root)
    for path in (root / "connectivity").glob("*.json"):
        scan = path.name.removesuffix("_connectivity.json")
        for row in json.loads(path.read_text()):
            folder = root / "views" / scan / row["image_id"]
            folder.mkdir(parents=True)
            for view in range(36):
                pixels = noise.integers(0, 256, (16, 16, 3), np.uint8)
                Image.fromarray(pixels).save(folder / f"{view:02d}.png")


@pytest.mark.slow
def test_views_are_found_and_encoded(tmp_path: Path) -> None:
    pictures(tmp_path / "data")
    source = splits.Source("r2r", Data(tmp_path / "data"))
    found = splits.all_pictures(source)
    assert len(found) == 3 * 4 * 36, "train, val_seen and val_unseen; the test's are not asked for"
    part = splits.part(source, "train")
    assert part.pictures[0] == "views/tiny1/tiny1viewpoint0/15", "heading 1.5 is nearest to 90°"
    run = tmp_path / "run"
    api.train(recipe("imitate"), task="r2r", data=tmp_path / "data", encoder="tiny:random", out=run)
    assert 0 <= api.evaluate(run)["val_unseen"]["success_rate"] <= 1


def test_a_missing_view_is_named(tmp_path: Path) -> None:
    pictures(tmp_path / "data")
    (tmp_path / "data/views/tiny1/tiny1viewpoint2/20.png").unlink()
    with pytest.raises(FileNotFoundError, match="no picture called tiny1/tiny1viewpoint2/20"):
        splits.part(splits.Source("r2r", Data(tmp_path / "data")), "train")


def test_a_walk_of_an_instruction_nobody_asked_is_named(tmp_path: Path) -> None:
    features(tmp_path, "r2r")
    task = tasks.load("r2r")
    asked = task.examples(Data(tmp_path), "val_unseen")
    said = {example.id: moves.stay(example) for example in asked} | {"9_9": moves.stay(asked[0])}
    task.write(tmp_path / "said", said)
    from clipvil.evaluate.score import score

    with pytest.raises(ValueError, match="9_9"):
        score(task, asked, task.read(tmp_path / "said"))


def test_hindi_and_telugu_keep_their_vowels() -> None:
    assert split_words("अंत तक चलो।") == ["अंत", "तक", "चलो"]
    assert split_words("చివరి వరకు వెళ్ళు.") == ["చివరి", "వరకు", "వెళ్ళు"]
    assert split_words("Don't stop, here!") == ["don't", "stop", "here"]
