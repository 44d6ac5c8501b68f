"""What every encoder family promises, on weights that need no network."""

import copy
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from clipvil import encoders
from clipvil.encoders import _precision
from clipvil.encoders.base import Encoder, hash_weights
from tests.encoders import small
from tests.encoders.test_module import OWN

SAMPLES = {  # a new family adds one or two of its own here
    "timm": [
        "timm:test_resnet.r160_in1k,weights=random,size=96",
        "timm:test_vit.r160_in1k,weights=random,size=96",
        "timm:test_efficientnet.r160_in1k,weights=random,layer=-2,size=64",
    ],
    "openclip": [
        "openclip:local-dir:SMALL/openclip/vit,weights=random",
        "openclip:local-dir:SMALL/openclip/resnet,weights=random",
    ],
    "hf": ["hf:SMALL/hf/clip,weights=random", "hf:SMALL/hf/siglip,weights=random"],
    "tiny": ["tiny:clip", "tiny:supervised", "tiny:random"],
    "module": ["module:OWN:build"],
}
HEAVY = {"openclip", "hf"}  # libraries that take seconds to import
SPECS = [
    pytest.param(spec, marks=pytest.mark.slow if family in HEAVY else ())
    for family in encoders.families()
    for spec in SAMPLES.get(family, [])
]


def test_every_family_has_a_sample() -> None:
    assert set(encoders.families()) <= SAMPLES.keys()


@pytest.fixture(scope="module", params=SPECS)
def spec(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("own")
    own = folder / "mine.py"
    own.write_text(OWN)
    if "SMALL" in request.param:
        small.write(folder)
    return str(request.param).replace("OWN", str(own)).replace("SMALL", str(folder))


@pytest.fixture(scope="module")
def encoder(spec: str) -> Encoder:
    return encoders.load(spec)


@pytest.fixture
def batch(encoder: Encoder) -> Tensor:
    """Three noisy landscapes, as the encoder wants them."""
    torch.manual_seed(0)
    noise = torch.randint(0, 256, (3, 48, 80, 3), dtype=torch.uint8).numpy()
    shown = [encoder.preprocessing(Image.fromarray(n).resize((160, 96))) for n in noise]
    return torch.stack([torch.from_numpy(s.values) for s in shown])  # [B, 3, H, W]


def test_the_fingerprint_is_stable(spec: str, encoder: Encoder) -> None:
    again = encoders.load(spec)
    assert again.card == encoder.card and again.card.fingerprint == encoder.card.fingerprint
    assert encoder.card.name.startswith(spec.partition(",")[0]) and not encoder.training


def test_shapes_are_those_of_the_card(encoder: Encoder, batch: Tensor) -> None:
    with torch.inference_mode():
        seen = encoder(batch)
    stride = encoder.preprocessing.stride
    rows, columns = batch.shape[2] // stride, batch.shape[3] // stride
    assert seen.grid.shape == (3, rows, columns, encoder.card.width)
    assert seen.mask.shape == (3, rows, columns) and seen.mask.all()
    if encoder.card.pooled_width is None:
        assert seen.pooled is None
    else:
        assert seen.pooled.shape == (3, encoder.card.pooled_width)
    assert seen.grid.isfinite().all()
    if encoder.preprocessing.fit == "keep":
        assert columns > rows, "a landscape stays one"


def test_a_batch_is_its_pictures(encoder: Encoder, batch: Tensor) -> None:
    with torch.inference_mode():
        together = encoder(batch)
        for index in range(len(batch)):
            alone = encoder(batch[index : index + 1])
            torch.testing.assert_close(together.grid[index], alone.grid[0], atol=1e-5, rtol=1e-5)
            if alone.pooled is not None:
                torch.testing.assert_close(
                    together.pooled[index], alone.pooled[0], atol=1e-5, rtol=1e-5
                )


def test_padding_changes_nothing_under_the_mask(encoder: Encoder, batch: Tensor) -> None:
    stride = encoder.preprocessing.stride
    small = batch[:, :, : 2 * stride, :stride].contiguous()
    if encoder.preprocessing.fit != "keep":
        small = batch
    with torch.inference_mode():
        together = encoder.mixed([batch[0], small[1], batch[2]])
        parts = [encoder(p[None]) for p in (batch[0], small[1], batch[2])]
    for index, alone in enumerate(parts):
        rows, columns = alone.grid.shape[1:3]
        own = together.grid[index, :rows, :columns]
        torch.testing.assert_close(own, alone.grid[0], atol=1e-5, rtol=1e-5)
        assert together.mask[index, :rows, :columns].all()
        assert int(together.mask[index].sum()) == rows * columns
        assert not together.grid[index][~together.mask[index]].any(), "padding is zero"
        if alone.pooled is not None:
            pooled = together.pooled[index]
            torch.testing.assert_close(pooled, alone.pooled[0], atol=1e-5, rtol=1e-5)


def test_bf16_stays_close(encoder: Encoder, batch: Tensor) -> None:
    found = _precision.of_bf16(encoder, batch)
    assert 0.999 < found.cosine < 1 and 0 < found.largest < 0.2
    assert (found.pooled_cosine is None) == (encoder.card.pooled_width is None)
    assert found.pooled_cosine is None or found.pooled_cosine > 0.999


def test_a_frozen_encoder_is_the_same_bytes_after_any_use(encoder: Encoder, batch: Tensor) -> None:
    frozen = copy.deepcopy(encoder).freeze()
    head = nn.Linear(encoder.card.width, 1)
    model = nn.Sequential(frozen, head).train()
    assert head.training and not any(part.training for part in frozen.modules())
    before = hash_weights(frozen.network)
    with torch.inference_mode():
        known = frozen(batch).grid
    optimiser = torch.optim.SGD(model.parameters(), 0.1, weight_decay=0.1)
    grid = frozen(batch).grid
    head(grid).sum().backward()
    optimiser.step()
    assert torch.equal(grid, known), "on the fly it gives what a store would hold"
    assert hash_weights(frozen.network) == before


def test_the_same_object_trains_inside_a_model(encoder: Encoder, batch: Tensor) -> None:
    moved = copy.deepcopy(encoder)
    model = nn.Sequential(moved).train()
    assert all(part.training for part in moved.modules())
    optimiser = torch.optim.SGD(model.parameters(), 0.1)
    model.eval()
    grid = moved(batch).grid
    torch.testing.assert_close(grid, encoder(batch).grid, atol=1e-5, rtol=1e-5)
    (grid * torch.randn_like(grid)).sum().backward()
    optimiser.step()
    assert hash_weights(moved.network) != hash_weights(encoder.network)


def test_every_parameter_gets_a_gradient(encoder: Encoder, batch: Tensor) -> None:
    torch.manual_seed(0)
    moved = copy.deepcopy(encoder)
    for parameter in moved.parameters():  # untrained residual branches begin closed, with zeros
        parameter.data += 0.01 * torch.randn_like(parameter)
    seen = moved(batch)
    total = (seen.grid * torch.randn_like(seen.grid)).sum()  # a plain sum is flat behind a norm
    if seen.pooled is not None:
        total = total + (seen.pooled * torch.randn_like(seen.pooled)).sum()
    total.backward()
    assert not [n for n, p in moved.named_parameters() if p.grad is None or not p.grad.any()]


def test_the_affine_map_leads_from_pixels_to_cells(encoder: Encoder) -> None:
    shown = encoder.preprocessing(Image.new("RGB", (160, 96)))
    a, b, c, d = shown.affine
    rows, columns = (side / encoder.preprocessing.stride for side in shown.values.shape[1:])
    assert (160 * a + b, 96 * c + d) == pytest.approx((columns, rows)) and shown.size == (160, 96)


def test_a_spec_without_family_is_refused() -> None:
    with pytest.raises(ValueError, match="FAMILY:NAME"):
        encoders.load(str(Path("clip")))
