"""open_clip's own forward: the image tower as `open_clip` builds and calls it, at its native size.

Source   https://github.com/mlfoundations/open_clip
Cells    at the module that computes the layer, by a hook; no part of `forward_intermediates`, which
         the encoder uses. A timm trunk gives its own `forward_features`
Sizes    open_clip takes pictures of one size
Shapes   T prefix tokens, N cells, D their width
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import open_clip
import torch
from open_clip.model import _build_vision_tower
from open_clip.modified_resnet import ModifiedResNet
from open_clip.timm_model import TimmModel
from torch import Tensor

from clipvil.encoders import _options, _weights, openclip
from clipvil.encoders._openclip_files import find, tensors
from clipvil.health.base import Seen, Source


def source(name: str, options: Mapping[str, str]) -> Source:
    """The image tower that open_clip calls `name`, in fp32, with what open_clip says of it."""
    found = find(name)
    native = openclip.pair(found.model["vision_cfg"].get("image_size", 224))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(_options.seed(options))
        visual: Any = _build_vision_tower(
            found.model["embed_dim"],
            found.model["vision_cfg"],
            found.model.get("quick_gelu", False),
        ).eval()
    if options.get("weights") != "random":
        weights = tensors(found, options, "visual.")
        _weights.fill(visual, weights, what=f"these weights are not those of {name}")
    with torch.device("meta"):
        count = openclip.layers(openclip.tower(found.model), native)
    layer = _options.layer(options, count)

    def see(pixels: Tensor) -> Seen:
        if tuple(pixels.shape[2:]) != native:
            raise ValueError(f"open_clip takes pictures of {native[0]}x{native[1]} only")
        return seen(visual, pixels, layer, last=layer == count - 1)

    return Source(
        library=f"open_clip {open_clip.__version__}",
        size=native,
        mean=tuple(map(float, found.pictures["mean"])),  # type: ignore[arg-type]  # three channels
        std=tuple(map(float, found.pictures["std"])),  # type: ignore[arg-type]
        network=visual,
        see=see,
    )


def seen(visual: Any, pixels: Tensor, layer: int, *, last: bool) -> Seen:
    """Cells [B, R, C, D] and pooled [B, P] of the tower's own forward.

    Raises
        ValueError: a layer before the last of a timm trunk, which has no one place to look at
    """
    if isinstance(visual, TimmModel):
        if not last:
            raise ValueError("open_clip shows the last layer only of a timm trunk")
        return cells(visual.trunk.forward_features(pixels), pixels), visual(pixels)
    resnet = isinstance(visual, ModifiedResNet)
    blocks = (
        [visual.avgpool, visual.layer1, visual.layer2, visual.layer3, visual.layer4]
        if resnet
        else visual.transformer.resblocks
    )
    kept = list[Tensor]()
    hook = blocks[layer].register_forward_hook(lambda *call: kept.append(call[2]))
    try:
        pooled = visual(pixels)
    finally:
        hook.remove()
    norms = not resnet and last and openclip.norms_cells(visual)
    return cells(visual.ln_post(kept[0]) if norms else kept[0], pixels), pooled


def cells(found: Tensor, pixels: Tensor) -> Tensor:
    """[B, T + N, D] or [B, D, R, C] as [B, R, C, D]."""
    if found.ndim == 4:
        return found.permute(0, 2, 3, 1)
    height, width = pixels.shape[2:]
    # of one prefix token or none; a patch is a square
    for prefix in (1, 0):
        patch = round((height * width / (found.shape[1] - prefix)) ** 0.5)
        rows, columns = height // patch, width // patch
        if rows * columns == found.shape[1] - prefix:
            return found[:, prefix:].reshape(len(found), rows, columns, -1)
    raise ValueError(f"{found.shape[1]} tokens of {height}x{width} pixels are no grid")
