"""What is checked before anything is computed, and told where a picture could not be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from clipvil import models, progress, tasks
from clipvil.core import Moves, UsageError

if TYPE_CHECKING:
    from clipvil.train.recipe import Recipe


def trainable(task: str, recipe: Recipe[Any]) -> None:
    """Check that models learn a task, and not only that predictions for it are scored.

    Raises
        UsageError: nobody knows the task, none does, or not the recipe's, or not in its way
    """
    from clipvil import answers

    answer = tasks.load(task).answer
    if not answers.learnable(tasks.load(task)):
        raise UsageError(f"no model learns {task} yet, only predictions are scored")
    if not models.gives(recipe.model, answer):
        others = ", ".join(name for name in models.names() if models.gives(name, answer))
        raise UsageError(f"{recipe.model} gives no answers of the kind of {task}; {others} do")
    for stage in recipe.stages:
        if not hasattr(models.load(recipe.model).Model, stage.objective):
            raise UsageError(f"{recipe.model} has no objective {stage.objective!r}")
    if isinstance(answer, Moves) and recipe.sight != "stored":
        raise UsageError("who walks looks at views out of stores: leave sight as it is, stored")


def tell_failures(name: str, failures: Mapping[str, str]) -> None:
    """Say which pictures could not be encoded."""
    for picture, reason in list(failures.items())[:5]:
        progress.say(f"{name}: {picture}: {reason}")
    if failures:
        progress.say(f"{name}: {len(failures)} pictures could not be read; they count as empty")
