"""The shipped encoders have no library but this one: the same network, made anew."""

from __future__ import annotations

from collections.abc import Mapping

from clipvil import __version__
from clipvil.encoders import tiny
from clipvil.health.base import Source


def source(name: str, options: Mapping[str, str]) -> Source:
    """`tiny:NAME` at its native size and in fp32."""
    kept = {n: v for n, v in options.items() if n == "weights"}
    made = tiny.build(name, kept)
    return Source(
        library=f"clipvil {__version__}",
        size=tiny.NATIVE,
        mean=made.preprocessing.mean,
        std=made.preprocessing.std,
        network=made.network,
        see=made.network,
    )
