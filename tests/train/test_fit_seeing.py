"""The loop with an encoder in it: bit for bit after an interruption, at its own learning rate."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from clipvil import encoders
from clipvil.data import LabelBatch
from clipvil.encoders._tuning import Way
from clipvil.models._seeing import Seeing
from clipvil.train import keep
from clipvil.train.fit import fit
from clipvil.train.recipe import Stage
from tests.models.tiny import rows
from tests.train.two_processes import asked, seeing

ROOT = Path(__file__).parent.parent.parent
STAGE = Stage(epochs=2, batch=4, learning_rate=3e-3, encoder_rate=0.2, validations=2, clip=1.0)


class StoppedError(Exception):
    """A run that ends in the middle."""


def pick(indices: NDArray[np.int64]) -> LabelBatch:
    return rows(asked(), torch.from_numpy(indices))


def right(model: nn.Module) -> float:
    assert isinstance(model, Seeing)
    batch = model.see(asked())
    with torch.inference_mode():
        found = model.model(batch).argmax(1)
    return float((found == batch.credit.argmax(1)).float().mean())


def run(where: Path, way: Way, *, until: int | None = None, stage: Stage = STAGE) -> Seeing:
    def watch(step: int, steps: int) -> None:
        if step == until:
            raise StoppedError

    model = seeing(way)
    fit(model, stage, examples=8, batch=pick, validate=right, run=where, seed=3, watch=watch)
    return model


@pytest.mark.slow
@pytest.mark.parametrize("way", ["lora", "full"])
def test_an_interrupted_run_ends_bit_for_bit_like_one_that_was_not(
    way: Way, tmp_path: Path
) -> None:
    run(tmp_path / "whole", way)
    for stop in (1, 3):  # before and after a checkpoint
        with pytest.raises(StoppedError):
            run(tmp_path / "halves", way, until=stop)
    run(tmp_path / "halves", way)
    for name in ("best.safetensors", "metrics.jsonl"):
        whole, halves = (tmp_path / w / name for w in ("whole", "halves"))
        assert whole.read_bytes() == halves.read_bytes(), name
    names = keep.part(keep.load(tmp_path / "whole/best.safetensors")[0], "model.encoder.")
    learnt = {n for n, p in seeing(way).encoder.named_parameters() if p.requires_grad}
    assert names.keys() == learnt, "what is learnt is kept, and nothing else"


def test_the_encoder_follows_its_share_of_the_rate(tmp_path: Path) -> None:
    """Adam's first step is as long as the learning rate, whatever the gradient."""
    stage = replace(STAGE, epochs=0.5, warmup=0.0, clip=None, epsilon=1e-12)
    after = run(tmp_path, "full", stage=stage)
    before = seeing("full")
    furthest = {"encoder": 0.0, "model": 0.0}
    for (name, new), old in zip(after.named_parameters(), before.parameters(), strict=True):
        part = name.partition(".")[0]
        furthest[part] = max(furthest[part], float((new - old).detach().abs().max()))
    assert furthest["model"] == pytest.approx(stage.learning_rate, rel=1e-2)
    assert furthest["encoder"] == pytest.approx(0.2 * stage.learning_rate, rel=1e-2)


def test_bfloat16_trains_an_encoder_too(tmp_path: Path) -> None:
    run(tmp_path, "lora", stage=replace(STAGE, precision="bf16", epochs=1))


def test_the_rest_of_the_encoder_is_left_alone(tmp_path: Path) -> None:
    after = run(tmp_path, "lora").encoder.network.state_dict()
    for name, plain in encoders.load("tiny:random").network.state_dict().items():
        path, _, weight = name.rpartition(".")
        changed = f"{path}.parametrizations.{weight}.original"
        assert torch.equal(after[changed if changed in after else name], plain), name
