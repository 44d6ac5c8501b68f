"""timm's models: positions at any rectangle, layers, weights from files and caches, refusals."""

from argparse import Namespace
from pathlib import Path

import pytest
import safetensors.torch
import timm
import torch
from PIL import Image
from timm.layers import AttentionPool2d
from torch import Tensor
from torch.nn import functional as F

from clipvil import encoders
from clipvil.core import UsageError
from clipvil.encoders import _pooling
from clipvil.encoders.base import Encoder
from tests.encoders import slow, small

VIT = "timm:test_vit.r160_in1k,weights=random"
RESNET = "timm:test_resnet.r160_in1k,weights=random"


def pixels(height: int, width: int) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (2, 3, height, width), dtype=torch.uint8, generator=generator)


def normalised(encoder: Encoder, picture: Tensor) -> Tensor:
    return (picture.float() - encoder.mean) / encoder.std


@pytest.fixture(scope="module")
def vit() -> Encoder:
    return encoders.load(VIT)


def test_at_the_native_size_a_vit_is_timms_own(vit: Encoder) -> None:
    plain = timm.create_model("test_vit.r160_in1k")
    plain.load_state_dict(vit.network.network.state_dict(), strict=False)
    picture = pixels(160, 160)
    with torch.inference_mode():
        theirs = plain.eval().forward_features(normalised(vit, picture))  # [B, 1 + N, D]
        ours = vit(picture)
    assert torch.equal(ours.grid.flatten(1, 2), theirs[:, 1:])
    assert torch.equal(ours.pooled, plain.forward_head(theirs, pre_logits=True))


@pytest.mark.parametrize("shape", [(10, 10), (9, 12), (12, 9), (2, 3)])
def test_positions_are_resampled_to_the_true_rectangle(
    vit: Encoder, shape: tuple[int, int]
) -> None:
    network = vit.network.network
    own = network.pos_embed[:, 1:].reshape(1, 10, 10, -1).permute(0, 3, 1, 2)
    wanted = slow.resample(own[0].permute(1, 2, 0), shape, antialias=True)[None]
    empty = torch.zeros(1, *shape, own.shape[1])
    found = network._pos_embed(empty)[:, 1:].reshape(1, *shape, -1)
    assert float(wanted.detach().abs().max()) > 0.01, "all zeros is how the published rows came"
    if shape == (10, 10):
        assert torch.equal(found, own.permute(0, 2, 3, 1)), "untouched at the native size"
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-5)


def test_the_grid_is_row_by_row(vit: Encoder) -> None:
    """A change in one corner of the picture moves the cell of that corner most."""
    before = pixels(96, 160)[:1]
    after = before.clone()
    after[:, :, :16, -16:] = 0  # top right
    with torch.inference_mode():
        moved = (vit(after).grid - vit(before).grid).norm(dim=-1)[0]  # [R, C]
    assert moved.shape == (6, 10) and int(moved.argmax()) == 9


@pytest.mark.parametrize(
    ("options", "size", "stride", "width"),
    [
        ("", (160, 160), 32, 96),
        (",layer=-2", (160, 160), 16, 192),
        (",layer=0", (160, 160), 2, 32),
        (",size=96x128,fit=squash", (96, 128), 32, 96),
        (",size=64", (64, 64), 32, 96),
    ],
)
def test_options_choose_layer_and_size(
    options: str, size: tuple[int, int], stride: int, width: int
) -> None:
    encoder = encoders.load(RESNET + options)
    preprocessing = encoder.card.preprocessing
    assert (preprocessing.size, preprocessing.stride, encoder.card.width) == (size, stride, width)
    shown = encoder.preprocessing(Image.new("RGB", (320, 240)))
    with torch.inference_mode():
        grid = encoder(torch.from_numpy(shown.values)[None]).grid
    rows, columns = (side // stride for side in shown.values.shape[1:])
    assert grid.shape == (1, rows, columns, width)
    assert encoder.card.name == RESNET.replace(",weights=random", "") + ",".join(
        ["", *sorted((options + ",weights=random").strip(",").split(","))]
    )


def test_bf16_sees_nearly_the_same_and_is_another_encoder(vit: Encoder) -> None:
    half = encoders.load(VIT + ",precision=bf16")
    assert half.card.weights == vit.card.weights
    assert half.card.fingerprint != vit.card.fingerprint
    with torch.inference_mode():
        exact, near = vit(pixels(96, 160)).grid, half(pixels(96, 160)).grid.float()
    assert float(F.cosine_similarity(exact, near, dim=-1).min()) > 0.999


def test_positions_can_be_zero_as_they_were_in_released_code(vit: Encoder) -> None:
    placeless = encoders.load(VIT + ",positions=zero")
    assert placeless.card.weights == vit.card.weights, "it is an option, not other weights"
    assert placeless.card.fingerprint != vit.card.fingerprint
    even = torch.full((1, 3, 96, 160), 90, dtype=torch.uint8)  # all patches are alike
    with torch.inference_mode():
        told, untold = vit(even).grid.flatten(1, 2), placeless(even).grid.flatten(1, 2)
    assert torch.allclose(untold, untold[:, :1].expand_as(untold), atol=1e-5), "no cell has a place"
    assert not torch.allclose(told, told[:, :1].expand_as(told), atol=1e-3)


@pytest.mark.slow
def test_a_network_of_one_size_squashes() -> None:
    encoder = encoders.load("timm:test_maxvit,weights=random")
    assert encoder.card.preprocessing.fit == "squash"
    with pytest.raises(UsageError, match="fit=squash"):
        encoders.load("timm:test_maxvit,weights=random,fit=keep")


@pytest.mark.slow
def test_a_clip_resnets_own_pool_of_the_grid_is_its_image_embedding() -> None:
    encoder = encoders.load("timm:resnet50_clip.openai,weights=random,size=224,fit=squash")
    plain = timm.create_model("resnet50_clip")
    network = encoder.network.network
    for parameter in network.parameters():  # untrained residual branches begin closed
        parameter.data += 0.01 * torch.randn_like(parameter)
    plain.load_state_dict(network.state_dict())
    picture = pixels(224, 224)[:1]
    with torch.inference_mode():
        seen, theirs = encoder(picture), plain.eval()(normalised(encoder, picture))
        own = network.head(seen.grid.permute(0, 3, 1, 2))
    assert seen.grid.shape == (1, 7, 7, 2048) and seen.pooled.shape == (1, 1024)
    torch.testing.assert_close(seen.pooled, theirs, atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(own, theirs, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("shape", [(7, 7), (5, 9)])
def test_one_query_pools_as_timms_many(shape: tuple[int, int]) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        pool = AttentionPool2d(64, 7, 24, head_dim=16, qkv_separate=True).eval()
        cells = torch.randn(2, 64, *shape)
    for bias in (pool.q.bias, pool.k.bias, pool.v.bias):
        bias.data = torch.linspace(-1, 1, 64)  # untrained ones are zero
    theirs, ours = pool(cells), pool.proj(_pooling.timms(pool, cells))
    torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=1e-6)
    wanted, found = (torch.autograd.grad(x.sum(), pool.parameters()) for x in (theirs, ours))
    torch.testing.assert_close(found, wanted, atol=1e-4, rtol=1e-4)


@pytest.mark.slow
def test_a_clip_models_pooled_vector_is_its_projection() -> None:
    encoder = encoders.load("timm:vit_xsmall_patch16_clip_224,weights=random,size=64")
    assert (encoder.card.width, encoder.card.pooled_width) == (256, 512)
    with torch.inference_mode():
        assert encoder(pixels(64, 96)).pooled.shape == (2, 512)


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("timm:resnett50", "resnet50"),
        ("timm:resnet50.a1", "resnet50.a1_in1k"),
        ("timm:xception", r"nearest: \w*xception"),  # a name that timm had once
        ("timm:vit_base_patch32_clip_224.openai", "vit_base_patch32_clip_quickgelu_224.openai"),
        ("timm:vit_large_patch14_clip_336.openai", "vit_large_patch14_clip_quickgelu_336.openai"),
        (RESNET + ",size=0", "384x640"),
        (RESNET + ",layer=5", "no layer 5"),
        (RESNET + ",layer=last", "whole number"),
        (RESNET + ",fit=pad", "keep"),
        (RESNET + ",precision=half", "bf16"),
        (RESNET + ",sizes=3", "size"),
        (RESNET + ",positions=zero", "no position embeddings"),
        (VIT + ",positions=none", "zero"),
        ("timm:test_resnet.r160_in1k,seed=1", "weights=random"),
    ],
)
def test_what_cannot_be_meant_is_refused(spec: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        encoders.load(spec)


def test_weights_of_a_file_are_the_weights(tmp_path: Path) -> None:
    source = timm.create_model("test_resnet.r160_in1k", num_classes=7)  # the classifier is not used
    safetensors.torch.save_file(source.state_dict(), tmp_path / "a.safetensors")
    torch.save({"state_dict": source.state_dict()}, tmp_path / "a.pth")
    first, second = (
        encoders.load(f"timm:test_resnet.r160_in1k,weights={tmp_path}/a.{kind}")
        for kind in ("safetensors", "pth")
    )
    assert first.card == second.card, "where the file lies decides nothing"
    assert first.card.weights != encoders.load(RESNET).card.weights
    tensors = first.network.network.state_dict()
    assert all(torch.equal(tensors[n], t) for n, t in source.state_dict().items() if n in tensors)


def test_weights_of_another_architecture_are_counted(tmp_path: Path) -> None:
    file = tmp_path / "a.safetensors"
    safetensors.torch.save_file(timm.create_model("test_efficientnet").state_dict(), file)
    with pytest.raises(ValueError, match=r"of 90 tensors \d+ missing .*, \d+ unexpected"):
        encoders.load(f"timm:test_resnet.r160_in1k,weights={file}")


@pytest.mark.filterwarnings("ignore:.torch.jit:FutureWarning")
def test_weights_run_no_code(tmp_path: Path) -> None:
    torch.save({"a": Namespace(rate=1)}, tmp_path / "a.pth")
    (tmp_path / "b.safetensors").write_bytes(b"nothing")
    (tmp_path / "c.bin").write_bytes(b"version https://git-lfs.github.com/spec/v1")
    archive = torch.jit.script(torch.nn.Linear(2, 2))  # as OpenAI's own files are
    archive.save(tmp_path / "d.pt")
    for name, why in (
        ("a.pth", "it holds a argparse.Namespace, and nothing but tensors is unpickled"),
        ("b.safetensors", ""),
        ("c.bin", "it is not in torch's format"),
        ("d.pt", r"it is a TorchScript program, which is not run; .*torch\.jit\.load\(FILE"),
    ):
        with pytest.raises(ValueError, match=f"cannot be read as weights: {why}") as caught:
            encoders.load(f"timm:test_resnet.r160_in1k,weights={tmp_path}/{name}")
        assert "weights_only" not in str(caught.value), "torch's advice would be to run it"
    with pytest.raises(ValueError, match="is a folder: name the weights file in it"):
        encoders.load(f"timm:test_resnet.r160_in1k,weights={tmp_path}")


def test_without_hub_one_sentence_says_what_to_bring(lonely: Path) -> None:
    with pytest.raises(FileNotFoundError) as error:
        encoders.load("timm:test_vit.r160_in1k")
    assert all(
        word in str(error.value)
        for word in ("timm/test_vit.r160_in1k", "model.safetensors", "weights=FILE", "HF_HOME")
    )


def test_a_hub_cache_brought_along_serves(lonely: Path) -> None:
    source = timm.create_model("test_vit.r160_in1k")
    place = small.cached(lonely, "timm/test_vit.r160_in1k")
    safetensors.torch.save_file(source.state_dict(), place / "model.safetensors")
    encoder = encoders.load("timm:test_vit.r160_in1k")
    assert torch.equal(encoder.network.network.pos_embed, source.pos_embed)


@pytest.mark.slow
def test_a_size_that_a_network_refuses_is_rounded_down_to_whole_cells() -> None:
    encoder = encoders.load("timm:resnet50_clip.openai,weights=random,size=600x1000,fit=squash")
    assert encoder.preprocessing.target(640, 480) == (576, 992), "18 x 31 cells, as published"
    with pytest.raises(UsageError, match="takes no pictures of 20x20"):
        encoders.load("timm:resnet50_clip.openai,weights=random,size=20")
