"""transformers' own forward: the vision tower that its classes build, as its outputs are named.

Source   https://github.com/huggingface/transformers
Cells    of the last layer `last_hidden_state`, of others what the layer's module gives, by a hook;
         no part of `hidden_states`, which the encoder uses
Pooled   `image_embeds`, else `pooler_output`, else the class token
Pixels   as transformers' own image processor says of the files
Shapes   T prefix tokens, N cells, D their width
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import torch
import transformers
from torch import Tensor, nn

from clipvil.encoders import _hf_grid, _options, _shapes, hf
from clipvil.encoders._hf_files import PICTURES, Files, described, native_size
from clipvil.health.base import Seen, Source

CLASS = ("cls_token", "class_embedding")  # what libraries within the library call it
LAYERS = ("layers", "layer", "stages")


def source(name: str, options: Mapping[str, str]) -> Source:
    """The vision tower of the model `name`, in fp32, with what transformers says of it."""
    spec, files = f"hf:{name}", Files(name, options)
    config = hf.configuration(spec, files.find("config.json"))
    pictures = files.find(*PICTURES)
    with hf.quiet():
        processor: Any = transformers.AutoImageProcessor.from_pretrained(str(pictures.parent))
    random = options.get("weights") == "random"
    tensors = {} if random else files.tensors(options.get("weights"))
    kind, settings = hf.architecture(spec, config, tensors)
    if random:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(_options.seed(options))
            network = kind(config, **settings).eval()
    else:
        network = hf.filled(spec, kind, config, settings, tensors).eval()
    blocks = layers(network)
    layer = _options.layer(options, len(blocks))

    def see(pixels: Tensor) -> Seen:
        try:
            return seen(network, pixels, blocks[layer], last=layer == len(blocks) - 1)
        except _shapes.UNFIT as error:
            size = "x".join(map(str, pixels.shape[2:]))
            raise ValueError(f"transformers takes no pictures of {size} here: {error}") from error

    scale = 255 * processor.rescale_factor
    mean, std = (0, 0, 0), (1, 1, 1)
    if processor.do_normalize:
        mean, std = processor.image_mean, processor.image_std
    return Source(
        library=f"transformers {transformers.__version__}",
        size=native_size(config, described(pictures)),
        mean=tuple(float(m) / scale for m in mean),
        std=tuple(float(s) / scale for s in std),
        network=network,
        see=see,
    )


def layers(network: nn.Module) -> nn.ModuleList:
    """The blocks or stages that a tower goes through, one after the other."""
    return next(
        module
        for name, module in network.named_modules()
        if isinstance(module, nn.ModuleList) and name.rpartition(".")[2] in LAYERS
    )


def seen(network: Any, pixels: Tensor, block: nn.Module, *, last: bool) -> Seen:
    """Cells [B, R, C, D] and pooled [B, P] of the tower's own forward."""
    kept = list[Any]()
    hook = block.register_forward_hook(lambda *call: kept.append(call[2]))
    told = {}
    if "interpolate_pos_encoding" in inspect.signature(network.forward).parameters:
        told["interpolate_pos_encoding"] = True
    try:
        found = network(pixel_values=pixels, **told)
    finally:
        hook.remove()
    final: Tensor = found.last_hidden_state
    own: Tensor = kept[0][0] if isinstance(kept[0], tuple) else kept[0]
    tower = getattr(network, "vision_model", network)
    if not last:
        tokens = own
    elif type(tower).__name__ in _hf_grid.UNNORMED:
        tokens = tower.post_layernorm(own)
    else:
        tokens = final
    prefix = int(any(n.rpartition(".")[2] in CLASS for n, _ in network.named_parameters()))
    pooled = getattr(found, "image_embeds", None)
    if pooled is None:
        pooled = getattr(found, "pooler_output", None)
    if pooled is None and prefix:
        pooled = final[:, 0]
    prefix += getattr(network.config, "num_register_tokens", 0)
    behind = getattr(network.config, "num_detection_tokens", 0)
    tokens = tokens[:, : tokens.shape[1] - behind]
    return cells(tokens, prefix, pixels), None if pooled is None else pooled.flatten(1)


def cells(found: Tensor, prefix: int, pixels: Tensor) -> Tensor:
    """[B, T + N, D] or [B, D, R, C] as [B, R, C, D]."""
    if found.ndim == 4:
        return found.permute(0, 2, 3, 1)
    height, width = pixels.shape[2:]
    patch = round((height * width / (found.shape[1] - prefix)) ** 0.5)  # a square
    return found[:, prefix:].reshape(len(found), height // patch, width // patch, -1)
