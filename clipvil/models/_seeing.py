"""A model whose encoder learns with it: pictures come as pixels, as `data.live.Shown` gives them.

They become the encoder's cells, standardised as those out of a store are, and the model inside is
called as if it had read a store; so it is any model, and any of its objectives.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

from clipvil.data.live import cells
from clipvil.data.sight import Statistics
from clipvil.encoders import _tuning
from clipvil.encoders.base import Encoder


class Seeing(nn.Module):
    """A model and the encoder that it sees pictures with.

    Its state is what is learnt: frozen weights come with the encoder, whose fingerprint a run has.
    Running statistics of norms stay the encoder's, whatever is trained.
    """

    def __init__(
        self,
        model: nn.Module,
        encoder: Encoder,
        statistics: Statistics,
        *,
        way: _tuning.Way,
        rank: int,
    ) -> None:
        super().__init__()
        self.model, self.encoder = model, encoder
        self.register_buffer("mean", torch.from_numpy(statistics.mean), persistent=False)
        self.register_buffer("deviation", torch.from_numpy(statistics.deviation), persistent=False)
        self.mean: Tensor
        self.deviation: Tensor
        _tuning.tune(encoder, way, rank)
        self._learnt = {f"encoder.{name}" for name in _tuning.learnt(encoder)}
        self.register_state_dict_post_hook(_without_frozen)  # type: ignore[no-untyped-call]
        self.register_load_state_dict_post_hook(  # type: ignore[no-untyped-call]
            _forgive_frozen
        )

    def train(self, mode: bool = True) -> Seeing:
        """Training mode, but for what is frozen and for norms with running statistics."""
        super().train(mode)
        for module in self.encoder.modules():
            if isinstance(module, _NormBase):
                module.eval()
        return self

    def see(self, batch: Any) -> Any:
        """A batch with the encoder's cells in place of pixels; all else stays."""
        found = cells(self.encoder, batch.image, batch.grid, self.mean, self.deviation)
        return replace(batch, image=found.image, seen=found.seen, grid=found.grid)


def _without_frozen(module: nn.Module, state: dict[str, Any], prefix: str, _: object) -> None:
    """Leave out of a state what is not learnt of the encoder."""
    assert isinstance(module, Seeing)
    for name in [n for n in state if n.startswith(f"{prefix}encoder.")]:
        if name.removeprefix(prefix) not in module._learnt:
            del state[name]


def _forgive_frozen(module: nn.Module, keys: Any) -> None:
    """A state has what is learnt of the encoder: nothing else of it is missing."""
    assert isinstance(module, Seeing)
    keys.missing_keys[:] = [
        n for n in keys.missing_keys if not n.startswith("encoder.") or n in module._learnt
    ]
