"""Recipes find their tasks, and tasks of labels go through `compare`."""

from pathlib import Path

import pytest

from clipvil import api, recipes, tasks
from clipvil.core import UsageError
from clipvil.files import read_json, read_jsonl
from tests.command import run as command

RECIPE = """
from clipvil.models import mcan
from clipvil.train.recipe import Recipe, Stage


def recipe():
    config = mcan.Config(width=16, heads=2, layers=1, flat=16, word_width=16)
    stage = Stage(least_steps=12, most_steps=12, batch=8, validations=3)
    return Recipe(model="mcan", config=config, stages=(stage,), rates=(1e-3,))
"""


def test_a_variant_takes_the_recipe_of_its_task() -> None:
    assert recipes.default("gqa@ood", "mcan") == "gqa_mcan"
    assert recipes.task_of("snli_ve_mcan") == "snli_ve"


def test_a_model_of_ones_own_takes_a_recipe_of_ones_own(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="your own, a Recipe whose `model` it is: --recipe"):
        api.plan(task="vqa", data=tmp_path, encoders=["tiny:clip"], out=tmp_path,
                 model="module:my_model.py")  # fmt: skip


@pytest.mark.slow
def test_a_variant_of_a_task_of_labels_is_compared(tmp_path: Path) -> None:
    name = "gqa@ood"
    task = tasks.load(name)
    task.tiny(tmp_path / "data")
    (tmp_path / "own.py").write_text(RECIPE)
    given = [
        "compare", "--task", name,
        "--data", str(tmp_path / "data"), "--out", str(tmp_path / "out"),
        "--encoders", "tiny:clip", "--shots", "100%", "--seeds", "1", "--jobs", "1",
        "--recipe", f"module:{tmp_path / 'own.py'}:recipe",
    ]  # fmt: skip
    assert "One seed was run: nothing is called significant" in command(*given)
    rows = list(read_jsonl(tmp_path / "out" / "results.jsonl"))
    arms = {row["encoder"] for row in rows if row["metric"] == task.metrics[0].name}
    assert len(arms) >= 4, "an encoder, shuffled pictures, text alone, the prior"
    run = next(path.parent for path in (tmp_path / "out").rglob("answered.json"))
    assert task.metrics[0].name in read_json(run / "result.json")[task.splits.report]
    said = dict(task.read(run / f"answers-{task.splits.report}.json"))
    command("predict", str(run), "--out", str(tmp_path / "again"))
    assert dict(task.read(tmp_path / "again")) == said
