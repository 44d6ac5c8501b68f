"""A model with its encoder: what a frozen one sees a store has; a trained one learns all it should.

Pictures are noise of three shapes, one of them is broken; models are the small ones.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from clipvil import encoders
from clipvil.core import UsageError
from clipvil.data.labels import LabelBatch
from clipvil.data.sight import Grids, Shown, Statistics, Stored
from clipvil.encoders import _tuning
from clipvil.encoders.base import Encoder, Preprocessing, hash_weights
from clipvil.features.encode import encode
from clipvil.features.lookup import Lookup
from clipvil.models import _seeing, mcan
from clipvil.models._seeing import Seeing
from tests.encoders import small
from tests.models.tiny import ANSWERS, WORDS, some

SLOW = pytest.mark.slow  # libraries that take seconds to import
READ = Preprocessing.read
THICK = """
from torch import nn
from clipvil.encoders.base import Preprocessing


class Mine(nn.Module):
    preprocessing = Preprocessing(size=(32, 32), stride=16)

    def __init__(self):
        super().__init__()
        self.patches = nn.Conv2d(3, 8, 16, 16)

    def forward(self, pixels):
        return self.patches(pixels).permute(0, 2, 3, 1)


build = Mine
"""
SHAPES = ((64, 64), (96, 48), (40, 100))  # width, height
NAMES = [f"{shape}{copy}" for shape in "abc" for copy in range(3)]
BROKEN = "broken"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pictures")
    noise = np.random.default_rng(0)
    for name in NAMES:
        width, height = SHAPES["abc".index(name[0])]
        pixels = noise.integers(0, 256, (height, width, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{name}.png")
    (folder / f"{BROKEN}.png").write_bytes(b"no picture")
    return {name: folder / f"{name}.png" for name in (*NAMES, BROKEN)}


def batch_of(looked: Grids) -> LabelBatch:
    """Questions about what was looked at."""
    asked = some(len(looked.image))
    return replace(asked, image=looked.image, seen=looked.seen, grid=looked.grid)


def model_of(width: int) -> mcan.Model:
    torch.manual_seed(0)
    config = mcan.Config(width=16, heads=2, layers=1, flat=24, word_width=12, dropout=0.0)
    return mcan.Model(config, image_width=width, num_words=WORDS, num_answers=ANSWERS)


def seeing_of(
    files: dict[str, Path], way: _tuning.Way, spec: str = "tiny:clip", rank: int = 2
) -> tuple[Seeing, LabelBatch]:
    """A model with an encoder, and a batch of every picture for it."""
    encoder = encoders.load(spec)
    shown = Shown(encoder.preprocessing, files)
    read = _seeing.statistics(encoder, shown, NAMES)
    made = Seeing(model_of(encoder.card.width), encoder, read, way=way, rank=rank)
    return made, batch_of(shown.look([*NAMES, BROKEN]))


def step(seeing: Seeing, batch: LabelBatch) -> None:
    learnt = [p for p in seeing.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(learnt, lr=1e-3, weight_decay=0.1)
    seeing.train().loss(batch).total.backward()
    optimizer.step()


def test_on_the_fly_a_frozen_encoder_gives_what_an_exact_store_has(
    files: dict[str, Path], tmp_path: Path
) -> None:
    seeing, batch = seeing_of(files, "live")
    encode(seeing.encoder, files, tmp_path / "store", dtype="fp32")
    lookup = Lookup([tmp_path / "store"])
    read = Statistics.of(lookup, [*NAMES, BROKEN])
    assert np.array_equal(read.mean, seeing.mean.numpy())
    assert np.array_equal(read.deviation, seeing.deviation.numpy())
    stored = Stored(lookup, read).look([*NAMES, BROKEN])
    looked = seeing.look(batch.image, batch.grid)
    assert torch.equal(stored.image, looked.image)
    assert torch.equal(stored.seen, looked.seen) and torch.equal(stored.grid, looked.grid)
    assert looked.grid[-1].tolist() == [1, 1] and not looked.image[-1].any(), "one empty cell"
    alone = seeing.model.loss(batch_of(stored)).total
    assert torch.equal(seeing.loss(batch).total, alone)


def test_a_frozen_encoder_is_the_same_bytes_after_training(files: dict[str, Path]) -> None:
    seeing, batch = seeing_of(files, "live")
    before, first = hash_weights(seeing.encoder.network), hash_weights(seeing.model)
    step(seeing, batch)
    assert hash_weights(seeing.encoder.network) == before
    assert hash_weights(seeing.model) != first
    assert seeing.learnt == 0 and not [n for n in seeing.state_dict() if n.startswith("encoder")]


def test_every_trained_weight_gets_a_gradient_and_no_statistic_moves(
    files: dict[str, Path],
) -> None:
    seeing, batch = seeing_of(files, "full")
    network, before = seeing.encoder.network, encoders.load("tiny:clip").network.state_dict()
    seeing.train().loss(batch).total.backward()
    reached = {n for n, p in network.named_parameters() if p.grad is not None and p.grad.any()}
    assert reached == {n for n, _ in network.named_parameters() if not n.startswith("pool.")}
    assert seeing.learnt == sum(p.numel() for n, p in network.named_parameters() if n in reached)
    seeing.zero_grad()
    step(seeing, batch)
    after = network.state_dict()
    moved = {name for name in after if not torch.equal(after[name], before[name])}
    assert moved == reached


def test_lora_changes_nothing_at_the_start_and_can_be_merged(files: dict[str, Path]) -> None:
    seeing, batch = seeing_of(files, "lora")
    frozen, _ = seeing_of(files, "live")
    assert torch.equal(seeing.loss(batch).total, frozen.loss(batch).total)
    step(seeing, batch)
    step(seeing, batch)  # the first step moves what began at zero; the second all of it
    added = {n for n in seeing.state_dict() if n.startswith("encoder.")}
    assert added and all(n.endswith((".up", ".down")) for n in added), "only its own weights"
    learnt = seeing.eval().loss(batch).total
    assert not torch.equal(learnt, frozen.loss(batch).total)
    _tuning.merge(seeing.encoder.network)
    torch.testing.assert_close(seeing.loss(batch).total, learnt)
    plain = encoders.load("tiny:clip").network.state_dict()
    assert seeing.encoder.network.state_dict().keys() == plain.keys()


@pytest.mark.parametrize("way", ["live", "lora", "full"])
def test_a_state_makes_the_same_model_again(way: _tuning.Way, files: dict[str, Path]) -> None:
    seeing, batch = seeing_of(files, way)
    step(seeing, batch)
    again, _ = seeing_of(files, way)
    again.load_state_dict(seeing.state_dict())
    assert torch.equal(again.eval().loss(batch).total, seeing.eval().loss(batch).total)
    state = seeing.state_dict()
    state.popitem()
    with pytest.raises(RuntimeError, match="Missing key"):
        again.load_state_dict(state)


def test_what_stands_beside_a_picture_changes_nothing(files: dict[str, Path]) -> None:
    seeing, batch = seeing_of(files, "live")
    padding = torch.tensor(77, dtype=torch.uint8)
    noise = torch.where(batch.seen.unsqueeze(-1), batch.image, padding)
    known = seeing.look(batch.image, batch.grid)
    assert torch.equal(seeing.look(noise, batch.grid).image, known.image)
    twice = [*NAMES[:2], NAMES[1], BROKEN, BROKEN, NAMES[1], *NAMES[2:5]]
    shown = Shown(seeing.encoder.preprocessing, files)
    image, _, grid = shown.look(twice)
    looked = seeing.look(image, grid)
    for row, name in enumerate(twice):
        image, _, grid = shown.look([name])
        own = seeing.look(image, grid)
        cells = int(own.seen.sum())
        assert torch.equal(looked.grid[row], own.grid[0]) and int(looked.seen[row].sum()) == cells
        torch.testing.assert_close(looked.image[row, :cells], own.image[0], atol=1e-4, rtol=1e-4)


def test_decoded_pictures_are_kept_as_long_as_there_is_room(
    files: dict[str, Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    encoder = encoders.load("tiny:clip")
    opened = list[Path]()
    monkeypatch.setattr(
        Preprocessing, "read", lambda self, path: opened.append(path) or READ(self, path)
    )
    shown = Shown(encoder.preprocessing, files, room=2 * 64 * 64 * 3)
    for names, decoded in (("a0", 1), ("a0 a1 a1", 1), ("a1 a0", 0), ("a2", 1), ("a1", 1)):
        opened.clear()
        shown.look(names.split())
        assert len(opened) == decoded, names
    roomy = Shown(encoder.preprocessing, files)
    for _ in range(2):
        roomy.look([BROKEN, "a0"])
    assert capsys.readouterr().err.count("it counts as empty") == 1


@pytest.mark.parametrize(
    ("spec", "way", "rank", "said"),
    [
        ("tiny:clip", "lora", 0, "at least 1"),
        ("tiny:clip,precision=bf16", "full", 1, "too coarse"),
        ("module:OWN:build", "lora", 1, "neither"),
    ],
)
def test_what_cannot_be_trained_says_so(
    spec: str, way: _tuning.Way, rank: int, said: str, tmp_path: Path
) -> None:
    (tmp_path / "own.py").write_text(THICK)
    encoder = encoders.load(spec.replace("OWN", str(tmp_path / "own.py")))
    with pytest.raises(UsageError, match=said):
        _tuning.tune(encoder, way, rank)


LIBRARIES = [
    ("timm:test_vit.r160_in1k,weights=random,size=64", 12),  # qkv and proj, in blocks
    ("timm:test_resnet.r160_in1k,weights=random,size=64", None),
    pytest.param("timm:eva02_tiny_patch14_224.mim_in22k,weights=random,size=56", None, marks=SLOW),
    pytest.param("openclip:local-dir:SMALL/openclip/vit,weights=random", 6, marks=SLOW),
    pytest.param("openclip:local-dir:SMALL/openclip/resnet,weights=random", None, marks=SLOW),
    pytest.param("hf:SMALL/hf/clip,weights=random", 12, marks=SLOW),
    pytest.param("hf:SMALL/hf/siglip,weights=random", 12, marks=SLOW),
    pytest.param("hf:SMALL/hf/vit,weights=random", 12, marks=SLOW),
    pytest.param("hf:SMALL/hf/dinov2,weights=random", 12, marks=SLOW),
    pytest.param("hf:SMALL/hf/swin,weights=random", 8, marks=SLOW),
]


def opened(spec: str, folder: Path) -> tuple[Encoder, Tensor]:
    """An encoder whose residual branches do not begin closed, with zeros, and two pictures."""
    small.write(folder)
    encoder = encoders.load(spec.replace("SMALL", str(folder)))
    torch.manual_seed(0)
    for parameter in encoder.parameters():
        parameter.data += 0.01 * torch.randn_like(parameter)
    return encoder, torch.randint(0, 256, (2, 3, *encoder.preprocessing.size), dtype=torch.uint8)


@pytest.mark.parametrize(("spec", "layers"), LIBRARIES)
def test_lora_finds_its_layers_in_every_library(
    spec: str, layers: int | None, tmp_path: Path
) -> None:
    encoder, pixels = opened(spec, tmp_path)
    with torch.no_grad():
        before = encoder(pixels).grid
    _tuning.tune(encoder, "lora", 2)
    grid = encoder.train()(pixels).grid
    torch.testing.assert_close(grid, before, atol=1e-5, rtol=1e-5)
    learnt = {n: p for n, p in encoder.named_parameters() if p.requires_grad}
    with torch.no_grad():
        for name, parameter in learnt.items():
            if name.endswith(".up"):
                parameter.add_(0.02 * torch.randn_like(parameter))
    grid = encoder(pixels).grid
    assert not torch.allclose(grid, before, atol=1e-4)
    (grid * torch.randn_like(grid)).sum().backward()
    assert not [n for n, p in learnt.items() if p.grad is None or not p.grad.any()]
    assert learnt and (layers is None or len(learnt) == 2 * layers)
    _tuning.merge(encoder.network)
    torch.testing.assert_close(encoder(pixels).grid, grid, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("spec", "layers"), LIBRARIES)
def test_training_in_full_reaches_every_weight_that_it_means_to(
    spec: str, layers: int | None, tmp_path: Path
) -> None:
    encoder, pixels = opened(spec, tmp_path)
    _tuning.tune(encoder, "full", 1)
    grid = encoder.train()(pixels).grid
    (grid * torch.randn_like(grid)).sum().backward()
    for name, parameter in encoder.named_parameters():
        reached = parameter.grad is not None and bool(parameter.grad.any())
        assert reached == parameter.requires_grad, name
