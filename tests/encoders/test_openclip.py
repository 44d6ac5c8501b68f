"""open_clip's models: its own numbers, positions at any rectangle, both towers, refusals."""

import shutil
from pathlib import Path

import pytest
import safetensors.torch
import timm
import torch
from torch import Tensor, nn

from clipvil import encoders
from clipvil.core import UsageError
from clipvil.encoders.base import Encoder
from tests.encoders import slow, small

pytestmark = pytest.mark.slow  # open_clip alone takes seconds to import

TEXTS = ["a red star", "a large striped blue circle left of an unheard-of thing"]


def pixels(height: int, width: int) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (2, 3, height, width), dtype=torch.uint8, generator=generator)


def normalised(encoder: Encoder, picture: Tensor) -> Tensor:
    return (picture.float() - encoder.mean) / encoder.std


def opened(folder: Path, weights: Path, **settings: object) -> nn.Module:
    """open_clip's own model of a folder, and its weights written to a file."""
    import open_clip

    torch.manual_seed(0)
    model = open_clip.create_model(f"local-dir:{folder}", load_weights=False, **settings).eval()
    for parameter in model.parameters():  # untrained residual branches begin closed
        parameter.data += 0.02 * torch.randn_like(parameter)
    safetensors.torch.save_file(model.state_dict(), weights)
    return model


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "a.safetensors"


@pytest.mark.parametrize(("name", "side"), [("vit", 64), ("resnet", 64), ("timm", 160)])
def test_at_the_native_size_it_is_open_clips_own(
    folders: Path, file: Path, name: str, side: int
) -> None:
    folder = folders / "openclip" / name
    model = opened(folder, file)
    encoder = encoders.load(f"openclip:local-dir:{folder},weights={file}")
    picture = pixels(side, side)
    with torch.inference_mode():
        seen, normal = encoder(picture), normalised(encoder, picture)
        theirs = model.encode_image(normal)
        if name == "resnet":  # one query is asked, not one a cell
            torch.testing.assert_close(seen.pooled, theirs, atol=1e-6, rtol=1e-6)
        else:
            assert torch.equal(seen.pooled, theirs)
        grid = seen.grid.permute(0, 3, 1, 2)
        if name == "vit":
            model.visual.output_tokens = True
            assert torch.equal(seen.grid.flatten(1, 2), model.visual(normal)[1])
        elif name == "resnet":
            own = model.visual.attnpool(grid)
            torch.testing.assert_close(own, seen.pooled, atol=1e-5, rtol=1e-5)
        else:
            tokens = model.visual.trunk.forward_features(normal)[:, 1:]
            assert torch.equal(seen.grid.flatten(1, 2), tokens)


@pytest.mark.parametrize("shape", [(96, 160), (160, 96), (32, 48)])
def test_a_vit_at_another_size_has_its_positions_at_the_true_rectangle(
    folders: Path, file: Path, shape: tuple[int, int]
) -> None:
    folder = folders / "openclip" / "vit"
    model = opened(folder, file)
    rectangle = opened(folder, file.with_name("b"), force_image_size=shape)
    own = model.visual.positional_embedding
    cells = slow.resample(
        own[1:].reshape(4, 4, -1), (shape[0] // 16, shape[1] // 16), antialias=True
    )
    state = model.state_dict() | {
        "visual.positional_embedding": torch.cat([own[:1], cells.flatten(0, 1)])
    }
    rectangle.load_state_dict(state)
    rectangle.visual.output_tokens = True
    encoder = encoders.load(f"openclip:local-dir:{folder},weights={file}")
    with torch.inference_mode():
        seen = encoder(pixels(*shape))
        pooled, tokens = rectangle.visual(normalised(encoder, pixels(*shape)))
    torch.testing.assert_close(seen.grid.flatten(1, 2), tokens, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(seen.pooled, pooled, atol=1e-5, rtol=1e-5)


def test_a_resnet_pools_any_rectangle(folders: Path, file: Path) -> None:
    folder = folders / "openclip" / "resnet"
    pool = opened(folder, file).visual.attnpool
    own = pool.positional_embedding
    cells = slow.resample(own[1:].reshape(2, 2, -1), (3, 5), antialias=True)
    pool.positional_embedding = nn.Parameter(torch.cat([own[:1], cells.flatten(0, 1)]))
    encoder = encoders.load(f"openclip:local-dir:{folder},weights={file}")
    with torch.inference_mode():
        seen = encoder(pixels(96, 160))
        pooled = pool(seen.grid.permute(0, 3, 1, 2))
    assert seen.grid.shape == (2, 3, 5, 512)
    torch.testing.assert_close(seen.pooled, pooled, atol=1e-5, rtol=1e-5)


def test_a_timm_trunk_takes_any_rectangle(folders: Path, file: Path) -> None:
    folder = folders / "openclip" / "timm"
    trunk = opened(folder, file).visual.trunk
    rectangle = timm.create_model("test_vit", num_classes=0, img_size=(96, 160)).eval()
    own = trunk.pos_embed[0, 1:].reshape(10, 10, -1)
    cells = slow.resample(own, (6, 10), antialias=True).flatten(0, 1)
    state = trunk.state_dict() | {
        "pos_embed": torch.cat([trunk.pos_embed[:, :1], cells[None]], dim=1)
    }
    rectangle.load_state_dict(state)
    encoder = encoders.load(f"openclip:local-dir:{folder},weights={file}")
    with torch.inference_mode():
        seen = encoder(pixels(96, 160))
        tokens = rectangle.forward_features(normalised(encoder, pixels(96, 160)))[:, 1:]
    torch.testing.assert_close(seen.grid.flatten(1, 2), tokens, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", ["vit", "timm"])
def test_the_text_tower_is_open_clips_own(folders: Path, file: Path, name: str) -> None:
    import open_clip

    folder = folders / "openclip" / name
    model = opened(folder, file)
    tower = encoders.load_text(f"openclip:local-dir:{folder},weights={file},size=96")
    ids = tower.words(TEXTS)
    assert torch.equal(ids, open_clip.get_tokenizer("ViT-B-32")(TEXTS))
    with torch.inference_mode():
        torch.testing.assert_close(tower(ids), model.encode_text(ids, normalize=True))
    assert (
        tower(ids).shape[1]
        == encoders.load(f"openclip:local-dir:{folder},weights=random")(
            pixels(64, 64)
        ).pooled.shape[1]
    )


@pytest.mark.parametrize(
    ("options", "stride", "width"),
    [("vit,layer=-2", 16, 32), ("resnet,layer=0", 4, 16), ("resnet,layer=-2", 16, 256)],
)
def test_other_layers_leave_the_embedding_as_it_is(
    folders: Path, options: str, stride: int, width: int
) -> None:
    spec = f"openclip:local-dir:{folders}/openclip/"
    one = encoders.load(f"{spec}{options},weights=random")
    last = encoders.load(f"{spec}{options.partition(',')[0]},weights=random")
    assert (one.card.preprocessing.stride, one.card.width) == (stride, width)
    assert one.card.weights == last.card.weights and one.card != last.card
    with torch.inference_mode():
        seen = one(pixels(64, 96))
        assert seen.grid.shape == (2, 64 // stride, 96 // stride, width)
        assert torch.equal(seen.pooled, last(pixels(64, 96)).pooled)


def test_a_tag_brings_its_own_preprocessing() -> None:
    encoder = encoders.load("openclip:ViT-S-32-alt,weights=random")
    assert encoder.card.preprocessing.interpolation == "bicubic"
    assert (encoder.card.width, encoder.card.pooled_width) == (384, 256)


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("ViT-B32/openai", "ViT-B-32"),
        ("ViT-B-32/opennai", "openai"),
        ("ViT-B-32/openai", "ViT-B-32-quickgelu/openai"),
        ("ViT-L-14-336/openai,weights=x", "ViT-L-14-336-quickgelu/openai"),
        ("ViT-S-32-alt,weights=random,layer=12", "no layer 12"),
        ("RN50,weights=random,size=20", "no pictures of 20x20"),
    ],
)
def test_what_cannot_be_meant_is_refused(spec: str, said: str) -> None:
    with pytest.raises((UsageError, FileNotFoundError), match=said):
        encoders.load(f"openclip:{spec}")


def test_a_text_tower_of_another_library_is_refused() -> None:
    with pytest.raises(UsageError, match="xlm-roberta-base"):
        encoders.load_text("openclip:xlm-roberta-base-ViT-B-32,weights=random")


def test_weights_of_another_architecture_are_counted(folders: Path, file: Path) -> None:
    opened(folders / "openclip" / "resnet", file)
    with pytest.raises(ValueError, match=r"of \d+ tensors \d+ missing .*, \d+ unexpected"):
        encoders.load(f"openclip:local-dir:{folders}/openclip/vit,weights={file}")


def test_a_folder_and_a_hub_cache_serve(folders: Path, file: Path, lonely: Path) -> None:
    folder = folders / "openclip" / "vit"
    opened(folder, file)
    place = small.cached(lonely, "some/body")
    shutil.copy(folder / "open_clip_config.json", place)
    shutil.copy(file, place / "open_clip_model.safetensors")
    cached = encoders.load("openclip:hf-hub:some/body")
    local = encoders.load(f"openclip:local-dir:{place}")
    given = encoders.load(f"openclip:local-dir:{folder},weights={file}")
    assert cached.card.weights == local.card.weights == given.card.weights


def test_without_hub_one_sentence_says_what_to_bring(lonely: Path) -> None:
    with pytest.raises(FileNotFoundError) as error:
        encoders.load("openclip:ViT-B-32-quickgelu/openai")
    assert all(
        word in str(error.value)
        for word in ("vit_base_patch32_clip_224.openai", "open_clip_model", "weights=", "HF_HOME")
    )
