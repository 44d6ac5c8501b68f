"""Encoders that are trained: LoRA finds its layers in every library, and all of a network moves."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from clipvil import encoders
from clipvil.core import UsageError
from clipvil.encoders import _tuning
from clipvil.encoders.base import Encoder
from tests.encoders import small

SLOW = pytest.mark.slow  # libraries that take seconds to import
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


@pytest.mark.slow
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
