"""Checks of numbers: finite, normalised as published, red first, the right activation, parity.

Shapes   B batch, H x W pixels
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from clipvil import progress
from clipvil.encoders.base import Encoder
from clipvil.health.base import (
    NO_SOURCE,
    Finding,
    Look,
    Size,
    Source,
    apart,
    dtype,
    exact,
    place,
    skipped,
)

PARITY = {torch.float32: 1e-5}  # relative; shorter types:
SHORT_PARITY = 0.1
NORMALISED = {torch.float32: 1e-4}  # of mean and std, pixels between 0 and 1
SHORT_NORMALISED = 1e-2
SECONDS = 2.0  # that speed is measured for, at least
BATCH = {"cpu": 8, "cuda": 64}

OTHERS = {"nothing", "ReLU"}  # where inputs are large, a GELU would be one of them
ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "nothing": lambda x: x,
    "ReLU": F.relu,
    "GELU": F.gelu,
    "tanh GELU": lambda x: F.gelu(x, approximate="tanh"),
    "QuickGELU": lambda x: x * torch.sigmoid(1.702 * x),
}


def weights(encoder: Encoder) -> Finding:
    """No parameter or buffer is NaN or infinite."""
    broken = {
        name: int((~tensor.isfinite()).sum())
        for name, tensor in encoder.network.state_dict().items()
        if tensor.is_floating_point() and not bool(tensor.isfinite().all())
    }
    reason = f"in {', '.join(list(broken)[:3])}" if broken else "all finite"
    return Finding(
        check="weights",
        state="failed" if broken else "passed",
        reason=reason,
        value=float(sum(broken.values())),
        unit="not finite",
    )


def features(encoder: Encoder, look: Look) -> Finding:
    """What comes out of pictures is finite."""
    seen = encoder(look(encoder.preprocessing.size).to(encoder.mean.device))
    out = [seen.grid] if seen.pooled is None else [seen.grid, seen.pooled]
    broken = sum(int((~tensor.isfinite()).sum()) for tensor in out)
    return Finding(
        check="features",
        state="failed" if broken else "passed",
        reason="NaN or infinite values come out" if broken else "all finite",
        value=float(broken),
        unit="not finite",
    )


def reaching(encoder: Encoder, pixels: Tensor) -> Tensor:
    """What the network itself gets of uint8 pictures, [B, 3, H, W]."""
    kept = list[Tensor]()

    def keep(_: nn.Module, given: tuple[Tensor, ...]) -> None:
        kept.append(given[0].detach().float())

    hook = encoder.network.register_forward_pre_hook(keep)
    try:
        encoder(pixels.to(encoder.mean.device))
    finally:
        hook.remove()
    return kept[0]


def normalisation(encoder: Encoder, source: Source | None) -> Finding:
    """Mean and std that reach the network are the published ones; else at least the card's."""
    height, width = encoder.preprocessing.size
    black_and_white = torch.zeros(2, 3, height, width, dtype=torch.uint8)
    black_and_white[1] = 255
    black, white = reaching(encoder, black_and_white).mean((2, 3)).cpu()  # [3] each
    std = 1 / (white - black)
    wanted = encoder.preprocessing if source is None else source
    by = "the card's" if source is None else f"what {source.library} publishes"
    off = max(
        float((found - torch.tensor(told)).abs().max())
        for found, told in ((-black * std, wanted.mean), (std, wanted.std))
    )
    wrong = not off <= NORMALISED.get(dtype(encoder), SHORT_NORMALISED)
    said = ", ".join(f"{x:.4g}" for x in (*wanted.mean, *wanted.std))
    return Finding(
        check="normalisation",
        state="failed" if wrong else "passed",
        reason=f"mean and std are {'not ' if wrong else ''}{by}: {said}",
        value=off,
        unit="largest difference",
    )


def colours(encoder: Encoder, source: Source | None, look: Look) -> Finding:
    """Red is the first channel on the way to the network, and the first that its weights expect."""
    height, width = encoder.preprocessing.size
    flat = [Image.new("RGB", (width, height), colour) for colour in ("red", "lime", "blue")]
    fed = [torch.from_numpy(encoder.preprocessing(picture).values) for picture in flat]
    order = reaching(encoder, torch.stack(fed)).mean((2, 3))  # [colour, channel]
    order = order - order.mean(0)
    arrived = "".join("RGB"[int(k)] for k in order.argmax(0))
    if arrived != "RGB":
        return Finding(check="colours", state="failed", reason=f"the network gets {arrived}")
    if source is None:
        reason = f"the network gets RGB; whether its weights expect it: {NO_SOURCE}"
        return Finding(check="colours", state="passed", reason=reason)
    pixels = look(source.size).to(encoder.mean.device)
    ours = encoder(pixels).grid
    right, swapped = (
        apart(ours, source.see(source.normalised(given))[0]) for given in (pixels, pixels.flip(1))
    )
    wrong = swapped < right / 2
    return Finding(
        check="colours",
        state="failed" if wrong else "passed",
        reason=(
            f"agrees with {source.library} when red and blue are swapped, not as they are"
            if wrong
            else f"{swapped:.2g} from {source.library} were red and blue swapped"
        ),
        value=right,
        unit="relative difference",
    )


def activations(network: nn.Module, pixels: Tensor) -> set[str]:
    """Which kinds of GELU the parts of a network compute, told by their values."""
    found = set[str]()
    before = dict[nn.Module, Tensor]()

    def remember(module: nn.Module, given: tuple[object, ...]) -> None:
        if given and isinstance(given[0], Tensor) and given[0].is_floating_point():
            before[module] = given[0].detach().clone()  # it may work in place

    def compare(module: nn.Module, _: tuple[object, ...], out: object) -> None:
        x = before.pop(module, None)
        if x is None or not isinstance(out, Tensor) or out.shape != x.shape:
            return
        off = {name: apart(out, function(x)) for name, function in ACTIVATIONS.items()}
        nearest = min(off, key=off.__getitem__)
        if off[nearest] < 1e-5:
            found.add(nearest)

    leaves = [m for m in network.modules() if not (*m.children(), *m.parameters())]
    hooks = [leaf.register_forward_pre_hook(remember) for leaf in leaves]
    hooks += [leaf.register_forward_hook(compare) for leaf in leaves]
    try:
        network(pixels)
    finally:
        for hook in hooks:
            hook.remove()
    return found - OTHERS


def activation(encoder: Encoder, source: Source | None, look: Look) -> Finding:
    """GELU where the weights were trained with it, QuickGELU where with that."""
    check = "activation"
    if source is None:
        return skipped(check, NO_SOURCE)
    pixels = source.normalised(look(source.size)[:1].to(encoder.mean.device))
    theirs, ours = activations(source.network, pixels), activations(exact(encoder), pixels)
    if not theirs and not ours:
        reason = "no GELU of any kind in it"
        return skipped(check, reason)
    said = ["+".join(sorted(kinds)) or "another one" for kinds in (ours, theirs)]
    if ours == theirs:
        reason = f"{said[0]}, as {source.library}"
    else:
        reason = f"{said[0]}, where {source.library} computes {said[1]}"
    return Finding(check=check, state="passed" if ours == theirs else "failed", reason=reason)


def parity(encoder: Encoder, source: Source | None, look: Look, *, wide: bool) -> Finding:
    """Cells and pooled vector are the source's, at the native size or a wide one."""
    check = "parity at a rectangle" if wide else "parity"
    size = place(encoder, source, wide=wide)
    if source is None or isinstance(size, str):
        return skipped(check, str(size))
    pixels = look(size).to(encoder.mean.device)
    try:
        grid, pooled = source.see(source.normalised(pixels))
    except ValueError as error:
        return skipped(check, str(error))
    ours = encoder(pixels)
    at = f"{source.library} at {size[0]}x{size[1]}"
    if ours.grid.shape != grid.shape:
        shapes = " against ".join(str(tuple(g.shape[1:])) for g in (ours.grid, grid))
        return Finding(check=check, state="failed", reason=f"{at}: cells {shapes}")
    off = {"cells": apart(ours.grid, grid)}
    if ours.pooled is not None and pooled is not None:
        off["pooled vectors"] = apart(ours.pooled, pooled)
    worst = max(off, key=lambda what: (math.isnan(off[what]), off[what]))
    wrong = not off[worst] <= PARITY.get(dtype(encoder), SHORT_PARITY)  # NaN is wrong
    return Finding(
        check=check,
        state="failed" if wrong else "passed",
        reason=f"{worst} {'differ from' if wrong else 'agree with'} {at}",
        value=off[worst],
        unit="relative difference",
    )


def speed(encoder: Encoder) -> Finding:
    """Pictures a second of the forward pass alone; never wrong, only slow."""
    device = encoder.mean.device
    batch = BATCH.get(device.type, max(BATCH.values()))
    height, width = encoder.preprocessing.size
    pixels = torch.zeros(batch, 3, height, width, dtype=torch.uint8, device=device)
    encoder(pixels)  # the first one allocates
    synchronise(device)
    start, done = time.perf_counter(), 0
    while time.perf_counter() - start < SECONDS:
        encoder(pixels)
        synchronise(device)
        done += batch
    rate = done / (time.perf_counter() - start)
    said = f"batches of {batch} of {height}x{width}, {str(dtype(encoder)).removeprefix('torch.')}"
    threads = progress.count(torch.get_num_threads(), "thread")
    return Finding(
        check="speed",
        state="passed",
        reason=f"{said}, on {device}, {threads}",
        value=rate,
        unit="pictures/s",
    )


def synchronise(device: torch.device) -> None:
    """Wait for the device."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def made(size: Size) -> Tensor:
    """Two coloured pictures drawn from nothing: patches of colour under noise, [2, 3, H, W]."""
    draw = np.random.default_rng(0)
    patches = draw.integers(0, 256, (2, 6, 8, 3), np.uint8)
    patches[..., 2] //= 3  # red is not blue on the whole either
    shown = np.stack(
        [np.asarray(Image.fromarray(p).resize((size[1], size[0]))) for p in patches]
    ).astype(np.int64)
    noisy = np.clip(shown + draw.integers(-40, 41, shown.shape), 0, 255).astype(np.uint8)
    return torch.from_numpy(np.ascontiguousarray(noisy.transpose(0, 3, 1, 2)))
