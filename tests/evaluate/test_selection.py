"""What the best weights are chosen on, and that a published choice on reported data is marked."""

from dataclasses import replace
from pathlib import Path

import pytest

from clipvil import api, tasks
from clipvil.core import Data
from clipvil.evaluate.collect import selected
from clipvil.evaluate.run import read_plan
from clipvil.files import read_json
from tests.answers.test_moves import features, recipe


@pytest.mark.parametrize(("how", "split"), [("apart", "val_seen"), ("reported", "val_unseen")])
def test_selection_reads_what_it_is_told_to_and_says_so(
    how: str, split: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    source, run = features(tmp_path / "data", "r2r"), tmp_path / "run"
    made = replace(recipe("imitate"), select=how)
    asked = {"task": "r2r", "data": tmp_path / "data", "encoder": f"features:{source}"}
    api.train(made, **asked, out=run)
    chosen = read_json(run / "subset.json")
    ids = {example.id for example in tasks.load("r2r").examples(Data(tmp_path / "data"), split)}
    assert chosen["select_split"] == split and set(chosen["select"]) <= ids
    assert read_plan(run).recipe == made
    api.evaluate(run)
    reported = how == "reported"
    assert ("the split that is reported" in capsys.readouterr().err) == reported
    assert selected(read_plan(run)) == (", selected on val_unseen" if reported else "")
    assert ("select" in read_json(run / "recipe.json")["recipe"]) == reported, "as it always was"
