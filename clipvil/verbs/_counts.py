"""Options that count something."""

from __future__ import annotations

from clipvil.errors import UsageError


def at_least_one(**counts: int | None) -> None:
    """See that options, named as their fields are, leave something where they are given.

    Raises
        UsageError: names those that do not
    """
    low = [name for name, count in counts.items() if count is not None and count < 1]
    if low:
        named = " and ".join(f"--{name.replace('_', '-')}" for name in low)
        raise UsageError(f"{named}: at least 1")
