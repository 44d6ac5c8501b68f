"""Models: one file a model, each with a frozen `Config`, a final `Model` and its kinds of answer.

The folder is the list. What the data decides (widths, number of answers) reaches a model as
keyword arguments.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

from clipvil import registry
from clipvil.core import AnswerKind


def names() -> tuple[str, ...]:
    """Models of this package."""
    return registry.names(__name__)


def load(name: str) -> Any:
    """`Model`, `Config` and `ANSWERS` of a model, or of a user's own file by `module:FILE`."""
    if name.startswith("module:"):
        from pathlib import Path

        module: ModuleType = registry.from_file(Path(name.removeprefix("module:")), "model")
        return module
    if name not in names():
        raise registry.unknown("model", name, names())
    import importlib

    return importlib.import_module(f"{__name__}.{name}")


def gives(name: str, answer: AnswerKind) -> bool:
    """Whether a model gives that kind of answer; a user's own does unless it says otherwise."""
    kinds = getattr(load(name), "ANSWERS", None)
    return kinds is None or type(answer) in kinds
