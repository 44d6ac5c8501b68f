"""Features that were given stand where an encoder stands, or are refused before anything trains."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from clipvil import api, encoders, tasks
from clipvil.core import Data, UsageError
from clipvil.evaluate import answer, cell, seen, splits
from clipvil.evaluate.collect import about, collect
from clipvil.evaluate.compare import Comparison, arms, plans
from clipvil.evaluate.result import Cell, Difference
from clipvil.evaluate.run import Plan, from_json, to_json
from clipvil.evaluate.summary import summarise
from clipvil.features.convert import Given, convert
from clipvil.features.lookup import Lookup, gather
from clipvil.models import mcan
from clipvil.recipes import r2r_follower_small
from clipvil.train.recipe import Recipe, Stage
from clipvil.verbs.compare import tell_plan
from tests.answers.test_moves import features as views
from tests.command import run

RECIPE = Recipe(
    model="mcan",
    config=mcan.Config(width=16, heads=2, layers=1, flat=16, word_width=16),
    stages=(Stage(least_steps=4, most_steps=4, batch=4, validations=2, learning_rate=1e-3),),
)


@pytest.fixture
def source(tmp_path: Path) -> splits.Source:
    tasks.load("vqa2").tiny(tmp_path / "data")
    return splits.Source("vqa2", Data(tmp_path / "data"))


@pytest.fixture
def exported(tmp_path: Path, source: splits.Source) -> Path:
    """What an encoder saw, as somebody else would keep it: a file a picture, by their numbers."""
    encoder, pictures = encoders.load("tiny:random"), splits.all_pictures(source)
    known = Lookup(gather(encoder, pictures, tmp_path / "stores").stores)
    (tmp_path / "npy").mkdir()
    for name in pictures:
        number = int(name.rsplit("_", 1)[-1])
        np.save(tmp_path / "npy" / f"{number}.npy", known.read(name).reshape(*known.grid(name), -1))
    return tmp_path / "npy"


def stored(exported: Path, name: str = "theirs") -> str:
    out = exported.parent / "theirs" / name
    convert(Given(source=exported, name=name, dtype="fp16"), out)
    return f"features:{out}"


def spoil(exported: Path, change: Callable[[Path], None]) -> str:
    """Change one picture's file; gives its name."""
    file = min(exported.iterdir())
    change(file)
    return file.stem


def test_given_features_train_what_their_encoder_trains(exported: Path) -> None:
    root, runs = exported.parent, list[Path]()
    for name in ("tiny:random", stored(exported)):
        runs.append(root / f"run{len(runs)}")
        asked = {"task": "vqa2", "data": root / "data", "store": root / "stores"}
        api.train(RECIPE, encoder=name, out=runs[-1], **asked)
    first, second = (run / "best.safetensors" for run in runs)
    assert first.read_bytes() == second.read_bytes()
    assert api.evaluate(runs[0]) == api.evaluate(runs[1])
    for folder in runs:
        assert api.predict_split(folder, root / "said.json") > 0
        assert not (folder / "stores").exists(), "the store that it was trained from has them"
    with pytest.raises(UsageError, match="trained on features"):
        api.predict(runs[1], root / "a.jpg", "what?")


def test_a_dry_run_tells_what_they_take(exported: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = {"task": "vqa2", "data": exported.parent / "data", "out": exported.parent / "run"}
    theirs, name = stored(exported), "vqa2_mcan"
    by_encoder = api.preview(name, encoder="tiny:random", **asked)
    given = api.preview(name, encoder=theirs, **asked)
    same = ("parameters", "width", "fit", "pictures", "stages")
    assert [given[key] for key in same] == [by_encoder[key] for key in same]
    assert given["cells"] == [by_encoder["cells"][0] * by_encoder["cells"][1]]
    assert (given["encode"], given["feature_bytes"]) == (0, 0)
    told = ("train", name, "--encoder", theirs, "--data", str(exported.parent / "data"))
    assert f"cells or views of width {given['width']:,}" in run(*told, "--dry-run")


def test_what_lacks_is_counted_and_named(exported: Path, source: splits.Source) -> None:
    count = len(list(exported.iterdir()))
    gone = spoil(exported, Path.unlink)
    with pytest.raises(ValueError, match=rf"lacks 1 of {count} pictures: \S*{gone}$"):
        seen.given(stored(exported), source)


def test_what_was_broken_counts_as_empty(exported: Path, source: splits.Source) -> None:
    gone = spoil(exported, lambda file: file.write_bytes(b"nothing"))
    found = seen.given(stored(exported), source)
    (name,) = found.found.failures
    assert name.endswith(gone) and found.card is None and found.found.seconds is None


def test_pictures_do_not_share_features(exported: Path, source: splits.Source) -> None:
    lookup = Lookup(seen.stores_at(stored(exported)), loosely=True)
    (name, *_) = splits.all_pictures(source)
    with pytest.raises(ValueError, match=r"the same features.* need a store of their own"):
        seen.covered("theirs", lookup, [name, f"shifts/sketch/{name}"])


def test_what_cannot_stand_there_is_refused(exported: Path, source: splits.Source) -> None:
    one = stored(exported)
    asked = {"task": "vqa2", "data": exported.parent / "data", "out": exported.parent / "out"}
    for name, sight, error, said in (
        ("features:nowhere", "stored", FileNotFoundError, "no features nowhere"),
        (f"features:{exported}", "stored", UsageError, "features convert"),
        (one, "live", UsageError, "sight=live needs an encoder"),
    ):
        with pytest.raises(error, match=said):
            api.plan(encoders=["tiny:clip", name], recipe=replace(RECIPE, sight=sight), **asked)
    with pytest.raises(UsageError, match="features have no text tower"):
        api.plan(encoders=[one], beside=["zero-shot"], **asked)
    stored(exported, "others")
    with pytest.raises(ValueError, match="different encoders"):
        seen.given(f"features:{exported.parent / 'theirs'}", source)


@pytest.mark.slow
def test_they_are_compared(exported: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root, names = exported.parent, (stored(exported), stored(exported, "others"))
    comparison = api.plan(
        task="vqa2", data=root / "data", out=root / "out", encoders=names, recipe=RECIPE,
        shots=["100%"], seeds=1, beside=["probe"], jobs=1,
    )  # fmt: skip
    estimate = api.estimate(comparison)
    assert estimate.trainings == 2 + 2, "shuffled pictures and text alone beside"
    tell_plan(comparison, estimate, as_json=False)
    assert f"encode: 0 for {names[0]}, 0 for {names[1]}, 0 s" in capsys.readouterr().err
    gathered = {name: seen.given(name, comparison.source) for name in names}
    done = cells(comparison, gathered)
    left = api.estimate(comparison)
    assert left.trainings == left.train_seconds == left.run_bytes == 0 < estimate.run_bytes
    records = summarise(
        collect(comparison, done), comparison.source.load(), baseline=names[0], replicates=20
    )
    values = {r.encoder: r.value for r in records if isinstance(r, Cell) and r.stratum is None}
    for row in ("", ", linear probe"):
        assert values[names[0] + row] == values[names[1] + row], "they hold the same numbers"
    assert any(r.encoder == names[1] and r.value == 0 for r in records if isinstance(r, Difference))
    cost = about(comparison, gathered, done, "", "").encoders[1]
    assert cost.name == names[1] and cost.width and cost.bytes_per_picture
    assert cost.parameters is cost.seconds_per_1000 is cost.grid is None


def cells(comparison: Comparison, gathered: Mapping[str, seen.Seen]) -> list[Plan]:
    """Fit and score the cells of a comparison with one size, seed and rate, in this process."""
    rows = arms(comparison, [some.arm for some in gathered.values()])
    done = [plan for arm in rows for plan in plans(comparison, arm, "100%", 0)]
    for plan in done:
        moved = from_json(to_json(plan), plan.folder)  # as a worker gets it
        cell.fit_cell(moved)
        answer.score_cell(moved)
    return done


@pytest.mark.slow
def test_views_of_walks_are_compared(tmp_path: Path) -> None:
    file = views(tmp_path / "data", "r2r")
    convert(Given(source=file, name="views", dtype="fp16"), tmp_path / "store")
    whole = r2r_follower_small.recipe()
    stage = replace(whole.stages[0], most_steps=4, least_steps=4, batch=4, validations=1)
    config = replace(whole.config, width=16, word_width=8, action_width=4, steps=5)
    asked = {"task": "r2r", "data": tmp_path / "data", "out": tmp_path / "out", "jobs": 1}
    with pytest.raises(UsageError, match="features convert"):
        api.plan(encoders=[f"features:{file}"], model="follower", **asked)
    name = f"features:{tmp_path / 'store'}"
    (tmp_path / "data/shifts/style").mkdir(parents=True)
    with pytest.raises(UsageError, match="not how they look in shifts/style"):
        seen.given(name, splits.Source("r2r", Data(tmp_path / "data")))
    (tmp_path / "data/shifts/style").rmdir()
    (tmp_path / "data/shifts").rmdir()
    comparison = api.plan(
        encoders=[name], shots=["100%"], seeds=1,
        recipe=replace(whole, config=config, stages=(stage,), rates=()), **asked,
    )  # fmt: skip
    assert api.estimate(comparison).pictures == {name: 0}
    gathered = {name: seen.given(name, comparison.source)}
    done = cells(comparison, gathered)
    assert {plan.arm.name for plan in done} >= {name, f"{name}, pictures shuffled", "text only"}
    assert len(collect(comparison, done)) == len(done)
    told = about(comparison, gathered, done, "", "")
    assert told.encoders[0].seconds_per_1000 is None
    walked = {plan.arm.name for plan in done if plan.arm.control in (None, "text")}
    for example in told.examples:
        assert example.drawing is not None and set(example.answers) == walked
        assert len(example.drawing.walks) == len(walked)
