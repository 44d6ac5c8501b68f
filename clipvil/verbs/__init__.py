"""The command's verbs: one file a verb, its `Verb` a dataclass whose fields are the options.

Nothing heavy is imported at the head of a verb: help and errors must answer at once.
"""

from __future__ import annotations

from typing import Protocol

from clipvil import registry


class Runnable(Protocol):
    """What `Verb` of every file here is: options in, exit status out."""

    def run(self) -> int:
        """Do it; 0 done, 1 failed."""
        ...


def names() -> tuple[str, ...]:
    """Verbs of the command."""
    return registry.names(__name__)


def load(name: str) -> type[Runnable]:
    """The options class of a verb."""
    verb: type[Runnable] = registry.load(__name__, name, "Verb", "verb")
    return verb
