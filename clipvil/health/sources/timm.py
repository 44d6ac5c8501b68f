"""timm's own forward: `forward_features` and `forward_head` of what `create_model` gives.

Source   https://github.com/huggingface/pytorch-image-models
Cells    the last layer as `forward_features` gives it, others (and EfficientNet's, whose
         `forward_features` goes on to the head's own convolution) at the module that the model's
         `feature_info` names; no part of `forward_intermediates`, which the encoder uses
Sizes    a network that takes its own size only is built again for the other one, its position
         embeddings resampled by timm's loader
Shapes   T prefix tokens, N cells, D their width
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import timm as library
import torch
from timm.layers import resample_abs_pos_embed
from torch import Tensor

from clipvil.encoders import _options, _shapes, timm
from clipvil.health.base import Seen, Size, Source

POSITIONS = "pos_embed"


def source(name: str, options: Mapping[str, str]) -> Source:
    """The model that timm calls `name`, in fp32, with what timm publishes of it."""
    config = timm.configuration(name)
    native = (int(config.input_size[1]), int(config.input_size[2]))
    size = _options.size(options) or native
    projected = timm.is_projection(name, config)
    size, settings, taking, shape = timm.sized(name, size, native, options, projected=projected)
    fixed = {"img_size": settings["img_size"]} if "img_size" in settings else {}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(_options.seed(options))
        network: Any = library.create_model(name, **fixed).eval()
    if options.get("weights") != "random":
        if not projected:
            network.reset_classifier(0)
        timm.load(f"timm:{name}", network, config, options.get("weights"), projected=projected)
    other = dict[Size, Any]()  # networks built for other sizes

    def see(pixels: Tensor) -> Seen:
        at = (pixels.shape[2], pixels.shape[3])
        if at not in other:
            try:
                return seen(network, pixels, taking, shape)
            except _shapes.UNFIT:
                other[at] = resized(name, network, at, shape.stride).to(pixels.device)
        return seen(other[at], pixels, taking, shape)

    return Source(
        library=f"timm {library.__version__}",
        size=size if fixed else native,
        mean=tuple(map(float, config.mean)),  # type: ignore[arg-type]  # three channels
        std=tuple(map(float, config.std)),  # type: ignore[arg-type]
        network=network,
        see=see,
    )


def seen(network: Any, pixels: Tensor, taking: timm.Taking, shape: _shapes.Shape) -> Seen:
    """Cells [B, R, C, D] and pooled [B, P] of timm's own forward."""
    kept = list[Tensor]()
    named = network.feature_info[taking.layer]["module"]
    hook = network.get_submodule(named).register_forward_hook(lambda *call: kept.append(call[2]))
    try:
        features = network.forward_features(pixels)
    finally:
        hook.remove()
    last = taking.layer == taking.layers - 1 and shape.width in (
        features.shape[1],
        features.shape[-1],
    )
    rows, columns = (round(side / shape.stride) for side in pixels.shape[2:])
    pooled = None if shape.pooled is None else network.forward_head(features, not taking.projected)
    return cells(features if last else kept[0], shape.width, rows, columns), pooled


def cells(found: Tensor, width: int, rows: int, columns: int) -> Tensor:
    """[B, T + N, D], [B, D, R, C] or [B, R, C, D] as [B, R, C, D]."""
    if found.ndim == 3:
        return found[:, -rows * columns :].reshape(-1, rows, columns, width)
    return found if found.shape[1:] == (rows, columns, width) else found.permute(0, 2, 3, 1)


def resized(name: str, network: Any, size: Size, stride: int) -> Any:
    """The same weights in a network built for another size.

    Raises
        ValueError: timm builds no network of this size
    """
    try:
        made: Any = library.create_model(name, img_size=size).eval()
        if not network.num_classes:
            made.reset_classifier(0)
        tensors = dict(network.state_dict())
        table = tensors[POSITIONS]  # [1, T + N, D]
        rows, columns = (side // stride for side in size)
        prefix = made.state_dict()[POSITIONS].shape[1] - rows * columns
        tensors[POSITIONS] = resample_abs_pos_embed(
            table, [rows, columns], num_prefix_tokens=prefix
        )
        made.load_state_dict(tensors)
    except (*_shapes.UNFIT, KeyError) as error:
        raise ValueError(f"timm builds no {name} for {size[0]}x{size[1]} pixels") from error
    return made
