"""Any model of timm: `timm:resnet50_clip.openai`, `timm:tf_efficientnet_lite0,weights=FILE`.

Source   https://github.com/huggingface/pytorch-image-models
Grid     what `forward_intermediates` gives: layer4 of a ResNet, the last block after its final norm
         of a ViT; other layers as they are
Pooled   the projected embedding of a CLIP model, else what the classifier would get

Position embeddings are resampled to the true rectangle, bicubic with antialiasing, and stay
untouched at the native size: with zeros in their place a CLIP ViT loses half its captions' CIDEr
(arXiv 2107.06383 published 58.0 that way; 128 with them).

Options  size=448 or size=384x640 (height x width), fit=keep|squash|crop, layer=-2, weights=FILE
         (.safetensors, or torch's format read without running code), weights=random with seed=0,
         precision=bf16 (weights too: 2 to 3 times as fast where the processor knows it),
         positions=zero (a ViT's embeddings, its class token's too, as in that paper's release)
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import timm
import torch
from jaxtyping import Float
from timm.layers import AttentionPool2d
from torch import Tensor, nn

from clipvil import registry
from clipvil.core import UsageError
from clipvil.encoders import _options, _pooling, _shapes, _weights
from clipvil.encoders.base import Card, Encoder, Preprocessing, hash_weights

OPTIONS = ("size", "fit", "layer", "weights", "seed", "precision", "positions")
# how a constructor is told that pictures may have any size; not every one knows every word
FLEXIBLE: tuple[dict[str, bool], ...] = (
    {"dynamic_img_size": True, "dynamic_img_pad": True},
    {"dynamic_img_size": True},
    {"strict_img_size": False},
    {},
)
# MViT v2 looks up places of its own size only, of which shapes tell nothing
FIXED = ("MultiScaleVit",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Taking:
    """How a network's outputs become a grid and a pooled vector."""

    layer: int  # counted from 0
    layers: int
    normed: bool  # the layer is the last one, and the final norm can be applied to it
    projected: bool  # the pooled vector goes through the classifier, which is a projection
    pools: bool  # the head gives one vector a picture


class Intermediate(nn.Module):
    """One layer of a timm network as a grid, and its pooled vector."""

    def __init__(self, network: nn.Module, taking: Taking) -> None:
        super().__init__()
        self.network = network
        self.taking = taking

    def forward(
        self, pixels: Float[Tensor, "B 3 H W"]
    ) -> tuple[Float[Tensor, "B R C D"], Float[Tensor, "B P"] | None]:
        """Normalised pixels -> cells, and what the head would pool from the last layer."""
        network: Any = self.network
        norm = {"norm": True} if self.taking.normed else {}
        final, grids = network.forward_intermediates(pixels, indices=[self.taking.layer], **norm)
        grid = grids[0].permute(0, 2, 3, 1)  # [B, R, C, D]
        if not self.taking.pools:
            return grid, None
        if isinstance(getattr(network, "head", None), AttentionPool2d):
            pooled = _pooling.timms(network.head, final)
            return grid, network.head.proj(pooled) if self.taking.projected else pooled
        return grid, network.forward_head(final, pre_logits=not self.taking.projected)


def build(name: str, options: Mapping[str, str]) -> Encoder:
    """The model that timm calls `name`, with its own preprocessing.

    Raises
        UsageError: no such model, tag, option or layer, a size that the network cannot take, or no
            position embeddings to be zero
        FileNotFoundError: weights neither here nor to be had; says what to download to where
        ValueError: weights of another architecture
    """
    source = f"timm:{name}"
    _options.known(source, options, OPTIONS)
    config = configuration(name)
    native = (int(config.input_size[1]), int(config.input_size[2]))
    size = _options.size(options) or native
    projected = is_projection(name, config)
    size, settings, taking, shape = sized(name, size, native, options, projected=projected)
    fit = _shapes.fit(source, options, any_size=shape.any_size)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(_options.seed(options))
        network: Any = timm.create_model(name, **settings)
    if not projected:
        network.reset_classifier(0)
    placeless = _options.placeless(options)
    if placeless and not isinstance(getattr(network, "pos_embed", None), Tensor):
        raise UsageError(f"{source} adds no position embeddings to its cells: leave out positions=")
    if options.get("weights") != "random":
        load(source, network, config, options.get("weights"), projected=projected)
    preprocessing = Preprocessing(
        size=size,
        stride=shape.stride,
        fit=fit,
        interpolation="bilinear" if config.interpolation == "bilinear" else "bicubic",
        mean=tuple(map(float, config.mean)),  # type: ignore[arg-type]  # three channels
        std=tuple(map(float, config.std)),  # type: ignore[arg-type]
    )
    card = Card(
        name=_options.named(source, options),
        width=shape.width,
        pooled_width=shape.pooled,
        layer=f"{taking.layer + 1} of {taking.layers}",
        weights=hash_weights(network),
        preprocessing=preprocessing,
        parameters=sum(p.numel() for p in network.parameters()),
        options=_options.recorded(options),
    )
    # after the hash: it names the weights' source
    network.to(_options.precision(options))
    if placeless:
        network.pos_embed.data.zero_()
    return Encoder(card, Intermediate(network, taking)).eval()


def configuration(name: str) -> Any:
    """What timm records about a model: size, normalisation, interpolation, where its weights are.

    Raises
        UsageError: unknown model or tag, or a variant known to compute other features
    """
    known = timm.list_models(pretrained=True)
    if not timm.is_model(name):
        raise registry.unknown("timm model", name, {*known, *timm.list_models()})
    try:
        config: Any = timm.get_pretrained_cfg(name, allow_unregistered=False)
    except RuntimeError:
        tagged = [n for n in known if n.partition(".")[0] == name.partition(".")[0]]
        begun = [n for n in tagged if n.startswith(name)]
        raise registry.unknown("timm model", name, begun or tagged or known) from None
    if "natively QuickGELU" in "".join(config.notes or ()) and "quickgelu" not in name:
        # timm loads them without a word into a network with another activation
        right = name.replace("_clip_", "_clip_quickgelu_")
        raise UsageError(
            f"the weights of {name} were trained with QuickGELU and that model computes GELU: "
            f"use timm:{right}"
        )
    return config


def is_projection(name: str, config: Any) -> bool:
    """Whether the classifier is a CLIP model's projection, and not one of labels learnt since."""
    return config.num_classes > 0 and "clip" in name and "_ft_" not in str(config.tag)


def sized(
    name: str,
    size: tuple[int, int],
    native: tuple[int, int],
    options: Mapping[str, str],
    *,
    projected: bool,
) -> tuple[tuple[int, int], dict[str, Any], Taking, _shapes.Shape]:
    """What `probe` finds, and the size: rounded down to whole cells where the network needs it.

    Raises
        UsageError: no such layer, or a size that the network cannot take
    """
    try:
        found = probe(name, size, native, options.get("layer"), projected)
        whole = bool(found[0]) and found[2].any_size  # 14 does not divide 384: SO400M sees 378
    except UsageError:  # as CLIP's ResNets say of 600x1000, whose cells are those of 576x992
        found = probe(name, native, native, options.get("layer"), projected)
        whole = found[2].any_size and min(size) >= found[2].stride
        if not whole:
            raise
    stride = found[2].stride
    return (size[0] // stride * stride, size[1] // stride * stride) if whole else size, *found


@lru_cache(maxsize=64)  # a network without values still takes half a second and more to run
def probe(
    name: str,
    size: tuple[int, int],
    native: tuple[int, int],
    layer: str | None,
    projected: bool,
) -> tuple[dict[str, Any], Taking, _shapes.Shape]:
    """Find how to build a network for pictures of any size, else of `size`; nothing is computed.

    Raises
        UsageError: no such layer, or a size that the network cannot take
    """
    fixed: dict[str, Any] = {} if size == native else {"img_size": size}
    for settings in (*FLEXIBLE, fixed):
        try:
            with torch.device("meta"):
                network = timm.create_model(name, **settings).eval()
            taking = reading(network, size, layer, projected)
            shape = _shapes.measure(f"timm:{name}", Intermediate(network, taking), size)
        except UsageError:
            raise
        except _shapes.UNFIT:
            continue
        if type(network).__name__ in FIXED:
            shape = replace(shape, any_size=False)
        if shape.any_size or settings == fixed:
            return settings, taking, shape
    raise UsageError(f"timm:{name} takes no pictures of {size[0]}x{size[1]} pixels")


def reading(network: Any, size: tuple[int, int], layer: str | None, projected: bool) -> Taking:
    """What a network without values gives for a picture without values.

    Raises
        UsageError: no such layer
    """
    picture = torch.empty(1, 3, *size, device="meta")
    final, grids = network.forward_intermediates(picture)
    taken = _options.layer({} if layer is None else {"layer": layer}, len(grids))
    normed = taken == len(grids) - 1
    try:
        network.forward_intermediates(picture, norm=True)
    except _shapes.UNFIT:
        normed = False
    if not projected:
        network.reset_classifier(0)
    try:
        pools = network.forward_head(final, pre_logits=not projected).ndim == 2
    except _shapes.UNFIT:  # a head that fits its own size only
        pools = False
    return Taking(layer=taken, layers=len(grids), normed=normed, projected=projected, pools=pools)


def load(source: str, network: Any, config: Any, file: str | None, *, projected: bool) -> None:
    """Fill a network with the weights of `file`, or with those that timm publishes for it."""
    if file is not None:
        path = Path(file).expanduser()
        what = f"weights in {file} are not those of {source}"
    elif config.hf_hub_id:
        names = (config.hf_hub_filename,) if config.hf_hub_filename else _weights.HUB_FILES
        try:
            path = _weights.from_hub(config.hf_hub_id, names)
        except FileNotFoundError as error:
            raise FileNotFoundError(f"{source}: {error}") from error
        what = f"weights of {config.hf_hub_id} are not those of {source}"
    else:
        raise FileNotFoundError(f"timm publishes no weights for {source}: add weights=FILE")
    heads = (config.classifier,) if isinstance(config.classifier, str) else config.classifier or ()
    family = importlib.import_module(type(network).__module__)
    _weights.fill(
        network,
        _weights.read(path),
        what=what,
        unused=() if projected else tuple(f"{head}." for head in heads),
        convert=getattr(family, "checkpoint_filter_fn", None),
    )
