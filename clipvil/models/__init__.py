"""Models: one file a model, each with a frozen `Config` and a final `Model`.

The folder is the list. What the data decides (widths, number of answers) reaches a model as
keyword arguments.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

from clipvil import registry


def names() -> tuple[str, ...]:
    """Models of this package."""
    return registry.names(__name__)


def load(name: str) -> Any:
    """`Model` and `Config` of a model, or of a user's own file by `module:FILE`."""
    if name.startswith("module:"):
        from pathlib import Path

        module: ModuleType = registry.from_file(Path(name.removeprefix("module:")), "model")
        return module
    if name not in names():
        raise registry.unknown("model", name, names())
    import importlib

    return importlib.import_module(f"{__name__}.{name}")
