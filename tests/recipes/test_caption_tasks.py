"""Captioning goes through train, evaluate, predict and compare, in two stages."""

import os
from pathlib import Path

import pytest

from clipvil import api, recipes, tasks
from clipvil.core import Said, UsageError
from clipvil.evaluate.predict import called
from clipvil.files import read_json, read_jsonl
from clipvil.metrics import meteor
from clipvil.models import captioner
from clipvil.train.recipe import Recipe, Stage
from clipvil.worlds import tabletop
from tests.command import run as command
from tests.command import told
from tests.metrics.test_java import METEOR, java

RECIPE = """
from clipvil.models import captioner
from clipvil.train.recipe import Recipe, Stage


def recipe():
    config = captioner.Config(
        width=16, heads=2, layers=1, expand=2, rare=0, beams=2, longest=8, baseline="others"
    )
    words = Stage(least_steps=20, most_steps=20, batch=3, validations=2, learning_rate=1e-2)
    reward = Stage(
        objective="self_critical", least_steps=4, most_steps=4, batch=3, validations=2,
        learning_rate=1e-3,
    )
    return Recipe(model="captioner", config=config, stages=(words, reward), rates=(1e-2,))
"""


def small() -> Recipe[captioner.Config]:
    space: dict = {}
    exec(RECIPE, space)
    made: Recipe[captioner.Config] = space["recipe"]()
    return made


def test_a_captioner_answers_captioning_and_nothing_else(tmp_path: Path) -> None:
    assert recipes.task_of("tabletop_captioner") == "coco_caption"
    with pytest.raises(UsageError, match="captioner gives no answers of the kind of vqa"):
        api.plan(task="vqa", data=tmp_path, encoders=["tiny:clip"], out=tmp_path,
                 recipe="caption_captioner")  # fmt: skip
    with pytest.raises(UsageError, match="mcan gives no answers of the kind of caption"):
        api.plan(task="caption", data=tmp_path, encoders=["tiny:clip"], out=tmp_path,
                 recipe="vqa_mcan")  # fmt: skip


def test_the_published_schedule() -> None:
    words, reward = recipes.load("coco_caption_captioner").stages
    assert (words.steps(113_287), reward.steps(113_287)) == (169_930, 283_218)
    assert words.learning_rate == pytest.approx(3.1e-4, rel=0.02)
    assert (words.objective, reward.objective) == ("loss", "self_critical")


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in recipes.rows() if "/caption/" in name])
def test_a_row_is_ready_to_run(name: str, tmp_path: Path) -> None:
    data, row = tmp_path / "data", recipes.rows()[name]
    tasks.load(row.task).tiny(data)
    found = api.preview(
        name, task=row.task, data=data, encoder=row.encoder, out=tmp_path / "run",
        shots="100%",
    )  # fmt: skip
    assert found["width"] == row.width and found["cells"] == [14, 14]
    assert [stage["objective"] for stage in found["stages"]] == ["loss", "self_critical"]
    assert found["parameters"] > 40_000_000
    assert f"{row.width * 196 * 123_287 * 2 / 1e9:.0f} GB" in row.summary


def test_it_is_trained_scored_and_asked_about_a_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    task, run = tasks.load("coco_caption"), tmp_path / "run"
    task.tiny(tmp_path / "data")
    api.train(small(), task="coco_caption", data=tmp_path / "data", encoder="tiny:clip", out=run)
    first, last = run / "stage-1" / "best.safetensors", run / "best.safetensors"
    assert first.read_bytes() != last.read_bytes(), "the first stage is kept"
    (tmp_path / "own.py").write_text(RECIPE)
    again = ("train", f"module:{tmp_path / 'own.py'}", "--task", "coco_caption", "--out", str(run),
             "--data", str(tmp_path / "data"), "--encoder")  # fmt: skip
    _, ended = told(*again, "tiny:clip")
    assert "stage 1 of 2: 20 steps" in ended and f"wrote {run}: stage 2 of 2: 4 steps" in ended
    had = {*run.rglob("*")}
    for more in ((), ("--dry-run",)):
        _, refused = told(*again, "tiny:random", "--stages.0.least-steps", "9", *more, code=1)
        assert (
            "another run (encoder tiny:clip, not tiny:random; stages.0.least_steps 20, not 9)"
            in refused
        )
    assert {*run.rglob("*")} == had, "nothing was encoded for it"
    assert 0.0 <= api.evaluate(run)["val"]["cider"] <= 10.0
    assert command("evaluate", str(run)).startswith("val: cider "), "the headline first"
    said = dict(task.read(run / "answers-val.json"))
    assert len(said) == 3 and all(isinstance(answer, Said) for answer in said.values())

    assert api.predict_folder(run, tmp_path / "captions.json", tmp_path / "data", limit=2) == 2
    assert not [*run.glob("stores-*")], "these are the pictures that it was trained from"
    shown = tmp_path / "shown"
    shown.mkdir()
    for picture in tmp_path.glob("data/COCO_val2014_*.jpg"):
        picture.rename(shown / picture.name)
    assert api.predict_folder(run, tmp_path / "captions.json", shown) == 3
    picture = shown / "COCO_val2014_000000000300.jpg"
    assert command("predict", str(run), "--image", str(picture)).strip() == said["300"].text  # type: ignore[union-attr]
    with pytest.raises(UsageError, match="leave --text out"):
        api.predict(run, picture, "what?")
    some = ["predict", str(run), "--images", str(shown), "--limit", "1", "--out"]
    for name, least, most in (("shortest", 6, 8), ("longest", 0, 2)):
        command(*some, str(tmp_path / name), f"--config.{name}", "6" if least else "2")
        (row,) = read_json(tmp_path / name)
        assert least <= len(row["caption"].split()) <= most, "told otherwise than it was trained to"
    told_by_lot = api.predict(run, picture, tell={"top_k": 3, "shortest": 6})
    assert told_by_lot != api.predict(run, picture, tell={"beams": 1, "shortest": 6})
    with pytest.raises(UsageError, match="unknown way of telling 'beam'; nearest: beams"):
        api.predict(run, picture, tell={"beam": 3})
    rows = read_json(tmp_path / "captions.json")
    assert {str(row["image_id"]): row["caption"] for row in rows} == {
        name: answer.text
        for name, answer in said.items()  # type: ignore[union-attr]
    }
    (shown / rows[0]["caption"].replace(" ", "-")).with_suffix(".jpg").write_bytes(
        next(shown.iterdir()).read_bytes()
    )
    (shown / "broken.jpg").write_bytes(b"broken")
    assert api.predict_folder(run, tmp_path / "captions.json", shown) == 4
    assert "no caption of broken: " in capsys.readouterr().err
    names = {row["image_id"] for row in read_json(tmp_path / "captions.json")}
    assert "COCO_val2014_000000000300.jpg" in names, "not all are numbers: paths it is"
    for picture in shown.iterdir():  # what was encoded is not opened again
        about = picture.stat()
        picture.write_bytes(b"?" * about.st_size)
        os.utime(picture, ns=(about.st_atime_ns, about.st_mtime_ns))
    assert api.predict_folder(run, tmp_path / "again.json", shown) == 4
    assert "no caption of broken: " in capsys.readouterr().err
    assert (tmp_path / "again.json").read_bytes() == (tmp_path / "captions.json").read_bytes()
    task.tiny(tmp_path / "other")
    (tmp_path / "other" / "COCO_val2014_000000000300.jpg").write_bytes(b"broken")
    assert api.predict_split(run, tmp_path / "other.json", data=tmp_path / "other") == 3
    assert "000000000300: not a picture" in (err := capsys.readouterr().err) and "as empty" in err
    own = [Path("photos/000000000790.jpg"), Path("photos/000000000791.png")]
    assert called(task, own) == ["790", "791"]
    assert called(tasks.load("caption"), own) == [*map(str, own)], "only COCO's have numbers"


def test_a_run_about_questions_needs_one(tmp_path: Path) -> None:
    tasks.load("vqa").tiny(tmp_path)
    from clipvil.models import mcan

    config = mcan.Config(width=16, heads=2, layers=1, flat=16, word_width=16)
    stage = Stage(least_steps=1, most_steps=1, batch=2, validations=1)
    made = Recipe(model="mcan", config=config, stages=(stage,))
    run = tmp_path / "run"
    api.train(made, task="vqa", data=tmp_path, encoder="tiny:random", out=run)
    with pytest.raises(UsageError, match="no captions: give --image FILE and --text QUESTION"):
        api.predict_folder(run, tmp_path / "out", tmp_path)
    picture = next(tmp_path.rglob("*.png"))
    with pytest.raises(UsageError, match="give --text as well"):
        api.predict(run, picture)
    with pytest.raises(UsageError, match="tells no captions"):
        api.predict(run, picture, "what?", tell={"beams": 1})
    for explain in (lambda: api.explain(run, picture), lambda: api.explain_walks(run)):
        with pytest.raises(UsageError, match="captions and walks are explained so far"):
            explain()


@pytest.mark.slow
def test_own_captions_are_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = os.environ["PATH"]
    java(tmp_path, monkeypatch, METEOR)  # before the one there is, which takes half a minute
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{path}")
    task = tasks.load("caption")
    task.tiny(tmp_path / "data")
    (tmp_path / "own.py").write_text(RECIPE)
    given = [
        "compare", "--task", "caption",
        "--data", str(tmp_path / "data"), "--out", str(tmp_path / "out"),
        "--encoders", "tiny:clip", "--shots", "100%", "--seeds", "1", "--jobs", "1",
        "--recipe", f"module:{tmp_path / 'own.py'}:recipe",
    ]  # fmt: skip
    command(*given)
    rows = list(read_jsonl(tmp_path / "out" / "results.jsonl"))
    known = [row for row in rows if row["value"] is not None]
    for metric in ("cider", "bleu_4", "rouge_l", *(["meteor"] if meteor.program() else [])):
        arms = {row["encoder"] for row in known if row["metric"] == metric}
        assert len(arms) >= 4, "an encoder, shuffled pictures, text alone, the prior"
    run = next(path.parent for path in (tmp_path / "out").rglob("answered.json"))
    said = dict(task.read(run / "answers-test.json"))
    command("predict", str(run), "--out", str(tmp_path / "again"))
    assert dict(task.read(tmp_path / "again")) == said


@pytest.mark.slow
def test_the_embedded_world_is_captioned_better_than_by_the_prior(tmp_path: Path) -> None:
    data = tmp_path / "data"
    tabletop.write(data, seed=5, train=120, val=30, shifts=False, tasks=["coco_caption"])
    found = api.train(
        "tabletop_captioner", task="coco_caption", data=data, encoder="tiny:clip",
        out=tmp_path / "run",
    )  # fmt: skip
    words = read_json(tmp_path / "run" / "stage-1" / "fitted.json")
    assert words["steps"] > found.steps > 0
    values = api.evaluate(tmp_path / "run")["val"]
    task = tasks.load("coco_caption")
    from clipvil.core import Data

    examples = task.examples(Data(data), "val")
    prior = read_json(tmp_path / "run" / "vocabulary.json")["prior"]
    measured = task.measure(examples, {example.id: Said(prior) for example in examples})
    assert values["cider"] > 1.5 * float(task.reduce(measured.totals())["cider"])
