"""How each kind of answer is learnt and given: one file a kind, after the kinds of `core`."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any

from clipvil import registry
from clipvil.answers.base import Known
from clipvil.core import Choices, Example, Labels, Moves, Task, Text

FILES = {Labels: "labels", Choices: "choices", Text: "text", Moves: "moves"}


def learnable(task: Task) -> bool:
    """Whether models learn this task's kind of answer, and not only predictions are scored."""
    return FILES[type(task.answer)] in registry.names(__name__)


def learn(task: Task, examples: Sequence[Example], config: Any) -> Known:
    """What fitting examples say before any weight moves.

    Raises
        ValueError: nothing can be learnt from them
    """
    known: Known = _kind(task).learn(task, examples, config)
    return known


def read(task: Task, facts: Mapping[str, Any], config: Any) -> Known:
    """What `learn` gave, from its `facts`."""
    known: Known = _kind(task).read(task, facts, config)
    return known


def _kind(task: Task) -> ModuleType:
    return importlib.import_module(f"{__name__}.{FILES[type(task.answer)]}")
