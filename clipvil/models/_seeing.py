"""A model with its encoder: pictures come as pixels, frozen features or trained weights see them.

A batch that was made from `data.Shown` has pixels for cells. They become the encoder's cells,
standardised as those out of a store are, and the model inside is called as if it had read a store.

Shapes   B batch, N pixels or cells, H x W pixels, R x C cells, I cell width
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.utils import parametrize

from clipvil.data.sight import Grids, Shown, Statistics, sample
from clipvil.encoders import _tuning
from clipvil.encoders.base import Encoder
from clipvil.models.base import Loss

TOGETHER = 32  # pictures a forward of the encoder


class Seeing(nn.Module):
    """A model that sees pictures through an encoder of its own.

    Its state is what is learnt: frozen weights come with the encoder, whose fingerprint a run has.
    Running statistics of norms stay the encoder's, whatever is trained.
    """

    def __init__(
        self,
        model: nn.Module,
        encoder: Encoder,
        statistics: Statistics,
        *,
        way: _tuning.Way = "live",
        rank: int = 1,
    ) -> None:
        super().__init__()
        self.model, self.encoder = model, encoder
        self.register_buffer("mean", torch.from_numpy(statistics.mean), persistent=False)
        self.register_buffer("deviation", torch.from_numpy(statistics.deviation), persistent=False)
        self.mean: Tensor
        self.deviation: Tensor
        _tuning.tune(encoder, way, rank)
        named = encoder.named_parameters(prefix="encoder")
        self._learnt = {name for name, parameter in named if parameter.requires_grad}
        self.register_state_dict_post_hook(_without_frozen)  # type: ignore[no-untyped-call]
        self.register_load_state_dict_post_hook(  # type: ignore[no-untyped-call]
            _forgive_frozen
        )

    @property
    def learnt(self) -> int:
        """How many numbers of the encoder are trained."""
        return sum(p.numel() for p in self.encoder.parameters() if p.requires_grad)

    def train(self, mode: bool = True) -> Seeing:
        """Training mode, but for what is frozen and for norms with running statistics."""
        super().train(mode)
        for module in self.encoder.modules():
            if isinstance(module, _NormBase):
                module.eval()
        return self

    def forward(self, batch: Any) -> Any:
        """What the model says."""
        return self.model(self.see(batch))

    def loss(self, batch: Any) -> Loss:
        """The model's own."""
        loss: Loss = self.model.loss(self.see(batch))  # type: ignore[operator]
        return loss

    def see(self, batch: Any) -> Any:
        """A batch with the encoder's cells in place of pixels; all else stays."""
        image, seen, grid = self.look(batch.image, batch.grid)
        return replace(batch, image=image, seen=seen, grid=grid)

    def look(self, pixels: UInt8[Tensor, "B N 3"], sizes: Int[Tensor, "B 2"]) -> Grids:
        """The cells of each picture; one without pixels shows one empty cell, as with stores."""
        new = torch.ones(len(pixels), dtype=torch.bool, device=pixels.device)
        # questions about a picture stand together in a split: it is encoded once
        new[1:] = (pixels[1:] != pixels[:-1]).flatten(1).any(1) | (sizes[1:] != sizes[:-1]).any(1)
        grids = [*encoded(self.encoder, pixels[new], sizes[new])]
        longest = max((cells.shape[1] * cells.shape[2] for _, cells in grids), default=1)
        count = int(new.sum())
        grid = torch.ones(count, 2, dtype=torch.long)
        order, parts = list[int](), list[Tensor]()
        for rows, cells in grids:
            standard = (cells.flatten(1, 2) - self.mean) / self.deviation  # [b, N, I]
            parts.append(F.pad(standard, (0, 0, 0, longest - standard.shape[1])))
            grid[rows] = torch.tensor(cells.shape[1:3])
            order += rows
        empty = sorted({*range(count)} - {*order})
        parts.append(self.mean.new_zeros(len(empty), longest, len(self.mean)))
        place = torch.tensor([*order, *empty]).argsort().to(pixels.device)[new.cumsum(0) - 1]
        grid = grid.to(pixels.device)[new.cumsum(0) - 1]
        seen = torch.arange(longest, device=pixels.device) < grid.prod(1, keepdim=True)
        return Grids(torch.cat(parts)[place], seen, grid)


def encoded(
    encoder: Encoder, pixels: UInt8[Tensor, "B N 3"], sizes: Int[Tensor, "B 2"]
) -> Iterator[tuple[list[int], Float[Tensor, "b R C I"]]]:
    """Rows of pictures of one size, and their cells; pictures without pixels are left out."""
    alike = defaultdict[tuple[int, int], list[int]](list)
    for row, (height, width) in enumerate(sizes.tolist()):
        if height:
            alike[height, width].append(row)
    # a frozen encoder computes as it did for a store, whatever is saved on beside it
    trained = any(parameter.requires_grad for parameter in encoder.parameters())
    own = nullcontext() if trained else torch.autocast(pixels.device.type, enabled=False)
    with own, parametrize.cached():  # attention asks for a weight several times
        for (height, width), rows in alike.items():
            for start in range(0, len(rows), TOGETHER):
                some = rows[start : start + TOGETHER]
                whole = pixels[some, : height * width].view(len(some), height, width, 3)
                # permuted only: networks like their channels last
                yield some, encoder(whole.permute(0, 3, 1, 2)).grid.float()


def statistics(encoder: Encoder, shown: Shown, pictures: Sequence[str]) -> Statistics:
    """Of an encoder's cells of some pictures, as `Statistics.of` has them of stored ones."""

    def cells() -> Iterator[Any]:
        names = sample(pictures)
        for start in range(0, len(names), TOGETHER):
            looked = shown.look(names[start : start + TOGETHER])
            pixels, sizes = (t.to(encoder.mean.device) for t in (looked.image, looked.grid))
            with torch.inference_mode():
                found = {
                    row: grid.reshape(-1, grid.shape[-1])  # [N, I]
                    for rows, grids in encoded(encoder, pixels, sizes)
                    for row, grid in zip(rows, grids.cpu().numpy(), strict=True)
                }
            yield from (found[row] for row in sorted(found))

    return Statistics.over(encoder.card.width, cells())


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
