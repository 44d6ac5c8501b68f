"""All checks of one encoder, in the order in which one would look."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from clipvil import files, pictures
from clipvil.encoders.base import Encoder
from clipvil.health import numbers, places
from clipvil.health.base import Finding, Look, Source

SHOWN = 8  # pictures of a folder that are looked at


def examine(encoder: Encoder, source: Source | None, look: Look) -> Iterator[Finding]:
    """Every check's finding; one that breaks off has failed, with what it broke off with.

    Args:
        source: on the encoder's device
        look: pictures of a size, [B, 3, H, W], such as `numbers.made` or those of `photographs`
    """
    checks: dict[str, Callable[[], Finding]] = {
        "weights": lambda: numbers.weights(encoder),
        "features": lambda: numbers.features(encoder, look),
        "normalisation": lambda: numbers.normalisation(encoder, source),
        "colours": lambda: numbers.colours(encoder, source, look),
        "activation": lambda: numbers.activation(encoder, source, look),
        "positions": lambda: places.positions(encoder),
        "positions at the native size": lambda: places.positions_at(encoder, source, wide=False),
        "positions at a rectangle": lambda: places.positions_at(encoder, source, wide=True),
        "token order": lambda: places.token_order(encoder, look),
        "parity": lambda: numbers.parity(encoder, source, look, wide=False),
        "parity at a rectangle": lambda: numbers.parity(encoder, source, look, wide=True),
        "speed": lambda: numbers.speed(encoder),
    }
    for name, check in checks.items():
        try:
            # TF32 would differ from one kernel to the next by more than a fault does
            with torch.inference_mode(), torch.backends.cudnn.flags(allow_tf32=name == "speed"):
                yield told(check())
        except (RuntimeError, ValueError, TypeError, AssertionError, IndexError) as error:
            first = str(error).splitlines()[0] if str(error) else type(error).__name__
            yield Finding(check=name, state="failed", reason=f"breaks off: {first}")


def told(finding: Finding) -> Finding:
    """A finding whose number is finite, or which has failed for want of it: JSON knows no NaN."""
    if finding.value is None or math.isfinite(finding.value):
        return finding
    reason = f"{finding.reason} ({finding.unit}: not finite)"
    return replace(finding, state="failed", value=None, reason=reason)


def photographs(folder: Path) -> Look:
    """The first pictures under a folder, squashed to the size that is asked for.

    Raises
        FileNotFoundError: no such folder, or no picture in it
        ValueError: one that cannot be read; names it
    """
    found = [*islice(files.pictures(folder), SHOWN)]
    for path in found:
        pictures.require(path)
    shown = [pictures.read(path) for path in found]
    if not shown:
        raise FileNotFoundError(f"no pictures under {folder}")

    def look(size: tuple[int, int]) -> torch.Tensor:
        small = [np.asarray(s.resize(size[::-1], Image.Resampling.BICUBIC)) for s in shown]
        return torch.from_numpy(np.ascontiguousarray(np.stack(small).transpose(0, 3, 1, 2)))

    return look
