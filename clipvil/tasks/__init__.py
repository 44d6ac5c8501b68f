"""Tasks: one file a benchmark; the folder is the list. `NAME@VARIANT` asks for a variant.

A variant is another task in the same file: `VARIANTS = {"ood": ...}` in `gqa.py` is `gqa@ood`.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module

from clipvil import registry
from clipvil.core import Task


def names() -> tuple[str, ...]:
    """Tasks of this package, each followed by its variants."""
    bases = registry.names(__name__)
    return tuple(name for base in bases for name in (base, *_variants(base)))


def load(name: str) -> Task:
    """A task by name, or a user's own by `module:FILE:TASK`.

    Raises
        UsageError: nobody knows the name, or the variant
    """
    base = name if name.startswith("module:") else name.partition("@")[0]
    task = registry.load(__name__, base, "TASK", "task")
    if base != name:
        known = _variants(base)
        if name not in known:
            raise registry.unknown("task", name, (base, *known))
        task = known[name]
    assert isinstance(task, Task), name
    return task


def _variants(base: str) -> Mapping[str, Task]:
    """The variants of a task of this package, by full name."""
    variants = getattr(import_module(f"{__name__}.{base}"), "VARIANTS", {})
    return {f"{base}@{variant}": task for variant, task in variants.items()}
