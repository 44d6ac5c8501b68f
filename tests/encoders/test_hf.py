"""transformers' vision towers: its own numbers, positions at any rectangle, files, refusals."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from clipvil import encoders
from clipvil.core import UsageError
from clipvil.encoders.base import Encoder
from tests.encoders import slow, small

pytestmark = pytest.mark.slow  # transformers alone takes seconds to import

KINDS = {  # classes by name, as each takes a while to import
    "clip": "CLIPModel",
    "siglip": "SiglipModel",
    "vit": "ViTForImageClassification",
    "dinov2": "Dinov2Model",
    "dinov2_with_registers": "Dinov2WithRegistersModel",
    "dinov3_vit": "DINOv3ViTModel",
    "resnet": "ResNetModel",
    "convnext": "ConvNextModel",
    "swin": "SwinModel",
    "blip": "BlipModel",
    "clipseg": "CLIPSegModel",
    "hiera": "HieraModel",
    "levit": "LevitModel",
    "owlvit": "OwlViTModel",
    "sam2": "Sam2Model",
    "yolos": "YolosModel",
}
ONE_SIZE = ("levit", "sam2", "swin")


def library() -> Any:
    """transformers, not before a test needs it."""
    import transformers

    return transformers


def pixels(height: int, width: int) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (2, 3, height, width), dtype=torch.uint8, generator=generator)


def normalised(encoder: Encoder, picture: Tensor) -> Tensor:
    return (picture.float() - encoder.mean) / encoder.std


@pytest.fixture(scope="module", autouse=True)
def hushed() -> Iterator[None]:
    library().logging.disable_progress_bar()
    yield
    library().logging.enable_progress_bar()


@pytest.fixture
def saved(folders: Path, tmp_path: Path) -> Any:
    """transformers' own model of some kind, and the folder it was saved to."""

    def save(name: str) -> tuple[Any, Path]:
        torch.manual_seed(0)
        folder = tmp_path / name
        config = library().AutoConfig.from_pretrained(folders / "hf" / name)
        model = getattr(library(), KINDS[name])(config).eval()
        for parameter in model.parameters():
            parameter.data += 0.02 * torch.randn_like(parameter)
        model.save_pretrained(folder)
        shutil.copy(folders / "hf" / name / "preprocessor_config.json", folder)
        return model, folder

    return save


def tokens_and_pooled(name: str, model: Any, normal: Tensor, **said: bool) -> Any:
    """Cells after the final norm [B, N, D] and pooled, as the library's documentation has them."""
    match name:
        case "clip":
            seen = model.vision_model(normal, **said)
            cells = model.vision_model.post_layernorm(seen.last_hidden_state[:, 1:])
            return cells, model.visual_projection(seen.pooler_output)
        case "clipseg" | "owlvit":
            seen = model.vision_model(normal, **said)
            cells = model.vision_model.post_layernorm(seen.last_hidden_state[:, 1:])
            return cells, seen.pooler_output
        case "blip":
            seen = model.vision_model(normal, **said)
            return seen.last_hidden_state[:, 1:], seen.pooler_output
        case "sam2":
            return model.vision_encoder(normal).last_hidden_state.flatten(1, 2), None
        case "yolos":
            seen = model(normal)
            return seen.last_hidden_state[:, 1:-5], seen.pooler_output
        case "siglip":
            seen = model.vision_model(normal, **said)
            return seen.last_hidden_state, seen.pooler_output
        case "vit":
            seen = model.vit(normal, **said)
            return seen.last_hidden_state[:, 1:], seen.last_hidden_state[:, 0]
        case "dinov2":
            seen = model(normal)
            return seen.last_hidden_state[:, 1:], seen.pooler_output
        case "dinov2_with_registers" | "dinov3_vit":
            seen = model(normal)
            registers = model.config.num_register_tokens
            return seen.last_hidden_state[:, 1 + registers :], seen.pooler_output
        case "swin" | "levit" | "hiera":
            seen = model(normal)
            return seen.last_hidden_state, seen.pooler_output
        case _:
            seen = model(normal)
            return seen.last_hidden_state.flatten(2).mT, seen.pooler_output.flatten(1)


@pytest.mark.parametrize("name", KINDS)
def test_at_the_native_size_it_is_transformers_own(saved: Any, name: str) -> None:
    model, folder = saved(name)
    encoder = encoders.load(f"hf:{folder}")
    side = 112 if name == "levit" else 64
    assert encoder.card.preprocessing.size == (side, side)
    # transformers' Swin does not recover from a picture smaller than its window
    assert encoder.card.preprocessing.fit == ("squash" if name in ONE_SIZE else "keep")
    with torch.inference_mode():
        seen = encoder(pixels(side, side))
        cells, pooled = tokens_and_pooled(name, model, normalised(encoder, pixels(side, side)))
    assert torch.equal(seen.grid.flatten(1, 2), cells)
    assert seen.pooled is pooled or torch.equal(seen.pooled, pooled)


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("clip", (96, 160)),
        ("clip", (48, 32)),
        ("siglip", (96, 160)),
        ("vit", (96, 160)),
        ("dinov2", (160, 96)),
    ],
)
def test_positions_are_resampled_to_the_true_rectangle(
    saved: Any, name: str, shape: tuple[int, int]
) -> None:
    model, folder = saved(name)
    tower = {"clip": "vision_model", "siglip": "vision_model", "vit": "vit"}.get(name)
    embeddings = (model.get_submodule(tower) if tower else model).embeddings
    own = next(
        p for n, p in embeddings.named_parameters() if n.startswith("position_embedding")
    ).reshape(-1, 32)
    classes = len(own) - 16
    cells = slow.resample(
        own[classes:].reshape(4, 4, -1), (shape[0] // 16, shape[1] // 16), antialias=False
    )
    wanted = torch.cat([own[:classes], cells.flatten(0, 1)])[None]
    embeddings.interpolate_pos_encoding = lambda *_: wanted
    said = {} if name == "dinov2" else {"interpolate_pos_encoding": True}
    encoder = encoders.load(f"hf:{folder}")
    with torch.inference_mode():
        seen = encoder(pixels(*shape))
        tokens, pooled = tokens_and_pooled(name, model, normalised(encoder, pixels(*shape)), **said)
    assert seen.grid.shape[1:3] == (shape[0] // 16, shape[1] // 16)
    torch.testing.assert_close(seen.grid.flatten(1, 2), tokens, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(seen.pooled, pooled, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("name", "stride", "width"), [("clip", 16, 32), ("resnet", 16, 16), ("swin", 8, 16)]
)
def test_other_layers_are_those_before(saved: Any, name: str, stride: int, width: int) -> None:
    model, folder = saved(name)
    encoder = encoders.load(f"hf:{folder},layer=-2")
    tower = model.vision_model if name == "clip" else model
    with torch.inference_mode():
        seen = encoder(pixels(64, 64))
        hidden = tower(normalised(encoder, pixels(64, 64)), output_hidden_states=True)
    theirs = hidden.hidden_states[-2]
    theirs = theirs.flatten(2).mT if theirs.ndim == 4 else theirs[:, name == "clip" :]
    assert (encoder.card.preprocessing.stride, encoder.card.width) == (stride, width)
    assert torch.equal(seen.grid.flatten(1, 2), theirs)
    torch.testing.assert_close(
        seen.pooled, encoders.load(f"hf:{folder}")(pixels(64, 64)).pooled, atol=1e-5, rtol=1e-5
    )


def test_layers_whose_tokens_are_out_of_order_are_put_in_order(saved: Any) -> None:
    model, folder = saved("hiera")
    encoder = encoders.load(f"hf:{folder},layer=-2")
    with torch.inference_mode():
        picture = pixels(64, 64)
        seen = model(normalised(encoder, picture), output_hidden_states=True)
        assert torch.equal(encoder(picture).grid, seen.reshaped_hidden_states[-2])
        last = seen.last_hidden_state.unflatten(1, (8, 8))
        assert torch.equal(last, seen.reshaped_hidden_states[-1]), "those of the last one are"


@pytest.mark.parametrize(
    "said",
    [
        {"feature_extractor_type": "MobileViTFeatureExtractor", "resample": 2, "size": 288},
        {"image_processor_type": "MobileViTImageProcessor", "image_mean": [1, 1, 1]},
        {"image_processor_type": "EfficientNetImageProcessor", "image_std": [0.5, 0.6, 0.7]},
        {"image_processor_type": "EfficientNetImageProcessor", "rescale_offset": True,
         "rescale_factor": 2 / 255, "include_top": False},
        {"image_processor_type": "ViTImageProcessor", "do_normalize": False},
        {"image_processor_type": "CLIPImageProcessor", "do_rescale": False},
    ],
)  # fmt: skip
def test_pixels_are_those_of_the_processor(
    folders: Path, tmp_path: Path, said: dict[str, Any]
) -> None:
    folder = tmp_path / "resnet"
    shutil.copytree(folders / "hf" / "resnet", folder)
    small.put(folder / "preprocessor_config.json", said)
    encoder = encoders.load(f"hf:{folder},weights=random,size=32")
    kind = said.get("image_processor_type", "MobileViTImageProcessor")
    own = {n: v for n, v in said.items() if not n.endswith("_type")}
    processor = getattr(library(), kind)(**own, do_resize=False, do_center_crop=False)
    picture = pixels(32, 32)
    theirs = processor(list(picture), return_tensors="pt", input_data_format="channels_first")
    with torch.inference_mode():
        found, _ = encoder.network(theirs["pixel_values"].float())
        torch.testing.assert_close(encoder(picture).grid, found, atol=1e-4, rtol=1e-4)
    assert encoder.swapped == kind.startswith("MobileViT")


def test_preprocessing_is_what_the_file_says(folders: Path, tmp_path: Path) -> None:
    folder = tmp_path / "vit"
    shutil.copytree(folders / "hf" / "vit", folder)
    plain = encoders.load(f"hf:{folder},weights=random").card.preprocessing
    assert plain.mean == pytest.approx((0.5, 0.4, 0.3)) and plain.std[0] == pytest.approx(0.2)
    odd = small.PICTURES | {"rescale_factor": 2 / 255, "resample": 2, "image_mean": [1, 1, 1]}
    small.put(folder / "preprocessor_config.json", odd)  # pixels from 0 to 2, mean 1
    other = encoders.load(f"hf:{folder},weights=random").card.preprocessing
    assert other.mean == pytest.approx((0.5, 0.5, 0.5)) and other.std[0] == pytest.approx(0.1)
    assert other.interpolation == "bilinear"
    small.put(folder / "preprocessor_config.json", {"image_mean": [0, 0, 0]})
    with pytest.raises(ValueError, match="does not say image_std, resample"):
        encoders.load(f"hf:{folder},weights=random")
    sizeless = {k: v for k, v in small.PICTURES.items() if k in ("image_mean", "image_std")}
    small.put(folder / "preprocessor_config.json", sizeless | {"resample": 3})
    small.put(folder / "config.json", small.HF["resnet"])
    with pytest.raises(ValueError, match="says a size of pictures"):
        encoders.load(f"hf:{folder},weights=random")


def test_files_of_a_folder_or_a_file_or_shards_are_the_same_weights(saved: Any) -> None:
    model, folder = saved("clip")
    whole = encoders.load(f"hf:{folder}").card
    named = encoders.load(f"hf:somebody/clip,weights={folder}").card
    alone = encoders.load(f"hf:{folder},weights={folder / 'model.safetensors'}").card
    assert whole.weights == named.weights == alone.weights
    assert named.name == "hf:somebody/clip", "where the folder lies decides nothing"
    (folder / "model.safetensors").unlink()
    torch.save(model.state_dict(), folder / "pytorch_model.bin")
    assert encoders.load(f"hf:{folder}").card.weights == whole.weights
    (folder / "pytorch_model.bin").unlink()
    model.save_pretrained(folder, max_shard_size="20KB")
    assert (folder / "model.safetensors.index.json").is_file()
    assert encoders.load(f"hf:{folder}").card.weights == whole.weights
    places = {name: "../other.safetensors" for name in model.state_dict()}
    small.put(folder / "model.safetensors.index.json", {"weight_map": places})
    with pytest.raises(ValueError, match="outside its folder"):
        encoders.load(f"hf:{folder}")


def test_a_pooling_layer_is_used_where_it_was_trained(folders: Path, saved: Any) -> None:
    _, folder = saved("vit")  # a classifier: its class token is what it was trained on
    config = library().ViTConfig.from_pretrained(folder)
    pooling = library().ViTModel(config).eval()
    pooling.save_pretrained(folder)
    encoder = encoders.load(f"hf:{folder}")
    with torch.inference_mode():
        theirs = pooling(normalised(encoder, pixels(64, 64))).pooler_output
        assert torch.equal(encoder(pixels(64, 64)).pooled, theirs)


def test_a_hub_cache_brought_along_serves(lonely: Path, saved: Any) -> None:
    _, folder = saved("siglip")
    place = small.cached(lonely, "google/siglip2-base-patch16-224")
    for file in folder.iterdir():
        shutil.copy(file, place)
    cached = encoders.load("hf:google/siglip2-base-patch16-224").card
    assert cached.weights == encoders.load(f"hf:{folder}").card.weights


def test_without_hub_one_sentence_says_what_to_bring(lonely: Path) -> None:
    with pytest.raises(FileNotFoundError) as error:
        encoders.load("hf:google/siglip2-base-patch16-224")
    words = ("google/siglip2-base-patch16-224", "preprocessor_config", "weights=FOLDER", "HF_HOME")
    assert all(word in str(error.value) for word in words)


def test_a_file_that_is_missing_is_named(folders: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no model\.safetensors or .* in"):
        encoders.load(f"hf:{folders}/hf/clip")


def test_weights_of_another_architecture_are_counted(saved: Any) -> None:
    _, clip = saved("clip")
    _, siglip = saved("siglip")
    with pytest.raises(ValueError, match=r"of \d+ tensors [1-9]\d* missing"):
        encoders.load(f"hf:{clip},weights={siglip}/model.safetensors")
    config = json.loads((clip / "config.json").read_text())
    config["vision_config"]["num_hidden_layers"] = 2  # a block of the weights would be dropped
    small.put(clip / "config.json", config)
    with pytest.raises(ValueError, match=r"0 missing, 16 unexpected"):
        encoders.load(f"hf:{clip}")
    config["vision_config"] |= {"num_hidden_layers": 3, "patch_size": 8}
    small.put(clip / "config.json", config)
    with pytest.raises(ValueError, match=r"2 of another shape"):
        encoders.load(f"hf:{clip}")


def test_weights_run_no_code(folders: Path, tmp_path: Path) -> None:
    torch.save({"a": Path("x")}, tmp_path / "a.bin")
    with pytest.raises(ValueError, match="cannot be read as weights"):
        encoders.load(f"hf:{folders}/hf/clip,weights={tmp_path}/a.bin")


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"model_type": "siglip2", "vision_config": {}}, "NaFlex"),
        ({"model_type": "bert"}, "no vision tower"),
        ({"model_type": "nonsense"}, "nonsense"),
        ({"model_type": "embedding_gemma2"}, "no vision tower"),  # its vision half may be left out
        ({"model_type": "vit_mae"} | small.VISION, "timm:vit_base_patch16_224.mae"),
        ({"model_type": "groupvit", "vision_config": {}}, "in no grid"),
        ({"model_type": "dinat"}, "DinatModel requires the natten library"),
    ],
)
def test_what_is_no_vision_tower_is_refused(
    tmp_path: Path, config: dict[str, Any], said: str
) -> None:
    small.put(tmp_path / "a" / "config.json", config)
    small.put(tmp_path / "a" / "preprocessor_config.json", small.PICTURES)
    with pytest.raises(UsageError, match=said):
        encoders.load(f"hf:{tmp_path}/a,weights=random")


@pytest.mark.parametrize(
    ("options", "said"), [("layer=3", "no layer 3"), ("sise=4", "size"), ("size=8", "8x8")]
)
def test_what_cannot_be_meant_is_refused(folders: Path, options: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        encoders.load(f"hf:{folders}/hf/clip,weights=random,{options}")


def test_openais_weights_need_quickgelu(saved: Any, tmp_path: Path) -> None:
    _, folder = saved("clip")  # transformers' default for CLIP is QuickGELU
    assert encoders.load(f"hf:openai/clip-vit-base-patch32,weights={folder}")
    config = json.loads((folder / "config.json").read_text())
    config["vision_config"]["hidden_act"] = "gelu"
    small.put(folder / "config.json", config)
    with pytest.raises(UsageError, match="QuickGELU"):
        encoders.load(f"hf:openai/clip-vit-base-patch32,weights={folder}")


def test_a_family_without_text_says_so(folders: Path) -> None:
    with pytest.raises(UsageError, match="hf has no text encoders"):
        encoders.load_text(f"hf:{folders}/hf/clip,weights=random")
