"""Tasks: one file a benchmark; the folder is the list. `NAME@VARIANT` asks for a variant."""

from __future__ import annotations

from clipvil import registry
from clipvil.core import Task


def names() -> tuple[str, ...]:
    """Tasks of this package."""
    return registry.names(__name__)


def load(name: str) -> Task:
    """A task by name, or a user's own by `module:FILE:TASK`."""
    task = registry.load(__name__, name, "TASK", "task")
    assert isinstance(task, Task), name
    return task
