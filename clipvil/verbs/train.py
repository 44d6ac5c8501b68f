"""The verb `train`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import tyro


@dataclass(frozen=True, kw_only=True)
class Verb:
    """Train one model on one encoder's features; goes on where it was.

    Fields of the recipe follow as options, such as --config.width 256 or --stages.0.epochs 3.
    """

    recipe: tyro.conf.Positional[str]
    """how it is trained (see `clipvil list recipes`)"""
    data: Path
    """folder with the task's files and pictures"""
    encoder: str
    """the encoder, such as tiny:clip"""
    task: str | None = None
    """the task; by default what the recipe's name begins with"""
    shots: str = "100%"
    """amount of training data: a share or a count"""
    seed: int = 0
    """seed of the data, the first weights and the order"""
    store: Path | None = None
    """folder of feature stores; by default inside --out"""
    file: tuple[str, ...] = ()
    """files under other names, as ROLE/SPLIT=PATH, such as questions/train=q.json"""
    out: Path
    """the run folder"""
    fields: Annotated[tuple[str, ...], tyro.conf.Suppress] = ()

    @classmethod
    def parse(cls, options: Sequence[str]) -> Verb:
        """Known options first; what is left are fields of the recipe."""
        verb, rest = tyro.cli(
            cls, prog="clipvil train", args=list(options), return_unknown_args=True
        )
        return replace(verb, fields=tuple(rest))

    def run(self) -> int:
        """Encode what is missing, fit, say what came out."""
        from clipvil import api, progress, recipes
        from clipvil.train.recipe import Recipe
        from clipvil.verbs.compare import given

        recipe = recipes.load(self.recipe)
        if self.fields:
            kind: Any = Recipe[type(recipe.config)]  # type: ignore[misc]  # known at run time
            args = list(self.fields)
            recipe = tyro.cli(kind, default=recipe, prog=f"clipvil train {self.recipe}", args=args)
        fitted = api.train(
            recipe,
            task=self.task or recipes.task_of(self.recipe),
            data=self.data,
            encoder=self.encoder,
            shots=self.shots,
            seed=self.seed,
            store=self.store,
            files=given(self.file),
            out=self.out,
        )
        progress.say(
            f"wrote {self.out}: {fitted.steps} steps, {fitted.epochs:.1f} epochs, final loss "
            f"{fitted.loss:.4f}, selection score {fitted.best:.2f} at step {fitted.step}"
            + ("" if fitted.converged else "; it was still rising: not converged")
        )
        return 0
