"""A healthy encoder passes every check; every fault that has happened is caught by its own."""

import copy
import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import MethodType

import pytest
import torch
from PIL import Image
from timm.layers import QuickGELU
from torch import Tensor, nn
from torch.nn import functional as F

from clipvil import cli, encoders
from clipvil.encoders.base import Encoder, Pixels, Preprocessing
from clipvil.health import numbers, sources
from clipvil.health.base import Finding, Source
from clipvil.health.examine import examine, photographs
from tests.encoders.test_module import OWN

VIT = "timm:test_vit.r160_in1k,weights=random"
CLIP = "timm:vit_base_patch32_clip_quickgelu_224.openai,weights=random,size=96"
RESNET = "timm:test_resnet.r160_in1k,weights=random"
HEALTHY = [
    "tiny:clip",
    "tiny:supervised",
    pytest.param(VIT, marks=pytest.mark.slow),
    pytest.param(VIT + ",size=96x128,layer=-2", marks=pytest.mark.slow),
    pytest.param(VIT + ",precision=bf16", marks=pytest.mark.slow),
    pytest.param(RESNET, marks=pytest.mark.slow),
    pytest.param(RESNET + ",layer=1,size=64", marks=pytest.mark.slow),
    pytest.param("timm:test_efficientnet.r160_in1k,weights=random", marks=pytest.mark.slow),
    pytest.param("timm:test_maxvit,weights=random", marks=pytest.mark.slow),
]
ALWAYS = {"parity", "parity at a rectangle"}  # any fault may show there as well


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(numbers, "SECONDS", 0.0)


def findings(encoder: Encoder, source: Source | None) -> dict[str, Finding]:
    return {found.check: found for found in examine(encoder, source, numbers.made)}


def failed(encoder: Encoder, source: Source | None) -> set[str]:
    found = findings(encoder, source)
    return {name for name, finding in found.items() if finding.state == "failed"}


@pytest.mark.parametrize("spec", HEALTHY)
def test_a_healthy_encoder_passes_all(spec: str) -> None:
    found = findings(encoders.load(spec), sources.of(spec))
    assert not {name: f.reason for name, f in found.items() if f.state == "failed"}
    assert all(found[name].state == "passed" for name in ("colours", "token order", "parity"))
    assert all(f.reason for f in found.values()), "what is not applicable says why"


@pytest.mark.slow
@pytest.mark.parametrize(
    "spec",
    [
        CLIP,
        "timm:resnet50_clip.openai,weights=random,size=96",
        "timm:convnext_atto.d2_in1k,weights=random,size=96",
    ],
)
def test_networks_that_people_use_pass_all(spec: str) -> None:
    assert not failed(encoders.load(spec), sources.of(spec))


class Around(nn.Module):
    """A network with something done to what goes in and to the grid that comes out."""

    def __init__(
        self,
        network: nn.Module,
        before: Callable[[Tensor], Tensor] = lambda x: x,
        after: Callable[[Tensor], Tensor] = lambda x: x,
    ) -> None:
        super().__init__()
        self.inner, self.before, self.after = network, before, after

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor | None]:
        grid, pooled = self.inner(self.before(pixels))
        return self.after(grid), pooled


@dataclass(frozen=True)
class Blue(Preprocessing):
    """Pixels as OpenCV reads them."""

    def __call__(self, picture: Image.Image) -> Pixels:
        pixels = super().__call__(picture)
        return pixels._replace(values=pixels.values[::-1].copy())


def table(encoder: Encoder) -> Tensor:
    return encoder.network.network.pos_embed.data


def no_positions(encoder: Encoder) -> None:
    table(encoder).zero_()


def unused_positions(encoder: Encoder) -> None:
    def place(vit: nn.Module, x: Tensor) -> Tensor:
        return torch.cat([vit.cls_token.expand(len(x), -1, -1), x.flatten(1, 2)], 1)

    replace_placing(encoder, place)


def replace_placing(encoder: Encoder, place: Callable[[nn.Module, Tensor], Tensor]) -> None:
    vit = encoder.network.network
    vit._pos_embed = MethodType(place, vit)


def rolled_positions(encoder: Encoder) -> None:
    table(encoder)[:, 1:] = table(encoder)[:, 1:].roll(1, 1)


def resampled(encoder: Encoder, resample: Callable[[Tensor, int, int], Tensor]) -> None:
    """Positions at any but the native grid by another rule, [1, D, R, C] -> [1, N, D]."""

    def other(vit: nn.Module, x: Tensor) -> Tensor:
        rows, columns = x.shape[1:3]
        if (rows, columns) == (10, 10):
            return type(vit)._pos_embed(vit, x)
        square = vit.pos_embed[:, 1:].reshape(1, 10, 10, -1).permute(0, 3, 1, 2)
        places = torch.cat([vit.pos_embed[:, :1], resample(square, rows, columns)], 1)
        return torch.cat([vit.cls_token.expand(len(x), -1, -1), x.flatten(1, 2)], 1) + places

    replace_placing(encoder, other)


def square_positions(encoder: Encoder) -> None:
    def resample(square: Tensor, rows: int, columns: int) -> Tensor:
        side = int((rows * columns - 1) ** 0.5) + 1
        wide = F.interpolate(square, (side, side), mode="bicubic", antialias=True)
        return wide.flatten(2).transpose(1, 2)[:, : rows * columns]

    resampled(encoder, resample)


def bilinear_positions(encoder: Encoder) -> None:
    def resample(square: Tensor, rows: int, columns: int) -> Tensor:
        return F.interpolate(square, (rows, columns), mode="bilinear").flatten(2).transpose(1, 2)

    resampled(encoder, resample)


def transposed_tokens(encoder: Encoder) -> None:
    around(encoder, after=lambda grid: grid.transpose(1, 2).reshape(grid.shape))


def shifted_tokens(encoder: Encoder) -> None:
    around(encoder, after=lambda grid: grid.flatten(1, 2).roll(1, 1).reshape(grid.shape))


def mirrored_tokens(encoder: Encoder) -> None:
    around(encoder, after=lambda grid: grid.flip(2))


def around(encoder: Encoder, **settings: Callable[[Tensor], Tensor]) -> None:
    encoder.network = Around(encoder.network, **settings)


def blue_first_inside(encoder: Encoder) -> None:
    around(encoder, before=lambda pixels: pixels.flip(1))


def blue_first_outside(encoder: Encoder) -> None:
    own = encoder.preprocessing
    encoder.preprocessing = Blue(size=own.size, stride=own.stride, fit=own.fit)


def another_mean(encoder: Encoder) -> None:
    encoder.mean.copy_(255 * torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1))


def never_divided_by_255(encoder: Encoder) -> None:
    encoder.std /= 255


def nan_weight(encoder: Encoder) -> None:
    next(encoder.network.parameters()).data.view(-1)[0] = float("nan")


def nan_feature(encoder: Encoder) -> None:
    around(encoder, after=lambda grid: grid / 0)


def another_activation(encoder: Encoder) -> None:
    for module in list(encoder.network.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.GELU):
                setattr(module, name, QuickGELU())
            elif isinstance(child, QuickGELU):
                setattr(module, name, nn.GELU())


def another_weight(encoder: Encoder) -> None:
    list(encoder.network.parameters())[3].data.mul_(1.01)


FAULTS: list[tuple[str, Callable[[Encoder], None], str, set[str]]] = [
    (VIT, no_positions, "positions",
     {"positions at the native size", "positions at a rectangle"}),
    (VIT, unused_positions, "positions",
     {"positions at the native size", "positions at a rectangle"}),
    (VIT, rolled_positions, "positions at the native size", {"positions at a rectangle"}),
    (VIT, square_positions, "positions at a rectangle", set()),
    (VIT, bilinear_positions, "parity at a rectangle", {"positions at a rectangle"}),
    (VIT, transposed_tokens, "token order",
     {"positions at the native size", "positions at a rectangle"}),
    (VIT, shifted_tokens, "token order",
     {"positions at the native size", "positions at a rectangle"}),
    (RESNET, mirrored_tokens, "token order", set()),
    ("tiny:clip", shifted_tokens, "token order", set()),
    (VIT, blue_first_inside, "colours", set()),
    (RESNET, blue_first_inside, "colours", set()),
    ("tiny:clip", blue_first_outside, "colours", set()),
    (VIT, another_mean, "normalisation", set()),
    ("tiny:clip", never_divided_by_255, "normalisation", {"colours"}),
    (VIT, nan_weight, "weights", {"features"}),
    (RESNET, nan_feature, "features", {"colours", "token order"}),
    (VIT, another_activation, "activation", set()),
    (VIT, another_weight, "parity", set()),
    ("tiny:supervised", another_weight, "parity", set()),
]  # fmt: skip


@pytest.fixture(scope="module")
def whole() -> Callable[[str], tuple[Encoder, Source | None]]:
    made: dict[str, tuple[Encoder, Source | None]] = {}

    def load(spec: str) -> tuple[Encoder, Source | None]:
        if spec not in made:
            made[spec] = encoders.load(spec), sources.of(spec)
        encoder, source = made[spec]
        return copy.deepcopy(encoder), source

    return load


@pytest.mark.parametrize(
    ("spec", "plant", "check", "besides"),
    [
        pytest.param(
            *fault,
            id=f"{fault[1].__name__}-{fault[0].partition('.')[0]}",
            marks=[] if fault[0].startswith("tiny:") else pytest.mark.slow,
        )
        for fault in FAULTS
    ],
)
def test_a_fault_is_caught_by_its_check(
    whole: Callable[[str], tuple[Encoder, Source | None]],
    spec: str,
    plant: Callable[[Encoder], None],
    check: str,
    besides: set[str],
) -> None:
    encoder, source = whole(spec)
    plant(encoder)
    found = findings(encoder, source)
    assert all(f.value is None or math.isfinite(f.value) for f in found.values()), "JSON's numbers"
    assert not any("nan" in f.reason.split() for f in found.values() if f.state == "passed")
    caught = {name for name, finding in found.items() if finding.state == "failed"}
    assert check in caught
    if plant not in (nan_weight, nan_feature):  # with those hardly anything can be compared
        assert caught <= {check, *besides, *ALWAYS}, "and no other check is blamed"


@pytest.mark.slow
def test_positions_that_were_asked_to_be_zero_are_still_called_a_fault() -> None:
    spec = VIT + ",positions=zero"
    encoder, source = encoders.load(spec), sources.of(spec)
    assert "all zero" in findings(encoder, source)["positions"].reason
    alike = {"positions", "positions at the native size", "positions at a rectangle"}
    assert {"positions"} <= failed(encoder, source) <= alike | ALWAYS


@pytest.mark.slow
def test_quickgelu_weights_in_a_network_of_gelu() -> None:
    encoder, source = encoders.load(CLIP), sources.of(CLIP)
    another_activation(encoder)
    found = findings(encoder, source)["activation"]
    assert found.state == "failed" and "GELU, where timm" in found.reason
    assert found.reason.endswith("computes QuickGELU")


def test_a_users_own_gets_the_checks_that_need_no_source(tmp_path: Path) -> None:
    own = tmp_path / "mine.py"
    own.write_text(OWN)
    encoder = encoders.load(f"module:{own}")
    assert sources.of(f"module:{own}") is None
    found = findings(encoder, None)
    passed = {name for name, finding in found.items() if finding.state == "passed"}
    assert passed == {"weights", "features", "normalisation", "colours", "token order", "speed"}
    assert "no source" in found["parity"].reason
    transposed_tokens(encoder)
    blue_first_outside(encoder)
    assert failed(encoder, None) == {"token order", "colours"}
    around(encoder, after=lambda grid: grid.reshape(3, 5, 7))
    assert "breaks off" in findings(encoder, None)["token order"].reason


def test_the_command_says_it_with_its_status(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for k, colour in enumerate(("red", "navy", "olive")):
        Image.effect_mandelbrot((90, 60), (-3, -2.5, 2, 2.5), 50 + k).convert("RGB").save(
            tmp_path / f"{colour}.png"
        )
    assert photographs(tmp_path)((32, 48)).shape == (3, 3, 32, 48)
    assert cli.run("check", ["tiny:clip", "--images", str(tmp_path), "--json"]) == 0
    row = json.loads(capsys.readouterr().out)
    assert row["healthy"] and row["device"] == "cpu" and row["source"].startswith("clipvil")
    assert [c["value"] for c in row["checks"] if c["check"] == "weights"] == [0]
    assert cli.run("check", ["tiny:clip", "--images", str(tmp_path / "nowhere")]) == 1
    (tmp_path / "zero.png").write_bytes(b"")
    assert cli.run("check", ["tiny:clip", "--images", str(tmp_path)]) == 1
    assert f"{tmp_path / 'zero.png'}: empty file" in capsys.readouterr().err
    assert cli.run("check", ["tiny:clip", "--device", "cuda:99"]) == 2
    own = tmp_path / "mine.py"
    own.write_text(OWN.replace("return grid", "grid = grid.flip(2)\n        return grid"))
    assert cli.run("check", [f"module:{own}"]) == 1
    assert "failed" in capsys.readouterr().out
