"""What we promise of the recipe behind the embedded encoders: it repeats, and it resumes."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch

from clipvil.encoders import tiny
from clipvil.pretrain import tiny_encoders
from clipvil.pretrain.views import GROUP, Recipe, Views, moved, normal, rows_of, views

SMALL = Recipe(objective="clip", steps=4, batch=32, groups=6, warmup=2, probed=40)


@pytest.fixture(autouse=True)
def _one_thread_and_frequent_checkpoints(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.set_num_threads(1)
    monkeypatch.setattr(tiny_encoders, "CHECKPOINT_SECONDS", -1)
    monkeypatch.setattr(tiny_encoders, "LOG_EVERY", 2)


@pytest.fixture(scope="module")
def data() -> Views:
    return views(SMALL)


@pytest.mark.slow
@pytest.mark.parametrize("objective", ["clip", "supervised"])
def test_an_interrupted_run_ends_with_the_same_weights(
    objective: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = replace(SMALL, objective=objective)
    tiny_encoders.train(recipe, tmp_path / "whole")
    step = tiny_encoders._step

    def power_cut(*given: object) -> float:
        if given[-1] == 3:
            raise KeyboardInterrupt
        return step(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(tiny_encoders, "_step", power_cut)
    with pytest.raises(KeyboardInterrupt):
        tiny_encoders.train(recipe, tmp_path / "cut")
    monkeypatch.setattr(tiny_encoders, "_step", step)
    tiny_encoders.train(recipe, tmp_path / "cut")
    whole, cut = (tmp_path / run / f"tiny_{objective}.safetensors" for run in ("whole", "cut"))
    assert whole.read_bytes() == cut.read_bytes()
    curve = json.loads(cut.with_suffix(".json").read_text())["curve"]
    assert [entry["step"] for entry in curve] == [2, 4]
    assert 0 <= curve[-1]["shape"] <= 1 and curve[-1]["cpu_s"] >= curve[0]["cpu_s"]
    encoder = tiny.build(objective, {"weights": str(cut)})
    assert encoder.card.weights != tiny.build(objective, {}).card.weights


@pytest.mark.slow
def test_another_recipe_does_not_go_on_with_a_run(tmp_path: Path) -> None:
    tiny_encoders.train(SMALL, tmp_path)
    with pytest.raises(ValueError, match="another recipe"):
        tiny_encoders.train(replace(SMALL, rate=1e-4), tmp_path)


def test_a_batch_is_whole_groups_and_an_epoch_every_one_once() -> None:
    recipe = replace(SMALL, batch=2 * GROUP)
    epoch = torch.tensor([rows_of(recipe, step).tolist() for step in range(3)])
    assert sorted(epoch.flatten().tolist()) == list(range(recipe.groups * GROUP))
    assert torch.equal(epoch[:, ::GROUP] % GROUP, torch.zeros(3, 2, dtype=torch.long))
    assert rows_of(recipe, 3).tolist() != rows_of(recipe, 0).tolist(), "another order next time"


def test_views_belong_together(data: Views) -> None:
    words = tiny.Words(tiny_encoders.vocabulary())
    assert len(data.pixels) == len(data.captions) == len(data.labels) == SMALL.groups * GROUP
    assert 1 not in data.captions, "every word is known"
    assert data.captions.max() < len(words) and (data.captions[:, :, 0] > 0).all()
    still = moved(normal(data.pixels[:4]), replace(SMALL, jitter=0), 0)
    assert torch.equal(still, normal(data.pixels[:4]))
    assert moved(still, SMALL, 1).shape == still.shape


@pytest.mark.parametrize("name", tiny.NAMES)
def test_the_shipped_weights_say_how_they_were_made(name: str) -> None:
    record = json.loads(tiny.shipped(name).with_suffix(".json").read_text())
    assert record["recipe"].keys() == asdict(SMALL).keys()
    if name != "random":
        assert record["recipe"] == asdict(Recipe(objective=name)), "the recipe as it stands"
        assert record["curve"][-1]["step"] == record["recipe"]["steps"]
    assert {"shape", "colour"} <= record["curve"][-1].keys()
    assert {"torch", "numpy", "python"} <= record.keys()
    assert tiny.shipped(name).stat().st_size < 3_000_000
