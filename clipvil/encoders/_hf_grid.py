"""What a vision tower of transformers gives, as a grid of cells and a pooled vector.

Shapes   B batch, H x W pixels, R x C grid cells of width D, P pooled width
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from clipvil.core import UsageError
from clipvil.encoders import _options, _shapes
from clipvil.encoders._hf_files import pair

# they give their cells as they were before the norm that their pooled vector goes through
UNNORMED = (
    "AltCLIPVisionModel",
    "CLIPSegVisionModel",
    "CLIPVisionModel",
    "ChineseCLIPVisionModel",
    "MLCDVisionModel",
    "MetaClip2VisionModel",
    "OwlViTVisionTransformer",
    "Owlv2VisionTransformer",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Taking:
    """How a network's output becomes a grid."""

    patch: int  # pixels a token in the last layer, where tokens come out and not maps
    native: tuple[int, int]
    resamples: bool  # it is told when positions are to be resampled
    layer: int | None = None  # counted from 0; none for the last one
    behind: int = 0  # tokens behind those of the picture
    staged: bool = False  # patches are merged on the way, an odd one with padding
    shuffled: bool = False  # tokens are in order after the last layer only
    last: bool = False  # maps have their channels last

    def before(self, tokens: int, size: tuple[int, ...]) -> int:
        """How many of so many tokens stand before the picture's, as one of a class does.

        Raises
            ValueError: there are fewer than patches
        """
        whole = [side // self.patch for side in size]
        padded = [-(-side // self.patch) for side in size]
        for rows, columns in (padded, whole) if self.staged else (whole,):
            if (extra := tokens - self.behind - rows * columns) >= 0:
                return extra
        raise ValueError("it gives fewer tokens than there are patches")


class Vision(nn.Module):
    """One layer of a vision tower as a grid, and its pooled vector."""

    def __init__(self, network: nn.Module, taking: Taking) -> None:
        super().__init__()
        self.network = network
        self.taking = taking

    def forward(
        self, pixels: Float[Tensor, "B 3 H W"]
    ) -> tuple[Float[Tensor, "B R C D"], Float[Tensor, "B P"] | None]:
        """Normalised pixels -> cells and pooled."""
        taking, size = self.taking, tuple(pixels.shape[2:])
        said: dict[str, Any] = {}
        if taking.resamples and size != taking.native:
            said["interpolate_pos_encoding"] = True
        if taking.layer is not None:
            said["output_hidden_states"] = True
        seen: Any = self.network(pixel_values=pixels, **said)
        final: Tensor = seen.last_hidden_state
        tokens = final if taking.layer is None else seen.hidden_states[taking.layer + 1]
        tower: Any = getattr(self.network, "vision_model", self.network)
        if taking.layer is None and type(tower).__name__ in UNNORMED:
            tokens = tower.post_layernorm(tokens)
        extra = 0
        if tokens.ndim == 4:  # [B, D, R, C], or as a grid
            grid = tokens if taking.last else tokens.permute(0, 2, 3, 1)
        elif taking.layer is not None and taking.shuffled:
            grid = seen.reshaped_hidden_states[taking.layer + 1]
        else:
            extra = taking.before(final.shape[1], size)
            cells = tokens[:, extra : tokens.shape[1] - taking.behind]
            patch = round((size[0] * size[1] / cells.shape[1]) ** 0.5)
            grid = cells.unflatten(1, (size[0] // patch, size[1] // patch))
        pooled = getattr(seen, "image_embeds", None)
        if pooled is None:
            pooled = getattr(seen, "pooler_output", None)
        if pooled is None and extra:
            pooled = final[:, 0]
        return grid, None if pooled is None else pooled.flatten(1)


def probe(
    source: str, network: Any, native: tuple[int, int], options: Mapping[str, str]
) -> tuple[Taking, int]:
    """How to read a network's output, and how many layers it has, from one without values.

    Raises
        UsageError: no such layer, or the network does not take its own size
    """
    picture = torch.empty(1, 3, *native, device="meta")
    try:
        seen = network(pixel_values=picture, output_hidden_states=True)
    except _shapes.UNFIT as error:
        raise UsageError(f"{source} is no vision tower of a known kind: {error}") from error
    layers = len(seen.hidden_states) - 1  # what goes into the first one stands before it
    layer = _options.layer(options, layers)
    config = network.config
    said = getattr(config, "patch_stride", None) or getattr(config, "patch_size", 4)
    patch = pair(said)[0]  # 4 is what a ConvNeXt begins with, unsaid
    stages = len(getattr(config, "depths", (1,)))
    _, *sides = seen.last_hidden_state.shape
    taking = Taking(
        patch=patch * 2 ** (stages - 1),
        native=native,
        resamples="interpolate_pos_encoding" in inspect.signature(network.forward).parameters,
        layer=None if layer == layers - 1 else layer,
        behind=getattr(config, "num_detection_tokens", 0),
        staged=stages > 1,
        shuffled=config.model_type == "hiera",
        # as SAM 2's: not the last two sides, but the first two are as wide and high as the picture
        last=len(sides) == 3
        and sides[0] * native[1] == sides[1] * native[0]
        and sides[1] * native[1] != sides[2] * native[0],
    )
    return taking, layers
