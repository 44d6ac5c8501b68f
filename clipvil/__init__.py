"""clipvil: plug any visual encoder into vision-and-language tasks and measure what it brings."""

from __future__ import annotations

from typing import Any

__version__ = "0.1.0"
__all__ = ["adopt", "compare", "explain", "predict"]


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])


def __getattr__(name: str) -> Any:
    # torch is imported when something needs it, not when the package is
    if name in __all__:
        from importlib import import_module

        return getattr(import_module("clipvil.api"), name)
    raise AttributeError(f"module 'clipvil' has no attribute {name!r}")
