"""clipvil: plug any visual encoder into vision-and-language tasks and measure what it brings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from clipvil.api import adopt, compare, explain, predict

__version__ = "0.1.0"
__all__ = ["adopt", "compare", "explain", "predict"]


def __dir__() -> list[str]:
    return sorted(["__version__", *__all__])


def __getattr__(name: str) -> Any:
    # torch is imported when something needs it, not when the package is
    if name in __all__:
        from importlib import import_module

        import_module("clipvil.explain")  # imported later, this folder would replace the function
        api = import_module("clipvil.api")
        globals().update({public: getattr(api, public) for public in __all__})
        return globals()[name]
    raise AttributeError(f"module 'clipvil' has no attribute {name!r}")
