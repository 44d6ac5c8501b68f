"""An encoder of your own: `module:my_file.py:build`, or `module:my_file.py` for a `build` in it.

`build` gets the options after the comma as keyword strings and returns an `Encoder`, or any
`nn.Module` that says how it wants its pictures:

    from torch import nn
    from clipvil.encoders.base import Preprocessing

    class Mine(nn.Module):
        preprocessing = Preprocessing(size=(224, 224), stride=32)   # keeps the aspect
        layer = "the last one"                                      # optional, for the record

        def forward(self, pixels):          # normalised, [B, 3, H, W]
            ...
            return grid, pooled             # [B, R, C, D] and [B, P]; or the grid alone

    def build(weights="mine.safetensors"):
        ...
        return Mine(...)

Give a network whose pictures must all have one size `fit="squash"`. Tensors and the text of the
file are part of the fingerprint: change either, and stored features are refused. So weights that
`build` leaves to chance are the same each time, drawn by torch from seed 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from clipvil import files, registry
from clipvil.core import UsageError
from clipvil.encoders import _options
from clipvil.encoders.base import Card, Encoder, Preprocessing, hash_weights


class Plain(nn.Module):
    """A user's network, its grid alone or with a pooled vector."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(
        self, pixels: Float[Tensor, "B 3 H W"]
    ) -> tuple[Float[Tensor, "B R C D"], Float[Tensor, "B P"] | None]:
        """Normalised pixels -> cells and pooled."""
        seen = self.network(pixels)
        return seen if isinstance(seen, tuple) else (seen, None)


def build(name: str, options: Mapping[str, str]) -> Encoder:
    """What `FILE:FUNCTION` returns, as an encoder.

    Raises
        UsageError: no such file or function, options it does not take, or not an encoder
    """
    source = f"module:{name}"
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        function = registry.load("clipvil.encoders", source, "build", "encoder")
        try:
            made = function(**options)
        except TypeError as error:
            raise UsageError(f"{source} does not take these options: {error}") from error
    text = files.sha256(Path(name.partition(":")[0]))
    if isinstance(made, Encoder):
        made.card = replace(
            made.card,
            name=_options.named(source, options),
            weights=hash_weights(made.network),
            options={**made.card.options, **_options.recorded(options), "source": text},
        )
        return made.eval()
    preprocessing = getattr(made, "preprocessing", None)
    if not isinstance(made, nn.Module) or not isinstance(preprocessing, Preprocessing):
        raise UsageError(f"{source} gives {type(made).__name__}, not an Encoder or an nn.Module "
                         "with a `preprocessing`")  # fmt: skip
    network = Plain(made).eval()
    width, pooled_width = widths(source, network, preprocessing)
    card = Card(
        name=_options.named(source, options),
        width=width,
        pooled_width=pooled_width,
        layer=str(getattr(made, "layer", "")),
        weights=hash_weights(made),
        preprocessing=preprocessing,
        parameters=sum(p.numel() for p in made.parameters()),
        options={**_options.recorded(options), "source": text},
    )
    return Encoder(card, network).eval()


def widths(source: str, network: Plain, preprocessing: Preprocessing) -> tuple[int, int | None]:
    """Widths of the grid and of the pooled vector, from one black picture."""
    seen: Any
    with torch.inference_mode():
        black = torch.zeros(1, 3, *preprocessing.target(*reversed(preprocessing.size)))
        seen, pooled = network(black)
    if seen.ndim != 4 or (pooled is not None and pooled.ndim != 2):
        raise UsageError(f"{source} must give a grid [B, R, C, D] and perhaps a pooled [B, P]")
    return int(seen.shape[3]), None if pooled is None else int(pooled.shape[1])
