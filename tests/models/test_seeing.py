"""A model whose encoder learns with it: all that should is learnt and kept, and nothing else."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from clipvil import encoders
from clipvil.data import live
from clipvil.data.labels import LabelBatch
from clipvil.data.live import Live, Shown
from clipvil.data.sight import Grids
from clipvil.encoders import _tuning
from clipvil.models import mcan
from clipvil.models._seeing import Seeing
from clipvil.train.fit import Objective
from tests import noise
from tests.models.tiny import ANSWERS, WORDS, some
from tests.noise import BROKEN, NAMES


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return noise.write(tmp_path_factory.mktemp("pictures"))


def batch_of(looked: Grids) -> LabelBatch:
    """Questions about what was looked at."""
    asked = some(len(looked.image))
    return replace(asked, image=looked.image, seen=looked.seen, grid=looked.grid)


def model_of(width: int) -> mcan.Model:
    torch.manual_seed(0)
    config = mcan.Config(width=16, heads=2, layers=1, flat=24, word_width=12, dropout=0.0)
    return mcan.Model(config, image_width=width, num_words=WORDS, num_answers=ANSWERS)


def seeing_of(files: dict[str, Path], way: _tuning.Way) -> tuple[Seeing, LabelBatch]:
    """A model with an encoder, and a batch of every picture for it."""
    encoder = encoders.load("tiny:clip")
    read = live.statistics(encoder, files, NAMES)
    made = Seeing(model_of(encoder.card.width), encoder, read, way=way, rank=2)
    return made, batch_of(Shown(encoder.preprocessing, files).look([*NAMES, BROKEN]))


def loss(seeing: Seeing, batch: LabelBatch) -> Tensor:
    return Objective(seeing)(batch).total


def step(seeing: Seeing, batch: LabelBatch) -> None:
    learnt = [p for p in seeing.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(learnt, lr=1e-3, weight_decay=0.1)
    loss(seeing.train(), batch).backward()
    optimizer.step()


def test_every_trained_weight_gets_a_gradient_and_no_statistic_moves(
    files: dict[str, Path],
) -> None:
    seeing, batch = seeing_of(files, "full")
    network, before = seeing.encoder.network, encoders.load("tiny:clip").network.state_dict()
    loss(seeing.train(), batch).backward()
    reached = {n for n, p in network.named_parameters() if p.grad is not None and p.grad.any()}
    assert reached == {n for n, _ in network.named_parameters() if not n.startswith("pool.")}
    assert {f"network.{n}" for n in reached} == _tuning.learnt(seeing.encoder).keys()
    seeing.zero_grad()
    step(seeing, batch)
    after = network.state_dict()
    assert {n for n in after if not torch.equal(after[n], before[n])} == reached


@pytest.mark.parametrize("way", ["lora", "full"])
def test_it_begins_with_the_numbers_of_a_frozen_encoder(
    way: _tuning.Way, files: dict[str, Path]
) -> None:
    seeing, batch = seeing_of(files, way)
    encoder = encoders.load("tiny:clip").freeze()
    frozen = Live(encoder, files, live.statistics(encoder, files, NAMES))
    known = model_of(encoder.card.width).loss(batch_of(frozen.look([*NAMES, BROKEN]))).total
    assert torch.equal(loss(seeing, batch), known)
    step(seeing, batch)
    assert not torch.equal(loss(seeing, batch), known)


@pytest.mark.parametrize("way", ["lora", "full"])
def test_a_state_makes_the_same_model_again(way: _tuning.Way, files: dict[str, Path]) -> None:
    seeing, batch = seeing_of(files, way)
    step(seeing, batch)
    step(seeing, batch)  # the first step of LoRA moves what began at zero, the second all of it
    state = seeing.state_dict()
    again, _ = seeing_of(files, way)
    again.load_state_dict(state)
    assert torch.equal(loss(again.eval(), batch), loss(seeing.eval(), batch))
    state.popitem()
    with pytest.raises(RuntimeError, match="Missing key"):
        again.load_state_dict(state)


@pytest.mark.parametrize("way", ["lora", "full"])
def test_a_trained_encoder_is_made_again_from_its_own_weights(
    way: _tuning.Way, files: dict[str, Path]
) -> None:
    seeing, batch = seeing_of(files, way)
    step(seeing, batch)
    step(seeing, batch)
    kept = {
        name.removeprefix("encoder."): tensor
        for name, tensor in seeing.state_dict().items()
        if name.startswith("encoder.")
    }
    if way == "lora":
        assert all(name.endswith((".up", ".down")) for name in kept), "only its own weights"
    encoder = encoders.load("tiny:clip")
    _tuning.tune(encoder, way, 2)
    encoder = _tuning.restore(encoder, kept)
    plain = encoders.load("tiny:clip")
    assert encoder.state_dict().keys() == plain.state_dict().keys(), "the products are merged"
    pixels = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)
    with torch.no_grad():
        assert torch.equal(encoder(pixels).grid, seeing.eval().encoder(pixels).grid)
        assert not torch.equal(encoder(pixels).grid, plain(pixels).grid)
    _tuning.tune(plain, way, 2)
    with pytest.raises(ValueError, match="not the trained weights"):
        _tuning.restore(plain, dict(list(kept.items())[1:]))
