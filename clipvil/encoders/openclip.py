"""Any model of open_clip, images and text: `openclip:ViT-B-32-quickgelu/openai`.

Source   https://github.com/mlfoundations/open_clip
Names    MODEL/TAG as open_clip lists them, or its own `hf-hub:OWNER/NAME` and `local-dir:FOLDER`
Grid     layer4 of a ResNet, the last block after its final norm of a ViT (without it where the
         model applies that norm to the pooled vector only), the trunk's last map of a timm model
Pooled   the image's embedding in the space it shares with text, not normalised
Text     `encoders.load_text` gives the tower beside it, with open_clip's own tokenizer

open_clip takes pictures of one size. Here its position embeddings are resampled to the true
rectangle of each batch, as its own loader does (bicubic, antialiased), and lie untouched at the
native size.

Options  size=448 or size=384x640 (height x width), fit=keep|squash|crop, layer=-2, weights=FILE
         (.safetensors, or torch's format read without running code), weights=random with seed=0,
         precision=bf16
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import timm
import torch
from jaxtyping import Float, Int
from open_clip.model import (
    _build_text_tower,
    _build_vision_tower,
)
from open_clip.modified_resnet import ModifiedResNet
from open_clip.timm_model import TimmModel
from open_clip.transformer import VisionTransformer
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from clipvil.core import UsageError
from clipvil.encoders import _options, _pooling, _shapes, _weights
from clipvil.encoders._openclip_files import find, tensors, tokenizer
from clipvil.encoders.base import Card, Encoder, Preprocessing, hash_weights

OPTIONS = ("size", "fit", "layer", "weights", "seed", "precision")
# how a timm trunk is told that pictures may have any size; not every one knows the words
FLEXIBLE: tuple[dict[str, bool], ...] = ({"dynamic_img_size": True}, {"strict_img_size": False})


class TextTower(nn.Module):
    """open_clip's text tower, its embeddings of unit length."""

    def __init__(self, tower: nn.Module, words: Callable[[Sequence[str]], Tensor]) -> None:
        super().__init__()
        self.tower = tower
        self.words = words

    def forward(self, ids: Int[Tensor, "B T"]) -> Float[Tensor, "B P"]:
        """Embeddings in the space of the images' pooled vectors."""
        seen = self.tower(ids)
        pooled = seen[0] if isinstance(seen, tuple) else seen  # CoCa's gives its tokens too
        return F.normalize(pooled.float(), dim=-1)


class Layers(nn.Module):
    """What open_clip's own `forward_intermediates` gives, as a call."""

    def __init__(self, visual: nn.Module, indices: list[int], *, normed: bool) -> None:
        super().__init__()
        self.visual = visual
        self.indices = indices
        self.normed = normed

    def forward(
        self, pixels: Float[Tensor, "B 3 H W"]
    ) -> tuple[Float[Tensor, "B D R C"], Float[Tensor, "B P"]]:
        """The first of the layers asked for, and the embedding."""
        visual: Any = self.visual
        attends = isinstance(visual, ModifiedResNet)
        seen = visual.forward_intermediates(
            pixels,
            indices=self.indices,
            normalize_intermediates=self.normed,
            intermediates_only=attends,
        )
        grids = seen["image_intermediates"]
        if attends:
            return grids[0], _pooling.openclips(visual.attnpool, grids[-1])
        return grids[0], seen["image_features"]


class Intermediate(nn.Module):
    """One layer of an image tower as a grid, and the image's embedding."""

    def __init__(self, visual: nn.Module, layer: int, layers: int, *, normed: bool) -> None:
        super().__init__()
        # the last layer is asked for too: without it, a ResNet would pool the one it stopped at
        self.layers = Layers(visual, [layer, layers - 1], normed=normed)

    def forward(
        self, pixels: Float[Tensor, "B 3 H W"]
    ) -> tuple[Float[Tensor, "B R C D"], Float[Tensor, "B P"]]:
        """Normalised pixels -> cells and embedding, positions resampled to the pictures' size."""
        visual: Any = self.layers.visual
        resized = {}
        if isinstance(visual, VisionTransformer):
            grid = tuple(
                side // patch
                for side, patch in zip(pixels.shape[2:], visual.patch_size, strict=True)
            )
            resized = fitted(visual, "positional_embedding", visual.grid_size, grid)
        elif isinstance(visual, ModifiedResNet):
            native = (visual.image_size // 32, visual.image_size // 32)
            grid = tuple(side // 32 for side in pixels.shape[2:])
            resized = fitted(visual, "attnpool.positional_embedding", native, grid)
        cells, pooled = functional_call(self.layers, resized, (pixels,))
        return cells.permute(0, 2, 3, 1), pooled


def fitted(
    visual: nn.Module, name: str, native: tuple[int, ...], grid: tuple[int, ...]
) -> dict[str, Tensor]:
    """The position embeddings for another grid, one row for the class token kept in front."""
    if grid == native:
        return {}
    own = visual.get_parameter(name)  # [1 + rows * columns, D]
    square = own[1:].reshape(*native, -1).permute(2, 0, 1).unsqueeze(0)  # [1, D, rows, columns]
    resized = F.interpolate(square.float(), grid, mode="bicubic", antialias=True)
    cells = resized.squeeze(0).flatten(1).T.to(own.dtype)  # [R * C, D]
    return {f"visual.{name}": torch.cat([own[:1], cells])}


def build(name: str, options: Mapping[str, str]) -> Encoder:
    """The image tower that open_clip calls `name`, with the preprocessing of its weights.

    Raises
        UsageError: no such model, tag, option or layer, a size that the network cannot take, or
            weights trained with QuickGELU for a network that computes GELU
        FileNotFoundError: weights neither here nor to be had; says what to download to where
        ValueError: weights of another architecture
    """
    source = f"openclip:{name}"
    _options.known(source, options, OPTIONS)
    found = find(name)
    native = pair(found.model["vision_cfg"].get("image_size", 224))
    size = _options.size(options) or native
    with torch.device("meta"):
        visual = tower(found.model)
        count = layers(visual, native)
        layer = _options.layer(options, count)
        normed = layer == count - 1 and norms_cells(visual)
        shape = _shapes.measure(source, Intermediate(visual, layer, count, normed=normed), size)
    if shape.any_size:  # 14 does not divide 384: SigLIP's SO400M looks at 378 of them
        size = (size[0] // shape.stride * shape.stride, size[1] // shape.stride * shape.stride)
    fit = _shapes.fit(source, options, any_size=shape.any_size)
    weights = None if options.get("weights") == "random" else tensors(found, options, "visual.")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(_options.seed(options))
        visual = tower(found.model)
    if weights is not None:
        _weights.fill(visual, weights, what=f"these weights are not those of {source}")
    network = Intermediate(visual, layer, count, normed=normed)
    card = Card(
        name=_options.named(source, options),
        width=shape.width,
        pooled_width=shape.pooled,
        layer=f"{layer + 1} of {count}",
        weights=hash_weights(visual),
        preprocessing=Preprocessing(
            size=size,
            stride=shape.stride,
            fit=fit,
            interpolation="bilinear"
            if found.pictures["interpolation"] == "bilinear"
            else "bicubic",
            mean=tuple(map(float, found.pictures["mean"])),  # type: ignore[arg-type]  # three
            std=tuple(map(float, found.pictures["std"])),  # type: ignore[arg-type]
        ),
        parameters=sum(p.numel() for p in visual.parameters()),
        options=_options.recorded(options),
    )
    return Encoder(card, network.to(_options.precision(options))).eval()


def text_tower(name: str, options: Mapping[str, str]) -> TextTower:
    """The text tower trained with the image tower that open_clip calls `name`.

    Raises
        UsageError: unknown model, tag or option, or a text tower of another library
        FileNotFoundError, ValueError: as `build`
    """
    source = f"openclip:{name}"
    _options.known(source, options, OPTIONS)
    found = find(name)
    config = found.model["text_cfg"]
    if "hf_model_name" in config:
        raise UsageError(
            f"the text tower of {source} is transformers' {config['hf_model_name']}: "
            "only open_clip's own text towers are read"
        )
    weights = None if options.get("weights") == "random" else tensors(found, options, "text.")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(_options.seed(options))
        text = _build_text_tower(
            found.model["embed_dim"], config, found.model.get("quick_gelu", False)
        )
    if weights is not None:
        _weights.fill(text, weights, what=f"these weights are not those of {source}")
    words = tokenizer(name, config.get("hf_tokenizer_name"))
    return TextTower(text.to(_options.precision(options)), words).eval()


def tower(model: Mapping[str, Any]) -> Any:
    """The image tower as open_clip builds it; a timm trunk is told to take pictures of any size."""
    visual = _build_vision_tower(
        model["embed_dim"], model["vision_cfg"], model.get("quick_gelu", False)
    )
    if isinstance(visual, TimmModel) and hasattr(visual.trunk, "global_pool"):
        kept = {n: t.shape for n, t in visual.trunk.state_dict().items()}
        for settings in FLEXIBLE:
            try:
                trunk = timm.create_model(
                    model["vision_cfg"]["timm_model_name"],
                    num_classes=visual.trunk.num_classes,
                    global_pool=visual.trunk.global_pool,
                    **settings,
                )
            except _shapes.UNFIT:
                continue
            if {n: t.shape for n, t in trunk.state_dict().items()} == kept:
                visual.trunk = trunk
                break
    return visual


def norms_cells(visual: nn.Module) -> bool:
    """Whether the network's last norm is one of cells, and not of the pooled vector alone."""
    if isinstance(visual, VisionTransformer):
        pools_first = visual.attn_pool is not None and visual.attn_pool_contrastive is None
        return not (visual.final_ln_after_pool or pools_first)
    return isinstance(visual, TimmModel) and layers(visual, pair(visual.image_size), norm=True) > 0


def layers(visual: Any, native: tuple[int, int], *, norm: bool = False) -> int:
    """How many layers a network without values gives; 0 where the norm cannot be applied to them.

    Raises
        UsageError: it takes neither a size of ours nor its own
    """
    problem: Exception | None = None
    for size in (_shapes.PROBE, native):
        picture = torch.empty(1, 3, *size, device="meta")
        try:
            seen = visual.forward_intermediates(picture, normalize_intermediates=norm)
        except _shapes.UNFIT as error:
            problem = error
            continue
        return len(seen["image_intermediates"])
    if norm:
        return 0
    raise UsageError("open_clip's network takes no pictures of its own size") from problem


def pair(size: int | Sequence[int]) -> tuple[int, int]:
    """(height, width)."""
    return (size, size) if isinstance(size, int) else (int(size[0]), int(size[1]))
