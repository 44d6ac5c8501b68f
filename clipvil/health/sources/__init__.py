"""Encoders as their own libraries compute them, to compare with; one file a family.

A family's `source(name, options)` returns a `Source`. A family without a file has none, and gets
the checks that need none.
"""

from __future__ import annotations

from clipvil import encoders, registry
from clipvil.health.base import Source


def of(spec: str) -> Source | None:
    """What the library behind `spec` says of it; None where there is no library to ask."""
    family, name, options = encoders.parse(spec)
    if family not in registry.names(__name__):
        return None
    made: Source = registry.load(__name__, family, "source", "source")(name, options)
    return made
