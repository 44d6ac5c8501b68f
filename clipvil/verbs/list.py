"""The verb `list`."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

import tyro


@dataclass(frozen=True, kw_only=True)
class Verb:
    """List encoders, tasks, models or recipes."""

    what: tyro.conf.Positional[Literal["encoders", "tasks", "models", "recipes"]]
    """what to list"""
    json: bool = False
    """print JSON"""

    def run(self) -> int:
        """One line each: the name and the first line of its documentation."""
        import json

        rows = dict[str, str]()
        for name in names(self.what):
            rows[name] = summary(self.what, name)
            rows |= {f"{name}@{v}": s or rows[name] for v, s in variants(self.what, name).items()}
        if self.what == "recipes":
            from clipvil import recipes

            rows |= {name: row.summary for name, row in recipes.rows().items()}
        if self.json:
            print(json.dumps(rows, indent=1))
            return 0
        width = max(map(len, rows))
        for name, line in rows.items():
            print(f"{name:{width}}  {line}")
        if self.what == "encoders":
            print(
                "\nevery model of a family works by its name, such as timm:resnet50_clip.openai;\n"
                "train and compare also take features:STORE, features that are stored already"
            )
        return 0


def names(what: str) -> tuple[str, ...]:
    """Names of one kind, without importing what they name."""
    from clipvil import registry

    return registry.names(f"clipvil.{what}")


@cache
def parsed(what: str, name: str) -> ast.Module:
    """A module, read without running it."""
    folder = Path(__file__).parent.parent / what
    path = folder / f"{name}.py"
    return ast.parse((path if path.is_file() else folder / name / "__init__.py").read_text())


def summary(what: str, name: str) -> str:
    """First line of a module's docstring."""
    return (ast.get_docstring(parsed(what, name)) or "").split("\n")[0].rstrip(".")


def variants(what: str, name: str) -> dict[str, str]:
    """The keys of a module's `VARIANTS`, each with the `summary` that is written beside it."""
    return {
        key.value: next(map(str, summaries(value)), "")
        for node in parsed(what, name).body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "VARIANTS"
        if isinstance(node.value, ast.Dict)
        for key, value in zip(node.value.keys, node.value.values, strict=True)
        if isinstance(key, ast.Constant) and isinstance(key.value, str)
    }


def summaries(value: ast.expr) -> list[object]:
    """What is passed as `summary` in an expression."""
    return [
        node.value.value
        for node in ast.walk(value)
        if isinstance(node, ast.keyword) and node.arg == "summary"
        if isinstance(node.value, ast.Constant)
    ]
