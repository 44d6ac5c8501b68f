"""Tasks of choices go through `compare`, `train`, `evaluate` and `predict`, from files to page."""

import csv
import json
import shutil
from pathlib import Path

import pytest

from clipvil import cli, tasks
from clipvil.core import Data
from clipvil.files import read_json, read_jsonl
from clipvil.report import words
from clipvil.worlds import tabletop
from tests.command import run
from tests.recipes.test_label_tasks import RECIPE

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("recipe") / "own.py"
    path.write_text(RECIPE.replace("width=16,", "width=16, longest=30,"))
    return f"module:{path}:recipe"


@pytest.mark.parametrize("name", ["vcr", "choose"])
def test_a_task_of_choices_is_compared(name: str, tmp_path: Path, recipe: str) -> None:
    task = tasks.load(name)
    task.tiny(tmp_path / "data")
    out, encoder = tmp_path / "out", "tiny:clip"
    run("compare", "--task", name, "--data", str(tmp_path / "data"), "--out", str(out),
        "--encoders", encoder, "--shots", "100%", "--seeds", "1", "--jobs", "1",
        "--recipe", recipe)  # fmt: skip
    rows = list(read_jsonl(out / "results.jsonl"))
    for metric in task.metrics:
        cells = [r for r in rows if r["kind"] == "cell" and r["metric"] == metric.name]
        assert {row["control"] for row in cells} == {None, "prior", "text", "shuffled"}
        assert all(row["coverage"] is None and row["n"] == 3 for row in cells)
    page = (out / "report.html").read_text()
    assert words.named(task.metrics[0].name) in page and encoder in page
    asked = next(path.parent for path in out.rglob("answered.json"))
    assert read_json(asked / "vocabulary.json")["regions"] == (name == "vcr")
    run("predict", str(asked), "--out", str(tmp_path / "again"))
    again = dict(task.read(tmp_path / "again"))
    assert again == dict(task.read(asked / f"answers-{task.splits.report}.json"))
    if name == "choose":
        picture = next((tmp_path / "data").rglob("*.png"))
        given = ["--image", str(picture), "--text", "What?", "--choices", "a red one", "none"]
        assert run("predict", str(asked), *given).strip() in given
    else:
        with (asked / "answers-val.json").open() as file:
            first = next(iter(csv.DictReader(file)))
        numbers = [float(value) for key, value in first.items() if key != "annot_id"]
        assert len(numbers) == 20 and sum(numbers) == pytest.approx(5)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, recipe: str) -> Path:
    """A run on twenty scenes of tabletop's choices."""
    folder = tmp_path_factory.mktemp("tabletop")
    tabletop.write(folder / "data", seed=0, train=20, val=4, shifts=False, tasks=("vcr",))
    with pytest.raises(SystemExit) as raised:
        cli.main(["train", recipe, "--task", "vcr", "--data", str(folder / "data"),
                  "--encoder", "tiny:random", "--out", str(folder / "run")])  # fmt: skip
    assert raised.value.code == 0
    return folder


def test_another_box_makes_another_run(trained: Path, tmp_path: Path, recipe: str) -> None:
    shutil.copytree(trained, tmp_path / "copy")
    data = tmp_path / "copy" / "data"
    for path in (data / "vcr1images" / "train2014").iterdir():
        told = read_json(path)
        told["boxes"][0][0] = 0.0
        path.write_text(json.dumps(told))
    given = ["train", recipe, "--task", "vcr", "--data", str(data), "--encoder", "tiny:random",
             "--out", str(tmp_path / "copy" / "run")]  # fmt: skip
    with pytest.raises(SystemExit) as raised:
        cli.main(given)
    assert raised.value.code == 1


def test_choices_are_given_where_a_task_has_them(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = next((trained / "data").rglob("*.jpg"))
    given = ["predict", str(trained / "run"), "--image", str(picture), "--text", "What?"]
    with pytest.raises(SystemExit) as raised:
        cli.main([*given, "--choices", "a", "b"])
    assert raised.value.code == 2 and "two questions in a row" in capsys.readouterr().err


def test_a_run_answers_the_test_split_without_answers(trained: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    shutil.copytree(trained / "data", data)
    rows = list(read_jsonl(data / "vcr1annots" / "val.jsonl"))
    (data / "vcr1annots" / "test.jsonl").write_text(
        "".join(json.dumps({k: v for k, v in row.items() if "label" not in k}) + "\n"
                for row in rows)
    )  # fmt: skip
    out = tmp_path / "submission.csv"
    with pytest.raises(SystemExit) as raised:
        cli.main(["predict", str(trained / "run"), "--data", str(data), "--split", "test",
                  "--out", str(out)])  # fmt: skip
    assert raised.value.code == 0
    task = tasks.load("vcr")
    assert [name for name, _ in task.read(out)] == [
        example.id for example in task.examples(Data(data), "test")
    ]
