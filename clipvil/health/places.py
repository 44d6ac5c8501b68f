"""Checks of places: position embeddings, and that a cell is where its patch is.

Positions are looked at through an even picture, all of whose patches are alike: what then differs
between cells is their place. Released code lost positions altogether, or resampled them to a
square where the grid was a rectangle (arXiv 2107.06383's ViT rows came that way).

Shapes   B batch, R x C grid cells, N = R * C, D cell width
"""

from __future__ import annotations

import copy
import re

import torch
from jaxtyping import Float
from torch import Tensor, nn

from clipvil.encoders.base import Encoder
from clipvil.health.base import (
    Finding,
    Look,
    Size,
    Source,
    apart,
    exact,
    place,
    rectangle,
    skipped,
)

NAMED = re.compile(r"pos(ition)?(al)?_?embed")  # timm's, open_clip's, transformers'
NO_TABLE = "no table of position embeddings in it"
LEAST = 1e-6  # relative change, below which positions are not used
ALIKE = 0.999  # cosine of what places add, ours with the source's
# cells that the place of most change may be off by on average, and more of finer grids: a
# convolution sees around its cell
STRAY, STRAY_A_SIDE = 0.5, 0.1
SHIFT = 0.75  # cells that all places may be off by together; a stride leans to one side


def tables(network: nn.Module) -> dict[str, Tensor]:
    """Position embeddings of a network by name."""
    return {
        name: tensor
        for name, tensor in network.state_dict().items()
        if NAMED.search(name) and tensor.is_floating_point() and tensor.ndim > 1
    }


def even(network: nn.Module, size: Size, device: torch.device) -> Float[Tensor, "N D"]:
    """Cells of an even picture."""
    grid: Tensor = network(torch.zeros(1, 3, *size, device=device))[0]
    return grid.detach().float().flatten(0, 2)


def added(encoder: Encoder) -> tuple[float, float]:
    """How much cells and the pooled vector change with the tables, relative."""
    network = exact(encoder)
    bare = copy.deepcopy(network)
    for table in tables(bare).values():
        table.zero_()
    draw = torch.Generator().manual_seed(0)
    noise = torch.randn(1, 3, *encoder.preprocessing.size, generator=draw)
    noise = noise.to(encoder.mean.device)
    (grid, pooled), (bare_grid, bare_pooled) = network(noise), bare(noise)
    of_pooled = 0.0 if pooled is None else apart(bare_pooled, pooled)
    return apart(bare_grid, grid), of_pooled


def positions(encoder: Encoder) -> Finding:
    """Position embeddings are there and are used."""
    check, found = "positions", tables(encoder.network)
    if not found:
        return skipped(check, NO_TABLE)
    names, change = ", ".join(found), max(added(encoder))
    zero = not any(bool(table.any()) for table in found.values())
    wrong = zero or not change > LEAST
    said = "is all zero" if zero else "changes nothing" if wrong else "is used"
    return Finding(
        check=check,
        state="failed" if wrong else "passed",
        reason=f"{names} {said}",
        value=change,
        unit="relative change by them",
    )


def positions_at(encoder: Encoder, source: Source | None, *, wide: bool) -> Finding:
    """What places add, at the native size or on a wide rectangle, is what the source's add."""
    check = "positions at a rectangle" if wide else "positions at the native size"
    if not tables(encoder.network):
        return skipped(check, NO_TABLE)
    size = place(encoder, source, wide=wide)
    if source is None or isinstance(size, str):
        return skipped(check, str(size))
    if added(encoder)[0] <= LEAST:
        return skipped(check, "cells have no places; where the pool has, see parity")
    device = encoder.mean.device
    try:
        seen, _ = source.see(torch.zeros(1, 3, *size, device=device))
    except ValueError as error:
        return skipped(check, str(error))
    theirs = seen.flatten(0, 2)
    ours = even(exact(encoder), size, device)
    shape = f"{seen.shape[1]}x{seen.shape[2]} cells"
    if ours.shape != theirs.shape:
        reason = f"{len(ours)} cells where {source.library} has {shape}"
        return Finding(check=check, state="failed", reason=reason)
    ours, theirs = ours - ours.mean(0), theirs - theirs.mean(0)
    alike = float(torch.cosine_similarity(ours.flatten(), theirs.flatten(), dim=0))
    wrong = not alike >= ALIKE
    return Finding(
        check=check,
        state="failed" if wrong else "passed",
        reason=f"places are {'not ' if wrong else ''}those of {source.library} at {shape}",
        value=alike,
        unit="cosine",
    )


def token_order(encoder: Encoder, look: Look) -> Finding:
    """A patch that changes, changes the cell of its row and column most."""
    check, unit = "token order", "cells off on average"
    pixels = look(rectangle(encoder) or encoder.preprocessing.size).to(encoder.mean.device)[:2]
    before = encoder(pixels).grid.float()  # [B, R, C, D]
    rows, columns = before.shape[1:3]
    if rows * columns == 1:
        return skipped(check, "one cell only")
    height, width = pixels.shape[2] // rows, pixels.shape[3] // columns
    probes, maps = list[tuple[int, int]](), list[Tensor]()
    for row in sorted({0, rows // 2, rows - 1}):
        for column in sorted({0, columns // 2, columns - 1}):
            changed = pixels.clone()
            patch = changed[
                :, :, row * height : (row + 1) * height, column * width : (column + 1) * width
            ]
            patch.copy_(255 - patch)
            probes.append((row, column))
            maps.append((encoder(changed).grid.float() - before).norm(dim=-1).mean(0).flatten())
    moved = torch.stack(maps)  # [probes, N]
    # cells that change whatever patch does (a trained ViT has some) say nothing of places
    most = (moved.square() / moved.mean(0).clamp_min(1e-12)).argmax(1)  # [probes]
    found = torch.stack([most // columns, most % columns], 1).cpu()
    strays = (found - torch.tensor(probes)).float()  # [probes, 2]
    stray, shift = float(strays.norm(dim=1).mean()), float(strays.mean(0).norm())
    allowed = STRAY + STRAY_A_SIDE * (rows + columns) / 2
    wrong = not (stray <= allowed and shift < SHIFT)
    return Finding(
        check=check,
        state="failed" if wrong else "passed",
        reason=(
            f"a changed patch shows in another of the {rows}x{columns} cells"
            if wrong
            else f"row by row over {rows}x{columns} cells, {len(probes)} patches changed"
        ),
        value=stray,
        unit=unit,
    )
