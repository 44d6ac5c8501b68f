"""Recipes: one file a task x model, each a function `recipe()` with the numbers in it.

The encoder is an argument of whoever uses one, never part of it; a row of a paper is a recipe and
an encoder together.
"""

from __future__ import annotations

from typing import Any

from clipvil import registry
from clipvil.recipes import _caption_rows, _rows, _walk_rows
from clipvil.recipes._table import Row
from clipvil.train.recipe import Recipe

ROWS: dict[str, Row] = {**_rows.ROWS, **_caption_rows.ROWS, **_walk_rows.ROWS}


def names() -> tuple[str, ...]:
    """Recipes of this package."""
    return registry.names(__name__)


def rows() -> dict[str, Row]:
    """Rows of published tables by name."""
    return ROWS


def load(name: str) -> Recipe[Any]:
    """A recipe by name, that of a published row, or a user's own by `module:FILE:FUNCTION`.

    Raises
        UsageError: nobody knows the name
    """
    if "/" in name and not name.startswith("module:"):
        if name not in ROWS:
            raise registry.unknown("row", name, ROWS)
        name = ROWS[name].recipe
    recipe: Recipe[Any] = registry.load(__name__, name, "recipe", "recipe")()
    return recipe


def default(task: str, model: str) -> str:
    """Name of the recipe of a task and a model."""
    known = "vqa" if task.startswith("module:") else task.partition("@")[0]
    return f"{known}_{model}"


def task_of(name: str) -> str:
    """The task that a recipe is for; of the embedded world's, that of questions or of captions."""
    if name in ROWS:
        return ROWS[name].task
    known = [task for task in registry.names("clipvil.tasks") if name.startswith(f"{task}_")]
    longest = max(known, key=len, default=name.partition("_")[0])
    if longest == "tabletop":
        return "coco_caption" if name.endswith("_captioner") else "vqa2"
    return longest
